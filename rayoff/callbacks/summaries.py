"""TensorBoard while a study runs: ``tensorboard --logdir`` on the run folder finds it all.

``trials/<trial>`` is the mean over the seeds of a trial, and ``trials/<trial>/s<seed>`` a run;
the HParams tab has one row per trial, its seeds grouped. ``tensorboard/<arm>`` has the means of
an arm's trials, so that arms can be compared line by line: the folder ``tensorboard/`` alone is
what stays readable with hundreds of runs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rayoff.callbacks.arms import ArmRuns, layout
from rayoff.callbacks.events import (
    EventFile,
    Value,
    chart_layout,
    experiment,
    session_end,
    session_start,
)
from rayoff.callbacks.metrics import MAIN_METRICS, Row, by_step, mean_scalars, scalars
from rayoff.callbacks.observer import Observer, guarded
from rayoff.study import PlannedTrial, flatten


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
        self._arms: ArmRuns | None = None

    @guarded
    def setup(
        self,
        stop: Any = None,  # noqa: ANN401
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Write what tabs need, and take from the trials' runs what arms had."""
        self._describe()
        self._arms = ArmRuns(self._run_folder, list(self._planned.values()))

    def _describe(self) -> None:
        """Write the columns of the HParams tab and the charts of Custom Scalars."""
        file = EventFile(self._run_folder / "tensorboard")
        values = {name: column.values() for name, column in self._columns.items()}
        file.add(experiment(values, MAIN_METRICS))
        file.add(chart_layout(layout(list(self._planned.values()))))
        file.close()

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Begin the event files of a trial, and show it in the HParams tab."""
        trial_id = trial.config["trial"]
        if trial_id not in self._planned:  # a search has found it
            self._planned[trial_id] = trial.config["planned"]
            self._columns = _columns(list(self._planned.values()))
            self._describe()
        self._close(trial_id)
        parent = self._run_folder / "trials" / trial_id
        seeds = self._planned[trial_id].config.seeds
        files: dict[int | None, EventFile] = {s: EventFile(parent / f"s{s}") for s in seeds}
        settings = {name: column[trial_id] for name, column in self._columns.items()}
        for file in files.values():
            file.add(session_start(settings, group=trial_id))
        files[None] = EventFile(parent)
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
        for row in result["rows"]:
            files[row["seed"]].add_scalars(scalars(row), row["step"])
            if _diverges_at(row):
                files[row["seed"]].add_text("run/reason", row["reason"], row["step"])
        means = {
            step: mean_scalars(rows, result["num_runs"], result["floors"])
            for step, rows in by_step(result["rows"]).items()
        }
        for step, values in means.items():
            files[None].add_scalars(values, step)
        self._flush(trial_id)
        if self._arms is not None:
            self._arms.add(trial_id, means.items())

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
        if self._arms is not None:
            self._arms.close()

    def _flush(self, trial_id: str) -> None:
        for file in self._files[trial_id].values():
            file.flush()

    def _close(self, trial_id: str, last: Any = None) -> None:  # noqa: ANN401
        for seed, file in self._files.pop(trial_id, {}).items():
            if last is not None and seed is not None:
                file.add(last)
            file.close()


def _diverges_at(row: Row) -> bool:
    """Whether this row is the first one at which its run had diverged: at its stop, or its end."""
    return row["status"] == "diverged" and row["stop_step"] in (None, row["step"])


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
