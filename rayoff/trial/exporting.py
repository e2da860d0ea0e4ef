"""The policies of a trial's runs for rollouts, which no training step changes.

Shapes: K runs, E rows, S observation, A action.
"""

import numpy as np
import torch

from rayoff.agents import Agent
from rayoff.data import Normalizer
from rayoff.evaluation import NormalizedPolicy
from rayoff.networks.arrays import to_array

_TOLERANCE = 0.05
"""By which actions in [-1, 1] may differ: more than products of any precision do."""


def export_policies(agent: Agent, normalizer: Normalizer) -> list[NormalizedPolicy]:
    """Return the policy of each run as it now is, (K,); equal to the agent within rounding.

    Args:
        agent: of K runs, on any device.
        normalizer: how it sees observations.
    """
    mean, std = to_array(normalizer.mean), to_array(normalizer.std)
    return [NormalizedPolicy(mean, std, policy) for policy in agent.policies()]


def check_policies(agent: Agent, num_runs: int, num_observations: int) -> None:
    """Check that an agent's policies are what it acts by, before it trains for an evaluation.

    Args:
        agent: of K runs, on the CPU or another device.
        num_runs: K.
        num_observations: S.

    Raises:
        ValueError: they are not.
    """
    rows = torch.linspace(-3, 3, 2 * num_observations).view(2, -1)  # (E, S)
    device = next(agent.actor.parameters()).device
    expected = to_array(agent.act(rows.to(device).repeat(num_runs, 1, 1)))  # (K, E, A)
    found = [policy(to_array(rows)) for policy in agent.policies()]
    alike = [one.shape for one in found] == [one.shape for one in expected]
    if not (alike and np.allclose(found, expected, atol=_TOLERANCE)):
        raise ValueError(
            f"policies() of {type(agent).__name__} must act as act() does, one for each of its "
            f"{num_runs} runs, but does not: an evaluation would be of other policies."
        )
