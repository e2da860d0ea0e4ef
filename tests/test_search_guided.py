"""Tests of searches under Ray Tune with Optuna: outcomes, equal points, kills and resumes."""

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pyarrow.parquet as pq
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from ray import tune
from tiny_searches import make_search

from rayoff.data import load_table
from rayoff.errors import ResultsError
from rayoff.results import (
    collect,
    confirmations,
    measure_trial,
    read_points,
    run_table,
    write_metrics,
)
from rayoff.search import Resources, RunFolder, driver, train
from rayoff.search.archive import Archive
from rayoff.search.exploration import Exploration
from rayoff.search.searcher import PointSearcher
from rayoff.search.session import session
from rayoff.study.records import read_records
from rayoff.trial import Trial

ONE_AT_A_TIME = Resources(max_concurrent=1)
WITH_TWO_CORES = Resources(max_concurrent=1, cpus_per_trial=2)
PATHS = [Path(__file__).parent, Path(__file__).parents[1] / "benchmarks"]
IMPORTABLE = os.pathsep.join(map(str, PATHS))


@pytest.fixture(scope="module")
def ran(cluster: None, source: str, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    study = make_search(source, space="rates", num_points=4)
    folder = RunFolder.create(tmp_path_factory.mktemp("runs"), study, [])
    outcome = train(folder, WITH_TWO_CORES, write_metrics, measure_trial)
    assert outcome == driver.Outcome([], [])
    return folder


def told(folder: Path) -> list[FrozenTrial]:
    """Return what a process without rayoff finds in the journal."""
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    return optuna.load_study(study_name="tiny_search", storage=storage).trials


def test_a_search_trains_its_points_and_confirms_its_winner(ran: RunFolder) -> None:
    assert ran.is_complete()
    records = read_records(ran.path)
    assert [one.phase for one in records].count("search") == 4
    assert {one.state for one in records} == {"complete"}
    for trial in (trial for one in records for trial in one.trials):
        assert ran.is_finished(trial.trial_id)
        assert (ran.trial_folder(trial.trial_id) / "model.safetensors").exists()
    found = confirmations(read_points(ran.path)).to_dict("records")
    assert found[0]["point"] == 0
    for row in found:
        assert row["shrinkage"] == row["search_score"] - row["fresh_score"]


def test_what_optuna_was_told_is_what_the_results_say(ran: RunFolder) -> None:
    runs: list[dict[str, Any]] = run_table(collect(ran.path).to_pandas()).to_dict("records")
    for number, trial in enumerate(told(ran.path)):
        own = [run for run in runs if (run["point"], run["phase"]) == (number, "search")]
        assert len(own) == 2
        assert trial.state == TrialState.COMPLETE
        assert trial.value == pytest.approx(sum(run["value"] for run in own) / 2)
        lost = sum(run["status"] == "diverged" for run in own) / 2
        assert trial.constraints == {"divergence_rate": lost}


def test_the_time_of_a_point_counts_every_core_that_it_had(ran: RunFolder) -> None:
    wall = collect(ran.path).to_pandas().groupby("trial")["seconds"].max().to_dict()
    for record in read_records(ran.path):
        expected = 2 * sum(wall[trial.trial_id] for trial in record.trials)
        if record.same_as is None:
            assert record.values["device_seconds"] == pytest.approx(expected)


def test_metrics_of_another_version_are_refused(ran: RunFolder, tmp_path: Path) -> None:
    trial = ran.planned[0]
    folder = shutil.copytree(ran.trial_folder(trial.trial_id), tmp_path / trial.trial_id)
    known = pq.read_table(folder / "metrics.parquet")
    pq.write_table(known.drop_columns("time/device_seconds"), folder / "metrics.parquet")
    with pytest.raises(ResultsError, match="must have metrics of this version of rayoff"):
        measure_trial(folder, trial.config.seeds)


def test_a_point_that_diverged_is_a_result_and_a_violation(ran: RunFolder) -> None:
    baseline = told(ran.path)[0]
    assert baseline.state == TrialState.COMPLETE
    assert baseline.value == 0.0
    assert baseline.constraints == {"divergence_rate": 1.0}
    assert baseline.user_attrs["reason"] == "2 of 2 runs diverged"


def test_points_are_in_tensorboard_as_the_trials_of_a_factorial_are(ran: RunFolder) -> None:
    runs = {path.parent for path in ran.path.rglob("events.out.tfevents.*")}
    for trial in ran.planned:
        assert ran.path / "tensorboard" / trial.arm in runs
        assert ran.trial_folder(trial.trial_id) in runs
        assert ran.trial_folder(trial.trial_id) / f"s{trial.config.seeds[0]}" in runs


def test_a_search_that_is_over_is_left_as_it_is(ran: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in (ran.path / "points").iterdir()}
    assert train(ran, ONE_AT_A_TIME, write_metrics, measure_trial) == driver.Outcome([], [])
    assert {path: path.stat().st_mtime_ns for path in before} == before


# Outcomes


SCORES = {"p000": 1.0, "p001": 2.0, "p002": 3.0, "p003": 4.0, "p004": 5.0, "p006": 6.0}
REPORTS: dict[str, dict[str, Any]] = {
    "p000": {"score": 1.0},
    "p001": {"score": math.nan},
    "p002": {"score": math.inf},
    "p003": {"score": None},
    "p004": {},
}


class OddTrial(tune.Trainable):
    """Finishes its results, but reports what no one should."""

    def setup(self, config: dict[str, Any], trials: Path = Path()) -> None:
        self.trials = trials
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.name: str = new_config["trial"]
        return True

    def step(self) -> dict[str, Any]:
        point = self.name.partition("_")[0]
        if point == "p005":
            raise ValueError("a bug")
        if point == "p006" and not (self.trials.parent / "again").exists():
            return {"score": 0.0}
        Archive(self.trials).finish(self.name, {})
        return REPORTS.get(point, {"score": 0.0}) | {"done": True}


class AfterTheSixth(tune.Stopper):
    """Ends everything as soon as the trial that does not end by itself reports."""

    def __init__(self) -> None:
        self.reached = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.reached = self.reached or not result["done"]
        return False

    def stop_all(self) -> bool:
        return self.reached


def measure_invented(folder: Path, seeds: Sequence[int]) -> Mapping[str, float]:
    score = SCORES[folder.name.partition("_")[0]]
    return {"score": score, "device_seconds": 1.0, "divergence_rate": 0.0, "num_diverged": 0.0}


def fit(folder: RunFolder, scratch: Path, stopper: tune.Stopper | None) -> Exploration:
    exploration = Exploration(folder, measure_invented)
    with session():
        tune.Tuner(
            tune.with_parameters(OddTrial, trials=folder.path / "trials"),
            tune_config=tune.TuneConfig(
                search_alg=PointSearcher(exploration),
                num_samples=-1,
                max_concurrent_trials=1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(scratch),
                stop=stopper,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    return exploration


def test_every_outcome_of_a_trial_leaves_the_journal_right(
    cluster: None, source: str, tmp_path: Path
) -> None:
    """A report that is nan, inf, None or without the metric; an error; an end from outside."""
    study = make_search(source, space="rates", num_points=7, num_confirm_seeds=0)
    folder = RunFolder.create(tmp_path / "runs", study, [])
    exploration = fit(folder, tmp_path / "1", AfterTheSixth())
    first = told(folder.path)
    assert [one.value for one in first[:5]] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [one.state for one in first[:5]] == [TrialState.COMPLETE] * 5
    assert (first[5].state, first[5].value) == (TrialState.FAIL, None)
    assert exploration.failed == ["p005_pendulum_1"]
    assert first[6].state == TrialState.RUNNING
    assert exploration.running == ["p006_pendulum_1"]
    (folder.path / "again").touch()
    SCORES["p007"] = 7.0  # in the place of the one that failed
    fit(folder, tmp_path / "2", None)
    second = told(folder.path)
    assert [one.params for one in second[:7]] == [one.params for one in first]
    assert [one.value for one in second[6:]] == [6.0, 7.0]
    assert TrialState.RUNNING not in {one.state for one in second}
    assert folder.is_complete()


# Early stopping


def test_a_trial_that_is_cut_trained_as_one_of_its_whole_budget(
    cluster: None, source: str, tmp_path: Path
) -> None:
    study = make_search(
        source,
        space="rates",
        num_points=6,
        early_stopping="asha",
        reduction_factor=2,
        min_steps_fraction=0.25,
        num_confirm_seeds=0,
    )
    folder = RunFolder.create(tmp_path, study, [])
    outcome = train(folder, ONE_AT_A_TIME, write_metrics, measure_trial)
    assert outcome == driver.Outcome([], [])
    assert folder.is_complete()
    cut = [one for one in read_records(folder.path) if one.state == "pruned"]
    assert cut
    for record in cut:
        (planned,) = record.trials
        assert planned.config.num_steps == 200
        metrics = folder.trial_folder(planned.trial_id) / "metrics.parquet"
        rows: list[dict[str, Any]] = pd.read_parquet(metrics).to_dict("records")
        last = max(row["step"] for row in rows)
        assert last < 200
        trial = Trial(planned.config, load_table(source))
        while trial.step < last:
            trial.advance()
        for name in ("critic/q_abs", "eval/return"):
            whole = {(row["seed"], row["step"]): row.get(name) for row in trial.rows}
            for row in rows:
                expected = whole[row["seed"], row["step"]]
                assert row[name] == expected or (expected is None and math.isnan(row[name]))
    statuses = collect(folder.path).to_pandas().groupby("arm")["status"].last()
    assert {statuses[f"p{record.number:03d}"] for record in cut} <= {"pruned", "diverged"}
    assert {one.state for one in told(folder.path)} == {TrialState.COMPLETE, TrialState.PRUNED}


# Equal points, kills and interrupts


def start_driver(folder: RunFolder, log: Path, ray_folder: str) -> "subprocess.Popen[bytes]":
    """Train a folder in a process and a Ray of its own, one trial at a time."""
    code = (
        "import sys; from pathlib import Path\n"
        "from rayoff.results import measure_trial, write_metrics\n"
        "from rayoff.search import Resources, RunFolder, train\n"
        "train(RunFolder.open(Path(sys.argv[1])), Resources(max_concurrent=1), write_metrics,\n"
        "      measure_trial, checkpoint_seconds=0.0)\n"
    )
    own = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": ray_folder, "TMPDIR": ray_folder}
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    paths = os.pathsep.join([IMPORTABLE, os.environ.get("PYTHONPATH", "")])
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(folder.path)],
            env=inherited | own | {"PYTHONPATH": paths},
            stdout=file,
            stderr=file,
        )


def checkpoints(folder: RunFolder) -> list[Path]:
    found = (folder.path / "trials").glob("*/checkpoints/*")
    return [path for path in found if path.suffix != ".partial"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_search_that_is_ended_and_resumed_equals_one_that_is_not(
    ran: RunFolder, source: str, tmp_path: Path, number: signal.Signals
) -> None:
    study = make_search(source, space="rates", num_points=4)
    folder = RunFolder.create(tmp_path, study, [])
    ray_folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    process, log = start_driver(folder, tmp_path / "log", ray_folder), tmp_path / "log"
    while not (list(folder.path.glob("trials/*/done")) and checkpoints(folder)):
        assert process.poll() is None, log.read_text()
        time.sleep(0.005)
    process.send_signal(number)
    process.wait()
    finished = sorted(folder.path.glob("trials/*/done"))
    assert 0 < len(finished) < 6
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert TrialState.RUNNING in {one.state for one in told(folder.path)}
    outcome = train(folder, ONE_AT_A_TIME, write_metrics, measure_trial)
    assert outcome == driver.Outcome([], [])
    assert {path: path.stat().st_mtime_ns for path in finished} == before
    assert [one.params for one in told(folder.path)] == [one.params for one in told(ran.path)]
    assert [one.value for one in told(folder.path)] == [one.value for one in told(ran.path)]
    for trial in ran.planned:
        one, other = (
            pd.read_parquet(place.trial_folder(trial.trial_id) / "metrics.parquet")
            for place in (ran, folder)
        )
        clocks = [name for name in one if name == "seconds" or name.startswith("time/")]
        pd.testing.assert_frame_equal(one.drop(columns=clocks), other.drop(columns=clocks))
    shutil.rmtree(ray_folder, ignore_errors=True)


def test_equal_sampler_seeds_find_equal_points_and_trials_at_once_all_come_to_an_end(
    ran: RunFolder, source: str, tmp_path: Path
) -> None:
    study = make_search(source, space="rates", num_points=4, num_confirm_seeds=0)
    folder = RunFolder.create(tmp_path, study, [])
    outcome = train(folder, Resources(max_concurrent=2), write_metrics, measure_trial)
    assert outcome == driver.Outcome([], [])
    one, other = told(folder.path), told(ran.path)
    assert {trial.state for trial in one} == {TrialState.COMPLETE}
    # the random start does not depend on what was told before
    assert [trial.params for trial in one[:2]] == [trial.params for trial in other[:2]]
    assert [trial.value for trial in one[:2]] == [trial.value for trial in other[:2]]
