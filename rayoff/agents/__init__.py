"""The algorithms, one file each: x_loss(batch) -> (loss, info), update(batch), act(observations).

Every part of an agent that has a ``state_dict`` is saved with a trial; a name that begins with
an underscore is a view on another part.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from rayoff.agents.bc import BC
from rayoff.agents.td3 import TD3
from rayoff.agents.td3_bc import TD3BC
from rayoff.batch import Batch
from rayoff.config import TrialConfig
from rayoff.draws import Draws
from rayoff.evaluation import Policy
from rayoff.networks import Actor, Critic


class Agent(Protocol):
    """What a trial asks of an algorithm; shapes as in the agents' own files."""

    actor: Actor
    critic: Critic | None
    actor_period: int
    """Updates per update of the actor: an update's only choice that is not made by tensors."""
    num_updates: int

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one gradient step of every run in place and return its statistics, each (K,).

        All updates of a kind, with and without the actor's, are the same operations on the same
        numbers: a step is recorded once and replayed (``rayoff.trial.replay``), so a choice that
        Python makes by a counter of its own would be frozen.
        """
        ...

    def act(self, observations: Tensor) -> Tensor:
        """Return the deterministic actions for observations (K, B, S), shape (K, B, A)."""
        ...

    def policies(self) -> Sequence[Policy]:
        """Return what ``act`` now is for each run, (K,), for the rollouts of an evaluation.

        They take and give numpy's arrays, and act alike within rounding. They stay as they are
        while the runs train on, and can be pickled: an evaluation may go on in other processes.
        """
        ...


AGENTS: dict[str, type] = {"bc": BC, "td3": TD3, "td3_bc": TD3BC}
"""Every algorithm by its name in a study; its hyperparameters are in ``rayoff.config``."""


def make_agent(
    config: TrialConfig, num_observations: int, num_actions: int, draws: Draws
) -> Agent:
    """Return the trial's agent with initial weights from the runs' seeds."""
    return AGENTS[config.algorithm](config, num_observations, num_actions, draws)
