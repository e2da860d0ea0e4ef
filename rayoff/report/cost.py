"""What a study's time went into."""

import pandas as pd

_PARTS = {
    "time/train_seconds": "training",
    "time/probe_seconds": "readings of the critic",
    "time/evaluation_seconds": "evaluations",
}
"""Clocks of a trial [s], with what they count."""


def time_spent(frame: pd.DataFrame) -> str | None:
    """Return the time of all trials and its shares, None where it was not measured.

    Evaluations count as long as training waited for them.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    clocks = [name for name in _PARTS if name in frame]
    if not clocks:
        return None
    of_trials = pd.DataFrame(frame.groupby("trial")[clocks].max())  # its runs share its clocks
    seconds = of_trials.sum()
    total = float(seconds.sum())
    if not total:
        return None
    shares = (seconds / total).to_list()
    parts = [f"{_PARTS[name]} {one:.1%}" for name, one in zip(clocks, shares, strict=True)]
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if parts[1:] else parts[0]
    amount = f"{total / 3600:.1f} h" if total >= 7200 else f"{total / 60:.1f} min"
    return f"Trials took {amount} in all: {listed}."
