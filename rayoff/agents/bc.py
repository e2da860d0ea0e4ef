"""BC: behaviour cloning with a deterministic policy.

Source: the BC baseline of Fujimoto & Gu 2021, arXiv 2106.06860; CORL, any_percent_bc.py.
Shapes: K runs (seeds), B batch, S observation, A action. Actions lie in [-1, 1].
"""

import torch
from torch import Tensor

from rayoff.batch import Batch, Loss
from rayoff.config import BCConfig, TrialConfig
from rayoff.draws import Draws
from rayoff.inference import Perceptron
from rayoff.networks import Actor, make_optimizer, step


class BC:
    """Behaviour cloning; it has no critic, hence nothing that could diverge."""

    critic = None
    actor_period = 1

    def __init__(
        self, config: TrialConfig, num_observations: int, num_actions: int, draws: Draws
    ) -> None:
        """Build the networks; raises TypeError where the configuration is another agent's."""
        if not isinstance(config.agent, BCConfig):
            raise TypeError(f"agent must be a BCConfig but got {type(config.agent).__name__}.")
        self.actor = Actor(config.actor, num_observations, num_actions, draws)
        self.actor_optimizer = make_optimizer(
            "adam", self.actor.parameters(), config.agent.learning_rate
        )
        self.num_updates = 0

    def actor_loss(self, batch: Batch) -> Loss:
        """Return the squared error of each run's actions (K,), a mean over batch and A."""
        actions = self.actor(batch.observations, "train", batch.draws)  # (K, B, A)
        loss = (actions - batch.actions).square().mean((1, 2))
        return loss, {"actor/loss": loss, "actor/bc_distance": loss}

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one gradient step of every run in place and return its statistics, each (K,)."""
        self.num_updates += 1
        loss, info = self.actor_loss(batch)
        step(self.actor_optimizer, loss)
        return {name: value.detach() for name, value in info.items()}

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """Return the deterministic actions for observations (K, B, S), shape (K, B, A)."""
        return self.actor(observations)

    def policies(self) -> list[Perceptron]:
        """Return what ``act`` now is for each run, in numpy, (K,)."""
        return self.actor.to_numpy()
