"""TensorBoard while a study runs: ``tensorboard --logdir`` on the run folder finds it all.

``trials/<trial>/s<seed>`` is a run; ``tensorboard/<trial>`` is the mean over its seeds, so that
arms can be compared line by line; the HParams tab has one row per trial, its seeds grouped.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rayoff.callbacks.events import EventFile, Value, experiment, session_end, session_start
from rayoff.callbacks.observer import Observer, guarded
from rayoff.study import PlannedTrial, flatten

HPARAMS_METRICS = (
    *("eval/score", "eval/return", "critic/q_abs", "critic/q_bound", "seem/row_normalized"),
    *("run/diverged", "run/nonfinite"),
)
"""Metrics that the HParams tab shows; one that a study does not measure stays empty."""

Row = dict[str, Any]


class Summaries(Observer):
    """Writes event files into the run folder at each report.

    A trial that is started again begins its files anew, with every row since step 0 that its
    first report brings: no step is there twice.

    Numbers that are not finite have no point in a plot; ``run/nonfinite`` counts them in each
    report, ``run/diverged`` turns from 0 to 1 when the run does, and the reason is a text. A run
    that was wrongly given up, and only observed or audited, is back at 0 at its end.

    Args:
        run_folder: where the event files go.
        planned: the trials of the study: their settings are the columns of the HParams tab. A
            search adds others as they begin.
    """

    def __init__(self, run_folder: Path, planned: Sequence[PlannedTrial]) -> None:
        self._run_folder = run_folder
        self._planned = {trial.trial_id: trial for trial in planned}
        self._columns = _columns(planned)
        self._files: dict[str, dict[int | None, EventFile]] = {}

    @guarded
    def setup(
        self,
        stop: Any = None,  # noqa: ANN401
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Write the columns of the HParams tab."""
        self._write_columns()

    def _write_columns(self) -> None:
        file = EventFile(self._run_folder / "tensorboard")
        values = {name: column.values() for name, column in self._columns.items()}
        file.add(experiment(values, HPARAMS_METRICS))
        file.close()

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Begin the event files of a trial, and show it in the HParams tab."""
        trial_id = trial.config["trial"]
        if trial_id not in self._planned:  # a search has found it
            self._planned[trial_id] = trial.config["planned"]
            self._columns = _columns(list(self._planned.values()))
            self._write_columns()
        self._close(trial_id)
        parent = self._run_folder / "trials" / trial_id
        seeds = self._planned[trial_id].config.seeds
        files: dict[int | None, EventFile] = {s: EventFile(parent / f"s{s}") for s in seeds}
        settings = {name: column[trial_id] for name, column in self._columns.items()}
        for file in files.values():
            file.add(session_start(settings, group=trial_id))
        files[None] = EventFile(self._run_folder / "tensorboard" / trial_id)
        self._files[trial_id] = files
        self._flush(trial_id)

    @guarded
    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        result: dict[str, Any],
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Add the new rows of a trial."""
        trial_id = trial.config["trial"]
        files = self._files[trial_id]
        by_step: dict[int, list[Row]] = defaultdict(list)
        for row in result["rows"]:
            by_step[row["step"]].append(row)
            files[row["seed"]].add_scalars(scalars(row), row["step"])
            if _diverges_at(row):
                files[row["seed"]].add_text("run/reason", row["reason"], row["step"])
        for step, rows in by_step.items():
            means = mean_scalars(rows, len(files) - 1, result["floors"])
            files[None].add_scalars(means, step)
        self._flush(trial_id)

    @guarded
    def on_trial_complete(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,  # noqa: ANN401
        **info: Any,  # noqa: ANN401
    ) -> None:
        """End the files of a trial."""
        self._close(trial.config["trial"], session_end(failed=False))

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """End the files of a trial that failed."""
        self._close(trial.config["trial"], session_end(failed=True))

    @guarded
    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:  # noqa: ANN401
        """Close what is open; the runs of trials without an end stay open in TensorBoard."""
        for trial_id in list(self._files):
            self._close(trial_id)

    def _flush(self, trial_id: str) -> None:
        for file in self._files[trial_id].values():
            file.flush()

    def _close(self, trial_id: str, last: Any = None) -> None:  # noqa: ANN401
        for seed, file in self._files.pop(trial_id, {}).items():
            if last is not None and seed is not None:
                file.add(last)
            file.close()


def scalars(row: Row) -> dict[str, float]:
    """Return what TensorBoard plots of one run at one step: its finite metrics and its state."""
    metrics = {name: v for name, v in row.items() if "/" in name and v is not None}
    finite = {name: v for name, v in metrics.items() if math.isfinite(v)}
    state = {
        "run/diverged": float(row["status"] == "diverged"),
        "run/nonfinite": float(len(metrics) - len(finite)),
    }
    return finite | state


def _diverges_at(row: Row) -> bool:
    """Whether this row is the first one at which its run had diverged: at its stop, or its end."""
    return row["status"] == "diverged" and row["stop_step"] in (None, row["step"])


def mean_scalars(
    rows: Sequence[Row], num_runs: int, floors: Mapping[str, float]
) -> dict[str, float]:
    """Return the mean of each metric over the runs of a trial at one step.

    A stopped run reports no more, and would leave the mean to those that did well: in the
    metrics of ``floors`` it counts with its floor. All others are means over the runs that have
    a finite value; ``run/training`` says how many runs report.

    Args:
        rows: one for each run that reports at this step.
        num_runs: K, runs of the trial.
        floors: what a stopped run counts as, by metric.
    """
    by_name: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in scalars(row).items():
            by_name[name].append(value)
    for name in by_name.keys() & floors.keys():
        by_name[name] += [floors[name]] * (num_runs - len(rows))
    means = {name: math.fsum(values) / len(values) for name, values in by_name.items()}
    return means | {"run/training": float(len(rows))}


def _columns(planned: Sequence[PlannedTrial]) -> dict[str, dict[str, Value]]:
    """Return the value of every setting in each trial, by setting and trial.

    A setting has one type in the tab: text where its values are of several. One that a trial's
    algorithm does not have is "none" there.
    """
    flat = {trial.trial_id: flatten(trial.config) for trial in planned}
    paths = dict.fromkeys(path for settings in flat.values() for path in settings)
    return {path: _column({t: flat[t].get(path) for t in flat}) for path in paths}


def _column(values: dict[str, Any]) -> dict[str, Value]:
    kinds = {float if type(value) is int else type(value) for value in values.values()}
    if kinds == {float}:
        return {trial: float(value) for trial, value in values.items()}
    if kinds == {bool}:
        return values
    return {t: "none" if value is None else str(value) for t, value in values.items()}
