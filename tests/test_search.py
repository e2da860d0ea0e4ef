"""Tests of studies under Ray Tune: what is trained, kept, gone on with and refused."""

import functools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pyarrow as pa
import pytest
import ray
import torch
from ray import tune
from ray.air.execution._internal import event_manager
from ray.exceptions import OutOfMemoryError
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from tiny_studies import make_study
from toy_pendulum import write_pendulum

from rayoff.data import load_table
from rayoff.data.table import flat_values
from rayoff.errors import (
    CheckpointError,
    DatasetError,
    RayoffError,
    ResultsError,
    StudyError,
)
from rayoff.results import write_metrics
from rayoff.search import Policies, Resources, RunFolder, driver, train
from rayoff.search.archive import Archive, is_finished, read_files, write_files
from rayoff.search.packing import PROCESS_BYTES, Demand
from rayoff.search.session import session
from rayoff.search.supervision import Supervision
from rayoff.search.trainable import Job, StudyTrial, evaluation_processes, report
from rayoff.study import Axis, PlannedTrial, Study, trials
from rayoff.trial import Row, Trial

TWO_AT_ONCE, ONE_AT_A_TIME = Resources(), Resources(max_concurrent=1)


# Resources


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpu_per_trial": 1.5}, "whole number, but got 1.5. Did you mean 1?"),
        ({"gpu_per_trial": -0.5}, "--gpu-per-trial must be a share"),
        ({"cpus_per_trial": 0}, "--cpus-per-trial must be at least 1 but got 0"),
        ({"max_concurrent": 0}, "--max-concurrent must be at least 1 but got 0"),
    ],
)
def test_resources_that_ray_could_not_grant_are_refused(
    asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError) as error:
        Resources(**asked)
    assert message in str(error.value)


@pytest.mark.parametrize("gpus", [0.0, 0.25, 1.0, 2.0])
def test_shares_of_one_gpu_and_whole_gpus_are_granted(gpus: float) -> None:
    assert Resources(gpu_per_trial=gpus).on({"CPU": 8.0})["gpu"] == gpus


def test_without_a_wish_a_trial_takes_a_quarter_of_a_gpu_where_there_is_one() -> None:
    assert Resources().on({"CPU": 8.0, "GPU": 2.0}) == {"cpu": 1.0, "gpu": 0.25}
    assert Resources().on({"CPU": 8.0}) == {"cpu": 1.0, "gpu": 0.0}


# The archive


def test_checkpoints_replace_one_another_as_a_whole(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_checkpoint("a", 10, {"x": b"old", "deep/y": b"old"})
    archive.write_checkpoint("a", 20, {"x": b"new"})
    assert archive.read_checkpoint("a") == {"x": b"new"}
    assert len(list((tmp_path / "a" / "checkpoints").iterdir())) == 1


def test_a_checkpoint_that_broke_off_is_not_read(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_checkpoint("a", 10, {"x": b"whole"})
    broken = tmp_path / "a" / "checkpoints" / "000000020.partial"
    broken.mkdir()
    (broken / "x").write_bytes(b"half")
    assert archive.read_checkpoint("a") == {"x": b"whole"}
    archive.write_checkpoint("a", 20, {"x": b"again"})
    assert archive.read_checkpoint("a") == {"x": b"again"}


def test_writing_a_checkpoint_twice_is_writing_it_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for _ in range(2):
        archive.write_checkpoint("a", 10, {"x": b"content"})
    assert archive.read_checkpoint("a") == {"x": b"content"}


def test_a_trial_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    assert Archive(tmp_path).read_checkpoint("a") == {}


def test_a_finished_trial_is_marked_and_keeps_no_checkpoint(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_checkpoint("a", 10, {"x": b"content"})
    assert not is_finished(tmp_path / "a")
    archive.finish("a", {"metrics.parquet": b"rows"})
    assert is_finished(tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"done", "metrics.parquet"}


def test_the_mark_is_written_after_all_results(tmp_path: Path) -> None:
    (tmp_path / "a" / "metrics.parquet").mkdir(parents=True)  # in the way of the file
    with pytest.raises(OSError, match=r"metrics\.parquet"):
        Archive(tmp_path).finish("a", {"metrics.parquet": b"rows"})
    assert not is_finished(tmp_path / "a")


def test_files_that_were_written_are_read_as_they_were(tmp_path: Path) -> None:
    files = {"a": b"1", "deep/er/b": b"2"}
    write_files(files, tmp_path)
    assert read_files(tmp_path) == files


# The run folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pendulum(tmp_path_factory.mktemp("data") / "pendulum.parquet")


@pytest.fixture(scope="module")
def study(source: str) -> Study:
    return make_study(source)


def test_a_new_run_folder_can_be_opened_and_is_unfinished(study: Study, tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path, study, ["rayoff", "run", "tiny study"])
    assert made.path.parent == tmp_path
    assert made.path.name.startswith("tiny-")
    opened = RunFolder.open(made.path)
    assert opened.planned == trials(study)
    assert opened.unfinished() == trials(study)
    provenance = json.loads((made.path / "provenance.json").read_text())
    assert provenance["command"] == "rayoff run 'tiny study'"

    made.note_end()
    ended = json.loads((made.path / "provenance.json").read_text())["ended"]
    assert provenance["started"] <= ended <= datetime.now(UTC).isoformat()
    made.note_end()
    assert json.loads((made.path / "provenance.json").read_text()) == provenance | {"ended": ended}


def test_a_study_that_is_unfinished_is_not_run_again_but_resumed(
    study: Study, tmp_path: Path
) -> None:
    made = RunFolder.create(tmp_path, study, [])
    with pytest.raises(ResultsError, match=f"4 of 4 trials unfinished.*rayoff resume {made}"):
        RunFolder.create(tmp_path, study, [])


def test_a_study_that_is_finished_is_not_run_again_but_reported(
    study: Study, tmp_path: Path
) -> None:
    made = RunFolder.create(tmp_path, study, [])
    for planned in made.planned:
        Archive(made.path / "trials").finish(planned.trial_id, {})
    with pytest.raises(ResultsError, match=f"finished.*rayoff report {made}"):
        RunFolder.create(tmp_path, study, [])


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"must be a run folder, with a study\.json"):
        RunFolder.open(tmp_path)


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


# Trials under Ray


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


def train_alone(planned: PlannedTrial) -> pd.DataFrame:
    trial = Trial(planned.config, load_table(planned.dataset))
    while not trial.done:
        trial.advance()
    with tempfile.TemporaryDirectory() as folder:
        write_metrics(Path(folder), trial.rows)
        return pd.read_parquet(Path(folder) / "metrics.parquet")


def assert_equal_but_for_time(folder: RunFolder, expected: dict[str, pd.DataFrame]) -> None:
    for trial_id, frame in expected.items():
        rows = pd.read_parquet(folder.trial_folder(trial_id) / "metrics.parquet")
        clocks = [name for name in frame if name == "seconds" or name.startswith("time/")]
        pd.testing.assert_frame_equal(rows.drop(columns=clocks), frame.drop(columns=clocks))


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
    with pytest.raises(CheckpointError, match="folder under trials/"):
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


# The trainable, without Tune


class ArchiveHere:
    """An archive that is called as an actor is, without a process of its own."""

    def __init__(self, trials: Path) -> None:
        self._archive = Archive(trials)

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - as of an actor handle
        call = getattr(self._archive, method)
        return SimpleNamespace(remote=lambda *arguments: ray.put(call(*arguments)))


@pytest.fixture
def job(cluster: None, study: Study, tmp_path: Path) -> Job:
    planned = trials(study)
    return Job(
        planned={trial.trial_id: trial for trial in planned},
        tables={study.datasets[0]: ray.put(load_table(study.datasets[0]))},
        archive=ArchiveHere(tmp_path / "trials"),
        num_threads=1,
        device="cpu",
        write_metrics=write_metrics,
        checkpoint_seconds=math.inf,
    )


def begin(job: Job, number: int) -> StudyTrial:
    """Return a trial that begins, without the folder that Ray would make in the user's home."""
    trainable = object.__new__(StudyTrial)
    trainable.setup({"trial": list(job.planned)[number]}, job)
    return trainable


def reached(trainable: StudyTrial) -> Trial:
    """Return the trial that a trainable has begun."""
    assert trainable.trial is not None
    return trainable.trial


def test_reports_are_finite_and_count_runs(job: Job) -> None:
    trainable = begin(job, 0)
    reports = []
    while not reports or not reports[-1]["done"]:
        reports.append(trainable.step())
    assert all(math.isfinite(one["score"]) for one in reports)
    assert [one["timesteps_total"] for one in reports] == sorted(
        {row["step"] for row in reached(trainable).rows}
    )
    first, last = reports[0], reports[-1]
    assert (first["num_runs"], first["num_training"], first["num_diverged"]) == (2, 2, 0)
    assert (last["num_training"], last["num_diverged"]) == (0, 2)
    assert set(last["reasons"]) == {0, 1}
    assert last["score"] == 0.0  # both runs are lost: the floor
    told = [(row["step"], row["seed"]) for one in reports for row in one["rows"]]
    assert told == [(row["step"], row["seed"]) for row in reached(trainable).rows]


def test_schedulers_and_optuna_see_a_lost_trial_as_one_that_ended_at_the_floor(
    job: Job, tmp_path: Path
) -> None:
    """With Ray's own ASHA and Optuna search, as they come."""
    job = replace(job, archive=ray.remote(Archive).remote(tmp_path / "trials"))
    storage = optuna.storages.InMemoryStorage()
    ids = list(job.planned)
    search = OptunaSearch(
        {"trial": tune.choice(ids)},
        metric="score",
        mode="max",
        points_to_evaluate=[{"trial": name} for name in ids],
        study_name="lost",
        storage=storage,
    )
    # no trial is cut before its end: one that is lost must end by its own stop
    scheduler = ASHAScheduler("timesteps_total", "score", "max", max_t=200, grace_period=200)
    tuner = tune.Tuner(
        tune.with_parameters(StudyTrial, job=job),
        tune_config=tune.TuneConfig(
            search_alg=search, scheduler=scheduler, num_samples=len(ids), max_concurrent_trials=2
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "ray"),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    with session():  # which puts back the handlers that Ray Tune leaves behind
        results = tuner.fit()

    assert not results.errors
    last: list[dict[str, Any]] = [result.metrics or {} for result in results]
    scores = {one["config"]["trial"]: one["score"] for one in last}
    lost = {one["config"]["trial"] for one in last if one["num_training"] == 0}
    assert lost
    assert all(scores[name] == 0.0 for name in lost)
    told = optuna.load_study(study_name="lost", storage=storage).trials
    assert {trial.state for trial in told} == {optuna.trial.TrialState.COMPLETE}
    assert {trial.params["trial"]: trial.value for trial in told} == scores


def trial_with(rows: list[dict[str, Any]], **facts: Any) -> Any:  # noqa: ANN401 - a trial
    """Return what ``report`` asks of a trial."""
    return SimpleNamespace(
        rows=rows,
        step=20,
        done=False,
        num_training=2,
        config=SimpleNamespace(seeds=(0, 1)),
        facts=SimpleNamespace(**{"ref_min": -5.0, "ref_max": 5.0, "worst_return": -9.0} | facts),
    )


def scored_row(
    seed: int, score: float | None, value: float = 3.0, **about: object
) -> dict[str, Any]:
    """Return a row of an evaluated run; ``about`` changes it."""
    row = {"seed": seed, "step": 20, "status": "training", "reason": None, "evaluated": True}
    row |= {"eval/return": value} | ({} if score is None else {"eval/score": score})
    return row | about


def test_a_run_counts_with_its_last_score_and_a_lost_one_with_its_floor() -> None:
    lost = {"status": "diverged", "reason": "|Q| grows"}
    rows = [scored_row(0, 10.0), scored_row(1, 50.0) | lost, scored_row(0, 30.0)]
    told = report(trial_with(rows), rows)
    assert told["score"] == (30.0 + 0.0) / 2
    assert told["reasons"] == {1: "|Q| grows"}


@pytest.mark.parametrize("facts", [{"ref_min": None}, {"ref_max": None}])
def test_without_reference_returns_the_return_counts_and_the_worst_of_the_data(
    facts: dict[str, Any],
) -> None:
    rows = [scored_row(0, None, 7.0), scored_row(1, None, 3.0, status="diverged")]
    told = report(trial_with(rows, **facts), rows)
    assert told["score"] == (7.0 - 9.0) / 2
    assert "eval/score" not in told["floors"]


def test_a_report_is_of_the_step_of_its_rows_though_training_went_on() -> None:
    rows = [scored_row(seed, 1.0, step=10) for seed in (0, 1)]
    assert report(trial_with(rows), rows)["timesteps_total"] == 10


def test_evaluating_processes_leave_training_what_it_needs() -> None:
    assert evaluation_processes("cpu", 1) == {"num_workers": 0, "overlap": False}
    assert evaluation_processes("cpu", 4) == {"num_workers": 4, "overlap": False}
    assert evaluation_processes("cuda", 1) == {"num_workers": 0, "overlap": False}
    assert evaluation_processes("cuda", 4) == {"num_workers": 3, "overlap": True}


def test_before_the_first_evaluation_a_run_counts_with_its_floor() -> None:
    rows = [scored_row(seed, None, evaluated=False) for seed in (0, 1)]
    told = report(trial_with(rows), rows)
    assert (told["score"], told["evaluated"]) == (0.0, False)


def test_a_trial_that_is_ended_early_goes_on_where_it_was(
    job: Job, expected: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    trainable = begin(job, 3)
    for _ in range(3):
        trainable.step()
    step = reached(trainable).step
    assert step > 0
    trainable.cleanup()  # as on an interrupt
    again = begin(job, 3)
    first = again.step()
    assert first["restored_step"] == step
    assert {row["step"] for row in first["rows"]} >= {20, step}
    while not reached(again).done:
        again.step()
    kept = pd.read_parquet(tmp_path / "trials" / list(job.planned)[3] / "metrics.parquet")
    clocks = [name for name in kept if name == "seconds" or name.startswith("time/")]
    pd.testing.assert_frame_equal(
        kept.drop(columns=clocks), expected[list(job.planned)[3]].drop(columns=clocks)
    )


def test_another_trial_in_the_same_process_begins_at_its_own_start(job: Job) -> None:
    trainable = begin(job, 2)
    trainable.step()
    assert trainable.reset_config({"trial": list(job.planned)[3]})
    report = trainable.step()
    assert (report["timesteps_total"], report["restored_step"], len(report["rows"])) == (20, 0, 2)
    assert reached(trainable).config == job.planned[list(job.planned)[3]].config


# Failures


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


def end_twice(number: int) -> None:
    """Signal this process as ``timeout`` does: by itself, and in its group."""
    try:
        os.kill(os.getpid(), number)
    finally:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_study_that_is_told_to_end_does_so_as_on_an_interrupt(
    cluster: None, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as interrupt, session():
        end_twice(number)
    assert interrupt.value.args == (number,)
    assert signal.getsignal(number) == before


def test_a_study_in_the_background_of_a_script_is_ended_by_a_signal_too(cluster: None) -> None:
    """Shells let such jobs ignore SIGINT, into which other signals are turned."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt) as interrupt, session():
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.value.args == (signal.SIGTERM,)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_study_that_outlives_its_terminal_by_request_is_not_ended_by_it(cluster: None) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    with session():
        os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)


# A driver that is killed


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
