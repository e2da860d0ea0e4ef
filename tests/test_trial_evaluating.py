"""Tests of rayoff.trial.evaluating: the environment of the data is that which is evaluated in."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from toy_pendulum import write_pendulum

from rayoff.config import BCConfig, EvaluationConfig, TrialConfig
from rayoff.data import DatasetFacts, load_table, prepare
from rayoff.errors import DatasetError, StudyError
from rayoff.evaluation import Environment
from rayoff.trial import Trial, choose_environment, make_evaluator

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
    trial.facts = replace(trial.facts, **references)
    for parameter in trial.agent.actor.parameters():
        parameter.data.fill_(torch.nan)

    (row,) = trial.advance()

    assert row["eval/return"] == (trial.facts.worst_return if floor is None else floor)


def test_an_environment_of_another_task_is_refused(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    config = TrialConfig(evaluation=EvaluationConfig(environment="MountainCarContinuous-v0"))
    with pytest.raises(StudyError, match="observes 2 numbers, but the dataset has 3"):
        make_evaluator(config, facts)
