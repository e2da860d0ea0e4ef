"""Tests of rayoff.trial.exporting: the exported policies act as the agents do."""

import pickle
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tiny_agents import NORMS, NUM_ACTIONS, NUM_OBSERVATIONS, make_draws, tiny, trained

from rayoff.agents import AGENTS, Agent
from rayoff.config import Activation, ActorConfig, Norm
from rayoff.data import Normalizer
from rayoff.networks import Actor
from rayoff.trial import export_policies

SEEDS = (3, 8)
NORMALIZER = Normalizer(
    torch.linspace(-1, 1, NUM_OBSERVATIONS), torch.linspace(0.5, 2, NUM_OBSERVATIONS)
)


ROUNDING = 1e-5  # far observations move torch's own float32 actions by up to 5e-6 from float64


def raw_observations(num_rows: int) -> torch.Tensor:
    """Return observations near and far, (K, B, S)."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(len(SEEDS), num_rows, NUM_OBSERVATIONS, generator=generator)
    return rows * torch.logspace(-2, 2, num_rows)[:, None]


def assert_acts_alike(actor: Actor) -> None:
    observations = raw_observations(40)
    with torch.no_grad():
        expected = actor(NORMALIZER.apply(observations)).numpy()
    for run, policy in enumerate(export_policies(actor, NORMALIZER)):
        actions = policy(observations[run].numpy())
        assert actions.dtype == np.float32
        np.testing.assert_allclose(actions, expected[run], atol=ROUNDING)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("algorithm", AGENTS)
def test_a_trained_agent_acts_as_its_exported_policies(algorithm: str, norm: Norm) -> None:
    agent: Agent = trained(tiny(algorithm, norm), SEEDS).agent
    observations = raw_observations(40)
    expected = agent.act(NORMALIZER.apply(observations)).numpy()

    policies = export_policies(agent.actor, NORMALIZER)

    assert len(policies) == len(SEEDS)
    for run, policy in enumerate(policies):
        actions = policy(observations[run].numpy())
        np.testing.assert_allclose(actions, expected[run], atol=ROUNDING)


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"norm": "layer"},
        {"norm": "group", "num_groups": 3, "norm_position": "after"},
        {"norm": "rms", "norm_layers": "first", "depth": 3},
        {"norm": "layer", "norm_layers": "last", "norm_position": "after"},
        {"dropout": 0.5},
    ],
    ids=str,
)
def test_every_architecture_is_exported(
    activation: Activation, architecture: dict[str, Any]
) -> None:
    config = ActorConfig(width=18, activation=activation, **architecture)
    actor = Actor(config, NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))
    for parameter in actor.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    assert_acts_alike(actor)


def test_an_exported_policy_stays_as_it_was_while_its_run_trains_on() -> None:
    actor = Actor(ActorConfig(width=18), NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))
    rows = raw_observations(10)[0].numpy()
    policy = export_policies(actor, NORMALIZER)[0]
    before = policy(rows)

    for parameter in actor.parameters():
        parameter.data.zero_()

    np.testing.assert_array_equal(policy(rows), before)


def test_a_policy_is_the_same_in_another_process() -> None:
    actor = Actor(ActorConfig(norm="layer"), NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))
    rows = raw_observations(10)[0].numpy()
    policy = export_policies(actor, NORMALIZER)[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(policy))(rows), policy(rows))


def test_a_diverged_policy_gives_nan_without_a_warning() -> None:
    actor = Actor(ActorConfig(width=18), NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))
    for parameter in actor.parameters():
        parameter.data.fill_(3e38)
    actor.head.weight.data[1] = torch.nan
    policies = export_policies(actor, NORMALIZER)
    rows = raw_observations(10)[0].numpy()
    assert np.isnan(policies[1](rows)).all()
