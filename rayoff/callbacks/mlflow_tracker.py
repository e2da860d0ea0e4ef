"""MLflow; imported only where a study is tracked by it."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback

from rayoff.callbacks.trackers import TrackedTrial

_IDENTITY = "rayoff_id"


class MLflowTracker(MLflowLoggerCallback):
    """Ray's callback for MLflow, where a trial that is resumed goes on with its run."""

    step_key = "timesteps_total"

    def log_trial_start(self, trial: Any) -> None:  # noqa: ANN401
        """Begin a trial's run, or go on with it."""
        if trial not in self._trial_runs and (found := self._find(trial)) is not None:
            MlflowClient().update_run(found, status="RUNNING")
            self._trial_runs[trial] = found
        # Ray's callback gives all runs the same tags.
        self.tags = {_IDENTITY: trial.trial_id, "arm": trial.experiment_dir_name}
        super().log_trial_start(trial)

    def last_step(self, trial: TrackedTrial) -> int:
        """Return the last step that the run of a begun trial has; -1: none."""
        history = MlflowClient().get_metric_history(self._trial_runs[trial], "run/training")
        return max((metric.step for metric in history), default=-1)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Mark the runs of trials that were interrupted."""
        client = MlflowClient()
        for run_id in self._trial_runs.values():
            if client.get_run(run_id).info.status == "RUNNING":
                client.set_terminated(run_id, status="KILLED")

    def _find(self, trial: TrackedTrial) -> str | None:
        """Return the id of the run that a trial had before."""
        experiment = self.mlflow_util.experiment_id
        assert experiment is not None, "setup comes first"
        runs = MlflowClient().search_runs([experiment], f"tags.{_IDENTITY} = '{trial.trial_id}'")
        return runs[0].info.run_id if runs else None


def make_tracker(folder: Path, study: str) -> MLflowTracker:
    """Return a tracker that is not connected yet.

    Args:
        folder: not used: MLflow's place is MLFLOW_TRACKING_URI, or where it puts files by itself.
        study: the experiment.
    """
    return MLflowTracker(experiment_name=study)
