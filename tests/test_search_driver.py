"""Tests of studies under Ray Tune: what is trained, kept, gone on with and refused."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import ray
import torch
from ray import tune
from ray.air.execution._internal import event_manager
from ray.exceptions import OutOfMemoryError
from tiny_studies import make_study
from trained_alone import assert_equal_but_for_time, train_alone

from rayoff.data import load_table
from rayoff.data.table import flat_values
from rayoff.errors import CheckpointError, DatasetError, RayoffError, ResultsError, StudyError
from rayoff.results import write_metrics
from rayoff.search import Policies, Resources, RunFolder, driver, train
from rayoff.search.archive import Archive, is_finished
from rayoff.search.packing import PROCESS_BYTES, Demand
from rayoff.search.supervision import Supervision
from rayoff.study import Axis, Study, trials
from rayoff.trial import Row

TWO_AT_ONCE, ONE_AT_A_TIME = Resources(), Resources(max_concurrent=1)


def test_a_folder_has_one_driver(study: Study, tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path, study, [])
    own = f"in training already, by process {os.getpid()} on .*, since 2"
    with made.locked(), pytest.raises(ResultsError, match=own):
        train(RunFolder.open(made.path), TWO_AT_ONCE, write_metrics)


def test_a_fraction_below_a_batch_is_refused_before_ray_starts(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "session", None)
    small = make_study(source, settings={"batch_size": 600})
    made = RunFolder.create(tmp_path, small, [])
    with pytest.raises(DatasetError, match="batch"):
        train(made, TWO_AT_ONCE, write_metrics)


@pytest.mark.usefixtures("cluster")
def test_a_precision_that_only_gpus_have_is_refused_before_the_first_trial(
    source: str, tmp_path: Path
) -> None:
    axes = [Axis("precision", ["float32", "tf32"])]
    study = make_study(source, axes=axes, baseline={"precision": "float32"})
    made = RunFolder.create(tmp_path, study, [])
    with pytest.raises(StudyError, match="precision must be float32 or bfloat16 on a CPU"):
        train(made, TWO_AT_ONCE, write_metrics)
    assert not list((made.path / "trials").glob("*/*"))


@pytest.fixture(scope="module")
def expected(study: Study) -> dict[str, pd.DataFrame]:
    """Rows of each trial, trained without Ray and without an interruption."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    frames = {planned.trial_id: train_alone(planned) for planned in trials(study)}
    torch.set_num_threads(threads)
    return frames


def write_metrics_and_pid(folder: Path, rows: Sequence[Row]) -> None:
    """Write metrics, and which process did."""
    write_metrics(folder, rows)
    (folder / "pid").write_text(str(os.getpid()))


@pytest.fixture(scope="module")
def ran(cluster: None, study: Study, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder.create(tmp_path_factory.mktemp("runs"), study, [])
    outcome = train(folder, TWO_AT_ONCE, write_metrics_and_pid, checkpoint_seconds=0.0)
    assert outcome == driver.Outcome(failed=[], unfinished=[])
    return folder


def test_a_study_leaves_rows_weights_and_settings_of_each_trial(ran: RunFolder) -> None:
    assert ran.unfinished() == []
    for planned in ran.planned:
        names = {path.name for path in ran.trial_folder(planned.trial_id).iterdir()}
        files = {name for name in names if not name.startswith("events.")}
        kept = {"config.json", "metrics.parquet", "model.safetensors", "done", "pid"}
        assert files == kept | {f"s{seed}" for seed in planned.config.seeds}


def test_training_under_ray_equals_training_without(
    ran: RunFolder, expected: dict[str, pd.DataFrame]
) -> None:
    ended = {row for frame in expected.values() for row in frame.groupby("seed")["status"].last()}
    assert ended == {"done", "diverged"}  # else less is compared than it seems
    assert_equal_but_for_time(ran, expected)


def test_processes_are_used_again_for_the_next_trial(ran: RunFolder) -> None:
    pids = [(ran.trial_folder(t.trial_id) / "pid").read_text() for t in ran.planned]
    assert len(pids) == 4
    assert len(set(pids)) == 2


def test_trials_without_room_for_two_train_one_after_the_other(
    cluster: None, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = int(0.6 * ray.cluster_resources()["memory"])
    none = {"state": 0, "step": 0, "arena": 0, "probe": 0}
    demand = Demand(num_runs=2, data=0, own_data=most - PROCESS_BYTES, **none)
    monkeypatch.setattr(driver, "measure_demand", lambda *_: demand)
    folder = RunFolder.create(tmp_path, study, [])
    train(folder, TWO_AT_ONCE, write_metrics_and_pid)
    pids = {(folder.trial_folder(t.trial_id) / "pid").read_text() for t in folder.planned}
    assert len(pids) == 1  # two processes where both have room


@pytest.mark.usefixtures("cluster")
def test_a_trial_that_a_fixed_cluster_has_no_room_for_is_refused(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folder = RunFolder.create(tmp_path, study, [])
    with pytest.raises(
        StudyError, match=r"must fit on a node of the cluster.* 2 CPUs at 3 a trial"
    ):
        train(folder, Resources(cpus_per_trial=3), write_metrics)


def test_event_files_lie_where_tensorboard_finds_them(ran: RunFolder) -> None:
    runs = {path.parent for path in ran.path.rglob("events.out.tfevents.*")}
    for planned in ran.planned:
        assert ran.path / "tensorboard" / planned.arm in runs
        assert ran.trial_folder(planned.trial_id) in runs
        assert ran.trial_folder(planned.trial_id) / "s0" in runs


def test_facts_of_the_data_are_kept_beside_the_settings(ran: RunFolder) -> None:
    half = next(planned for planned in ran.planned if planned.fraction == 0.5)
    content = json.loads((ran.trial_folder(half.trial_id) / "config.json").read_text())
    assert content["config"]["data"]["fraction"] == 0.5
    assert content["facts"]["num_trained_rows"] == 500
    assert content["facts"]["ref_max"] == -150.0


def test_the_end_of_a_study_is_noted_where_it_comes_from(ran: RunFolder) -> None:
    provenance = json.loads((ran.path / "provenance.json").read_text())
    assert provenance["started"] <= provenance["ended"] <= datetime.now(UTC).isoformat()


def test_a_finished_study_is_left_as_it_is(ran: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in ran.path.rglob("metrics.parquet")}
    assert train(ran, TWO_AT_ONCE, write_metrics) == driver.Outcome([], [])
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_last_evaluation_can_be_repeated_from_the_weights(ran: RunFolder) -> None:
    layer = next(t for t in ran.planned if t.config.critic.norm == "layer")
    folder = ran.trial_folder(layer.trial_id)
    rows = pd.read_parquet(folder / "metrics.parquet").query("step == 200").set_index("seed")
    seeds, returns, scores = Policies(folder).evaluate()
    assert returns.shape == (2, 1)
    np.testing.assert_allclose(returns.mean(1), rows.loc[seeds, "eval/return"], rtol=1e-6)
    assert scores is not None
    np.testing.assert_allclose(scores.mean(1), rows.loc[seeds, "eval/score"], rtol=1e-6)


def test_one_run_is_evaluated_on_its_own_episodes(ran: RunFolder) -> None:
    policies = Policies(ran.trial_folder(ran.planned[0].trial_id))
    both = policies.evaluate(num_episodes=2)
    alone = policies.evaluate(seed=1, num_episodes=2)
    assert alone.seeds == [1]
    np.testing.assert_allclose(alone.returns, both.returns[1:], rtol=1e-6)


def test_a_seed_that_the_trial_has_not_is_refused(ran: RunFolder) -> None:
    with pytest.raises(StudyError, match="--seed must be one of the trial's, 0, 1, but got 7"):
        Policies(ran.trial_folder(ran.planned[0].trial_id)).evaluate(seed=7)


def test_weights_of_an_unfinished_trial_are_refused(ran: RunFolder, tmp_path: Path) -> None:
    folder = ran.trial_folder(ran.planned[0].trial_id)
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors must hold the weights"):
        Policies(tmp_path)


def test_a_folder_that_is_no_trial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"but got no file\. Give a folder under trials/"):
        Policies(tmp_path)


def test_a_dataset_is_read_by_all_trials_from_shared_memory(cluster: None, source: str) -> None:
    @ray.remote
    def permissions(table: pa.Table) -> str:
        address = flat_values(table, "observations").buffers()[1].address
        for line in Path("/proc/self/maps").read_text().splitlines():
            ends, permission, *_ = line.split()
            low, high = (int(end, 16) for end in ends.split("-"))
            if low <= address < high:
                return permission
        return "not mapped"

    shared: Any = ray.get(permissions.remote(ray.put(load_table(source))))
    assert shared.endswith("s")


def two_trials(source: str, **settings: int) -> Study:
    """Return a study of two arms on all data, whose ids are those of ``study``."""
    return make_study(source, axes=[Axis("critic.norm", ["none", "layer"])], settings=settings)


def damage_checkpoint(folder: RunFolder, trial_id: str) -> None:
    archive = Archive(folder.path / "trials")
    archive.write_checkpoint(trial_id, 20, {"checkpoint.json": b"{"})


def test_a_trial_that_fails_leaves_its_error_and_the_others_finish(
    cluster: None, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "MAX_RETRIES", 1)
    folder = RunFolder.create(tmp_path, two_trials(source, num_steps=40), [])
    broken, other = [trial.trial_id for trial in folder.planned]
    damage_checkpoint(folder, broken)
    outcome = train(folder, ONE_AT_A_TIME, write_metrics)
    assert outcome == driver.Outcome(failed=[broken], unfinished=[])
    error = (folder.trial_folder(broken) / "error.txt").read_text()
    assert error.count("Failure #") == 2
    assert f"CheckpointError: trials/{broken}/checkpoints must hold" in error
    assert "/tmp/" not in error.strip().splitlines()[-1]
    assert is_finished(folder.trial_folder(other))

    monkeypatch.setattr(driver, "_fit", lambda *_: None)
    outcome = train(folder, ONE_AT_A_TIME, write_metrics)  # it is tried again
    assert outcome == driver.Outcome(failed=[], unfinished=[broken])


def test_a_study_with_too_many_failed_trials_ends(
    cluster: None, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "MAX_RETRIES", 0)
    folder = RunFolder.create(tmp_path, two_trials(source, num_steps=40), [])
    first, second = [trial.trial_id for trial in folder.planned]
    damage_checkpoint(folder, first)
    outcome = train(folder, ONE_AT_A_TIME, write_metrics, supervision=Supervision(max_failures=1))
    assert outcome == driver.Outcome(failed=[first], unfinished=[second])


def write_metrics_or_die(marker: Path, folder: Path, rows: Sequence[Row]) -> None:
    """Write metrics, but kill the process when a trial first comes to step 60."""
    if rows[-1]["step"] == 60 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write_metrics(folder, rows)


def get_or_run_out_of_memory(errors: list[OutOfMemoryError], future: Any) -> Any:  # noqa: ANN401
    """Get a result; a trial's first report of step 120 is the memory monitor's error instead."""
    result: Any = ray.get(future)
    step = result.get("timesteps_total") if isinstance(result, dict) else None
    if step == 120 and not errors:
        errors.append(OutOfMemoryError("the node was low on memory"))
        raise errors[0]
    return result


def test_a_killed_process_and_memory_pressure_cost_an_attempt_but_change_no_result(
    cluster: None,
    source: str,
    expected: dict[str, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: list[OutOfMemoryError] = []
    get = functools.partial(get_or_run_out_of_memory, errors)
    # Ray raises that error where Ray Tune gets a report, as no exception of the trial's own.
    monkeypatch.setattr(event_manager, "ray", SimpleNamespace(get=get, wait=ray.wait))
    folder = RunFolder.create(tmp_path, two_trials(source), [])
    killing = functools.partial(write_metrics_or_die, tmp_path / "killed")
    assert train(folder, ONE_AT_A_TIME, killing, checkpoint_seconds=0.0) == driver.Outcome([], [])
    assert (tmp_path / "killed").exists()
    assert errors
    assert_equal_but_for_time(folder, {t.trial_id: expected[t.trial_id] for t in folder.planned})


def test_an_error_of_ray_s_own_says_that_what_was_trained_is_kept(
    cluster: None, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(tuner: tune.Tuner) -> None:
        raise RuntimeError("Caught unexpected exception: the event loop ended")

    monkeypatch.setattr(tune.Tuner, "fit", fit)
    folder = RunFolder.create(tmp_path, two_trials(source), [])
    with pytest.raises(
        RayoffError, match=f"the event loop ended.*rayoff resume {folder}"
    ) as error:
        train(folder, TWO_AT_ONCE, write_metrics)
    assert type(error.value) is RayoffError


@pytest.mark.slow
def test_a_study_whose_driver_is_killed_is_resumed_to_equal_results(
    cluster: None, study: Study, expected: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path, study, [])
    ray_folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    process, log = start_driver(folder, tmp_path, ray_folder), tmp_path / "driver.log"
    while not (any((folder.path / "trials").glob("*/done")) and has_checkpoint(folder)):
        assert process.poll() is None, log.read_text()
        time.sleep(0.005)
    process.kill()
    process.wait()
    finished = [t.trial_id for t in folder.planned if t not in folder.unfinished()]
    assert 0 < len(finished) < len(folder.planned)
    before = {name: fingerprint(folder.trial_folder(name)) for name in finished}
    assert train(folder, ONE_AT_A_TIME, write_metrics) == driver.Outcome([], [])
    assert {name: fingerprint(folder.trial_folder(name)) for name in finished} == before
    assert_equal_but_for_time(folder, expected)
    shutil.rmtree(ray_folder, ignore_errors=True)


def start_driver(
    folder: RunFolder, working_directory: Path, ray_folder: str
) -> "subprocess.Popen[bytes]":
    """Train a folder in a process and a Ray of its own, one trial at a time, with a log."""
    code = (
        "import sys; from pathlib import Path\n"
        "from rayoff.results import write_metrics\n"
        "from rayoff.search import Resources, RunFolder, train\n"
        "train(RunFolder.open(Path(sys.argv[1])), Resources(max_concurrent=1), write_metrics,\n"
        "      checkpoint_seconds=0.0)\n"
    )
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": ray_folder,
        "TMPDIR": ray_folder,
    }
    with (working_directory / "driver.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(folder.path)],
            env={name: value for name, value in environment.items() if name != "RAY_ADDRESS"},
            cwd=working_directory,
            stdout=log,
            stderr=log,
        )


def has_checkpoint(folder: RunFolder) -> bool:
    checkpoints = (folder.path / "trials").glob("*/checkpoints/*")
    return any(path.suffix != ".partial" for path in checkpoints)


def fingerprint(folder: Path) -> dict[str, int]:
    """Return when each result of a trial was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}
