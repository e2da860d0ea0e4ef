"""How often each arm diverged, at each share of the data."""

import pandas as pd

from rayoff.results import arm_order, run_table
from rayoff.stats import wilson_interval

RATES_COLUMNS = {
    "arm": "Point of the architecture and algorithm space.",
    "fraction": "Share of the data that was trained on, in (0, 1].",
    "num_runs": "Runs that ended, over all datasets.",
    "num_diverged": "Runs among them that diverged.",
    "rate": "Their share.",
    "low": "Lower end of its 95% interval, by Wilson.",
    "high": "Upper end of that interval.",
    "stop_step": "Median step at which runs were, or would have been, stopped [step]; or null.",
}
"""Name and meaning of each column of ``rates_table``."""


def rates_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each arm and fraction with runs that ended, the baseline first.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    runs = run_table(frame)
    runs = runs.loc[runs["status"].isin(["done", "diverged"])]
    cells = dict(iter(runs.groupby(["arm", "fraction"])))
    rows = []
    for arm in arm_order(frame):
        for fraction in sorted(set(runs["fraction"]), reverse=True):
            if (arm, fraction) in cells:
                own = cells[arm, fraction]
                num_diverged = int((own["status"] == "diverged").to_numpy().sum())
                low, high = wilson_interval(num_diverged, len(own))
                rate, stop_step = num_diverged / len(own), own["stop_step"].median()
                rows.append([arm, fraction, len(own), num_diverged, rate, low, high, stop_step])
    return pd.DataFrame(rows, columns=list(RATES_COLUMNS))
