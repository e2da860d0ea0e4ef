"""From a study to its trials: the points of the design, their names, and whether they differ."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayoff.config import TrialConfig
from rayoff.errors import StudyError
from rayoff.study.arms import arms_of, reference_indices
from rayoff.study.checks import check_values
from rayoff.study.design import FRACTION, Axis, Scalar, Study, located
from rayoff.study.paths import config_from_paths, flatten
from rayoff.study.rules import Need, Needs, conflict, foreign, inert

_MAX_TRIAL_ID = 60
_MAX_SLUG = 28


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a study, before it runs."""

    trial_id: str
    """``<arm>_<dataset>_<fraction>``, unique in the study, at most 60 of [A-Za-z0-9._=-]."""
    arm: str
    """The varied values in short, such as ``layer-width1024``."""
    dataset: str
    """The source."""
    fraction: float
    """Share of the dataset, in (0, 1]."""
    config: TrialConfig
    """Everything that the trial needs."""


def trials(study: Study) -> list[PlannedTrial]:
    """Return the trials of a study: the baseline's first, then arms, datasets, fractions in order.

    Raises:
        StudyError: a value is wrong (see ``check_values``), fields contradict one another, a
            stated field changes nothing in any trial, or two trials would be the same.
    """
    study = check_values(study)
    planned = enumerate_trials(study)
    for trial in planned:
        _check_agreement(study, trial)
    for path, needs in inert_everywhere(study, planned).items():
        with located(study.place(path)):
            raise StudyError(_no_effect(path, needs, planned))
    _check_distinct(study, planned)
    return planned


def varied_paths(study: Study) -> list[str]:
    """Return the fields that differ between trials, in the order of the axes.

    ``data.source`` is last where there are several datasets.
    """
    paths = [axis.path for axis in study.axes if len(axis.values) > 1]
    return paths + ["data.source"] * (len(study.datasets) > 1)


def references(study: Study) -> dict[str, str]:
    """Return with which arm of a checked study each is compared, where its design names one.

    In a ladder that is the step before, in one-at-a-time the baseline.
    """
    arms = list(dict.fromkeys(trial.arm for trial in enumerate_trials(study)))
    indices = zip(arms, reference_indices(study), strict=True)
    return {arm: arms[index] for arm, index in indices if index is not None}


def enumerate_trials(study: Study) -> list[PlannedTrial]:
    """Return the trials of a study with checked values, without asking whether they differ."""
    fractions = _fractions(study)
    slugs = _names([_slug(source) for source in study.datasets], study.datasets, _MAX_SLUG)
    room = _MAX_TRIAL_ID - 2 - max(map(len, slugs)) - max(len(_number(f)) for f in fractions)
    points = arms_of(study)
    arms = _names([_arm(study, point) for point in points], [str(p) for p in points], room)
    planned = []
    for point, arm in zip(points, arms, strict=True):
        for dataset, slug in zip(study.datasets, slugs, strict=True):
            for fraction in fractions:
                trial_id = f"{arm}_{slug}_{_number(fraction)}"
                config = _config(study, point, dataset, fraction)
                planned.append(PlannedTrial(trial_id, arm, dataset, fraction, config))
    return planned


def inert_everywhere(study: Study, planned: Sequence[PlannedTrial]) -> dict[str, list[Need]]:
    """Return the stated fields that change nothing in any trial, each with what it needs."""
    stated = [axis.path for axis in study.axes] + list(study.settings)
    found = [_inert(trial, stated) for trial in planned]
    return {
        path: [needs[path] for needs in found]
        for path in stated
        if all(path in needs for needs in found)
    }


def _inert(trial: PlannedTrial, stated: Sequence[str]) -> Needs:
    return inert(trial.config) | foreign(trial.config, stated)


def _check_agreement(study: Study, trial: PlannedTrial) -> None:
    """Check that no fields of a trial contradict one another; name the first that is stated."""
    found = conflict(trial.config)
    if found is None:
        return
    stated = [axis.path for axis in study.axes] + list(study.settings)
    path = next(path for path in found.paths if path in stated)
    with located(f"{study.place(path)}, in trial {trial.trial_id}"):
        raise StudyError(found.message)


def _no_effect(path: str, needs: Sequence[Need], planned: Sequence[PlannedTrial]) -> str:
    """Return why ``path`` changes nothing: the value that stands in its way in each trial."""
    need = needs[0]
    values = {
        repr(flatten(trial.config)[need.path])
        for trial, other in zip(planned, needs, strict=True)
        if other == need
    }
    return (
        f"{path} has no effect while {need.path} is {' or '.join(sorted(values))}. "
        f"Set {need.path} to {need.wanted}, or leave {path} out."
    )


def _check_distinct(study: Study, planned: Sequence[PlannedTrial]) -> None:
    seen: dict[frozenset[tuple[str, Scalar]], PlannedTrial] = {}
    for trial in planned:
        needs = _inert(trial, [axis.path for axis in study.axes])
        effective = frozenset(
            item for item in flatten(trial.config).items() if item[0] not in needs
        )
        twin = seen.setdefault(effective, trial)
        if twin is not trial:
            path = next(p for p in varied_paths(study) if p in needs)
            with located(study.place(path)):
                raise StudyError(
                    f"Trials {twin.trial_id} and {trial.trial_id} must differ but are the same: "
                    + _no_effect(path, [needs[path]], [trial]).partition(". ")[0]
                    + ". Ask about the two axes in separate studies."
                )


def _fractions(study: Study) -> list[float]:
    axis = study.axis(FRACTION)
    default = TrialConfig().data.fraction
    values: Sequence[Any] = axis.values if axis else [study.settings.get(FRACTION, default)]
    return [float(value) for value in values]


def _config(
    study: Study, point: Mapping[str, Scalar], dataset: str, fraction: float
) -> TrialConfig:
    given = {"data.source": dataset, FRACTION: fraction, "seeds": study.seeds}
    return config_from_paths({"algorithm": study.base, **study.settings, **point, **given})


def _arm(study: Study, point: Mapping[str, Scalar]) -> str:
    """Return the varied values of a point, named where they would not speak for themselves."""
    varied = [axis for axis in study.arm_axes if len(axis.values) > 1]
    parts = [_part(varied, axis, point[axis.path]) for axis in varied]
    return "-".join(parts) or str(point.get("algorithm", study.base))


def _part(varied: Sequence[Axis], axis: Axis, value: Scalar) -> str:
    others = [other for other in varied if other is not axis]
    label = _label(axis.path)
    if any(label == _label(other.path) for other in others):
        label = axis.path
    if isinstance(value, str):
        shared = any(value in other.values for other in others)
        return f"{label}={value}" if shared else value
    if isinstance(value, bool) or value is None:
        return f"{label}={value}".lower()
    return f"{label}{_number(value)}"


def _label(path: str) -> str:
    return path.rpartition(".")[2].removeprefix("num_")


def _number(value: float) -> str:
    """Return a number as short as it can be read back: 4000, 0.1, 1e-05."""
    short = f"{value:g}"
    exact = short if float(short) == value else repr(value)
    return str(value) if isinstance(value, int) else exact.replace("+", "")


def _slug(source: str) -> str:
    """Return the last two parts of a Minari id, the stem of a file, or the name of a builtin."""
    scheme, _, rest = source.rpartition(":")
    parts = re.sub(r"\.(hdf5|h5|parquet)$", "", rest).strip("/").split("/")
    # Without "_", which sets the slug apart from the arm in a trial's name.
    return (parts[-1] if scheme else "-".join(parts[-2:])).replace("_", "-")


def _names(texts: Sequence[str], origins: Sequence[str], room: int) -> list[str]:
    """Return file-safe names in at most ``room`` characters, told apart by a digest if needed."""
    safe = [re.sub(r"[^A-Za-z0-9._=-]", "-", text) for text in texts]
    count = Counter(safe)
    return [
        name if len(name) <= room and count[name] == 1 else f"{name[: room - 7]}-{_digest(origin)}"
        for name, origin in zip(safe, origins, strict=True)
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
