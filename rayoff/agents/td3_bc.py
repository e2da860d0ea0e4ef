"""TD3+BC: TD3 whose actor also clones the data, with its Q term scaled by mean |Q|.

Source: Fujimoto & Gu 2021, arXiv 2106.06860; github.com/sfujim/TD3_BC, TD3_BC.py.
Shapes: K runs (seeds), N critics, B batch, S observation, A action. Actions lie in [-1, 1].
"""

from copy import deepcopy

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from rayoff.batch import Batch, Loss
from rayoff.config import TD3BCConfig, TrialConfig
from rayoff.draws import Draws
from rayoff.inference import Perceptron
from rayoff.networks import (
    Actor,
    Critic,
    TargetUpdate,
    bootstrap,
    make_optimizer,
    reduce_ensemble,
    step,
)
from rayoff.regularizers import CriticRegularizer


class TD3BC:
    """TD3 with behaviour cloning."""

    def __init__(
        self, config: TrialConfig, num_observations: int, num_actions: int, draws: Draws
    ) -> None:
        """Build the networks; raises TypeError where the configuration is another agent's."""
        if not isinstance(config.agent, TD3BCConfig):
            raise TypeError(f"agent must be a TD3BCConfig but got {type(config.agent).__name__}.")
        self.config, self.critic_config = config.agent, config.critic
        sizes = num_observations, num_actions
        self.actor = Actor(config.actor, *sizes, draws)
        self.critic = Critic(config.critic, *sizes, draws)
        self.target_actor, self.target_critic = deepcopy(self.actor), deepcopy(self.critic)
        self._first_critic = self.critic.first()
        self.regularizer = CriticRegularizer(
            config.regularizer,
            Actor(config.actor, *sizes, draws, stream="outlier_actor"),
            config.agent.learning_rate,
        )
        c = config.agent
        self.actor_optimizer = make_optimizer(
            c.optimizer, self.actor.parameters(), c.learning_rate
        )
        decay = config.regularizer.weight_decay
        self.critic_optimizer = make_optimizer(
            c.optimizer, self.critic.parameters(), c.learning_rate, decay
        )
        self.critic_target_update = TargetUpdate(self.critic, self.target_critic, c.tau)
        self.actor_target_update = TargetUpdate(self.actor, self.target_actor, c.tau)
        self.actor_period, self.num_updates = c.actor_period, 0

    def critic_loss(self, batch: Batch) -> Loss:
        """Return the TD error of each run (K,), summed over critics, plus its penalties."""
        c = self.config
        with torch.no_grad():
            noise = batch.draws.normal("target_noise", batch.actions.shape[1:]) * c.target_noise
            noise = noise.clamp(-c.target_noise_clip, c.target_noise_clip)
            next_actions = (self.target_actor(batch.next_observations) + noise).clamp(-1, 1)
        features, next_q = bootstrap(self.critic, self.target_critic, batch, next_actions)
        with torch.no_grad():
            next_q = reduce_ensemble(next_q, self.critic_config)  # (K, 1 or N, B)
            mask = (1 - batch.terminations)[:, None]
            target = batch.rewards[:, None] + c.discount * mask * next_q
        q = self.critic.values(features)  # (K, N, B)
        td_loss = mse_loss(q, target.expand_as(q), reduction="none").mean(-1).sum(1)  # (K,)
        penalty, info = self.regularizer.loss(
            self.critic, self.actor, batch, features, next_actions
        )
        info |= {"critic/loss": td_loss, "critic/q_mean": q.mean((1, 2))}
        info |= {"critic/target_mean": target.mean((1, 2))}
        return td_loss + penalty, info

    def actor_loss(self, batch: Batch) -> Loss:
        """Return cloning error minus Q term of each run (K,); only the first critic is asked."""
        actions = self.actor(batch.observations, "train", batch.draws)  # (K, B, A)
        q = self._first_critic(batch.observations, actions).squeeze(1)  # (K, B)
        q_loss = -q.mean(1) / q.abs().mean(1).detach()
        bc_distance = (actions - batch.actions).square().mean((1, 2))  # ReBRAC sums over A
        loss = self.config.q_weight * q_loss + self.config.bc_weight * bc_distance
        return loss, {"actor/loss": loss, "actor/q": q.mean(1), "actor/bc_distance": bc_distance}

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one gradient step of every run in place and return its statistics, each (K,)."""
        self.num_updates += 1
        loss, info = self.critic_loss(batch)
        step(self.critic_optimizer, loss)
        if self.num_updates % self.actor_period == 0:
            loss, actor_info = self.actor_loss(batch)
            step(self.actor_optimizer, loss)
            if self.regularizer.learns_outliers:
                self.regularizer.update_outliers(self.critic, batch)
            # the authors move both targets on actor steps only
            self.critic_target_update.step()
            self.actor_target_update.step()
            info |= actor_info
        return {name: value.detach() for name, value in info.items()}

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """Return the deterministic actions for observations (K, B, S), shape (K, B, A)."""
        return self.actor(observations)

    def policies(self) -> list[Perceptron]:
        """Return what ``act`` now is for each run, in numpy, (K,)."""
        return self.actor.to_numpy()
