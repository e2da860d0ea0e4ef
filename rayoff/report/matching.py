"""Runs that are equal in all but what is asked about: the choices of a study, and their pairs."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import pandas as pd

from rayoff.results import arm_order, run_table

Run = dict[Hashable, Any]
"""A row of the run table."""
Key = tuple[str, ...]
"""What matched runs share."""
Pairs = dict[Key, tuple[Run, Run]]
"""A run with the value and its partner with the reference's, by what they share."""

OTHER_ARM = "arm"
"""The axis of an arm that differs from every other in more than one choice."""


def ended_runs(frame: pd.DataFrame) -> list[Run]:
    """Return the rows of the run table whose runs have ended: done or diverged."""
    runs = run_table(frame)
    return runs.loc[runs["status"].isin(["done", "diverged"])].to_dict(orient="records")


def axes_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns of the choices in which arms differ."""
    arms = frame.drop_duplicates("arm")
    names = [name for name in ("run", "algorithm") if name in frame]
    names += [str(name) for name in frame if str(name).startswith("config.")]
    return [name for name in names if pd.Series(arms[name]).nunique(dropna=False) > 1]


def axis_name(axis: str) -> str:
    """Return a choice as a study names it: ``critic.norm`` of ``config.critic.norm``."""
    return axis.removeprefix("config.")


def comparisons(frame: pd.DataFrame) -> Iterator[tuple[str, Any, Any]]:
    """Yield axis, value and the value that it is compared with, where both arms have the choice.

    That is the value of the arm that the design names, as a ladder does the step before, or else
    of the baseline.
    """
    arms = frame.drop_duplicates("arm").to_dict(orient="records")
    if has_references(frame):
        yield from _named_comparisons(arms, axes_of(frame))
        return
    baseline = next(arm for arm in arms if arm["arm"] == arm_order(frame)[0])
    for axis in axes_of(frame):
        for value in dict.fromkeys(arm[axis] for arm in arms):
            if not pd.isna(value) and not pd.isna(baseline[axis]) and value != baseline[axis]:
                yield axis, value, baseline[axis]


def has_references(frame: pd.DataFrame) -> bool:
    """Whether the design names the arm with which each is compared; not of several studies."""
    return "run" not in frame and bool(frame["reference"].notna().any())


def _named_comparisons(arms: list[Run], axes: list[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what each arm changes of its reference, if both are there and it is one choice."""
    by_name = {arm["arm"]: arm for arm in arms}
    for arm in arms:
        reference = by_name.get(arm["reference"])
        if reference is None:
            continue
        changed = [axis for axis in axes if str(arm[axis]) != str(reference[axis])]
        if "algorithm" in changed:  # its own hyperparameters come with it
            changed = [axis for axis in changed if not axis.startswith("config.agent.")]
        if len(changed) == 1:
            yield changed[0], arm[changed[0]], reference[changed[0]]


def matching_columns(axes: list[str], axis: str) -> list[str]:
    """Return the columns in which the two runs of a pair are equal; the seed is the last.

    Args:
        axes: the columns of all choices, as ``axes_of`` returns them.
        axis: the one in which they differ.
    """
    others = [] if axis == OTHER_ARM else [name for name in axes if name != axis]
    if axis == "algorithm":  # its own hyperparameters come with it
        others = [name for name in others if not name.startswith("config.agent.")]
    return [*others, "dataset", "fraction", "seed"]


def key_of(run: Run, columns: list[str]) -> Key:
    """Return what a run shares with its partners, as text: a missing value equals another."""
    return tuple(str(run[name]) for name in columns)


def match(
    runs: Iterable[Run], axis: str, value: object, reference: object, columns: list[str]
) -> Pairs:
    """Return the pairs of runs that differ in ``axis`` and are equal in ``columns``."""
    sides: dict[object, dict[Key, Run]] = {value: {}, reference: {}}
    for run in runs:
        if run[axis] in sides:
            sides[run[axis]][key_of(run, columns)] = run
    partners = sides[reference]
    return {key: (run, partners[key]) for key, run in sides[value].items() if key in partners}


def measure_of(run: Run) -> str | None:
    """Return ``score`` or ``return``, None where nothing was evaluated."""
    return run["measure"] if isinstance(run["measure"], str) else None


def datasets_of(runs: Iterable[Run]) -> list[str]:
    """Return the datasets of runs, in their order."""
    return list(dict.fromkeys(run["dataset"] for run in runs))


def may_be_pooled(runs: list[Run]) -> bool:
    """Whether results on several datasets may be averaged: only scores of one source."""
    sources = {run["score_source"] for run in runs if measure_of(run) == "score"}
    measures = {measure_of(run) for run in runs}
    return len(measures) == 1 and "return" not in measures and len(sources) <= 1


def pools(runs: list[Run]) -> list[str | None]:
    """Return the datasets to be kept apart; [None] where all may be pooled, [] without runs."""
    datasets = datasets_of(runs)
    return [None] if len(datasets) > 1 and may_be_pooled(runs) else [*datasets]
