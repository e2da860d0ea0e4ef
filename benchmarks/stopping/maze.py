"""The toy maze's part of the corpus: full-batch Q-learning without rewards, by SGD and Adam."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import toy_maze
from torch import Tensor

from rayoff.config import Norm
from stopping.signals import ProbeRows, read_signals

NUM_SEEDS = 8
NUM_READINGS = 40


@dataclass(frozen=True, kw_only=True)
class MazeArm:
    """One setting of the toy maze."""

    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 2e-2
    discount: float = 0.99
    depth: int = 1
    width: int = 64
    norm: Norm = "none"
    walk: int = 1458
    num_steps: int = 1500


_ADAM = {"optimizer": "adam", "learning_rate": 3e-4, "depth": 2, "num_steps": 4000}

MAZE_ARMS: tuple[MazeArm, ...] = (
    *(MazeArm(discount=discount) for discount in (0.9, 0.95, 0.97, 0.98, 0.99)),
    *(MazeArm(discount=discount, walk=1001) for discount in (0.9, 0.97, 0.99)),
    MazeArm(norm="layer"),
    MazeArm(norm="layer", walk=1001),
    MazeArm(depth=2, learning_rate=2e-3, num_steps=4000),
    *(MazeArm(**{**_ADAM, "discount": discount}) for discount in (0.9, 0.95, 0.99)),
    MazeArm(**{**_ADAM, "walk": 1001, "learning_rate": 1e-3}),
    MazeArm(**{**_ADAM, "depth": 1, "learning_rate": 1e-3}),
    MazeArm(**{**_ADAM, "norm": "layer", "learning_rate": 1e-3}),
)


def train(arm: MazeArm) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield the step and every signal of the runs, each (K,), at equal distances."""
    maze = toy_maze.make_maze(arm.walk)
    critic = toy_maze.make_critic(range(NUM_SEEDS), arm.norm, arm.depth, arm.width)
    optimizers: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optimizer = optimizers[arm.optimizer](critic.parameters(), lr=arm.learning_rate)
    period = arm.num_steps // NUM_READINGS
    for index, moment in enumerate(
        toy_maze.train(critic, maze, optimizer, arm.num_steps + 1, arm.discount)
    ):
        if index and index % period == 0:
            yield index, _read(critic, maze, moment, arm.discount)


def _read(
    critic: toy_maze.Critic, maze: toy_maze.Maze, moment: toy_maze.Moment, discount: float
) -> dict[str, Tensor]:
    def rows(x: Tensor) -> Tensor:
        return x.expand(NUM_SEEDS, -1, -1)

    probe = ProbeRows(
        observations=rows(maze.observations),
        actions=rows(maze.actions),
        next_observations=rows(maze.next_observations),
        next_actions=moment.next_actions,
        terminations=torch.zeros_like(moment.q),
    )
    squares = sum(p.detach().square().flatten(1).sum(1) for p in critic.parameters())
    return read_signals(critic, probe, discount) | {
        "q_abs": moment.q.abs().mean(-1),
        "q_max": moment.q.abs().amax(-1),
        "parameter_norm": torch.as_tensor(squares).sqrt(),
        "loss": moment.errors.square().mean(-1),
    }
