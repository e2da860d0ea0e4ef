"""Run a study's trials under Ray Tune, and go on with those that are not finished.

Ray Tune is imported while the workers, which need torch as well, import what they need. This
process trains nothing, and does without torch.
"""

import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rayoff.config import Precision
from rayoff.data import to_row_major
from rayoff.errors import RayoffError
from rayoff.search.archive import Archive
from rayoff.search.commands import typed
from rayoff.search.daemons import ARCHIVE_ENVIRONMENT, let_trials_use_ready_workers
from rayoff.search.demand import bound_demand, measure_demand
from rayoff.search.devices import cluster_gpu_memory
from rayoff.search.machine import gpu_memory
from rayoff.search.nodes import check_room, may_grow, resources_of
from rayoff.search.packing import Packing, is_roomy, pack
from rayoff.search.resources import Resources
from rayoff.search.run_folder import RunFolder
from rayoff.search.session import Session, retry_after_out_of_memory, session
from rayoff.search.supervision import Supervision
from rayoff.search.tables import load_study_tables, load_tables
from rayoff.study import PlannedTrial, foreseen_trials

if TYPE_CHECKING:
    from ray.tune import RunConfig

    from rayoff.search.exploration import Measure
    from rayoff.search.supply import Supply
    from rayoff.search.trainable import Job, MetricsWriter

MAX_RETRIES = 3
"""Times that a trial is started again after an error or a lost node."""

CHECKPOINT_SECONDS = 60.0
"""Default of the least time between checkpoints of a trial [s]."""

_ALONE = Supervision()


@dataclass(frozen=True)
class Outcome:
    """How a study ended."""

    failed: list[str]
    """Trials that ended with an error; their folders hold ``error.txt``."""
    unfinished: list[str]
    """Trials that were not trained to their end and did not fail: the study was interrupted."""
    ended_by: int = signal.SIGINT
    """The signal that interrupted it, if one did."""
    search_left: bool = False
    """Whether a search has points to come, or its winner to confirm."""


def train(
    folder: RunFolder,
    resources: Resources,
    write_metrics: "MetricsWriter",
    measure: "Measure | None" = None,
    *,
    tables: dict[str, pa.Table] | None = None,
    resumed_by: Sequence[str] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    supervision: Supervision = _ALONE,
) -> Outcome:
    """Train the unfinished trials of a run folder, new or begun, and return how it ended.

    Trials that are finished never run again. The others go on from their last checkpoint in the
    folder, on whatever cluster there is now: no state of Ray's is kept, since its snapshots lag,
    and fit only the cluster that wrote them.

    Args:
        folder: where results go.
        resources: what each trial asks for.
        write_metrics: of ``rayoff.results``, a higher floor that is handed in.
        measure: ``measure_trial`` of the same; a search needs it.
        tables: as ``load_tables`` gives them, emptied here, since Ray's object store then holds
            them; None: they are loaded.
        resumed_by: the command line of a resume, for the record; None: the folder is new.
        checkpoint_seconds: least time between checkpoints of a trial [s].
        supervision: when the study is given up, and who follows it besides.

    Raises:
        ResultsError: another process trains in the folder.
        DatasetError: a dataset cannot be read, or a fraction leaves less than a batch.
        StudyError: no machine can grant the resources, or trials would compute on a device that
            does not have their precision.
        TrackerError: the tracker cannot be reached.
        RayoffError: Ray broke off; what was trained is kept.
    """
    with folder.locked():
        if folder.is_complete():
            folder.note_end()  # which a kill at the very end may have kept from being noted
            return Outcome([], [])
        planned = folder.unfinished()
        foreseen = planned if folder.study.search is None else foreseen_trials(folder.study)
        if tables is None:
            of_study = foreseen is not planned
            tables = load_study_tables(folder.study) if of_study else load_tables(planned)
        if resumed_by is not None:
            folder.note_resume(resumed_by)
        with session(len(foreseen)) as current:
            packing = _pack(resources, foreseen, tables, here=current.started)
            device = "cuda" if packing.request["gpu"] else "cpu"
            _check_precisions(foreseen, device)
            from rayoff.search.trainable import Job

            job = Job(
                planned={trial.trial_id: trial for trial in planned},
                tables={name: ray.put(to_row_major(tables.pop(name))) for name in list(tables)},
                archive=start_archive(folder.path / "trials"),
                num_threads=resources.cpus_per_trial,
                device=device,
                device_share=packing.request["gpu"] or packing.request["cpu"],
                write_metrics=write_metrics,
                checkpoint_seconds=checkpoint_seconds,
            )
            if current.started:
                let_trials_use_ready_workers()
            if folder.study.search is None:
                outcome = _train_all(folder, job, packing, resources, supervision, current)
            else:
                assert measure is not None
                outcome = _explore(folder, job, packing, measure, supervision, current)
        if folder.is_complete():
            folder.note_end()
        return outcome


def _train_all(
    folder: RunFolder,
    job: "Job",
    packing: Packing,
    resources: Resources,
    supervision: Supervision,
    current: Session,
) -> Outcome:
    """Train the trials of a factorial."""
    from rayoff.search.supply import grid

    for trial_id in job.planned:
        (folder.trial_folder(trial_id) / "error.txt").unlink(missing_ok=True)
    _fit(folder, job, packing.request, grid(folder, resources), supervision)
    failed = folder.failed()
    left = [t.trial_id for t in folder.unfinished() if t.trial_id not in failed]
    return Outcome(failed, left, current.ended_by)


def _explore(
    folder: RunFolder,
    job: "Job",
    packing: Packing,
    measure: "Measure",
    supervision: Supervision,
    current: Session,
) -> Outcome:
    """Train the points of a search as they are proposed."""
    from rayoff.search.exploration import Exploration
    from rayoff.search.supply import guided

    exploration = Exploration(folder, measure)
    for trial_id in exploration.running:
        (folder.trial_folder(trial_id) / "error.txt").unlink(missing_ok=True)
    supply = guided(exploration, max(1, packing.num_at_once))
    _fit(folder, job, packing.request, supply, supervision)
    left = not folder.is_complete()
    return Outcome(exploration.failed, exploration.running, current.ended_by, left)


def _fit(
    folder: RunFolder,
    job: "Job",
    request: dict[str, float],
    supply: "Supply",
    supervision: Supervision,
) -> None:
    """Let Ray Tune train what a study or a search supplies."""
    from ray import tune

    from rayoff.search.trainable import StudyTrial

    retry_after_out_of_memory()
    with TemporaryDirectory(prefix="rayoff-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(StudyTrial, job=job), request),
            param_space=supply.param_space,
            tune_config=tune.TuneConfig(
                search_alg=supply.searcher,
                num_samples=supply.num_samples,
                scheduler=supply.scheduler,
                reuse_actors=True,
                max_concurrent_trials=supply.max_concurrent,
                trial_dirname_creator=_trial_id,
            ),
            run_config=_run_config(folder, supply, supervision, scratch),
        )
        try:
            tuner.fit()
        except RuntimeError as error:  # TuneError is one
            reason = str(error).strip().splitlines()[-1]
            raise RayoffError(
                f"Ray Tune must train all trials but broke off: {reason} What was trained is "
                f"kept. Go on with: {typed('rayoff', 'resume', str(folder))}"
            ) from error


def _run_config(
    folder: RunFolder, supply: "Supply", supervision: Supervision, scratch: str
) -> "RunConfig":
    """Return how Ray Tune follows the trials of a folder, and where it keeps files of its own."""
    from ray import tune

    from rayoff.callbacks import Failures, Summaries, trackings
    from rayoff.stopper import LostTrialStopper

    stopper = LostTrialStopper(supervision.max_failures)
    return tune.RunConfig(
        name=folder.path.name,
        storage_path=scratch,
        stop=stopper,
        callbacks=[
            Failures(folder.path / "trials", stopper),
            Summaries(folder.path, folder.planned),
            supply.progress,
            *trackings(supervision.track, folder.path, folder.study.name, folder.planned),
        ],
        verbose=0,
        failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
        # Trials keep their own checkpoints, in the run folder.
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
    )


def _check_precisions(planned: Sequence[PlannedTrial], device: str) -> None:
    """Check that the trials' device has their precision."""
    precisions: set[Precision] = {trial.config.precision for trial in planned}
    if precisions == {"float32"}:
        return  # every device has it: no torch is needed to tell
    from rayoff.networks import check_precision

    for precision in precisions:
        check_precision(precision, device)


def _pack(
    resources: Resources,
    planned: Sequence[PlannedTrial],
    tables: Mapping[str, pa.Table],
    *,
    here: bool,
) -> Packing:
    """Return how the trials share the cluster, which is this machine alone where Ray began here.

    Raises:
        StudyError: a trial fits on no node of a cluster that cannot grow; Ray would wait for ever.
    """
    cluster = ray.cluster_resources()
    memory = None
    if cluster.get("GPU"):
        memory = gpu_memory() if here else cluster_gpu_memory()
    demand = None
    if not (here and is_roomy(bound_demand(planned, tables), resources, cluster, memory)):
        demand = measure_demand(planned, tables)
    nodes = ray.nodes()
    packing = pack(resources, cluster, demand, memory, resources_of(nodes))
    if warning := check_room(packing, here=here, grows=may_grow(nodes, Path.home())):
        logging.getLogger(__name__).warning(warning)
    return packing


def start_archive(trials: Path) -> Any:  # noqa: ANN401 - actor handles are untyped
    """Start the archive's actor on this node, where the run folder lies."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Archive).options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=here,
        runtime_env={"env_vars": ARCHIVE_ENVIRONMENT},
    )
    return actor.remote(trials)


def _trial_id(trial: Any) -> str:  # noqa: ANN401 - ray.tune.experiment.Trial
    """Return the name of Ray's folder of a trial; its own would hold all settings."""
    return trial.config["trial"]
