"""All that is measured on one device in one process: speed, memory, loss curves, SEEM.

Shapes: K runs, M probe rows.
"""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rayoff.agents import AGENTS
from rayoff.config import Precision
from rayoff.seem import read_seem
from speed.agreement import Agreement, measure_agreement
from speed.cases import NUM_ACTIONS, NUM_OBSERVATIONS, Case, start
from speed.clocks import calls_per_second
from speed.measuring import measure, measure_limit
from speed.passes import Figures, Pass
from speed.work import count_work


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    width: int = 256
    seeds: tuple[int, ...] = (1, 8, 64, 256)
    """K, of every agent."""
    num_stacked: int = 64
    """K of the bars on stacked runs and on SEEM."""
    other_widths: tuple[int, ...] = (64, 1024)
    """Of td3_bc alone."""
    num_rows: int = 256
    """M, rows of a SEEM reading."""
    num_steps: int = 1000
    """Of the loss curves."""


SMOKE = Sizes(width=16, seeds=(1, 2), num_stacked=2, other_widths=(32,), num_rows=8, num_steps=12)


class Survey(NamedTuple):
    """What was measured."""

    cases: list[Case]
    passes: list[Pass]
    """Figures by case, and the rates of plain products by ``Case.limit``."""
    agreements: dict[str, Agreement]
    """By agent."""
    seem_milliseconds: dict[str, float]
    """A reading of SEEM of all stacked runs at once [ms], by what it finds."""


def survey(sizes: Sizes, device: str, seconds: float, num_passes: int) -> Survey:
    """Return all measurements, and tell of each part as it ends.

    Args:
        sizes: how much is measured.
        device: ``cuda`` or ``cpu``.
        seconds: of each measurement [s].
        num_passes: over the cases.
    """
    cases = chosen_cases(sizes, device)
    passes = []
    for index in range(num_passes):
        passes.append(_measure_limits(cases, seconds) | {c: figures_of(c, seconds) for c in cases})
        _tell(f"pass {index + 1} of {num_passes} done")
    agreements = {}
    for algorithm in AGENTS:
        case = Case(algorithm=algorithm, num_seeds=2, width=sizes.width, device=device)
        agreements[algorithm] = measure_agreement(case, sizes.num_steps)
        _tell(f"loss curves of {algorithm} done")
    seem = {name: measure_seem(name, sizes, device, seconds) for name in NEXT_ROWS}
    return Survey(cases, passes, agreements, seem)


def chosen_cases(sizes: Sizes, device: str) -> list[Case]:
    """Return the eager loop over a single td3_bc, every agent by seeds, and td3_bc otherwise."""
    few_and_many = (1, sizes.num_stacked)
    seeds = sorted({*few_and_many, *sizes.seeds})
    precisions: list[Precision] = ["bfloat16"] if device == "cpu" else ["tf32", "bfloat16"]
    width = sizes.width
    return [
        Case(width=width, device=device, eager=True),
        *(
            Case(algorithm=algorithm, num_seeds=num_seeds, width=width, device=device)
            for algorithm in AGENTS
            for num_seeds in seeds
        ),
        *(
            Case(num_seeds=num_seeds, width=width, device=device)
            for width in sizes.other_widths
            for num_seeds in few_and_many
        ),
        *(
            Case(num_seeds=num_seeds, width=width, precision=precision, device=device)
            for precision in precisions
            for num_seeds in few_and_many
        ),
    ]


def _measure_limits(cases: list[Case], seconds: float) -> Pass:
    """Return the rates of the plain products that the cases are held against."""
    needed = {case.limit: case for case in cases}
    return {
        name: {"gflop_per_second": measure_limit(seconds, case.device, case.precision)}
        for name, case in needed.items()
    }


def figures_of(case: Case, seconds: float) -> Figures:
    """Return the figures of a case; nan and the reason where it does not fit the memory."""
    if case.device != "cpu":
        gc.collect()  # the graphs of the last case and their memory go with it
    try:
        figures = measure(case, seconds)._asdict()
    except torch.OutOfMemoryError as error:
        nan = float("nan")
        figures = {"steps_per_second": nan, "mebibytes": nan, "obstacle": str(error)}
    return figures | count_work(case)._asdict()


NEXT_ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "stable": lambda row, noise: row + 0.1 * noise,
    "unstable": lambda row, _: 2 * row,
}
"""What follows a row of the probe, such that critics with their initial weights are stable or not.

The eigenvalue of a stable critic lies among many, and takes all of them to be found; that of one
that amplifies its errors stands apart, and a few products suffice."""


def measure_seem(name: str, sizes: Sizes, device: str, seconds: float) -> float:
    """Return what a reading of SEEM of all stacked runs takes [ms].

    Args:
        name: a key of ``NEXT_ROWS``.
        sizes: number of runs, of probe rows, and width.
        device: ``cuda`` or ``cpu``.
        seconds: of the measurement, at least [s].
    """
    case = Case(num_seeds=sizes.num_stacked, width=sizes.width, device=device)
    critic = start(case).agent.critic
    assert critic is not None
    generator = torch.Generator().manual_seed(0)

    def rows(width: int) -> Tensor:
        made = torch.rand(sizes.num_rows, width, generator=generator) * 2 - 1
        return made.to(device).expand(sizes.num_stacked, -1, -1)  # (K, M, width)

    s, a, noise_s, noise_a = map(rows, (NUM_OBSERVATIONS, NUM_ACTIONS) * 2)
    s_next, a_next = NEXT_ROWS[name](s, noise_s), NEXT_ROWS[name](a, noise_a)

    def read() -> None:
        read_seem(critic, s, a, s_next, a_next, discount=0.99)

    return 1e3 / calls_per_second(read, seconds, 2, device)


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
