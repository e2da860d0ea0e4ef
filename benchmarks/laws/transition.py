"""Which discounts let a plain critic diverge: none below a threshold, nearly all above it.

Every run has a walk and initial weights of its own; the runs of a discount train side by side.

Source: Yue et al. 2023, arXiv 2310.04411, figure 1, on the toy maze in place of Walker2d.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor
from toy_maze import make_critic, make_maze, read, stack_mazes, train

from laws.checks import Check, Finding
from rayoff.plots.style import ARM_COLORS

LABELLED = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
DISCOUNTS = (0.5, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99)
NUM_SEEDS, NUM_STEPS = 24, 1500
FAR = 1e4
"""|Q| at which a run counts as diverged; the true Q is zero."""


class Outcome(NamedTuple):
    """What became of the runs of a discount."""

    diverged: Tensor
    """Whether |Q| passed ``FAR``, (K,)."""
    seem: Tensor
    """Normalised SEEM at the last reading with |Q| below ``FAR``, (K,)."""


def run(discount: float, seeds: Sequence[int], num_steps: int = NUM_STEPS) -> Outcome:
    """Train one run a seed, reading SEEM every 50 steps."""
    maze = stack_mazes([make_maze(1000 + seed) for seed in seeds])
    critic = make_critic(seeds)
    optimizer = torch.optim.SGD(critic.parameters(), lr=2e-2)
    diverged = torch.zeros(len(seeds), dtype=torch.bool)
    seem = torch.zeros(len(seeds))
    for step, moment in enumerate(train(critic, maze, optimizer, num_steps, discount)):
        diverged |= ~(moment.q.mean(-1).abs() <= FAR)  # nan is far
        if step % 50 == 0:
            reading = read(critic, maze, moment, discount)["seem/normalized"]
            seem = torch.where(diverged, seem, reading)
    return Outcome(diverged, seem)


def examine() -> Finding:
    """Return what is found of R8."""
    outcomes = {discount: run(discount, range(NUM_SEEDS)) for discount in DISCOUNTS}
    counts = {discount: int(outcome.diverged.sum()) for discount, outcome in outcomes.items()}
    demands = {
        0.5: ("0", 0, 0),
        0.8: ("0", 0, 0),
        0.9: ("0", 0, 0),
        0.95: ("0", 0, 0),
        0.97: ("20", 18, 24),
        0.99: ("23", 22, 24),
    }
    checks = [
        Check("R8", f"discount {d:g}: diverged of {NUM_SEEDS}", published, counts[d], low, high)
        for d, (published, low, high) in demands.items()
    ]
    return Finding(checks, {"laws-discount": draw(outcomes)})


def draw(outcomes: dict[float, Outcome]) -> Figure:
    """Return the share of diverged runs and their SEEM over the discount."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = [outcome.diverged.float().mean().item() for outcome in outcomes.values()]
    left.plot(
        [_horizon(discount) for discount in outcomes], shares, "o-", color=ARM_COLORS[1], lw=1.2
    )
    left.set_ylabel(f"share of {NUM_SEEDS} seeds that diverge")
    for diverges, color, marker, label in (
        (False, ARM_COLORS[0], "o", "stays bounded"),
        (True, ARM_COLORS[1], "x", "|Q| passes 1e4"),
    ):
        points = [
            (_horizon(discount), seem)
            for discount, outcome in outcomes.items()
            for seem in outcome.seem[outcome.diverged == diverges].tolist()
        ]
        right.plot(*zip(*points, strict=True), marker, color=color, ms=4, alpha=0.6, label=label)
    right.set_ylabel("last SEEM / ||A|| before that")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("discount")
        axes.set_xticks([_horizon(d) for d in LABELLED], labels=[f"{d:g}" for d in LABELLED])
        axes.set_xticks([], minor=True)
    return figure


def _horizon(discount: float) -> float:
    """Return the steps over which rewards count, by which discounts near 1 are told apart."""
    return 1 / (1 - discount)
