"""The final table: one row for each dataset, fraction and arm."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rayoff.results import arm_order, count_runs, run_table
from rayoff.stats import Estimate, aggregate, iqm

BOOTSTRAP_SEED = 0
"""Seed of every bootstrap of a report: equal results give equal numbers."""

SUMMARY_COLUMNS = {
    "dataset": "Source of the data.",
    "fraction": "Share of the data that was trained on, in (0, 1].",
    "arm": "Point of the architecture and algorithm space.",
    "baseline": "Whether the others are compared with this arm.",
    "num_runs": "Runs (seeds) that trained, those still training included.",
    "num_diverged": "Runs among them that diverged.",
    "num_training": "Runs among them that still train, whose values will change.",
    "measure": "score [0 to 100] or return [reward]; none where nothing was evaluated.",
    "mean": "Mean over runs of their value: the mean of the last evaluations, or the floor.",
    "std": "Standard deviation over the same values; null with one run.",
    "iqm": "Interquartile mean of the same values.",
    "low": "Lower end of the 95% interval of iqm, or of mean, as interval says.",
    "high": "Upper end of that interval.",
    "interval": "iqm, bootstrap; below 5 runs: mean, pooled t.",
    "last": "Mean over runs of their last evaluations, without the floor.",
    "best": "Mean over runs of the largest evaluation; optimistic.",
    "stop_step": "Median step at which runs were, or would have been, stopped [step].",
    "q_over_bound": "Median over runs of the last |Q| over max|r| / (1 - discount).",
    "seem_row_normalized": "Median over runs of the last row-normalised SEEM.",
    "seem_normalized": "Median over runs of the last SEEM as published, over ||A||_F.",
    "reason": "Why a run diverged: that of the median stop step; else null.",
    "eval_skipped": "Why nothing was evaluated; else null.",
}
"""Name and meaning of each column of ``summarize``."""


def summarize(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the final table, with the columns of ``SUMMARY_COLUMNS``.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.

    Returns:
        One row for each (dataset, fraction, arm) of the study, begun or not: datasets in the
        study's order, fractions from large to small, the baseline arm first.
    """
    runs = run_table(frame)
    cells = dict(iter(runs.groupby(["dataset", "fraction", "arm"])))
    planned = count_runs(frame).assign(arm=lambda c: pd.Categorical(c["arm"], arm_order(frame)))
    planned["dataset"] = pd.Categorical(planned["dataset"], frame["dataset"].unique())
    planned = planned.sort_values(["dataset", "fraction", "arm"], ascending=[True, False, True])
    baseline = arm_order(frame)[0]
    rows = [
        {"dataset": dataset, "fraction": fraction, "arm": arm, "baseline": arm == baseline}
        | _summarize_cell(cells.get((dataset, fraction, arm), runs.head(0)))
        for dataset, fraction, arm in planned[["dataset", "fraction", "arm"]].itertuples(
            index=False
        )
    ]
    summary = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    for name in ("measure", "reason", "eval_skipped"):  # as text, None would become nan
        summary[name] = pd.Series([row[name] for row in rows], dtype=object)
    return summary


def _summarize_cell(runs: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of the runs of one arm on one dataset at one fraction."""
    values = runs["value"].dropna().to_numpy(dtype=np.float64)
    empty = Estimate(np.nan, np.nan, np.nan, "none", 0)
    estimate = aggregate([values], seed=BOOTSTRAP_SEED) if len(values) else empty
    diverged = runs.query("status == 'diverged'").sort_values(by=["stop_step", "seed"])
    return {
        "num_runs": len(runs),
        "num_diverged": len(diverged),
        "num_training": runs["status"].tolist().count("training"),
        "measure": _first(runs["measure"]),
        "mean": values.mean() if len(values) else np.nan,
        "std": values.std(ddof=1) if len(values) > 1 else np.nan,
        "iqm": float(iqm(values)) if len(values) else np.nan,
        "low": estimate.low,
        "high": estimate.high,
        "interval": estimate.method,
        "last": runs["last"].mean(),
        "best": runs["best"].mean(),
        "stop_step": runs["stop_step"].median(),
        "q_over_bound": (runs["q_abs"] / runs["q_bound"]).median(),
        "seem_row_normalized": runs["seem_row_normalized"].median(),
        "seem_normalized": runs["seem_normalized"].median(),
        "reason": _first(diverged["reason"][max(len(diverged) - 1, 0) // 2 :]),
        "eval_skipped": _first(runs["eval_skipped"]),
    }


def _first(texts: Iterable[object]) -> str | None:
    """Return the first text among nulls, or None."""
    return next((text for text in texts if isinstance(text, str)), None)
