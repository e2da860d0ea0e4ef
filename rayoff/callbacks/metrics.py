"""What boards are told of a run, and of a trial as the mean over its runs."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]

MAIN_METRICS = (
    *("eval/score", "eval/return", "critic/q_abs", "critic/q_bound", "seem/row_normalized"),
    *("run/diverged", "run/nonfinite"),
)
"""Metrics that are shown where there is no room for all; some are not measured by all studies."""


def scalars(row: Row) -> dict[str, float]:
    """Return what is plotted of one run at one step: its finite metrics and its state."""
    metrics = {name: v for name, v in row.items() if "/" in name and v is not None}
    finite = {name: v for name, v in metrics.items() if math.isfinite(v)}
    state = {
        "run/diverged": float(row["status"] == "diverged"),
        "run/nonfinite": float(len(metrics) - len(finite)),
    }
    return finite | state


def mean_scalars(
    rows: Sequence[Row], num_runs: int, floors: Mapping[str, float]
) -> dict[str, float]:
    """Return the mean of each metric over the runs of a trial at one step.

    A stopped run reports no more, and would leave the mean to those that did well: in the
    metrics of ``floors`` it counts with its floor. All others are means over the runs that have
    a finite value; ``run/training`` says how many runs report.

    Args:
        rows: one for each run that reports at this step.
        num_runs: K, runs of the trial.
        floors: what a stopped run counts as, by metric.
    """
    by_name: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in scalars(row).items():
            by_name[name].append(value)
    for name in by_name.keys() & floors.keys():
        by_name[name] += [floors[name]] * (num_runs - len(rows))
    means = {name: math.fsum(values) / len(values) for name, values in by_name.items()}
    return means | {"run/training": float(len(rows))}


def by_step(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Return the rows of each step, in the order in which the steps come."""
    steps: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        steps[row["step"]].append(row)
    return dict(steps)
