"""Tests of rayoff.inference: the arrays of an actor act as it does."""

import pickle
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tiny_agents import NUM_ACTIONS, NUM_OBSERVATIONS, make_draws

from rayoff.config import Activation, ActorConfig
from rayoff.networks import Actor

SEEDS = (3, 8)
ROUNDING = 1e-5  # far observations move torch's own float32 actions by up to 5e-6 from float64


def far_rows(num_rows: int) -> torch.Tensor:
    """Return observations near and far, (K, B, S)."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(len(SEEDS), num_rows, NUM_OBSERVATIONS, generator=generator)
    return rows * torch.logspace(-2, 2, num_rows)[:, None]


def make_actor(**architecture: Any) -> Actor:  # noqa: ANN401 - fields of an actor
    config = ActorConfig(width=18, **architecture)
    return Actor(config, NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))


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
def test_every_architecture_acts_alike_in_numpy(
    activation: Activation, architecture: dict[str, Any]
) -> None:
    actor = make_actor(activation=activation, **architecture)
    for parameter in actor.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    rows = far_rows(40)
    with torch.no_grad():
        expected = actor(rows).numpy()
    for run, perceptron in enumerate(actor.to_numpy()):
        actions = perceptron(rows[run].numpy())
        assert actions.dtype == np.float32
        np.testing.assert_allclose(actions, expected[run], atol=ROUNDING)


def test_a_perceptron_stays_as_it_was_while_its_run_trains_on() -> None:
    actor, rows = make_actor(), far_rows(10)[0].numpy()
    perceptron = actor.to_numpy()[0]
    before = perceptron(rows)

    for parameter in actor.parameters():
        parameter.data.zero_()

    np.testing.assert_array_equal(perceptron(rows), before)


def test_a_perceptron_is_the_same_in_another_process() -> None:
    rows = far_rows(10)[0].numpy()
    perceptron = make_actor(norm="layer").to_numpy()[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(perceptron))(rows), perceptron(rows))
