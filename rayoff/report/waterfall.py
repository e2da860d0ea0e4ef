"""From the baseline arm to the best one, one choice at a time: what each adds on the way."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import pandas as pd

from rayoff.report.matching import Key, Run, axes_of, axis_name, ended_runs, has_references, pools
from rayoff.results import arm_order
from rayoff.stats import Estimate, pooled_t_mean

_MAX_CHOICES = 8
"""Choices in which the best arm may differ: 256 arms lie between."""


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """What each choice adds between the baseline and the best arm, averaged over all orders."""

    baseline: str
    """Name of the arm at the start."""
    best: str
    """Arm with the largest mean result; optimistic, since it was chosen for that."""
    dataset: str | None
    """The one dataset that it is about; None: all, pooled."""
    measure: str
    """``score`` or ``return``."""
    start: float
    """Mean of the baseline arm over the runs that all arms between have in common."""
    steps: list[tuple[str, Estimate]]
    """``critic.norm = layer`` and what it adds, the largest first; they sum up to the whole."""


def find_waterfalls(frame: pd.DataFrame) -> list[Waterfall | str]:
    """Return a waterfall for each pool of datasets, or a sentence on why there is none.

    Source:
        Shapley 1953: the mean over orders, here of all orders in which choices can be made. The
        arms between must all have been run, as in a full factorial.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    runs = [run for run in ended_runs(frame) if not pd.isna(run["value"])]
    apart = pools(runs)
    found = [
        _waterfall(frame, [run for run in runs if dataset in (None, run["dataset"])], dataset)
        for dataset in apart
    ]
    return [
        f"{dataset}: {one}" if isinstance(one, str) and len(apart) > 1 else one
        for dataset, one in zip(apart, found, strict=True)
    ]


def waterfalls_table(waterfalls: list[Waterfall | str]) -> pd.DataFrame:
    """Return the steps of all waterfalls as a table, for export."""
    columns = ["dataset", "baseline", "best", "measure", "start", "choice", "adds", "low", "high"]
    rows = [
        [
            *(one.dataset or "all", one.baseline, one.best, one.measure, one.start),
            *(choice, estimate.value, estimate.low, estimate.high),
        ]
        for one in waterfalls
        if isinstance(one, Waterfall)
        for choice, estimate in one.steps
    ]
    return pd.DataFrame(rows, columns=columns)


def _waterfall(frame: pd.DataFrame, runs: list[Run], dataset: str | None) -> Waterfall | str:
    axes = axes_of(frame)
    arms = {arm["arm"]: arm for arm in frame.drop_duplicates("arm").to_dict(orient="records")}
    baseline, means = arm_order(frame)[0], _comparable_means(runs)
    best = max(means, key=lambda arm: means[arm])
    if set(means) == {baseline}:
        return f"No arm but the baseline, {baseline}, has ended wherever runs have."
    if best == baseline:
        rest = len({run["arm"] for run in runs}) - len(means)
        of_whom = "No arm that has ended wherever runs have" if rest else "No arm"
        return f"{of_whom} has a larger mean than the baseline, {baseline}."
    if isinstance(arms[best]["reference"], str) and has_references(frame):
        return (
            f"The best arm is {best}. What each step adds to the arm with which the design "
            "compares it stands under the effects."
        )
    changed = [axis for axis in axes if not _equal(arms[baseline][axis], arms[best][axis])]
    if len(changed) < 2:
        return f"{best}, the best arm, differs from the baseline in one choice alone."
    if len(changed) > _MAX_CHOICES:
        return (
            f"The best arm, {best}, differs from the baseline in {len(changed)} choices: too many "
            f"to say what each adds, which needs all {2 ** len(changed):,} arms between."
        )
    values = _values_between(runs, axes, changed, arms[baseline], arms[best])
    missing = 2 ** len(changed) - len(values)
    if missing:
        return (
            f"The best arm, {best}, differs from the baseline in {len(changed)} choices; "
            f"{missing} of the {2 ** len(changed)} arms between were not run, so that it cannot "
            "be said what each choice adds."
        )
    shared = set.intersection(*(set(own) for own in values.values()))
    if not shared:
        return f"The arms between {baseline} and {best} have no runs in common yet."
    starts = [values[frozenset()][key] for key in shared]
    steps = [
        (f"{axis_name(axis)} = {arms[best][axis]}", _added(values, changed, axis, sorted(shared)))
        for axis in changed
    ]
    return Waterfall(
        baseline=baseline,
        best=best,
        dataset=dataset,
        measure=runs[0]["measure"],
        start=sum(starts) / len(starts),
        steps=sorted(steps, key=lambda step: -step[1].value),
    )


def _comparable_means(runs: list[Run]) -> dict[str, float]:
    """Return the mean over cells of the means over its runs, of each arm with all the cells."""
    cells: dict[tuple[str, Any, Any], list[float]] = defaultdict(list)
    for run in runs:
        cells[run["arm"], run["dataset"], run["fraction"]].append(run["value"])
    means: dict[str, list[float]] = defaultdict(list)
    for (arm, _, _), values in cells.items():
        means[arm].append(sum(values) / len(values))
    most = max(map(len, means.values()))  # an arm that ran on easy cells only must not win
    return {arm: sum(own) / len(own) for arm, own in means.items() if len(own) == most}


def _values_between(
    runs: list[Run], axes: list[str], changed: list[str], start: Run, end: Run
) -> dict[frozenset[str], dict[Key, float]]:
    """Return the results of each arm between, by the set of choices that it has from the end."""
    values: dict[frozenset[str], dict[Key, float]] = defaultdict(dict)
    for run in runs:
        if not all(_equal(run[axis], start[axis]) for axis in axes if axis not in changed):
            continue
        if all(any(_equal(run[axis], e[axis]) for e in (start, end)) for axis in changed):
            taken = frozenset(axis for axis in changed if _equal(run[axis], end[axis]))
            key = str(run["dataset"]), str(run["fraction"]), str(run["seed"])
            values[taken][key] = run["value"]
    return values


def _added(
    values: dict[frozenset[str], dict[Key, float]],
    changed: list[str],
    axis: str,
    keys: list[Key],
) -> Estimate:
    """Return what a choice adds, averaged over orders, in runs that are matched by ``keys``."""
    others = [other for other in changed if other != axis]
    cells: dict[Key, list[float]] = defaultdict(list)
    for key in keys:
        added = 0.0
        for size in range(len(others) + 1):
            orders = factorial(size) * factorial(len(others) - size) / factorial(len(changed))
            for before in map(frozenset, combinations(others, size)):
                added += orders * (values[before | {axis}][key] - values[before][key])
        cells[key[:-1]].append(added)
    return pooled_t_mean(list(cells.values()))


def _equal(a: object, b: object) -> bool:
    return a == b or bool(pd.isna(a) and pd.isna(b))  # pyright: ignore[reportArgumentType]
