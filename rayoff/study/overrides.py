"""Changes to a study from the command line: ``--set key=value`` and ``--smoke``."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rayoff.errors import StudyError
from rayoff.study.checks import check_open_path
from rayoff.study.design import FRACTION, Axis, Scalar, Study, located
from rayoff.study.search_checks import assigned
from rayoff.study.trials import inert_paths, trials
from rayoff.study.values import parse_value

_SMOKE_SETTINGS: dict[str, Scalar] = {
    "num_steps": 200,
    FRACTION: 1.0,
    "seem.period": 25,
    "evaluation.period": 200,
    "evaluation.num_episodes": 1,
}
_OF_OTHER_DATASETS = ("data.ref_min", "data.ref_max", "evaluation.environment")


def override(study: Study, assignments: Sequence[str]) -> Study:
    """Return a study changed by assignments such as ``data.fraction=0.1``.

    One value replaces a setting, or the axis of that path; values with commas become or replace
    an axis, whose first value is the new baseline where it lacks the old one. ``datasets``
    takes sources, ``seeds`` a count or values with commas (``7,`` is the seed 7 alone), ``design``
    a design, with ``num_arms`` and ``design_seed`` of a random subset. ``search.<field>`` changes
    how a search goes; what its space would ask for has one value then.
    Settings of the file that the assignments leave without effect are dropped.

    Raises:
        StudyError: an assignment has no "=", an unknown key, or a value that is none of the
            field's; or the study itself is invalid.
    """
    changed = study
    for assignment in assignments:
        with located(f"--set {assignment}"):
            key, equals, text = assignment.partition("=")
            if not equals:
                raise StudyError(f"An override must be key=value but got {assignment!r}.")
            changed = _assigned(changed, key.strip(), text.strip())
    return _without_stale_settings(study, changed) if assignments else study


def smoke(study: Study) -> Study:
    """Return a small version of a study that runs in seconds: 2 arms, 1 seed, 200 steps.

    The arms are the baseline and its first neighbour, or a point of the sampler, on all of the
    data that the package carries. What remains is as in the study.

    Raises:
        StudyError: the study is invalid (see ``trials``).
    """
    trials(study)
    small = replace(
        _with_design(study, "full"),
        name=f"{study.name[:34]}-smoke",
        datasets=["builtin:hopper-mixed"],
        seeds=[0],
    )
    for path, value in _SMOKE_SETTINGS.items():
        small = _fixed(small, path, value)
    if search := small.search:
        few = {"num_points": 2, "known_points": (), "hours": None, "device_hours": None}
        small = replace(small, search=replace(search, **few, num_confirm_seeds=1))
    axes = small.arm_axes
    varied = next((axis.path for axis in axes if len(axis.values) > 1), None)
    for axis in axes:
        baseline = small.baseline[axis.path]
        if axis.path == varied:
            other = next(value for value in axis.values if value != baseline)
            small = _varied(small, axis.path, [baseline, other])
        else:
            small = _fixed(small, axis.path, baseline)
    kept = {k: v for k, v in small.settings.items() if k not in _OF_OTHER_DATASETS}
    return _without_stale_settings(study, replace(small, settings=kept))


def _assigned(study: Study, key: str, text: str) -> Study:
    """Return the study with one assignment made and recorded."""
    parts = [part.strip() for part in text.split(",")]
    parts = parts[:-1] if len(parts) > 1 and not parts[-1] else parts
    if key == "datasets":
        changed = replace(study, datasets=parts)
    elif key == "seeds":
        changed = replace(study, seeds=_parsed_seeds(text, parts))
    elif key == "design":
        changed = _with_design(study, text)
    elif key in ("num_arms", "design_seed"):
        changed = replace(study, **{key: _parsed_integer(key, text)})
    elif key.startswith("search."):
        changed = _with_search(study, key, text)
    else:
        check_open_path(key)
        values = [parse_value(key, part) for part in parts]
        changed = _varied(study, key, values) if "," in text else _fixed(study, key, values[0])
    return replace(changed, overrides={**study.overrides, key: text})


def _with_design(study: Study, design: Any) -> Study:  # noqa: ANN401 - checked with the study
    """Return the study in another design, without what only a random subset has."""
    if design == "random_subset":
        return replace(study, design=design)
    return replace(study, design=design, num_arms=None, design_seed=0)


def _with_search(study: Study, key: str, text: str) -> Study:
    """Return the study with one field of its search changed."""
    if study.search is None:
        raise StudyError(f"{key} must be of a search but {study.name} is a factorial.")
    return replace(study, search=assigned(study.search, key.removeprefix("search."), text))


def _parsed_integer(key: str, text: str) -> int:
    if not text.isdecimal():
        raise StudyError(f"{key} must be an integer but got {text!r}.")
    return int(text)


def _parsed_seeds(text: str, parts: Sequence[str]) -> Sequence[int]:
    if not all(part.isdecimal() for part in parts):
        raise StudyError(
            f"seeds must be a count, or integers with commas between them, but got {text!r}."
        )
    seeds = [int(part) for part in parts]
    return seeds if "," in text else range(seeds[0])


def _fixed(study: Study, path: str, value: Scalar) -> Study:
    """Return the study with one value of ``path`` in every trial."""
    axes = [axis for axis in study.axes if axis.path != path]
    baseline = {key: kept for key, kept in study.baseline.items() if key != path}
    study = _without_other_points(study, path, value)
    if path == "algorithm":
        return replace(study, base=str(value), axes=axes, baseline=baseline)
    settings = {**study.settings, path: value}
    return replace(study, axes=axes, baseline=baseline, settings=settings)


def _without_other_points(study: Study, path: str, value: Scalar) -> Study:
    """Return the study without known points that have another value of ``path``."""
    if study.search is None:
        return study
    points = [point for point in study.search.known_points if point.get(path, value) == value]
    known = [{key: kept for key, kept in point.items() if key != path} for point in points]
    return replace(study, search=replace(study.search, known_points=tuple(known)))


def _varied(study: Study, path: str, values: Sequence[Scalar]) -> Study:
    """Return the study with an axis over ``path``, in the place of an old one or as the last."""
    axis = Axis(path, values)
    axes = [axis if old.path == path else old for old in study.axes]
    axes += [] if study.axis(path) else [axis]
    baseline = dict(study.baseline)
    if path != FRACTION and baseline.get(path, object()) not in values:
        baseline[path] = values[0]
    settings = {key: kept for key, kept in study.settings.items() if key != path}
    return replace(study, axes=axes, baseline=baseline, settings=settings)


def _without_stale_settings(before: Study, after: Study) -> Study:
    """Return ``after`` without the settings that had an effect in ``before`` and have none now."""
    stale = inert_paths(after) - inert_paths(before) - set(after.overrides)
    settings = {path: value for path, value in after.settings.items() if path not in stale}
    return replace(after, settings=settings)
