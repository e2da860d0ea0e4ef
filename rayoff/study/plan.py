"""From a study to its trials: the points of the design, their names, and whether they differ."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Cell(NamedTuple):
    """The data of a trial."""

    dataset: str
    """The source."""
    fraction: float
    """Share of it, in (0, 1]."""
    name: str
    """Both in short, as the end of a trial's name."""


def factorial_trials(study: Study) -> list[PlannedTrial]:
    """Return the trials of a factorial: the baseline's, then arms, datasets, fractions in order.

    Raises:
        StudyError: a value is wrong (see ``check_values``), fields contradict one another, a
            stated field changes nothing in any trial, or two trials would be the same.
    """
    study = check_values(study)
    planned = enumerate_trials(study)
    stated = [axis.path for axis in study.axes] + list(study.settings)
    for trial in planned:
        _check_agreement(study, trial, stated)
    check_effects(study, planned)
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
    cells = cells_of(study)
    points = arms_of(study)
    arms = _names([_arm(study, point) for point in points], [str(p) for p in points], _room(cells))
    return [
        PlannedTrial(f"{arm}_{cell.name}", arm, cell.dataset, cell.fraction, config)
        for point, arm in zip(points, arms, strict=True)
        for cell in cells
        for config in [trial_config(study, point, cell)]
    ]


def cells_of(study: Study) -> list[Cell]:
    """Return every dataset at every fraction: what each arm is trained on."""
    fractions = _fractions(study)
    slugs = _names([_slug(source) for source in study.datasets], study.datasets, _MAX_SLUG)
    return [
        Cell(dataset, fraction, f"{slug}_{_number(fraction)}")
        for dataset, slug in zip(study.datasets, slugs, strict=True)
        for fraction in fractions
    ]


def _room(cells: Sequence[Cell]) -> int:
    """Return how long an arm's name may be."""
    return _MAX_TRIAL_ID - 1 - max(len(cell.name) for cell in cells)


def check_effects(study: Study, planned: Sequence[PlannedTrial]) -> None:
    """Check that every axis and every setting changes some trial.

    Raises:
        StudyError: one does not; the message says what stands in its way.
    """
    for path, needs in inert_everywhere(study, planned).items():
        with located(study.place(path)):
            reason = why_inert(path, needs, planned)
            raise StudyError(f"{reason}, or leave {path} out.")


def inert_everywhere(study: Study, planned: Sequence[PlannedTrial]) -> dict[str, list[Need]]:
    """Return the stated fields that change nothing in any trial, each with what it needs."""
    stated = [axis.path for axis in study.axes] + list(study.settings)
    found = [inert_settings(trial, stated) for trial in planned]
    return {
        path: [needs[path] for needs in found]
        for path in stated
        if all(path in needs for needs in found)
    }


def inert_settings(trial: PlannedTrial, stated: Sequence[str]) -> Needs:
    """Return what changes nothing in a trial, also where ``stated`` is of other algorithms."""
    return inert(trial.config) | foreign(trial.config, stated)


def effective_settings(
    trial: PlannedTrial, stated: Sequence[str]
) -> frozenset[tuple[str, Scalar]]:
    """Return the settings on which a trial depends: trials that share them are the same."""
    needs = inert_settings(trial, stated)
    return frozenset(item for item in flatten(trial.config).items() if item[0] not in needs)


def why_inert(path: str, needs: Sequence[Need], planned: Sequence[PlannedTrial]) -> str:
    """Return why ``path`` changes nothing, and what would help, without the full stop.

    Args:
        path: a field.
        needs: what it needs in each trial.
        planned: the trials.
    """
    need = needs[0]
    values = {
        repr(flatten(trial.config)[need.path])
        for trial, other in zip(planned, needs, strict=True)
        if other == need
    }
    return (
        f"{path} has no effect while {need.path} is {' or '.join(sorted(values))}. "
        f"Set {need.path} to {need.wanted}"
    )


def _check_agreement(study: Study, trial: PlannedTrial, stated: Sequence[str]) -> None:
    """Check that no fields of a trial contradict one another; name the first that is stated."""
    found = conflict(trial.config)
    if found is None:
        return
    path = next(path for path in found.paths if path in stated)
    with located(f"{study.place(path)}, in trial {trial.trial_id}"):
        raise StudyError(found.message)


def _check_distinct(study: Study, planned: Sequence[PlannedTrial]) -> None:
    seen: dict[frozenset[tuple[str, Scalar]], PlannedTrial] = {}
    axes = [axis.path for axis in study.axes]
    for trial in planned:
        twin = seen.setdefault(effective_settings(trial, axes), trial)
        if twin is not trial:
            needs = inert_settings(trial, axes)
            path = next(p for p in varied_paths(study) if p in needs)
            with located(study.place(path)):
                raise StudyError(
                    f"Trials {twin.trial_id} and {trial.trial_id} must differ but are the same: "
                    + why_inert(path, [needs[path]], [trial]).partition(". ")[0]
                    + ". Ask about the two axes in separate studies."
                )


def _fractions(study: Study) -> list[float]:
    axis = study.axis(FRACTION)
    default = TrialConfig().data.fraction
    values: Sequence[Any] = axis.values if axis else [study.settings.get(FRACTION, default)]
    return [float(value) for value in values]


def trial_config(study: Study, point: Mapping[str, Scalar], cell: Cell) -> TrialConfig:
    """Return the configuration of a point of the space, by path, on the data of a cell."""
    given = {"data.source": cell.dataset, FRACTION: cell.fraction, "seeds": study.seeds}
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
