"""How far each trial of a run folder is, from its files alone, while others write them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from rayoff.errors import ResultsError
from rayoff.results.folder import planned_trials, trial_table
from rayoff.results.runs import run_table
from rayoff.search.archive import is_finished

_Signature = tuple[int | None, bool, bool, bool]


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """How far one trial is."""

    trial_id: str
    """Its folder under ``trials/``."""
    arm: str
    dataset: str
    """The source."""
    fraction: float
    """Share of the dataset, in (0, 1]."""
    is_baseline: bool
    """Whether its arm is the baseline."""
    num_runs: int
    """Runs (seeds) side by side."""
    num_steps: int
    """Gradient steps that it is planned for [step]."""
    status: Literal["waiting", "begun", "done", "pruned", "failed", "unreadable"] = "waiting"
    """``begun``: it reported, and has not ended; ``pruned``: its point of a search has ended
    without it; ``unreadable``: its metrics are damaged."""
    step: int = 0
    """Of the last report [step]."""
    seconds: float = 0.0
    """For which it was trained until then [s]."""
    num_diverged: int = 0
    num_suspect: int = 0
    """Runs that train under suspicion."""
    measure: str | None = None
    """``score`` or ``return``; None where nothing was evaluated."""
    value: float | None = None
    """Mean over its runs of their result so far, as the report has it."""
    reported: float | None = None
    """Time of the last report [s since 1970]."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come without a resume."""
        return self.status not in ("waiting", "begun")


class StateReader:
    """Reads the states of all trials as often as asked; only files that changed are read again.

    Args:
        run_folder: ``runs/<study>-<hash>``, which others may be writing.
    """

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder
        self._known: dict[str, tuple[_Signature, TrialState]] = {}

    def read(self) -> list[TrialState]:
        """Return the states in the study's order; of a search those of the points so far.

        Raises:
            ResultsError: ``study.json`` is missing or damaged.
        """
        trials, baseline = planned_trials(self._run_folder)
        return [self._state(trial, baseline) for trial in trials]

    def _state(self, trial: dict[str, Any], baseline: str) -> TrialState:
        folder = self._run_folder / "trials" / trial["trial_id"]
        signature = _signature(folder, point_ended=bool(trial.get("point_ended")))
        known = self._known.get(trial["trial_id"])
        if known is None or known[0] != signature:
            known = signature, _read_state(folder, trial, baseline, signature)
            self._known[trial["trial_id"]] = known
        return known[1]


def _signature(folder: Path, *, point_ended: bool) -> _Signature:
    """Return what changes with a trial: its metrics, the mark of its end, its error, its point."""
    try:
        changed = (folder / "metrics.parquet").stat().st_mtime_ns
    except OSError:
        changed = None
    return changed, is_finished(folder), (folder / "error.txt").exists(), point_ended


def _read_state(
    folder: Path, trial: dict[str, Any], baseline: str, signature: _Signature
) -> TrialState:
    changed, is_done, has_failed, point_ended = signature
    about: dict[str, Any] = {
        "trial_id": trial["trial_id"],
        "arm": trial["arm"],
        "dataset": trial["dataset"],
        "fraction": trial["fraction"],
        "is_baseline": trial["arm"] == baseline,
        "num_runs": len(trial["config"]["seeds"]),
        "num_steps": trial["config"]["num_steps"],
    }
    status = "done" if is_done else "failed" if has_failed else "waiting"
    status = "pruned" if point_ended and status == "waiting" else status
    if changed is None:
        return TrialState(**about, status=status)
    about["reported"] = changed / 1e9
    try:
        frame = trial_table(folder, trial["config"]["seeds"]).to_pandas()
    except ResultsError:
        return TrialState(**about, status="unreadable")
    status = "begun" if status == "waiting" else status
    return TrialState(**about, status=status, **_numbers(frame))


def _numbers(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what the rows of a trial say, which are in order of seed and step."""
    last = frame.drop_duplicates("seed", keep="last").to_dict(orient="records")
    runs = run_table(frame).to_dict(orient="records")
    known = [run for run in runs if pd.notna(run["value"])]
    training = [row for row in last if row["status"] == "training"]
    return {
        "step": max(row["step"] for row in last),
        "seconds": max((row["seconds"] for row in last if pd.notna(row["seconds"])), default=0.0),
        "num_diverged": sum(row["status"] == "diverged" for row in last),
        "num_suspect": sum(row.get("stopper/suspect") == 1 for row in training),
        "measure": known[0]["measure"] if known else None,
        "value": sum(run["value"] for run in known) / len(known) if known else None,
    }
