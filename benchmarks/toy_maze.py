"""A maze without rewards: every growth of Q is self-excitation.

One random walk of 64 states in the plane by 8 compass steps; all rewards are zero, so the true
Q is zero. The critic is fitted by full-batch Q-learning without a target network, from torch's
default initial weights, so that published numbers of certain seeds can be met.

Shapes: K runs, M = 63 transitions, 8 actions.

Source:
    Yue et al. 2023, arXiv 2310.04411, toy-maze of the authors' code; written anew for K runs.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rayoff.config import CriticConfig, Norm
from rayoff.draws import Draws
from rayoff.networks import Critic
from rayoff.seem import read_seem

DISCOUNT = 0.99


class Maze(NamedTuple):
    """The transitions; observations and actions are points of the plane.

    One walk for all runs, (M, 2), or one for each, (K, M, 2).
    """

    observations: Tensor
    actions: Tensor
    next_observations: Tensor
    compass: Tensor
    """All actions, (8, 2)."""


class Moment(NamedTuple):
    """The critic before an update."""

    q: Tensor
    """At the transitions, (K, M)."""
    errors: Tensor
    """Q less its target, (K, M)."""
    next_actions: Tensor
    """Greedy, (K, M, 2)."""


def make_maze(seed: int = 1458, dtype: torch.dtype = torch.float32) -> Maze:
    """Return the walk of a seed; 1458 is the published one."""
    random = np.random.RandomState(seed)  # the published walk needs the legacy generator
    angles = np.arange(8) * np.pi / 4
    compass = np.stack([np.cos(angles), np.sin(angles)], -1)
    states, actions = [random.rand(2)], []
    for _ in range(63):
        actions.append(compass[random.randint(0, 8)])
        states.append(states[-1] + 0.1 * actions[-1] + 0.02 * random.rand(2))
    walk = torch.tensor(np.array(states), dtype=dtype)
    steps = torch.tensor(np.array(actions), dtype=dtype)
    return Maze(walk[:-1], steps, walk[1:], torch.tensor(compass, dtype=dtype))


def stack_mazes(mazes: Sequence[Maze]) -> Maze:
    """Return one maze of K runs, each in a walk of its own."""
    observations, actions, next_observations, _ = map(torch.stack, zip(*mazes, strict=True))
    return Maze(observations, actions, next_observations, mazes[0].compass)


def make_critic(
    seeds: Sequence[int],
    norm: Norm = "none",
    depth: int = 1,
    width: int = 64,
    dtype: torch.dtype = torch.float32,
) -> Critic:
    """Return one critic a seed, with the weights that torch.nn.Linear draws under that seed."""
    config = CriticConfig(depth=depth, width=width, norm=norm, num_critics=1)
    critic = Critic(config, 2, 2, Draws(torch.tensor(seeds), torch.tensor(0)))
    linears = [*(block.linear for block in critic.blocks), critic.head]
    with torch.random.fork_rng(), torch.no_grad():
        for k, seed in enumerate(seeds):
            torch.manual_seed(seed)
            for linear in linears:
                drawn = nn.Linear(*linear.weight.shape[-2:])
                linear.weight[k, 0].copy_(drawn.weight.T)
                linear.bias[k, 0].copy_(drawn.bias)
    return critic.to(dtype)


def observe(critic: Critic, maze: Maze, discount: float = DISCOUNT) -> Moment:
    """Return Q, TD errors and greedy actions; only Q carries a gradient."""
    num_runs, num_rows = critic.head.weight.shape[0], maze.actions.shape[-2]

    def rows(x: Tensor) -> Tensor:
        return x.expand(num_runs, -1, -1)

    with torch.no_grad():
        everywhere = maze.next_observations.repeat_interleave(8, -2)
        any_action = maze.compass.repeat(num_rows, 1)
        next_q = critic(rows(everywhere), rows(any_action))[:, 0].unflatten(1, (num_rows, 8))
        target, greedy = next_q.max(-1)
    q = critic(rows(maze.observations), rows(maze.actions))[:, 0]
    return Moment(q, q - discount * target, maze.compass[greedy])


def train(
    critic: Critic,
    maze: Maze,
    optimizer: torch.optim.Optimizer,
    num_steps: int,
    discount: float = DISCOUNT,
) -> Iterator[Moment]:
    """Yield the moment before each update."""
    for _ in range(num_steps):
        moment = observe(critic, maze, discount)
        yield Moment(*(x.detach() for x in moment))
        optimizer.zero_grad()
        moment.errors.square().mean(-1).sum().backward()
        optimizer.step()


def read(
    critic: Critic, maze: Maze, moment: Moment, discount: float = DISCOUNT
) -> dict[str, Tensor]:
    """Return SEEM over all transitions, each (K,)."""
    num_runs = len(moment.q)
    observations, actions, next_observations = (x.expand(num_runs, -1, -1) for x in maze[:3])
    return read_seem(
        critic, observations, actions, next_observations, moment.next_actions, discount
    )
