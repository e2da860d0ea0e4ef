"""A plain critic of the toy maze under SGD: its way to the crash, and the crash foretold.

Source: Yue et al. 2023, arXiv 2310.04411: the order of divergence under SGD, and the settling of
the parameters' direction.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from toy_maze import Maze, make_critic, make_maze, read, train

from laws.checks import Check, Finding, around
from rayoff.forecast import Forecast, crash_from_seem, forecast
from rayoff.networks import Critic
from rayoff.plots.style import ARM_COLORS, REFERENCE_COLOR
from rayoff.seem import kernel

LEARNING_RATE = 2e-2
DEEP_LEARNING_RATE = 2e-3
"""Of the run of three layers."""


class Crash(NamedTuple):
    """A run until |Q| is beyond doubt."""

    q: NDArray[np.float64]
    """Mean Q before each update, (T,)."""
    rates: dict[int, float]
    """SEEM rate by step."""
    directions: NDArray[np.float64]
    """Cosine of the parameters to those when |Q| first passes 1e6, until then, (T',)."""
    kernel_cosine: float
    """Of the kernel at the start to that at the last reading of SEEM."""

    def first_above(self, limit: float) -> int:
        """Return the first step at which |Q| is above ``limit`` or no number."""
        return int(np.argmax(~(np.abs(self.q) <= limit)))


def run_to_crash(
    seed: int,
    num_steps: int,
    read_at: Sequence[int],
    depth: int = 1,
    learning_rate: float = LEARNING_RATE,
    dtype: torch.dtype = torch.float32,
) -> Crash:
    """Train one critic and return what it went through.

    Args:
        seed: of the initial weights.
        num_steps: updates [step]; |Q| must pass 1e6 within them.
        read_at: steps at which SEEM is read.
        depth: hidden layers, L - 1.
        learning_rate: of SGD.
        dtype: of everything.
    """
    maze, critic = make_maze(dtype=dtype), make_critic([seed], depth=depth, dtype=dtype)
    optimizer = torch.optim.SGD(critic.parameters(), lr=learning_rate)
    q, rates, parameters = [], {}, []
    first = last = _kernel(critic, maze)
    for step, moment in enumerate(train(critic, maze, optimizer, num_steps)):
        q.append(moment.q.mean().item())
        parameters.append(torch.cat([p.detach().flatten() for p in critic.parameters()]).double())
        if step in read_at:
            rates[step] = read(critic, maze, moment)["seem/rate"].item()
            last = _kernel(critic, maze)
    end = int(np.argmax(~(np.abs(q) <= 1e6)))
    path = torch.stack(parameters[: end + 1])
    cosine = torch.cosine_similarity
    directions = cosine(path, path[-1:], dim=1).numpy()
    kernel_cosine = cosine(first.flatten(), last.flatten(), dim=0).item()
    return Crash(np.array(q), rates, directions, kernel_cosine)


def _kernel(critic: Critic, maze: Maze) -> Tensor:
    """Return G(X, X) in float64, (1, 1, M, M)."""
    pairs = torch.cat([maze.observations, maze.actions], -1)
    return kernel(critic, pairs[None], len(pairs)).double()


def published_crash() -> Crash:
    """Return the published run of two layers, with SEEM every 25 steps from 100 on."""
    return run_to_crash(111, 310, range(100, 301, 25))


def three_layer_crash() -> Crash:
    """Return a run of three layers, with SEEM every 50 steps from 950 to 1,700."""
    steps = range(950, 1701, 50)
    return run_to_crash(
        1, 1810, steps, depth=2, learning_rate=DEEP_LEARNING_RATE, dtype=torch.float64
    )


def fit(crash: Crash, first: int, last: int) -> Forecast:
    """Return the crash by the law of two layers, from |Q| at steps first to last - 1."""
    steps = np.arange(first, last)
    return forecast("sgd", steps, np.abs(crash.q[steps]), math.inf, num_layers=2)


def examine() -> Finding:
    """Return what is found of R1, R3 and R9."""
    crash, deep = published_crash(), three_layer_crash()
    checks = [*_law_checks(crash), *_seem_checks(crash, deep)]
    return Finding([*checks, *_direction_checks(crash)], {"laws-crash": draw(crash)})


def _law_checks(crash: Crash) -> list[Check]:
    found, early, trailing = fit(crash, 200, 290), fit(crash, 200, 250), fit(crash, 180, 200)
    check = partial(Check, "R1")
    return [
        check("1/Q at step 200", "0.302", 1 / crash.q[200], **around(0.302, 0.002)),
        check("1/Q at step 250", "0.151", 1 / crash.q[250], **around(0.151, 0.002)),
        check("R² of 1/Q, steps 200 to 289", "0.99974", found.r_squared, low=0.999),
        check("its slope per step", "-2.9e-3", found.slope, **around(-2.9e-3, 1e-4)),
        check("crash it foretells [step]", "302.1", found.step, **around(302.1, 3)),
        check("from steps 200 to 249 [step]", "299.8", early.step, **around(299.8, 3)),
        check("from steps 180 to 199 [step]", "289", trailing.step, **around(289, 3)),
        check("|Q| passes 1e3 [step]", "303", crash.first_above(1e3), **around(303, 3)),
        check("|Q| passes 1e6 [step]", "305", crash.first_above(1e6), **around(305, 3)),
    ]


def _seem_checks(crash: Crash, deep: Crash) -> list[Check]:
    check = partial(Check, "R3")
    end, deep_end = crash.first_above(1e6), deep.first_above(1e6)
    foretold = {s: crash_from_seem(s, r, LEARNING_RATE, 2) for s, r in crash.rates.items()}
    errors = [
        abs(crash_from_seem(s, r, DEEP_LEARNING_RATE, 3) / deep_end - 1)
        for s, r in deep.rates.items()
    ]
    return [
        *(
            check(
                f"crash from one reading at step {step} [step]",
                published,
                foretold[step],
                **around(end, tolerance * end),
            )
            for step, published, tolerance in [
                (200, "281", 0.09),
                (250, "296", 0.04),
                (275, "299", 0.025),
            ]
        ),
        check("3 layers: |Q| passes 1e6 [step]", "1,803", deep_end, **around(1803, 3)),
        check(
            f"3 layers: worst relative error of {len(errors)} readings, steps 950 to 1,700",
            "0.066",
            max(errors),
            high=0.08,
        ),
    ]


def _direction_checks(crash: Crash) -> list[Check]:
    check = partial(Check, "R9")
    return [
        check("cosine of the first kernel to the last", "≥ 0.995", crash.kernel_cosine, low=0.995),
        *(
            check(
                f"cosine of the parameters at step {step} to the last",
                f"{published:.2f}",
                float(crash.directions[step]),
                **around(published, 0.01),
            )
            for step, published in [(0, 0.22), (200, 0.40), (275, 0.64), (300, 0.94)]
        ),
        check("its smallest rise in a step", "> 0", float(np.diff(crash.directions).min()), low=0),
    ]


def draw(crash: Crash) -> Figure:
    """Return 1/Q over steps with the crash that it points at, and the crash foretold early."""
    end = crash.first_above(1e6)
    steps = np.arange(100, end)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, 1 / crash.q[steps], ".", color=REFERENCE_COLOR, ms=3, label="1 / mean Q")
    for color, (first, last) in zip(ARM_COLORS, [(200, 250), (200, 290)], strict=False):
        found = fit(crash, first, last)
        label = f"line through {first} to {last - 1}: {found.step:.1f}"
        ends = np.array([first, found.step])
        left.plot(ends, found.slope * (ends - found.step), color=color, lw=1.2, label=label)
    left.set_ylabel("1 / Q")
    made = range(120, end - 2, 5)
    trailing = [fit(crash, step - 20, step).step for step in made]
    right.plot(made, trailing, "s", color=ARM_COLORS[0], ms=3, label="1/Q of the last 20 steps")
    readings = {s: crash_from_seem(s, r, LEARNING_RATE, 2) for s, r in crash.rates.items()}
    right.plot(
        *zip(*readings.items(), strict=True), "D", color=ARM_COLORS[1], label="one reading of SEEM"
    )
    right.axhline(end, color=REFERENCE_COLOR, ls="--", lw=1.0, label="|Q| passes 1e6")
    right.set(ylabel="crash foretold [step]", ylim=(200, 330))
    left.axvline(end, color=REFERENCE_COLOR, ls="--", lw=1.0, label=f"|Q| passes 1e6: {end}")
    left.legend(fontsize=8, loc="lower left")
    right.legend(fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("gradient step")
    return figure
