"""Results by run: one row for each seed of a trial, and how many of them there are."""

import numpy as np
import pandas as pd

from rayoff.results.schema import NUM_LAST_EVALUATIONS

ENDED_STATUSES = ("done", "diverged", "pruned")
"""States of a run that is not trained any more: the first two are final results; a pruned one was
cut by a search that stops early."""

STATUSES = (*ENDED_STATUSES, "training", "failed", "missing")
"""States of a run."""

_RUN = ["trial", "seed"]
_READINGS = {
    "q_abs": "critic/q_abs",
    "q_bound": "critic/q_bound",
    "seem_row_normalized": "seem/row_normalized",
    "seem_normalized": "seem/normalized",
}


def count_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers of runs by state, one row for each arm, dataset and fraction.

    Args:
        frame: results, as ``read_results`` returns them.

    Returns:
        Columns arm, dataset, fraction, and one for each of ``STATUSES``; rows in the study's
        order.
    """
    runs = frame.drop_duplicates(_RUN, keep="last")
    cell = ["arm", "dataset", "fraction"]
    counts = runs[cell].assign(**{status: runs["status"] == status for status in STATUSES})
    return pd.DataFrame(counts.groupby(cell, sort=False, as_index=False)[list(STATUSES)].sum())


def arm_order(frame: pd.DataFrame) -> list[str]:
    """Return the arms, the baseline first and the others in the study's order."""
    arms = frame.drop_duplicates("arm").sort_values("baseline", ascending=False, kind="stable")
    return arms["arm"].tolist()


def baseline_point(frame: pd.DataFrame) -> int:
    """Return the number of the point of a search that is its baseline.

    Args:
        frame: results of a search, as ``read_results`` returns them.
    """
    numbers = frame.loc[frame["baseline"].astype(bool), "point"].dropna()
    return int(numbers.iloc[0]) if len(numbers) else 0


def run_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each run that trained, with the numbers that statistics are made of.

    Args:
        frame: results, as ``read_results`` returns them. Runs that failed or never began are
            left out: they say nothing about their arm.

    Returns:
        The identity and ``config.`` columns of the run's last row, and

        - ``measure``: ``score`` [0 to 100], or ``return`` [reward] where the dataset has no
          reference returns; None where nothing was evaluated, with ``eval_skipped``
        - ``value``: the run's result in that measure: the mean of its last 10 evaluations, but
          of the later half at most; a diverged run has its floor instead
        - ``last``: the same mean without the floor
        - ``best``: the largest evaluation: optimistic, since choosing it takes a simulator
        - ``q_abs``, ``q_bound``, ``seem_row_normalized``, ``seem_normalized``: last readings;
          nan where there was none
    """
    became = frame.groupby(_RUN)["status"].transform("last")
    frame = frame.loc[~became.isin(["failed", "missing"])]
    identity = [name for name in frame.columns if "/" not in name]
    runs = frame.drop_duplicates(_RUN, keep="last")[identity].set_index(_RUN)
    runs = runs.drop(columns=["return", "score", "evaluated"])
    for name, metric in _READINGS.items():
        runs[name] = _last_readings(frame, metric)
    scored = frame["floor_score"].notna()
    evaluations = frame.assign(value=frame["score"].where(scored, frame["return"]))
    evaluations = evaluations.dropna(subset=["value"])
    runs["last"] = _last(evaluations).groupby(_RUN, sort=False)["value"].mean()
    runs["best"] = evaluations.groupby(_RUN, sort=False)["value"].max()
    scored = runs["floor_score"].notna()
    skipped = runs["eval_skipped"].notna() & runs["last"].isna()
    runs["measure"] = pd.Series(np.where(scored, "score", "return"), runs.index).mask(skipped)
    floor = runs["floor_score"].where(scored, runs["floor_return"]).mask(skipped)
    runs["value"] = runs["last"].where(runs["status"] != "diverged", floor)
    return runs.reset_index()


def _last_readings(frame: pd.DataFrame, metric: str) -> pd.Series | float:
    """Return the last number of each run, indexed by trial and seed; nan without the metric."""
    if metric not in frame:
        return np.nan
    readings = frame.dropna(subset=[metric]).drop_duplicates(_RUN, keep="last")
    index = pd.MultiIndex.from_arrays([readings[name] for name in _RUN], names=_RUN)
    return pd.Series(readings[metric].to_numpy(), index)


def _last(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Return the last evaluations of each run; never early ones, however few there are."""
    of_runs = evaluations.groupby(_RUN, sort=False)["value"]
    num_all = of_runs.transform("size").to_numpy()
    num_after = of_runs.cumcount(ascending=False).to_numpy()
    return evaluations.loc[num_after < np.minimum((num_all + 1) // 2, NUM_LAST_EVALUATIONS)]
