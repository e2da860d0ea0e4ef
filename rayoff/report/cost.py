"""What a study took: its time and what that went into, by arm, and what stopping saved."""

import math

import pandas as pd

from rayoff.results import arm_order

COSTS_COLUMNS = {
    "arm": "Point of the architecture and algorithm space.",
    "num_trials": "Trials that have trained.",
    "hours": "Wall time of these trials, summed [h].",
    "device_hours": "This time by the share of a GPU, or by the cores, that each had [h].",
    "steps_per_second": "Gradient steps of single runs per second of wall time [1/s].",
    "evaluation_share": "Share of the time that went into rollouts; null where not measured.",
    "probe_share": "Share of the time that went into readings of SEEM; null where not measured.",
    "num_stopped": "Runs that were stopped before their last step.",
    "saved_hours": "Wall time that ending trials early saved, at their own pace [h].",
}
"""Name and meaning of each column of ``costs_table``."""


_PARTS = {
    "time/train_seconds": "training",
    "time/probe_seconds": "readings of the critic",
    "time/evaluation_seconds": "evaluations",
}
"""Clocks of a trial [s], with what they count."""
_SHARES = {"time/evaluation_seconds": "evaluation", "time/probe_seconds": "probe"}
_CLOCKS = {**_SHARES, "time/device_seconds": "device"}


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
    return f"Trials took {_format_time(total)} in all{_of_device(frame, clocks)}: {listed}."


def _of_device(frame: pd.DataFrame, clocks: list[str]) -> str:
    """Return the device time where it was measured and is another: of a share, or of cores."""
    name = "time/device_seconds"
    if name not in frame:
        return ""
    of_trials = pd.DataFrame(frame.groupby("trial")[[*clocks, name]].max()).dropna(subset=[name])
    taken, seconds = sum(of_trials[name].tolist()), of_trials[clocks].to_numpy(float).sum()
    is_same = math.isclose(taken, seconds, rel_tol=1e-3)
    return "" if is_same else f", {_format_time(taken)} of device time"


def _format_time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"


def costs_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each arm that has trained, the baseline first.

    The budget of a trial is the largest step that any run of the study reached with the same
    ``num_steps``, which ended trials show by themselves.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    frame = frame.loc[frame["step"] > 0]
    budget = frame["step"].max()
    if "config.num_steps" in frame:
        budget = frame.groupby("config.num_steps")["step"].transform("max")
    frame = frame.assign(budget=budget)
    runs = frame.drop_duplicates(["trial", "seed"], keep="last")
    runs = runs.assign(is_stopped=(runs["status"] == "diverged") & (runs["step"] < runs["budget"]))
    trials = _trials(frame, runs)
    rows = []
    for arm in arm_order(frame) if len(frame) else []:
        own, own_runs = trials.loc[trials["arm"] == arm], runs.loc[runs["arm"] == arm]
        seconds = own["seconds"].sum()
        rows.append(
            [
                *(arm, len(own), seconds / 3600, own["device"].sum(min_count=1) / 3600),
                own_runs["step"].sum() / max(seconds, 1e-9),
                *(own[name].sum(min_count=1) / max(seconds, 1e-9) for name in _SHARES.values()),
                int(own_runs["is_stopped"].sum()),
                own["saved"].sum() / 3600,
            ]
        )
    return pd.DataFrame(rows, columns=list(COSTS_COLUMNS))


def _trials(frame: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each trial, with its seconds and those that it saved."""
    frame = frame.rename(columns=_CLOCKS).reindex(
        columns=[*("trial", "arm", "step", "seconds", "budget"), *_CLOCKS.values()]
    )
    trials = frame.groupby("trial", sort=False).agg(
        arm=("arm", "first"),
        step=("step", "max"),
        seconds=("seconds", "max"),
        budget=("budget", "max"),
        evaluation=("evaluation", "max"),
        probe=("probe", "max"),
        device=("device", "max"),
    )
    has_ended = runs.groupby("trial")["status"].apply(lambda own: (own != "training").all())
    pace = trials["seconds"] / trials["step"]
    trials["saved"] = ((trials["budget"] - trials["step"]) * pace).where(has_ended, 0.0)
    return trials
