"""A plain critic of the toy maze under Adam: |Q| grows as a power of time, without a crash.

Source: Yue et al. 2023, arXiv 2310.04411: the order of divergence under Adam.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from toy_maze import make_critic, make_maze, read, train

from laws.checks import Check, Finding
from rayoff.forecast import forecast
from rayoff.seem import kernel

LEARNING_RATE = 3e-4
NUM_LAYERS = 3


class Growth(NamedTuple):
    """A run, read at equal distances."""

    steps: list[int]
    """When it was read, (T,) [step]."""
    q_abs: list[float]
    """Mean |Q|, (T,)."""
    norms: list[float]
    """Of the parameters, (T,)."""
    seem: list[float]
    """Over the Frobenius norm, (T,)."""
    kernel_cosines: list[float]
    """Of each kernel to the last, (T,)."""
    num_parameters: int
    """P, of the critic."""

    def since(self, first: int) -> slice:
        """Return the readings from step ``first`` on."""
        return slice(self.steps.index(first), None)


def run(num_steps: int, period: int) -> Growth:
    """Train the published critic with a layer more, and read it every ``period`` steps."""
    maze, critic = make_maze(), make_critic([111], depth=NUM_LAYERS - 1)
    pairs = torch.cat([maze.observations, maze.actions], -1)[None]
    optimizer = torch.optim.Adam(critic.parameters(), lr=LEARNING_RATE, fused=True)
    growth = Growth([], [], [], [], [], sum(p.numel() for p in critic.parameters()))
    kernels: list[Tensor] = []
    for step, moment in enumerate(train(critic, maze, optimizer, num_steps + 1)):
        if step % period == 0:
            growth.steps.append(step)
            growth.q_abs.append(moment.q.abs().mean().item())
            parameters = torch.cat([p.detach().flatten() for p in critic.parameters()])
            growth.norms.append(parameters.norm().item())
            growth.seem.append(read(critic, maze, moment)["seem/normalized"].item())
            kernels.append(kernel(critic, pairs, pairs.shape[1]).double().flatten())
    last = kernels[-1]
    growth.kernel_cosines.extend(torch.cosine_similarity(k, last, dim=0).item() for k in kernels)
    return growth


def examine() -> Finding:
    """Return what is found of R4."""
    growth = run(40_000, period=1000)
    half, settled = growth.since(20_000), growth.since(2_000)
    steps = growth.steps[half]
    norm = forecast("adam", steps, growth.norms[half], math.inf, num_layers=1)
    q = forecast("adam", steps, growth.q_abs[half], math.inf, num_layers=NUM_LAYERS)
    slope = norm.slope / (LEARNING_RATE * math.sqrt(growth.num_parameters))
    seem = growth.seem[half]
    check = partial(Check, "R4")
    checks = [
        check(
            "R² of the parameter norm, steps 20,000 to 40,000", "0.9999", norm.r_squared, low=0.999
        ),
        check("its slope over η√P", "0.74", slope, low=0.7, high=1.1),
        check("R² of |Q|^(1/3)", "0.9999", q.r_squared, low=0.999),
        check(
            "smallest cosine of the kernel to the last, from step 2,000",
            "≥ 0.999",
            min(growth.kernel_cosines[settled]),
            low=0.999,
        ),
        check("smallest normalised SEEM", "0.45", min(seem), low=0.4, high=0.5),
        check("largest normalised SEEM", "0.45", max(seem), low=0.4, high=0.5),
        check(
            "readings of |Q| that are not finite",
            "0",
            sum(not math.isfinite(q) for q in growth.q_abs),
            low=0,
            high=0,
        ),
    ]
    return Finding(checks, {})
