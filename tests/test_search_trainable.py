"""Tests of rayoff.search.trainable: what a trial reports, and how it goes on."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pandas as pd
import pytest
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from trained_alone import train_alone, without_clocks

from rayoff.data import load_table
from rayoff.results import write_metrics
from rayoff.search.archive import Archive
from rayoff.search.session import session
from rayoff.search.trainable import Job, StudyTrial, evaluation_processes, report
from rayoff.study import Study, trials
from rayoff.trial import Trial


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
        device_share=0.5,
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
    for row in reached(trainable).rows:
        assert row["time/device_seconds"] == pytest.approx(job.device_share * row["seconds"])


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


def test_a_trial_that_is_ended_early_goes_on_where_it_was(job: Job, tmp_path: Path) -> None:
    planned = list(job.planned.values())[3]
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
    kept = pd.read_parquet(tmp_path / "trials" / planned.trial_id / "metrics.parquet")
    pd.testing.assert_frame_equal(without_clocks(kept), without_clocks(train_alone(planned)))


def test_another_trial_in_the_same_process_begins_at_its_own_start(job: Job) -> None:
    trainable = begin(job, 2)
    trainable.step()
    assert trainable.reset_config({"trial": list(job.planned)[3]})
    report = trainable.step()
    assert (report["timesteps_total"], report["restored_step"], len(report["rows"])) == (20, 0, 2)
    assert reached(trainable).config == job.planned[list(job.planned)[3]].config
