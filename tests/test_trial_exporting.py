"""Tests of rayoff.trial.exporting: the exported policies act as the agents do."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from test_inference import ROUNDING, SEEDS, far_rows, make_actor
from tiny_agents import NORMS, NUM_OBSERVATIONS, tiny, trained
from torch import Tensor
from toy_pendulum import write_pendulum

from rayoff.agents import AGENTS, Agent
from rayoff.agents.bc import BC
from rayoff.config import BCConfig, EvaluationConfig, Norm, TrialConfig
from rayoff.data import Normalizer, load_table
from rayoff.evaluation import NormalizedPolicy, Policy
from rayoff.trial import Trial, export_policies
from rayoff.trial.exporting import check_policies

NORMALIZER = Normalizer(
    torch.linspace(-1, 1, NUM_OBSERVATIONS), torch.linspace(0.5, 2, NUM_OBSERVATIONS)
)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("algorithm", AGENTS)
def test_a_trained_agent_acts_as_its_exported_policies(algorithm: str, norm: Norm) -> None:
    agent: Agent = trained(tiny(algorithm, norm), SEEDS).agent
    observations = far_rows(40)
    expected = agent.act(NORMALIZER.apply(observations)).numpy()

    policies = export_policies(agent, NORMALIZER)

    assert len(policies) == len(SEEDS)
    for run, policy in enumerate(policies):
        actions = policy(observations[run].numpy())
        np.testing.assert_allclose(actions, expected[run], atol=ROUNDING)
    check_policies(agent, len(SEEDS), NUM_OBSERVATIONS)


def test_a_diverged_policy_gives_nan_without_a_warning() -> None:
    actor = make_actor()
    for parameter in actor.parameters():
        parameter.data.fill_(3e38)
    actor.head.weight.data[1] = torch.nan
    mean, std = NORMALIZER.mean.numpy(), NORMALIZER.std.numpy()
    policies = [NormalizedPolicy(mean, std, perceptron) for perceptron in actor.to_numpy()]
    assert np.isnan(policies[1](far_rows(10)[0].numpy())).all()


class Contrary(BC):
    """Acts against what it has cloned."""

    def act(self, observations: Tensor) -> Tensor:
        return -super().act(observations)

    def policies(self) -> Sequence[Policy]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return [lambda rows, own=own: -own(rows) for own in super().policies()]


class Forgetful(Contrary):
    """Says of itself what holds of BC."""

    def policies(self) -> Sequence[Policy]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.actor.to_numpy()


class Single(Contrary):
    """Tells of its first run only."""

    def policies(self) -> Sequence[Policy]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().policies()[:1]


CONFIG = TrialConfig(
    algorithm="bc",
    agent=BCConfig(),
    batch_size=8,
    num_steps=4,
    evaluation=EvaluationConfig(period=2, num_episodes=1),
    seeds=SEEDS,
)


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return load_table(write_pendulum(tmp_path_factory.mktemp("data") / "pendulum.parquet"))


def test_an_agent_that_acts_in_its_own_way_is_evaluated_by_it(
    pendulum: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloned = Trial(CONFIG, pendulum)
    monkeypatch.setitem(AGENTS, "bc", Contrary)
    contrary = Trial(CONFIG, pendulum)
    returns = [[row["eval/return"] for row in trial.advance()] for trial in (cloned, contrary)]
    assert np.isfinite(returns).all()
    assert returns[0] != returns[1]


@pytest.mark.parametrize("agent", [Forgetful, Single])
def test_policies_that_are_not_what_the_agent_acts_by_are_refused_before_the_first_step(
    pendulum: pa.Table, monkeypatch: pytest.MonkeyPatch, agent: type
) -> None:
    monkeypatch.setitem(AGENTS, "bc", agent)
    named = rf"policies\(\) of {agent.__name__} must act as act\(\) does, one for each of its 2"
    with pytest.raises(ValueError, match=named):
        Trial(CONFIG, pendulum)


def test_policies_are_not_asked_for_where_nothing_is_evaluated(
    pendulum: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AGENTS, "bc", Forgetful)
    trial = Trial(replace(CONFIG, evaluation=EvaluationConfig(period=0)), pendulum)
    assert trial.evaluations.skipped
