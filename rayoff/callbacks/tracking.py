"""A tracker that is told of a study, and can neither hold it up nor end it."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayoff.callbacks.metrics import MAIN_METRICS, Row, by_step, mean_scalars, scalars
from rayoff.callbacks.observer import Observer, guarded
from rayoff.callbacks.trackers import END_SECONDS, TrackedTrial, Tracker, connect, tracked
from rayoff.study import PlannedTrial

_LOGGER = logging.getLogger(__name__)


@dataclass
class _Run:
    """What a tracker was told of a trial, and what it was not told yet."""

    trial: TrackedTrial
    begun: bool = False
    last_step: int = -1
    waiting: deque[tuple[int, dict[str, float]]] = field(default_factory=deque)
    """Steps with their metrics, the earliest first."""
    failed: bool | None = None
    """How the trial ended, until that is told."""


class Tracking(Observer):
    """Tells a tracker of each report: the means over a trial's runs, and the runs' main metrics.

    The means have the names that they have everywhere, such as ``eval/score``; a run's metrics
    are below its seed, ``seed_0/eval/score``. A thread talks to the tracker, since a server may
    be slow; what it does not take, it is told again with the trial's next report.

    Args:
        tracker: connected.
        view: gives a trial as the tracker sees it, from Ray's ``trial.config``.
        end_seconds: longest time to wait at the end [s].
    """

    def __init__(
        self,
        tracker: Tracker,
        view: Callable[[dict[str, Any]], TrackedTrial],
        end_seconds: float = END_SECONDS,
    ) -> None:
        self._tracker, self._view, self._end_seconds = tracker, view, end_seconds
        self._runs: dict[str, _Run] = {}
        self._news: queue.SimpleQueue[_Run | None] = queue.SimpleQueue()
        self._failing = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="rayoff-tracking")
        self._thread.start()

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Tell of a trial that begins; one that is tried again goes on with its run."""
        trial_id = trial.config["trial"]
        if trial_id not in self._runs:
            self._runs[trial_id] = _Run(self._view(trial.config))
        self._news.put(self._runs[trial_id])

    @guarded
    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        result: dict[str, Any],
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Tell of a report."""
        run = self._runs[trial.config["trial"]]
        for step, rows in by_step(result["rows"]).items():
            means = mean_scalars(rows, result["num_runs"], result["floors"])
            run.waiting.append((step, means | _main_scalars(rows)))
        self._news.put(run)

    @guarded
    def on_trial_complete(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Tell that a trial has ended."""
        self._end(trial, failed=False)

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Tell that a trial has failed."""
        self._end(trial, failed=True)

    @guarded
    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Wait until the tracker has been told all, but not for long."""
        self._news.put(None)
        self._thread.join(self._end_seconds)
        if self._thread.is_alive():
            _LOGGER.warning(
                "The tracker did not take all within %g s; the run folder has it.",
                self._end_seconds,
            )

    def _end(self, trial: Any, *, failed: bool) -> None:  # noqa: ANN401
        run = self._runs[trial.config["trial"]]
        run.failed = failed
        self._news.put(run)

    def _work(self) -> None:
        """Tell the tracker what comes, until the end."""
        while (run := self._news.get()) is not None:
            self._attempt(lambda run=run: self._tell(run))
        for run in self._runs.values():
            self._attempt(lambda run=run: self._tell(run))
        self._attempt(lambda: self._tracker.on_experiment_end([]))

    def _attempt(self, telling: Callable[[], None]) -> None:
        """Tell the tracker something; log a failure once, until it takes something again."""
        try:
            telling()
        except Exception as error:  # noqa: BLE001 - the tracker is not ours, nor is its server
            if not self._failing:
                _LOGGER.warning("The tracker failed, the study goes on: %s", error)
            self._failing = True
        else:
            self._failing = False

    def _tell(self, run: _Run) -> None:
        """Tell all that is known of a trial and was not told yet."""
        if not run.begun:
            self._tracker.log_trial_start(run.trial)
            run.last_step = self._tracker.last_step(run.trial)
            run.begun = True
        while run.waiting:
            step, metrics = run.waiting[0]
            if step > run.last_step:  # the first report of a trial that goes on has all steps
                result = {self._tracker.step_key: step, **metrics}
                self._tracker.log_trial_result(0, run.trial, result)
                run.last_step = step
            run.waiting.popleft()
        if run.failed is not None:
            self._tracker.log_trial_end(run.trial, failed=run.failed)
            run.failed = None


def trackings(
    name: str | None, folder: Path, study: str, planned: Sequence[PlannedTrial]
) -> list[Tracking]:
    """Return the callbacks that tell a tracker of a study's trials; None: there are none.

    Args:
        name: ``wandb`` or ``mlflow``, installed.
        folder: the run folder.
        study: its name.
        planned: its trials that are known; those of a search come with their configuration.

    Raises:
        TrackerError: the tracker cannot be reached.
    """
    if name is None:
        return []
    by_id = {trial.trial_id: trial for trial in planned}

    def view(config: dict[str, Any]) -> TrackedTrial:
        return tracked(folder, config.get("planned") or by_id[config["trial"]])

    return [Tracking(connect(name, folder, study), view)]


def _main_scalars(rows: list[Row]) -> dict[str, float]:
    """Return the main metrics of each run, by name below its seed."""
    return {
        f"seed_{row['seed']}/{name}": value
        for row in rows
        for name, value in scalars(row).items()
        if name in MAIN_METRICS
    }
