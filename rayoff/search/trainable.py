"""A trial as Ray Tune runs it: in an actor that is used again for the next trial.

The driver needs the names here as well. It trains nothing, so that torch, and what needs it, is
imported in the worker alone.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import ray
from ray import tune

from rayoff.errors import CheckpointError
from rayoff.search.archive import Files, read_files, write_files
from rayoff.study import PlannedTrial

if TYPE_CHECKING:
    from rayoff.trial import Row, Trial

MetricsWriter = Callable[[Path, Sequence["Row"]], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all trials of a study share; it travels once, through the object store."""

    planned: Mapping[str, PlannedTrial]
    """Trials by their id; those of a search come with their configuration instead."""
    tables: Mapping[str, Any]
    """Reference to the row-major table of each dataset: every trial of a node reads one copy."""
    archive: Any
    """Handle of the ``Archive`` actor."""
    num_threads: int
    """Threads of torch in each trial."""
    device: str
    """Where trials compute: ``cpu`` or ``cuda``."""
    device_share: float
    """What each trial has of a GPU, or without one its CPU cores."""
    write_metrics: MetricsWriter
    """Writes all rows of a trial into a folder, as ``rayoff.results.write_metrics`` does."""
    checkpoint_seconds: float
    """Least time between checkpoints of a trial [s]."""


class StudyTrial(tune.Trainable):
    """One trial of a study.

    It goes on from the archive's checkpoint wherever it is started again: after a lost node, and
    by ``resume``. Ray's own checkpoints are never made, since no scheduler here pauses trials.
    """

    def setup(self, config: dict[str, Any], job: Job | None = None) -> None:
        """Take over the trial named by ``config``; ``job`` comes by ``tune.with_parameters``."""
        assert job is not None
        self._job = job
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take over another trial in the same process.

        It begins with its first step: Ray Tune does not try a trial again that fails here.
        """
        self._planned = new_config.get("planned") or self._job.planned[new_config["trial"]]
        self.trial: Trial | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next report, archive what is new, and return the report.

        The first report has all rows since step 0, also those of the checkpoint. The weights
        that are archived at the end are of the trial's last step for all runs: those of a run
        that was stopped earlier have trained on beside the others, past its stop step.
        """
        from rayoff.search.policies import WEIGHTS, weights

        trial = self._begun()
        if not trial.done:
            trial.advance()
        rows = trial.rows[self._reported :]
        self._reported = len(trial.rows)
        if trial.done:
            self._archive("finish", {WEIGHTS: weights(trial), **self._metrics_file(trial)})
        else:
            self._archive("write", self._metrics_file(trial))
            if time.monotonic() - self._saved_at >= self._job.checkpoint_seconds:
                self._keep_checkpoint(trial)
        return report(trial, rows) | {"restored_step": self._restored_step}

    def cleanup(self) -> None:
        """Keep the progress of a trial that is ended before its time, as by an interrupt."""
        if self.trial is not None and not self.trial.done:
            self._keep_checkpoint(self.trial)

    def _begun(self) -> "Trial":
        """Return the trial; the first time, make it and go on from its checkpoint."""
        if self.trial is not None:
            return self.trial
        import torch

        from rayoff.search.policies import CONFIG, describe
        from rayoff.trial import Trial

        torch.set_num_threads(self._job.num_threads)  # Ray's OMP_NUM_THREADS may be another
        table = ray.get(self._job.tables[self._planned.dataset])
        device, num_cpus = self._job.device, self._job.num_threads
        trial = Trial(
            self._planned.config,
            table,
            device,
            device_share=self._job.device_share,
            **evaluation_processes(device, num_cpus),
        )
        checkpoint: Any = ray.get(self._job.archive.read_checkpoint.remote(self._planned.trial_id))
        if checkpoint:
            self._load(trial, checkpoint)
        self._archive("write", {CONFIG: describe(trial)})
        self._restored_step = self._saved_step = trial.step
        self._saved_at = time.monotonic()
        self._reported = 0
        self.trial = trial
        return trial

    def _load(self, trial: "Trial", checkpoint: Files) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_files(checkpoint, Path(folder))
            try:
                trial.load(Path(folder))
            except CheckpointError as error:
                place = f"trials/{self._planned.trial_id}/checkpoints"
                raise CheckpointError(
                    f"{place} must hold a whole checkpoint of this trial but got: "
                    f"{str(error).replace(folder, place)} Remove it to begin the trial anew."
                ) from error

    def _keep_checkpoint(self, trial: "Trial") -> None:
        if self._saved_step == trial.step:
            return
        with tempfile.TemporaryDirectory() as folder:
            trial.save(Path(folder))
            files = read_files(Path(folder))
        self._archive("write_checkpoint", trial.step, files)
        self._saved_at, self._saved_step = time.monotonic(), trial.step

    def _archive(self, method: str, *arguments: object) -> None:
        """Call a method of the archive for this trial, and wait for it."""
        ray.get(getattr(self._job.archive, method).remote(self._planned.trial_id, *arguments))

    def _metrics_file(self, trial: "Trial") -> Files:
        with tempfile.TemporaryDirectory() as folder:
            self._job.write_metrics(Path(folder), trial.rows)
            return read_files(Path(folder))


class _EvaluationProcesses(TypedDict):
    num_workers: int
    overlap: bool


def evaluation_processes(device: str, num_cpus: int) -> _EvaluationProcesses:
    """Return how a trial evaluates with the CPUs that it has.

    Beside a GPU one CPU drives the training, and the others evaluate meanwhile. On the CPU
    training has all, so it waits while all of them evaluate; one CPU needs no other process.
    """
    if device == "cpu":
        return {"num_workers": num_cpus if num_cpus > 1 else 0, "overlap": False}
    return {"num_workers": num_cpus - 1, "overlap": num_cpus > 1}


def report(trial: "Trial", rows: list["Row"]) -> dict[str, Any]:
    """Return what Ray Tune is told of a trial.

    Args:
        trial: as it is after its report.
        rows: those that are new to the driver.

    Returns:
        ``score``, always finite, to be maximised; ``timesteps_total``, the gradient step of the
        report, from which the trial may have trained on;
        ``num_runs``, of which ``num_training`` are left and ``num_diverged`` are lost, the latter
        with ``reasons`` by seed; ``evaluated``, whether any run was; ``floors``, what a lost run
        counts as, by metric; ``rows``; and ``done``.
    """
    latest = {row["seed"]: row for row in trial.rows}
    reasons = {seed: row["reason"] for seed, row in latest.items() if row["status"] == "diverged"}
    scores = {row["seed"]: _measure(row) for row in trial.rows if row["evaluated"]}
    floors = _floors(trial)
    floor = floors.get("eval/score", floors["eval/return"])
    values = [floor if seed in reasons else scores.get(seed, floor) for seed in trial.config.seeds]
    return {
        "timesteps_total": trial.rows[-1]["step"] if trial.rows else trial.step,
        "done": trial.done,
        "score": sum(values) / len(values),
        "evaluated": bool(scores),
        "num_runs": len(values),
        "num_training": trial.num_training,
        "num_diverged": len(reasons),
        "reasons": reasons,
        "floors": floors,
        "rows": rows,
    }


def _measure(row: "Row") -> float:
    """Return a run's score, or its return where the dataset has no reference returns."""
    return float(row.get("eval/score", row["eval/return"]))  # pyright: ignore[reportArgumentType]


def _floors(trial: "Trial") -> dict[str, float]:
    """Return what a lost run, or one without a result, counts as in each measure."""
    ref_min, ref_max = trial.facts.ref_min, trial.facts.ref_max
    if ref_min is None or ref_max is None:
        return {"eval/return": trial.facts.worst_return}
    return {"eval/return": ref_min, "eval/score": 0.0}
