"""Trackers outside of the run folder: what a study tells them, and how it connects.

A trial is a run of the tracker, and its arm the group. A trial that is resumed goes on in the run
that it had.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from rayoff.errors import TrackerError
from rayoff.study import PlannedTrial, flatten

END_SECONDS = 30
"""Longest time that a study waits at its end until a tracker has taken what it was told [s]."""

# An MLflow client would try for minutes to reach a server that is gone.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_NEXT_STEPS = {
    "wandb": "Log in with `wandb login`, or set WANDB_MODE=offline to write into the run folder.",
    "mlflow": "Set MLFLOW_TRACKING_URI to a server's address, or to sqlite:///PATH.",
}


@dataclass(frozen=True, eq=False)
class TrackedTrial:
    """A trial as Ray's callbacks ask for it; equal to itself alone."""

    trial_id: str
    """Identity of the tracker's run: kept by a resume, another one in a folder that is new."""
    name: str
    """Name of the tracker's run: the trial's."""
    experiment_dir_name: str
    """Group of the tracker's run: the trial's arm."""
    local_path: str
    """Where the tracker may write: the run folder."""
    config: Mapping[str, Any]
    """The settings, by path."""

    def __str__(self) -> str:
        """Return the name, which Ray's callbacks give to the run."""
        return self.name


class Tracker(Protocol):
    """Ray's callback for a tracker, with what a resume needs; it may raise anything."""

    step_key: str
    """Name under which the callback looks for the gradient step."""

    def setup(self) -> None:
        """Connect."""
        ...

    def last_step(self, trial: TrackedTrial) -> int:
        """Return the last step that the run of a begun trial has; -1: none, or not known."""
        ...

    def log_trial_start(self, trial: TrackedTrial) -> None:
        """Begin a trial's run, or go on with it."""
        ...

    def log_trial_result(
        self, iteration: int, trial: TrackedTrial, result: dict[str, float]
    ) -> None:
        """Log metrics, among them the step."""
        ...

    def log_trial_end(self, trial: TrackedTrial, failed: bool = False) -> None:
        """End a trial's run."""
        ...

    def on_experiment_end(self, trials: list[Any]) -> None:
        """End what is open, and wait until all is written."""
        ...


def tracked(folder: Path, planned: PlannedTrial) -> TrackedTrial:
    """Return a trial of a run folder as a tracker sees it.

    Args:
        folder: the run folder, with its ``provenance.json``.
        planned: the trial.
    """
    origin = [folder.name, _time_of_creation(folder), planned.trial_id]
    return TrackedTrial(
        trial_id=hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16],
        name=planned.trial_id,
        experiment_dir_name=planned.arm,
        local_path=str(folder),
        config=flatten(planned.config),
    )


def connect(name: str, folder: Path, study: str) -> Tracker:
    """Return a tracker that can be told of trials.

    Args:
        name: ``wandb`` or ``mlflow``; it is installed.
        folder: the run folder; W&B keeps its files there.
        study: name of the study, which is W&B's project and MLflow's experiment.

    Raises:
        TrackerError: it refuses, as W&B does without a key, or there is no such server.
    """
    for variable, value in _PATIENCE.items():
        os.environ.setdefault(variable, value)
    try:
        tracker = import_module(f"rayoff.callbacks.{name}_tracker").make_tracker(folder, study)
        tracker.setup()
    except Exception as error:
        raise TrackerError(
            f"--track {name} must reach the tracker but got {type(error).__name__}: {error} "
            f"{_NEXT_STEPS[name]}"
        ) from error
    return tracker


def _time_of_creation(folder: Path) -> str | None:
    """Return when the study was begun, as its provenance has it."""
    file = folder / "provenance.json"
    return json.loads(file.read_text(encoding="utf-8"))["started"] if file.exists() else None
