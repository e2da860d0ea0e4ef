"""What the stopper did, run by run, and how often it was right where that was seen."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayoff.stats import wilson_interval

_METRICS = {
    "stopper/suspected_step": "suspected_step",
    "stopper/forecast_step": "forecast_step",
    "stopper/forecast_low": "forecast_low",
    "stopper/forecast_high": "forecast_high",
    "stopper/passed_step": "passed_step",
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
    "forecast_step": "Step at which |Q| would pass the ceiling, as last told before it did and no "
    "later than the stop [step].",
    "forecast_low": "Lower end of the forecast's interval [step].",
    "forecast_high": "Upper end of the forecast's interval [step]; null where there is none.",
    "passed_step": "Crash: step at which |Q| was first seen above the ceiling, or not finite "
    "[step]; null where it never was while the run trained.",
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

    A stop at the crash or after it is hardly ever wrong, and saves nothing: those are told apart.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    stopped, passed, right = _numbers(frame, "stop_step", "passed_step", "right")
    is_judged = ~np.isnan(right)
    if not is_judged.any():
        return None
    is_wrong = right == 0
    is_late = is_judged & (passed <= stopped)  # False where it never passed
    num_judged, num_wrong = int(is_judged.sum()), int(is_wrong.sum())
    low, high = wilson_interval(num_wrong, num_judged)
    return (
        f"Of {(~np.isnan(stopped)).sum()} runs that the stopper gave up, {num_judged} trained on "
        f"to the end: {num_judged - num_wrong} of them ended above the ceiling, {num_wrong} did "
        f"not: wrong stops {num_wrong / num_judged:.0%} [{low:.0%}, {high:.0%}]. "
        f"{num_judged - is_late.sum()} of the {num_judged} stops came before |Q| was seen above "
        f"the ceiling ({(is_wrong & ~is_late).sum()} wrong), {is_late.sum()} at or after that "
        f"({(is_wrong & is_late).sum()} wrong), where a stop saves nothing."
    )


def check_forecasts(frame: pd.DataFrame) -> str | None:
    """Return how far off forecasts were, where a crash was seen; None where none was.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    names = ("passed_step", "forecast_step", "forecast_low", "forecast_high")
    crash, foretold, low, high = _numbers(frame, *names)
    num_seen, is_known = (~np.isnan(crash)).sum(), ~np.isnan(crash - foretold)
    if not num_seen:
        return None
    told = f"|Q| was seen above the ceiling in {num_seen} run{'s' if num_seen > 1 else ''}"
    if not is_known.any():
        return f"{told}, in none of them after a forecast."
    error = np.median(np.abs(foretold / crash - 1)[is_known])
    is_held = is_known & (low <= crash) & ~(crash > high)  # nan: the interval has no end
    return (
        f"{told}, in {is_known.sum()} of them after a forecast: it was off by {error:.0%} of the "
        f"crash's step at the median, and its interval held {is_held.sum()} of them."
    )


def _numbers(frame: pd.DataFrame, *names: str) -> NDArray[np.float64]:
    """Return columns of the table of stops, each (stops,); nan for null."""
    return stops_table(frame)[list(names)].to_numpy(dtype=np.float64).T
