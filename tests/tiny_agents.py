"""Every agent in every architecture, small, trained on random transitions."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, get_args

import pytest
import torch
from torch import Tensor, nn
from torch_members import draw_batch

from rayoff.agents import AGENTS, Agent, make_agent
from rayoff.batch import Batch
from rayoff.config import (
    AGENT_CONFIGS,
    ActorConfig,
    CriticConfig,
    Norm,
    RegularizerConfig,
    TrialConfig,
)
from rayoff.draws import Draws

NUM_UPDATES, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS, WIDTH = 50, 23, 5, 3, 18
"""No size is a multiple of a vector register, so that kernels take their odd paths too."""

NORMS: tuple[Norm, ...] = get_args(Norm)
REGULARIZERS: dict[str, dict[str, Any]] = {
    "none": {},
    "rd_1": {"rd_weight": 0.01},
    "rd_2": {"rd_weight": 0.01, "rd_stage": "2"},
    "rd_auto": {"rd_weight": 0.01, "rd_stage": "auto", "rd_switch_distance": 0.8},
    "dr3": {"dr3_weight": 0.01},
    "decay": {"weight_decay": 0.1},
}


def tiny(
    algorithm: str,
    norm: Norm = "none",
    regularizer: str = "none",
    *,
    agent: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    **critic: Any,  # noqa: ANN401
) -> TrialConfig:
    """Return a trial's configuration; ``network`` holds for actor and critic."""
    both: dict[str, Any] = {"width": WIDTH, "num_groups": 6, **(network or {})}
    actor_norm = "batch" if norm == "batch_joint" else norm
    return TrialConfig(
        algorithm=algorithm,
        agent=AGENT_CONFIGS[algorithm](**agent or {}),
        actor=ActorConfig(norm=actor_norm, **both),
        critic=CriticConfig(norm=norm, **both | critic),
        regularizer=RegularizerConfig(**REGULARIZERS[regularizer]),
        batch_size=BATCH_SIZE,
    )


def has_critic(algorithm: str) -> bool:
    return hasattr(AGENT_CONFIGS[algorithm], "discount")


_QUICK = {"td3": "dr3", "td3_bc": "rd_auto"}

CASES = [
    pytest.param(
        tiny(algorithm, norm, regularizer),
        id=f"{algorithm}-{norm}-{regularizer}",
        marks=() if regularizer == _QUICK.get(algorithm, "none") else pytest.mark.slow,
    )
    for algorithm in AGENTS
    for norm in NORMS
    for regularizer in REGULARIZERS
    if has_critic(algorithm) or regularizer == "none"
]
"""Every agent x norm x regulariser; an agent without a critic has nothing to regularise. One
regulariser an agent is quick; all take half a minute."""


class Trained(NamedTuple):
    agent: Agent
    before: dict[str, Tensor]
    """Its tensors before the first update."""
    infos: list[dict[str, Tensor]]
    """Statistics of each update."""


def tensors(agent: Agent) -> dict[str, Tensor]:
    """Return all weights, statistics and averages of an agent, each (K, ...)."""
    parts = {
        name: part
        for name, part in vars(agent).items()
        if isinstance(part, nn.Module) and not name.startswith("_")
    }
    found: dict[str, Tensor] = {}
    if regularizer := vars(agent).get("regularizer"):
        parts["outlier_actor"] = regularizer.outlier_actor
        found["distance"] = regularizer.distance
    for name, part in parts.items():
        found |= {f"{name}.{key}": value.detach() for key, value in part.state_dict().items()}
    return found


def make_draws(seeds: tuple[int, ...], num_ahead: int = 1, device: str = "cpu") -> Draws:
    step = torch.tensor(0, device=device)
    return Draws(torch.tensor(seeds, device=device), step, num_ahead)


def make_tiny_agent(config: TrialConfig, draws: Draws) -> Agent:
    return make_agent(config, NUM_OBSERVATIONS, NUM_ACTIONS, draws)


@cache
def batches(seeds: tuple[int, ...]) -> list[Batch]:
    """Return the batches of all steps; their draws are those of no step."""
    draws, found = make_draws(seeds), []
    for _ in range(NUM_UPDATES):
        draws.advance()
        found.append(draw_batch(draws, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS))
    return found


def train(config: TrialConfig, seeds: tuple[int, ...], num_updates: int = NUM_UPDATES) -> Trained:
    """Train an agent on the first batches of its seeds."""
    agent = make_tiny_agent(config, make_draws(seeds))
    before = {name: value.clone() for name, value in tensors(agent).items()}
    draws, infos = make_draws(seeds, num_ahead=num_updates + 1), []
    for batch in batches(seeds)[:num_updates]:
        draws.advance()
        infos.append(agent.update(batch._replace(draws=draws)))
    return Trained(agent, before, infos)


@cache
def trained(config: TrialConfig, seeds: tuple[int, ...]) -> Trained:
    """Train as ``train`` does, once; the result is for reading only."""
    return train(config, seeds)
