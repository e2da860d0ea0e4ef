"""What is timed: an agent of some width, for some seeds, on a device, on made data.

Shapes: K runs (seeds), M rows; 11-d states and 3-d actions, as hopper has them.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rayoff.agents import Agent, make_agent
from rayoff.config import (
    AGENT_CONFIGS,
    ActorConfig,
    CriticConfig,
    Norm,
    Precision,
    TrialConfig,
)
from rayoff.data import Rows, Transitions
from rayoff.draws import AheadDraws, Draws
from rayoff.networks import enable_fast_products, keep_freed_memory
from rayoff.trial.replay import EagerStep, Replay, make_draws
from rayoff.trial.sampling import Sampler

NUM_ROWS, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS = 10_000, 256, 11, 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of training step; all other choices are the defaults."""

    algorithm: str = "td3_bc"
    num_seeds: int = 1
    """K, runs that are stacked."""
    width: int = 256
    """Units of the two hidden layers of actor and critics."""
    norm: Norm = "none"
    """Of the critics."""
    precision: Precision = "float32"
    """Of the matrix products."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    eager: bool = False
    """Operation by operation, instead of replayed."""

    @property
    def config(self) -> TrialConfig:
        """The trial that takes such steps."""
        return TrialConfig(
            algorithm=self.algorithm,
            agent=AGENT_CONFIGS[self.algorithm](),
            actor=ActorConfig(width=self.width),
            critic=CriticConfig(width=self.width, norm=self.norm),
            batch_size=BATCH_SIZE,
            precision=self.precision,
        )

    @property
    def limit(self) -> str:
        """The contender that it is held against: a plain product of its device and precision."""
        return f"limit:{self.device}:{self.precision}"

    @property
    def network(self) -> str:
        """The networks in words, such as ``2 x 256, layer, bfloat16``."""
        choices = [one for one in (self.norm, self.precision) if one not in ("none", "float32")]
        return ", ".join([f"2 x {self.width}", *choices])

    @property
    def seeds_in_words(self) -> str:
        """``1 seed``, or ``8 stacked seeds``."""
        return "1 seed" if self.num_seeds == 1 else f"{self.num_seeds} stacked seeds"

    def eagerly(self) -> "Case":
        """Return the case whose steps are eager."""
        return replace(self, eager=True)

    def on_cpu_alone(self) -> "Case":
        """Return the eager case of one run on the CPU, whose steps are the same operations."""
        return replace(self, num_seeds=1, device="cpu", eager=True)


class Training(NamedTuple):
    """An agent in training."""

    agent: Agent
    replay: Replay


def prepare(device: str) -> None:
    """Set the process up as a trial does, with one thread."""
    torch.set_num_threads(1)
    if device == "cpu":
        enable_fast_products()
        keep_freed_memory()


def start(case: Case) -> Training:
    """Return an agent with its initial weights; no step has been taken."""
    agent, sampler, seeds, step = _make(case)
    draws = make_draws(seeds, step)
    return Training(
        agent, Replay(agent, sampler, draws, precision=case.precision, eager=case.eager)
    )


def single_step(case: Case) -> EagerStep:
    """Return what takes one step after another, as they are captured on a GPU."""
    agent, sampler, seeds, step = _make(case)
    return EagerStep(agent, sampler, AheadDraws(seeds, step), case.precision)


def _make(case: Case) -> tuple[Agent, Sampler, Tensor, Tensor]:
    """Return agent, sampler, seeds (K,) and the step () of its draws."""
    seeds = torch.arange(case.num_seeds, device=case.device)
    step = torch.zeros((), dtype=torch.int64, device=case.device)
    agent = make_agent(case.config, NUM_OBSERVATIONS, NUM_ACTIONS, Draws(seeds, step.clone()))
    return agent, Sampler(_rows(case.device), BATCH_SIZE), seeds, step


def _rows(device: str) -> Rows:
    """Return random rows, of which each 500th ends an episode; (M, ...)."""
    generator = torch.Generator().manual_seed(0)
    widths = (NUM_OBSERVATIONS, NUM_ACTIONS, NUM_OBSERVATIONS, NUM_ACTIONS)
    s, a, s_next, a_next = (torch.rand(NUM_ROWS, w, generator=generator) * 2 - 1 for w in widths)
    rewards = torch.randn(NUM_ROWS, generator=generator)
    terminations = (torch.arange(NUM_ROWS) % 500 == 499).float()
    columns = (s, a, rewards, s_next, a_next, terminations)
    return Rows.of(Transitions(*(column.to(device) for column in columns)))
