"""A factorial study in words: its design, its axes, its trials and their pairs."""

from collections.abc import Sequence

from rayoff.study import PlannedTrial, Study, flatten, study_hash
from rayoff.study.plan import references

_WIDTH = 22
_MAX_LINES = 12

_DESIGN_NAMES = {
    "full": "factorial",
    "one_at_a_time": "one axis at a time, each arm beside the baseline",
    "ladder": "ladder, each arm beside the step before",
    "random_subset": "random subset of the factorial",
}


def describe_design(study: Study, planned: Sequence[PlannedTrial]) -> list[str]:
    """Return what a study compares, as lines of text.

    Args:
        study: valid study.
        planned: its trials.
    """
    return [
        _headline(study, planned),
        *_axes(study),
        *_trial_lines(planned),
        *_pairs(study, planned),
    ]


def describe_count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 trial, 4 trials."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _headline(study: Study, planned: Sequence[PlannedTrial]) -> str:
    arms = len({trial.arm for trial in planned})
    fractions = len({trial.fraction for trial in planned})
    return (
        f"study {study.name} ({study_hash(study)})  {_shape(study, arms)}, "
        f"{describe_count(fractions, 'fraction')}, "
        f"{describe_count(len(study.datasets), 'dataset')} = "
        f"{describe_count(len(planned), 'trial')} of {describe_count(len(study.seeds), 'seed')}"
        f"      design: {_DESIGN_NAMES[study.design]}, paired"
    )


def _shape(study: Study, num_arms: int) -> str:
    """Return the number of arms, and how the axes make it."""
    shape = " x ".join(str(len(axis.values)) for axis in study.arm_axes) or "1"
    if study.design == "full":
        return f"{shape}{f' = {num_arms}' * ('x' in shape)} arms"
    return f"{num_arms} arms of {shape} points"


def _axes(study: Study) -> list[str]:
    lines = []
    for axis in study.axes:
        baseline = study.baseline.get(axis.path, object())
        values = " ".join(f"{value}{'*' * (value == baseline)}" for value in axis.values)
        note = "* baseline" if axis.path == next(iter(study.baseline), None) else ""
        if axis.path == "data.fraction":
            note = f"unit={study.settings.get('data.unit', 'transition')}, nested"
        lines.append(f"{axis.path:{_WIDTH}} {values:{_WIDTH}} {note}".rstrip())
    lines.append(f"{'data.source':{_WIDTH}} {' '.join(study.datasets)}")
    return _labelled("axis", lines)


def _trial_lines(planned: Sequence[PlannedTrial]) -> list[str]:
    return _labelled("trials", _some([trial.trial_id for trial in planned]))


def _pairs(study: Study, planned: Sequence[PlannedTrial]) -> list[str]:
    """Return what each arm changes of the one that it is compared with, where the design says."""
    configs = {trial.arm: flatten(trial.config) for trial in planned}
    axes = [axis.path for axis in study.arm_axes]
    lines = []
    for arm, reference in references(study).items():
        own, other = configs[arm], configs[reference]
        changed = [path for path in axes if own.get(path) != other.get(path)]
        told = ", ".join(
            f"{path} {own.get(path)} instead of {other.get(path)}" for path in changed
        )
        lines.append(f"{arm}: {told}")
    return _labelled("pairs", _some(lines))


def _some(lines: list[str]) -> list[str]:
    """Return all lines, or of many the first and how many more there are."""
    if len(lines) <= _MAX_LINES:
        return lines
    return [*lines[: _MAX_LINES - 2], f"... {len(lines) - _MAX_LINES + 2} more"]


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    """Return lines with a label before the first."""
    return [f"  {label if i == 0 else '':6} {line}" for i, line in enumerate(lines)]
