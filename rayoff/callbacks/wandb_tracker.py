"""Weights & Biases; imported only where a study is tracked by it."""

from pathlib import Path
from typing import Any

import ray
from ray.air.integrations.wandb import WandbLoggerCallback

from rayoff.callbacks.trackers import END_SECONDS, TrackedTrial


class WandbTracker(WandbLoggerCallback):
    """Ray's callback for W&B: a process of its own for each trial's run."""

    step_key = "training_iteration"

    def last_step(self, trial: TrackedTrial) -> int:
        """Return -1: W&B itself leaves out the steps that a resumed run has."""
        return -1

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, float]) -> None:  # noqa: ANN401
        """Log metrics; raise what has ended the run's process, if anything has."""
        process = self._trial_logging_futures.get(trial)
        if process is not None and ray.wait([process], timeout=0)[0]:
            ray.get(process)
        super().log_trial_result(iteration, trial, result)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """End all runs, also those of trials that were interrupted."""
        for trial in list(self._trial_queues):
            self._signal_logging_actor_stop(trial)
        super().on_experiment_end(trials, **info)


def make_tracker(folder: Path, study: str) -> WandbTracker:
    """Return a tracker that is not connected yet.

    Args:
        folder: W&B's own files go to its ``wandb/``.
        study: the project.
    """
    return WandbTracker(project=study, upload_timeout=END_SECONDS, dir=str(folder), resume="allow")
