"""How far a study is: a live table on a terminal, a line per minute elsewhere."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rayoff.callbacks.failures import last_line
from rayoff.callbacks.observer import Observer, guarded
from rayoff.study import PlannedTrial

_LINE_SECONDS = 60.0
_FRAME_SECONDS = 0.5
_MAX_ROWS = 20
_GIVEN_UP = "given up"


@dataclass
class _State:
    """What is known of one trial that this session trains."""

    num_steps: int
    status: str = "waiting"
    report: dict[str, Any] = field(default_factory=dict)
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The last row of each run, by its seed."""

    @property
    def num_suspect(self) -> int:
        """Runs that train under suspicion; not those that are given up."""
        if self.status != "running":
            return 0
        training = [row for row in self.rows.values() if row["status"] == "training"]
        return sum(row.get("stopper/suspect") == 1 for row in training)

    @property
    def step(self) -> int:
        """Gradient steps of the last report [step]."""
        return self.report.get("timesteps_total", 0)

    @property
    def work(self) -> tuple[int, int]:
        """Steps that this session trained, and those that it has to [step]."""
        restored = self.report.get("restored_step", 0)
        ended = self.status in ("done", "failed")
        return (self.num_steps if ended else self.step) - restored, self.num_steps - restored


class Progress(Observer):
    """Tells how many trials are done, running and failed, the best trial, and the time left.

    Off a terminal it writes a line at the first report, at each trial's end and every minute;
    on a terminal it keeps a table of the running trials besides. On both, a line tells when a
    run first comes under suspicion, and one when it is given up: once a run.

    Args:
        planned: all trials of the study.
        pending: ids of those that this session trains; the others are done.
        console: where to write; None: standard output.
    """

    def __init__(
        self,
        planned: Sequence[PlannedTrial],
        pending: Sequence[str],
        console: Console | None = None,
    ) -> None:
        self._num_trials = len(planned)
        steps = {trial.trial_id: trial.config.num_steps for trial in planned}
        self._states = {trial_id: _State(steps[trial_id]) for trial_id in pending}
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._started = self._written = time.monotonic()
        self._training_since: float | None = None
        self._reported = False
        self._told: set[tuple[str, int, str]] = set()

    @guarded
    def setup(
        self,
        stop: Any = None,  # noqa: ANN401
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Begin to count the time."""
        self._started = self._written = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    @guarded
    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Show the state again when it is time."""
        period = _LINE_SECONDS if self._live is None else _FRAME_SECONDS
        if time.monotonic() - self._written >= period:
            self._show()

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Note that a trial trains."""
        if self._training_since is None:
            self._training_since = time.monotonic()
        self._states[trial.config["trial"]].status = "running"

    @guarded
    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        result: dict[str, Any],
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Note a report; the first of the session is shown at once."""
        trial_id = trial.config["trial"]
        state = self._states[trial_id]
        state.report = result
        for row in result["rows"]:
            state.rows[row["seed"]] = row
            if row["step"] > result["restored_step"]:  # else it was told when it happened
                self._tell_event(trial_id, row)
        if not self._reported:
            self._reported = True
            self._show()

    @guarded
    def on_trial_complete(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Tell how a trial ended."""
        trial_id = trial.config["trial"]
        state = self._states[trial_id]
        state.status = "done"
        report = state.report
        result = self.result_of(trial_id, report)
        if reasons := report["reasons"]:
            result = f"{len(reasons)} of {report['num_runs']} runs diverged"
        self._write(f"{trial_id} ended at step {state.step:,}: {result}")
        for seed, reason in reasons.items():
            if (trial_id, seed, _GIVEN_UP) not in self._told:
                self._write(f"  seed {seed}: {reason}")
        self._show()

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Tell that a trial failed."""
        trial_id = trial.config["trial"]
        self._states[trial_id].status = "failed"
        self._write(f"{trial_id} failed: {last_line(trial.error_file)}")
        self._write(f"  all attempts: trials/{trial_id}/error.txt")
        self._show()

    @guarded
    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._show()

    def line(self) -> str:
        """Return the state of the study in one line."""
        states = self._states.values()
        count = Counter(state.status for state in states)
        done = self._num_trials - len(self._states) + count["done"]
        diverged = sum(state.report.get("num_diverged", 0) for state in states)
        parts = [
            f"[{self.elapsed()}] {done} of {self._num_trials} trials done",
            f"{count['running']} running",
            f"{count['failed']} failed",
            f"{diverged} runs diverged",
            f"{sum(state.num_suspect for state in states)} suspect",
            *self._best_trial(),
            *self._time_left(),
        ]
        return ", ".join(parts)

    def _tell_event(self, trial_id: str, row: dict[str, Any]) -> None:
        """Tell of a run that has just come under suspicion, or has just been given up."""
        if row["step"] == row["stop_step"]:
            event, why = _GIVEN_UP, row["reason"]
        elif row["step"] == row.get("stopper/suspected_step"):
            event, why = "suspect", _describe_suspicion(row)
        else:
            return
        told = (trial_id, row["seed"], event)
        if told not in self._told:  # a trial that is tried again after an error trains again
            self._told.add(told)
            self._write(f"{trial_id} seed {row['seed']} {event} at step {row['step']:,}: {why}")

    def elapsed(self) -> str:
        """Return the time since the session began, as 1:02:03."""
        return clock(time.monotonic() - self._started)

    def result_of(self, trial_id: str, report: dict[str, Any]) -> str:
        """Return what came of a trial of which no run is lost."""
        return _last(report) if report["evaluated"] else "no score"

    def expect(self, planned: PlannedTrial) -> None:
        """Take note of a trial of which nothing is known yet."""
        self._states.setdefault(planned.trial_id, _State(planned.config.num_steps))

    def _best_trial(self) -> list[str]:
        """Return the trial with the best last score, as a part of the line.

        Trials of which every run is lost are no candidates, and returns only where no trial has
        a score: they have another unit.
        """
        found = [
            ("eval/score" in report["floors"], report["score"], trial_id)
            for trial_id, state in self._states.items()
            if (report := state.report).get("evaluated")
            and report["num_diverged"] < report["num_runs"]
        ]
        if not found:
            return []
        scored, value, trial_id = max(found, key=lambda trial: trial[:2])
        return [
            f"best trial so far {trial_id} (last {'score' if scored else 'return'} {value:.1f})"
        ]

    def _time_left(self) -> list[str]:
        """Return the share of the work and the time left, by the pace since the first trial."""
        works = [state.work for state in self._states.values()]
        trained, total = (sum(column) for column in zip(*works, strict=True))
        if self._training_since is None or not 0 < trained < total:
            return []
        left = (time.monotonic() - self._training_since) * (total - trained) / trained
        return [f"{trained / total:.0%} of the steps", f"about {clock(left)} left"]

    def _show(self) -> None:
        """Write the line; on a terminal, draw it above the table."""
        self._written = time.monotonic()
        if self._live is None:
            self._write(self.line())
        else:
            self._live.update(Group(Text(self.line()), self._table()), refresh=True)

    def _write(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None)
        for name in ("trial", "step", "score", "diverged", "suspect"):
            table.add_column(name, justify="left" if name == "trial" else "right")
        running = [(i, s) for i, s in self._states.items() if s.status == "running"]
        for trial_id, state in running[:_MAX_ROWS]:
            report = state.report
            table.add_row(
                trial_id,
                f"{state.step:,} of {state.num_steps:,}",
                f"{report['score']:.1f}" if report.get("evaluated") else "",
                f"{report['num_diverged']} of {report['num_runs']}" if report else "",
                str(state.num_suspect) if report else "",
            )
        return table


def _describe_suspicion(row: dict[str, Any]) -> str:
    """Return what the probe read at which a run came under suspicion."""
    told = f"|Q| {row['critic/q_abs'] / row['critic/q_bound']:.2g} times its bound"
    seem = row["seem/row_normalized"]
    return f"{told}, row-normalised SEEM {seem:.2g}" if math.isfinite(seem) else told


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


def _last(report: dict[str, Any]) -> str:
    """Return what the last evaluation gave, which may differ from the report's mean of several."""
    return (
        f"last {'score' if 'eval/score' in report['floors'] else 'return'} {report['score']:.1f}"
    )
