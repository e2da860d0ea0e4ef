"""The error of a trial, kept in its folder and counted."""

from pathlib import Path
from typing import Any

from rayoff.callbacks.observer import Observer, guarded
from rayoff.files import replace_file
from rayoff.stopper import LostTrialStopper


class Failures(Observer):
    """Writes ``error.txt`` for a trial that Ray has given up, and tells the stopper.

    Args:
        trials: the run folder's ``trials``.
        stopper: counts them.
    """

    def __init__(self, trials: Path, stopper: LostTrialStopper) -> None:
        self._trials, self._stopper = trials, stopper

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Keep the errors of all attempts; the last line is the last error."""
        trial_id = trial.config["trial"]
        self._stopper.count_failure(trial_id)
        text = Path(trial.error_file).read_text(encoding="utf-8")
        replace_file(self._trials / trial_id / "error.txt", text)


def last_line(error_file: str | Path) -> str:
    """Return the last line of a trial's errors, which names the last one."""
    lines = Path(error_file).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"
