"""The speed and the memory of one case, and the limits that it is held against."""

from dataclasses import replace
from typing import NamedTuple

import torch

from rayoff.config import Precision
from rayoff.networks import products_in
from speed.cases import Case, prepare, start
from speed.clocks import PeakMemory, calls_per_second


class Figures(NamedTuple):
    """What was measured of a case."""

    steps_per_second: float
    """Gradient steps of all runs together, sampling included [1/s]."""
    mebibytes: float
    """Memory of data, agent, records and temporaries at their peak [MiB]."""
    obstacle: str | None
    """Why steps were not replayed, where they were to be."""


def measure(case: Case, seconds: float) -> Figures:
    """Return the figures of a case in this process, which should have run nothing else.

    Args:
        case: what is trained.
        seconds: of the measurement, at least [s].
    """
    prepare(case.device)
    # torch imports more, some 80 MiB, where its first optimiser is made
    start(replace(case, num_seeds=1, width=16, eager=True)).replay.advance(1)
    with PeakMemory(case.device) as peak:
        agent, replay = start(case)
        # far fewer than lie between two probes of a study; a GPU takes them in as long
        num_steps = 20 if case.device == "cpu" or case.eager else 200
        num_warmup = 2 + 5 * agent.actor_period // num_steps  # both kinds of step are recorded
        rate = calls_per_second(
            lambda: replay.advance(num_steps), seconds, num_warmup, case.device
        )
    obstacle = None if case.eager else replay.obstacle
    return Figures(case.num_seeds * num_steps * rate, peak.mebibytes, obstacle)


def measure_limit(seconds: float, device: str = "cpu", precision: Precision = "float32") -> float:
    """Return the best rate of a matrix product [GFLOP/s].

    Args:
        seconds: of the measurement, at least [s].
        device: of 256 rows and columns on the ``cpu``, of 8192 on ``cuda``.
        precision: of the product.
    """
    prepare(device)
    size = 256 if device == "cpu" else 8192
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    num_warmup = 100 if device == "cpu" else 3
    with products_in(precision):
        rate = calls_per_second(lambda: torch.mm(a, b, out=out), seconds, num_warmup, device)
    return 2 * size**3 * rate / 1e9


def measure_products(seconds: float) -> float:
    """Return steps per second of the matrix products of a td3_bc step and nothing else."""
    prepare("cpu")
    x, hidden = torch.randn(2, 256, 14), torch.randn(2, 256, 256)
    first, second, bias = torch.randn(2, 14, 256), torch.randn(2, 256, 256), torch.randn(2, 1, 256)

    def forward(networks: slice) -> None:
        torch.baddbmm(bias[networks], x[networks], first[networks])
        torch.baddbmm(bias[networks], hidden[networks], second[networks])

    def backward(networks: slice, *, weights: bool = True) -> None:
        torch.bmm(hidden[networks], second[networks].mT)
        if weights:
            torch.bmm(hidden[networks].mT, hidden[networks])
            torch.bmm(x[networks].mT, hidden[networks])
        else:  # down to the actions
            torch.bmm(hidden[networks], first[networks].mT)

    one, both = slice(1), slice(2)

    def two_steps() -> None:
        for _ in range(2):  # target actor, target critics, critics
            forward(one)
            forward(both)
            forward(both)
            backward(both)
        forward(one)  # actor, and the first critic under it
        forward(one)
        backward(one, weights=False)
        backward(one)

    return 2 * calls_per_second(two_steps, seconds)
