"""What the stopper did, run by run, and how often it was right where that was seen."""

import numpy as np
import pandas as pd

from rayoff.stats import wilson_interval

_METRICS = {
    "stopper/suspected_step": "suspected_step",
    "stopper/forecast_step": "forecast_step",
    "stopper/forecast_low": "forecast_low",
    "stopper/forecast_high": "forecast_high",
    "stopper/right": "right",
}

STOPS_COLUMNS = {
    "dataset": "Source of the data.",
    "fraction": "Share of the data that was trained on, in (0, 1].",
    "arm": "Point of the architecture and algorithm space.",
    "seed": "Seed of the run.",
    "status": "What became of the run.",
    "suspected_step": "Step at which it was first suspect [step].",
    "stop_step": "Step at which it was, or would have been, stopped [step].",
    "forecast_step": "Step at which |Q| would pass the ceiling, as last told [step].",
    "forecast_low": "Lower end of the forecast's interval [step].",
    "forecast_high": "Upper end of the forecast's interval [step]; null where there is none.",
    "right": "Of a stop whose run trained on: 1 if |Q| ended above the ceiling, else 0.",
    "reason": "Why the run diverged; else null.",
}
"""Name and meaning of each column of ``stops_table``."""


def stops_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each run that came under suspicion or was given up.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    runs = frame.drop_duplicates(["trial", "seed"], keep="last").rename(columns=_METRICS)
    runs = runs.reindex(columns=list(STOPS_COLUMNS))
    found = runs[["suspected_step", "stop_step"]].notna().any(axis=1)
    return runs.loc[found].reset_index(drop=True)


def audit(frame: pd.DataFrame) -> str | None:
    """Return how often a stop was right, among the runs that trained on; None without any.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    stops = stops_table(frame)
    num_stopped = int(stops["stop_step"].notna().to_numpy().sum())
    was_right = stops["right"].to_numpy(dtype=np.float64)
    was_right = was_right[~np.isnan(was_right)]
    num_judged = len(was_right)
    if not num_judged:
        return None
    num_wrong = int((was_right == 0).sum())
    low, high = wilson_interval(num_wrong, num_judged)
    return (
        f"Of {num_stopped} runs that the stopper gave up, {num_judged} trained on to the end: "
        f"{num_judged - num_wrong} of them ended above the ceiling, {num_wrong} did not: wrong "
        f"stops {num_wrong / num_judged:.0%} [{low:.0%}, {high:.0%}]."
    )
