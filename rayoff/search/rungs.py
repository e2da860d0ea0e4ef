"""ASHA under Ray Tune: ends trials whose points are behind the others at a rung."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from rayoff.search.exploration import Exploration


class RungScheduler(FIFOScheduler):
    """Ends a trial where its exploration gives the point up.

    What a trial trains on, its schedules with it, is that of its whole budget: nothing tells it
    that it may end early. One that is done, or that lost its runs, ends by itself.

    Args:
        exploration: compares the points.
    """

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self._exploration = exploration

    def on_trial_result(
        self,
        tune_controller: Any,  # noqa: ANN401 - Ray's
        trial: Any,  # noqa: ANN401 - Ray's
        result: dict[str, Any],
    ) -> str:
        """Return whether the trial goes on after a report."""
        step = result["timesteps_total"]
        evaluated = any(row["evaluated"] for row in result["rows"] if row["step"] == step)
        if result["done"] or not result["num_training"] or not evaluated:
            return self.CONTINUE
        behind = self._exploration.is_behind(trial.config["trial"], step, result["score"])
        return self.STOP if behind else self.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing, where Ray pickles the experiment: it is never restored from that."""
        return {}
