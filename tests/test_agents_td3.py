"""Tests of td3 and td3_bc against a plain TD3 of one run, written from the equations.

The plain one has torch.nn modules and torch.optim, a loop over its critics, and nothing stacked.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_agents import BATCH_SIZE, NORMS, NUM_ACTIONS, NUM_OBSERVATIONS, make_tiny_agent, tiny
from torch import Tensor, nn
from torch_members import DoubleDraws, Member, assert_same, draw_batch, state, unchanged

from rayoff.agents import TD3, TD3BC
from rayoff.batch import Batch
from rayoff.config import Norm, RegularizerConfig, TD3BCConfig, TD3Config, TrialConfig

pytestmark = pytest.mark.usefixtures("float64")

SEEDS = (5, 2)
RUN = 1
NUM_UPDATES = 5


def make_draws(*seeds: int, step: int = 0) -> DoubleDraws:
    return DoubleDraws(torch.tensor(seeds), torch.tensor(step))


def make_batch(*seeds: int, step: int) -> Batch:
    draws = make_draws(*seeds, step=step)
    return draw_batch(draws, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS)


def make(config: TrialConfig) -> TD3 | TD3BC:
    agent = make_tiny_agent(config, make_draws(*SEEDS))
    assert isinstance(agent, (TD3, TD3BC))
    return agent


class PlainTD3:
    """One run of an agent; it begins with the agent's weights and shares nothing with it."""

    def __init__(self, agent: TD3 | TD3BC, config: TrialConfig) -> None:
        assert isinstance(config.agent, TD3Config)
        self.config, self.critic_config = config.agent, config.critic
        self.decay = 1.0 - config.agent.learning_rate * config.regularizer.weight_decay
        members = range(config.critic.num_critics)
        self.actor = Member(agent.actor, config.actor, (RUN,))
        self.target_actor = Member(agent.target_actor, config.actor, (RUN,))
        self.critics = [Member(agent.critic, config.critic, (RUN, n)) for n in members]
        self.target_critics = [
            Member(agent.target_critic, config.critic, (RUN, n)) for n in members
        ]
        optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[config.agent.optimizer]
        weights = [weight for critic in self.critics for weight in critic.parameters()]
        self.critic_weights = weights
        self.critic_optimizer = optimizer(weights, lr=config.agent.learning_rate)
        self.actor_optimizer = optimizer(self.actor.parameters(), lr=config.agent.learning_rate)
        self.num_updates = 0

    def update(self, batch: Batch) -> dict[str, float]:
        """Take one step on a batch of one run."""
        s, a, s2 = batch.observations[0], batch.actions[0], batch.next_observations[0]
        r, d = batch.rewards[0], batch.terminations[0]
        c = self.config
        self.num_updates += 1

        with torch.no_grad():
            noise = batch.draws.normal("target_noise", (BATCH_SIZE, NUM_ACTIONS))[0]
            noise = torch.clip(c.target_noise * noise, -c.target_noise_clip, c.target_noise_clip)
            a2 = torch.clip(torch.tanh(self.target_actor.eval()(s2)) + noise, -1, 1)
        x, x2 = torch.cat([s, a], -1), torch.cat([s2, a2], -1)
        q, next_q = self._values(x, x2)
        targets = [r + c.discount * (1 - d) * value for value in self._reduce(next_q)]
        loss = torch.zeros(())
        for value, target in zip(q, targets, strict=True):
            loss = loss + nn.functional.mse_loss(value, target.detach())
        self.critic_optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            for weight in self.critic_weights:
                weight.mul_(self.decay)
        self.critic_optimizer.step()

        info = {
            "critic/loss": loss.item(),
            "critic/q_mean": torch.stack(q).mean().item(),
            "critic/target_mean": torch.stack(targets).mean().item(),
        }
        if self.num_updates % c.actor_period == 0:
            info |= self._update_actor(s, a)
            self._update_targets()
        return info

    def _values(self, x: Tensor, x2: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        if self.critic_config.norm == "batch_joint":
            both = [critic.train()(torch.cat([x, x2])).squeeze(-1) for critic in self.critics]
            return [v[:BATCH_SIZE] for v in both], [v[BATCH_SIZE:].detach() for v in both]
        q = [critic.train()(x).squeeze(-1) for critic in self.critics]
        next_q = [target.in_own_batch(x2).squeeze(-1).detach() for target in self.target_critics]
        return q, next_q

    def _reduce(self, q: list[Tensor]) -> list[Tensor]:
        together = torch.stack(q)
        match self.critic_config.reducer:
            case "independent":
                return q
            case "lcb":
                weight = self.critic_config.lcb_weight
                bound = together.mean(0) - weight * together.std(0, correction=0)
                return [bound] * len(q)
            case "mean":
                return [together.mean(0)] * len(q)
            case "min":
                return [together.min(0).values] * len(q)

    def _update_actor(self, s: Tensor, a: Tensor) -> dict[str, float]:
        pi = torch.tanh(self.actor.train()(s))
        q = self.critics[0].eval()(torch.cat([s, pi], -1)).squeeze(-1)
        scale = self.config.q_weight / q.abs().mean().item()
        bc = nn.functional.mse_loss(pi, a)
        loss = -scale * q.mean()
        if isinstance(self.config, TD3BCConfig):
            loss = loss + self.config.bc_weight * bc
        self.actor_optimizer.zero_grad()
        loss.backward()
        self.actor_optimizer.step()
        return {
            "actor/loss": loss.item(),
            "actor/q": q.mean().item(),
            "actor/bc_distance": bc.item(),
        }

    @torch.no_grad()
    def _update_targets(self) -> None:
        tau = self.config.tau
        for target, source in zip(
            [self.target_actor, *self.target_critics], [self.actor, *self.critics], strict=True
        ):
            for ours, theirs in zip(target.parameters(), source.parameters(), strict=True):
                ours.copy_((1 - tau) * ours + tau * theirs)
            for ours, theirs in zip(target.buffers(), source.buffers(), strict=True):
                ours.copy_(theirs)

    def networks(self) -> list[Member]:
        return [self.actor, self.target_actor, *self.critics, *self.target_critics]


def assert_agrees(config: TrialConfig) -> None:
    agent = make(config)
    plain = PlainTD3(agent, config)
    for step in range(1, NUM_UPDATES + 1):
        info = agent.update(make_batch(*SEEDS, step=step))
        expected = plain.update(make_batch(SEEDS[RUN], step=step))
        assert info.keys() == expected.keys()
        for name, value in expected.items():
            assert info[name][RUN].item() == pytest.approx(value, rel=1e-9, abs=1e-12), name
        for network in plain.networks():
            assert_same(network.parameters_of_stack())
            assert_same(network.buffers_of_stack())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_every_norm_trains_as_a_plain_td3(algorithm: str, norm: Norm) -> None:
    assert_agrees(tiny(algorithm, norm, agent={"learning_rate": 1e-2, "tau": 0.3}))


@pytest.mark.parametrize(
    "critic",
    [
        {"reducer": "min", "num_critics": 1},
        {"reducer": "mean", "num_critics": 3},
        {"reducer": "lcb", "num_critics": 3, "lcb_weight": 1.5},
        {"reducer": "independent", "num_critics": 3},
    ],
    ids=lambda critic: critic["reducer"],
)
@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_every_reducer_trains_as_a_plain_td3(algorithm: str, critic: dict[str, Any]) -> None:
    assert_agrees(tiny(algorithm, agent={"learning_rate": 1e-2}, **critic))


@pytest.mark.parametrize(
    "agent",
    [
        {"optimizer": "sgd", "learning_rate": 0.1},
        {"tau": 1.0},
        {"discount": 0.5, "q_weight": 0.7},
        {"target_noise": 0.0},
        {"target_noise": 1.0, "target_noise_clip": 0.3},
        {"actor_period": 1},
        {"actor_period": 3},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_every_hyperparameter_acts_as_in_a_plain_td3(
    algorithm: str, agent: dict[str, Any]
) -> None:
    assert_agrees(tiny(algorithm, "layer", agent={"learning_rate": 1e-2, **agent}))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_weight_decay_shrinks_the_critic_alone(algorithm: str, optimizer: str) -> None:
    config = tiny(algorithm, "layer", agent={"learning_rate": 1e-2, "optimizer": optimizer})
    assert_agrees(replace(config, regularizer=RegularizerConfig(weight_decay=3.0)))


def test_the_cloning_weight_acts_as_in_a_plain_td3_bc() -> None:
    assert_agrees(tiny("td3_bc", agent={"bc_weight": 3.0, "learning_rate": 1e-2}))


@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_targets_and_actor_move_on_actor_steps_only(algorithm: str) -> None:
    agent = make(tiny(algorithm, "batch", agent={"actor_period": 3}))
    late = (agent.actor, agent.target_actor, agent.target_critic)
    for step in range(1, 7):
        before = [state(network) for network in late]
        agent.update(make_batch(*SEEDS, step=step))
        still = [unchanged(network, old) for network, old in zip(late, before, strict=True)]
        assert still == [step % 3 != 0] * 3


@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_with_tau_1_targets_are_copies(algorithm: str) -> None:
    agent = make(tiny(algorithm, "spectral", agent={"tau": 1.0, "actor_period": 1}))
    agent.update(make_batch(*SEEDS, step=1))
    assert unchanged(agent.target_critic, state(agent.critic))
    assert unchanged(agent.target_actor, state(agent.actor))


@pytest.mark.parametrize("algorithm", ["td3", "td3_bc"])
def test_an_ended_episode_bootstraps_from_nothing(algorithm: str) -> None:
    agent = make(tiny(algorithm))
    batch = make_batch(*SEEDS, step=1)
    ended = batch._replace(terminations=torch.ones_like(batch.terminations))
    _, info = agent.critic_loss(ended)
    assert_same([(info["critic/target_mean"], batch.rewards.mean(1))])


def test_the_actors_loss_does_not_depend_on_the_scale_of_q() -> None:
    agent = make(tiny("td3"))
    batch = make_batch(*SEEDS, step=1)
    loss, _ = agent.actor_loss(batch)
    with torch.no_grad():
        for parameter in agent.critic.head.parameters():
            parameter.mul_(1000.0)
    scaled, _ = agent.actor_loss(batch)
    assert_same([(scaled, loss)])


def test_the_penalty_is_added_to_the_td_error() -> None:
    batch = make_batch(*SEEDS, step=1)
    plain, plain_info = make(tiny("td3")).critic_loss(batch)
    penalised, info = make(tiny("td3", regularizer="dr3")).critic_loss(batch)
    assert_same([(info["critic/loss"], plain_info["critic/loss"])])
    assert_same([(penalised, plain + 0.01 * info["regularizer/dr3"])])
