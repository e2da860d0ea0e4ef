"""Each arm over all its runs: aggregates, profiles, and how likely one arm is above another.

Arms are compared over the cells (dataset and fraction) that all of them have, so that none gains
by having been tried where scores are high.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayoff.report.matching import ended_runs, may_be_pooled, measure_of
from rayoff.report.summary import BOOTSTRAP_SEED
from rayoff.results import arm_order
from rayoff.stats import (
    MIN_BOOTSTRAP_RUNS,
    Estimate,
    bootstrap_improvement,
    bootstrap_iqm,
    bootstrap_median,
    pooled_t_mean,
    probability_of_improvement,
)

_NUM_RESAMPLES = 2_000
"""Of the probability of improvement, which every arm has; its interval needs two digits."""

AGGREGATE_COLUMNS = {
    "arm": "Point of the architecture and algorithm space.",
    "num_cells": "Datasets and fractions that all arms have, and that are averaged over.",
    "num_runs": "Runs that ended in these cells.",
    "num_diverged": "Runs among them that diverged, and count with the floor.",
    "iqm": "Interquartile mean over these runs.",
    "iqm_low": "Lower end of its 95% bootstrap interval; null with fewer than 5 runs in a cell.",
    "iqm_high": "Upper end of that interval.",
    "mean": "Mean over these runs.",
    "mean_low": "Lower end of its 95% interval, by pooled t; null with single runs.",
    "mean_high": "Upper end of that interval.",
    "median": "Median over these runs.",
    "median_low": "Lower end of its 95% bootstrap interval; null as for iqm.",
    "median_high": "Upper end of that interval.",
    "improvement": "Probability that a run is above one of the baseline in the same cell.",
    "improvement_low": "Lower end of its 95% bootstrap interval; null as for iqm.",
    "improvement_high": "Upper end of that interval.",
}
"""Name and meaning of each column of ``aggregates_table``."""


class ArmScores(NamedTuple):
    """Results of the runs of every arm in the cells that all arms have."""

    measure: str
    """``score`` or ``return``."""
    values: dict[str, list[NDArray[np.float64]]]
    """For each arm, the baseline first, the runs of each cell, (R,); cells in one order."""
    baseline: str | None
    """The arm that others are compared with; None: none of its runs has ended yet."""
    num_diverged: dict[str, int]
    """Runs of each arm, among these, that diverged."""


def arm_scores(frame: pd.DataFrame) -> ArmScores | str:
    """Return what arms can be compared by, or a sentence on why they cannot.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them. Arms of which no run has
            ended are left out.
    """
    runs = [run for run in ended_runs(frame) if not pd.isna(run["value"])]
    if not runs:
        return "Nothing was evaluated, so there is no score to aggregate."
    cells: dict[tuple[str, float], dict[str, list[float]]] = {}
    for run in runs:
        cell = cells.setdefault((run["dataset"], run["fraction"]), {})
        cell.setdefault(run["arm"], []).append(run["value"])
    found = {run["arm"] for run in runs}
    shared = {name: cell for name, cell in cells.items() if set(cell) == found}
    if not shared:
        return "No dataset and share of the data has runs of every arm, so none are aggregated."
    kept = [run for run in runs if (run["dataset"], run["fraction"]) in shared]
    if len({dataset for dataset, _ in shared}) > 1 and not may_be_pooled(kept):
        return (
            "Results are raw returns, or scores on different scales: they are compared dataset by "
            "dataset, and never averaged over datasets."
        )
    arms = [arm for arm in arm_order(frame) if arm in found]
    return ArmScores(
        measure_of(kept[0]) or "score",
        {arm: [np.array(cell[arm]) for cell in shared.values()] for arm in arms},
        next((arm for arm in arm_order(frame)[:1] if arm in found), None),
        {
            arm: sum(run["arm"] == arm and run["status"] == "diverged" for run in kept)
            for arm in arms
        },
    )


def aggregates_table(scores: ArmScores) -> pd.DataFrame:
    """Return one row for each arm, with the columns of ``AGGREGATE_COLUMNS``."""
    baseline = None if scores.baseline is None else scores.values[scores.baseline]
    rows = []
    for arm, strata in scores.values.items():
        enough = min(map(len, strata)) >= MIN_BOOTSTRAP_RUNS
        values = np.concatenate(strata)
        rows.append(
            {
                "arm": arm,
                "num_cells": len(strata),
                "num_runs": len(values),
                "num_diverged": scores.num_diverged[arm],
            }
            | _columns("iqm", bootstrap_iqm(strata, seed=BOOTSTRAP_SEED) if enough else None)
            | _columns("mean", pooled_t_mean(strata))
            | _columns("median", bootstrap_median(strata, seed=BOOTSTRAP_SEED) if enough else None)
            | _improvement(strata, baseline)
        )
        rows[-1]["median"] = float(np.median(values))
    return pd.DataFrame(rows, columns=list(AGGREGATE_COLUMNS))


def improvement_matrix(scores: ArmScores, arms: Sequence[str]) -> pd.DataFrame:
    """Return the probability that a run of the row's arm is above one of the column's arm."""
    matrix = [
        [probability_of_improvement(scores.values[row], scores.values[column]) for column in arms]
        for row in arms
    ]
    return pd.DataFrame(matrix, index=list(arms), columns=list(arms))


def _improvement(
    strata: list[NDArray[np.float64]], baseline: list[NDArray[np.float64]] | None
) -> dict[str, float | None]:
    """Return the probability of being above the baseline, with an interval of enough runs."""
    if baseline is None:
        return _columns("improvement", None)
    if min(map(len, [*strata, *baseline])) >= MIN_BOOTSTRAP_RUNS:
        estimate = bootstrap_improvement(
            strata, baseline, seed=BOOTSTRAP_SEED, num_resamples=_NUM_RESAMPLES
        )
        return _columns("improvement", estimate)
    value = probability_of_improvement(strata, baseline)
    return _columns("improvement", None) | {"improvement": value}


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
