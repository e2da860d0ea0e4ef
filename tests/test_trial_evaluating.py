"""Tests of rayoff.trial.evaluating: in which environment, and that it matters not when."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toy_pendulum import write_pendulum

from rayoff.config import (
    ActorConfig,
    BCConfig,
    CriticConfig,
    EvaluationConfig,
    SeemConfig,
    StopperConfig,
    TrialConfig,
)
from rayoff.data import DatasetFacts, load_table, prepare
from rayoff.errors import DatasetError, StudyError
from rayoff.evaluation import Environment
from rayoff.trial import Row, Trial, choose_environment, make_evaluator

SPEC = {"id": "Pendulum-v1", "kwargs": {"g": 3.0}, "max_episode_steps": 12}


def facts_of(folder: Path, **metadata: Any) -> DatasetFacts:  # noqa: ANN401 - fields of Origin
    """Return the facts of a dataset of Pendulum, of whose metadata some is replaced."""
    write_pendulum(folder / "pendulum.parquet")
    table = pq.read_table(folder / "pendulum.parquet")
    known = json.loads(table.schema.metadata[b"rayoff"]) | metadata
    table = table.replace_schema_metadata({"rayoff": json.dumps(known)})
    pq.write_table(table, folder / "pendulum.parquet")
    config = TrialConfig()
    return prepare(load_table(f"parquet:{folder}/pendulum.parquet"), config.data, 8).facts


def test_the_data_are_evaluated_in_the_environment_that_they_describe(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, environment_spec=json.dumps(SPEC))
    config = TrialConfig(seeds=(0, 1))

    evaluator = make_evaluator(config, facts, num_episodes=2)
    policies = [lambda rows: np.zeros((2, 1), np.float32)] * 2
    lengths = evaluator.rollout(policies, step=0).lengths

    assert choose_environment(None, facts) == Environment("Pendulum-v1", 12, {"g": 3.0})
    np.testing.assert_array_equal(lengths, np.full((2, 2), 12))


def test_an_environment_that_is_chosen_is_made_as_registered(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, environment_spec=json.dumps(SPEC))
    assert choose_environment("Pendulum-v1", facts) == Environment("Pendulum-v1")


def test_without_a_spec_the_environment_is_made_as_registered(tmp_path: Path) -> None:
    assert choose_environment(None, facts_of(tmp_path)) == Environment("Pendulum-v1")


def test_data_without_environment_cannot_be_evaluated(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, environment=None)
    with pytest.raises(DatasetError, match="must name an environment to be evaluated in"):
        make_evaluator(TrialConfig(), facts)


@pytest.mark.parametrize(
    ("references", "floor"), [({}, -1500.0), ({"ref_min": None}, None), ({"ref_max": None}, None)]
)
def test_a_policy_gone_nan_earns_the_floor(
    tmp_path: Path, references: dict[str, None], floor: float | None
) -> None:
    config = TrialConfig(
        algorithm="bc",
        agent=BCConfig(),
        evaluation=EvaluationConfig(period=1, num_episodes=1),
        num_steps=1,
        batch_size=8,
        seeds=(0,),
    )
    trial = Trial(config, load_table(write_pendulum(tmp_path / "pendulum.parquet")))
    trial.evaluations.facts = replace(trial.facts, **references)
    for parameter in trial.agent.actor.parameters():
        parameter.data.fill_(torch.nan)

    (row,) = trial.advance()

    assert row["eval/return"] == (trial.facts.worst_return if floor is None else floor)


def test_an_environment_of_another_task_is_refused(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    config = TrialConfig(evaluation=EvaluationConfig(environment="MountainCarContinuous-v0"))
    with pytest.raises(StudyError, match="observes 2 numbers, but the dataset has 3"):
        make_evaluator(config, facts)


def evaluated_config(**changes: Any) -> TrialConfig:  # noqa: ANN401 - fields of TrialConfig
    """Return a trial of Pendulum that is probed between its evaluations."""
    fields: dict[str, Any] = {
        "algorithm": "td3_bc",
        "actor": ActorConfig(width=16),
        "critic": CriticConfig(width=16),
        "seem": SeemConfig(period=4, num_rows=8),
        "evaluation": EvaluationConfig(period=10, num_episodes=2),
        "num_steps": 35,
        "batch_size": 8,
        "seeds": (0, 1, 2),
    }
    return TrialConfig(**fields | changes)


def without_clocks(rows: list[Row]) -> list[Row]:
    return [
        {name: value for name, value in row.items() if not name.startswith(("seconds", "time/"))}
        for row in rows
    ]


def reports_of(trial: Trial) -> list[list[Row]]:
    """Return all reports of a trial that has not begun, and check that they are all it has."""
    reports = []
    while not trial.done:
        reports.append(trial.advance())
    assert trial.rows == [row for report in reports for row in report]
    return [without_clocks(report) for report in reports]


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    spec = json.dumps(SPEC)
    folder = tmp_path_factory.mktemp("data")
    write_pendulum(folder / "pendulum.parquet")
    table = pq.read_table(folder / "pendulum.parquet")
    known = json.loads(table.schema.metadata[b"rayoff"]) | {"environment_spec": spec}
    table = table.replace_schema_metadata({"rayoff": json.dumps(known)})
    pq.write_table(table, folder / "pendulum.parquet")
    return load_table(f"parquet:{folder}/pendulum.parquet")


@pytest.fixture(scope="module")
def expected(pendulum: pa.Table) -> list[list[Row]]:
    reports = reports_of(Trial(evaluated_config(), pendulum))
    evaluated = [rows[0]["step"] for rows in reports if rows[0]["evaluated"]]
    assert evaluated == [10, 20, 30, 35]
    assert [rows[0]["step"] for rows in reports[:4]] == [4, 8, 10, 12]
    return reports


@pytest.mark.parametrize(("num_workers", "overlap"), [(2, False), (2, True), (0, True)])
def test_reports_are_the_same_wherever_and_whenever_policies_are_evaluated(
    pendulum: pa.Table, expected: list[list[Row]], num_workers: int, overlap: bool
) -> None:
    trial = Trial(evaluated_config(), pendulum, num_workers=num_workers, overlap=overlap)
    assert reports_of(trial) == expected


def test_training_goes_on_during_an_overlapped_evaluation(pendulum: pa.Table) -> None:
    trial = Trial(evaluated_config(), pendulum, num_workers=1, overlap=True)
    steps = [(trial.advance()[0]["step"], trial.step) for _ in range(6)]
    assert steps == [(4, 4), (8, 8), (10, 20), (12, 20), (16, 20), (20, 30)]


@pytest.mark.parametrize("num_reports", [2, 3, 5])
@pytest.mark.parametrize("overlap", [False, True])
def test_nothing_is_lost_or_repeated_by_a_checkpoint_during_an_evaluation(
    pendulum: pa.Table,
    expected: list[list[Row]],
    tmp_path: Path,
    num_reports: int,
    overlap: bool,
) -> None:
    trial = Trial(evaluated_config(), pendulum, overlap=True)
    reports = [without_clocks(trial.advance()) for _ in range(num_reports)]
    trial.save(tmp_path / "checkpoint")

    resumed = Trial(evaluated_config(), pendulum, overlap=overlap)
    resumed.load(tmp_path / "checkpoint")
    while not resumed.done:
        resumed.advance()
    while not trial.done:
        reports.append(without_clocks(trial.advance()))

    assert reports == expected
    assert without_clocks(resumed.rows) == [row for report in expected for row in report]


def test_a_trial_that_ends_during_an_evaluation_reports_it(pendulum: pa.Table) -> None:
    config = evaluated_config(
        stopper=StopperConfig(
            suspect_factor=1e-9,
            confirm_factor=1e-9,
            ceiling_factor=1e-9,
            num_above_ceiling=3,
            probe_speedup=1,
        ),
        seem=SeemConfig(period=6, num_rows=8),
    )
    plain = reports_of(Trial(config, pendulum))
    last = [(rows[0]["step"], rows[0]["evaluated"]) for rows in plain[-3:]]
    assert last == [(10, True), (12, False), (18, False)]
    assert reports_of(Trial(config, pendulum, overlap=True)) == plain


def test_the_processes_end_with_the_trial(pendulum: pa.Table) -> None:
    trial = Trial(evaluated_config(), pendulum, num_workers=1, overlap=True)
    trial.advance()
    workers = trial.evaluations._evaluator._workers  # pyright: ignore[reportOptionalMemberAccess]
    assert workers is not None
    (worker,) = workers._workers
    assert worker is not None
    del trial, workers
    assert worker.process.returncode is not None
