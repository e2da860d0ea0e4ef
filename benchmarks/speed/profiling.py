"""Where the time of a replayed step goes, by timing its recorded calls one by one on the CPU."""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import torch

from rayoff.draws import DrawKey, HeldDraws
from rayoff.trial.calls import Call
from rayoff.trial.program import Program
from rayoff.trial.recording import tensors_in
from speed.cases import Case, prepare, start
from speed.clocks import calls_per_second

_PRODUCTS = ("bmm", "baddbmm")
RANDOM_NUMBERS, REST = "random numbers", "all else: Python between the calls"
_LEAST = 0.01
"""Share of a step below which parts are put together in a table."""


class Part(NamedTuple):
    """Part of a step of all runs, a mean over steps with and without the actor's."""

    name: str
    """Of the operation; products are told apart by their sizes, and random numbers, which are
    made for several steps at once, are one part."""
    num_calls: float
    milliseconds: float
    """Of CPU [ms]."""
    gflop_per_second: float
    """Rate of products [GFLOP/s]; nan of all else."""


def profile_step(case: Case, num_steps: int = 400, seconds: float = 1.0) -> list[Part]:
    """Return what a replayed step consists of, the longest part first.

    Args:
        case: on the CPU, and not eager.
        num_steps: over which medians of each call are taken.
        seconds: in which whole steps are timed, without clocks between the calls, at least [s].

    Raises:
        ValueError: the step is not replayed.
    """
    prepare("cpu")
    agent, replay = start(case)
    replay.advance(4 * agent.actor_period)
    if replay.obstacle is not None:
        raise ValueError(f"{case} must be replayed to be profiled but is not: {replay.obstacle}.")
    at_once = 200  # as few of them as in a study are read
    whole = 1e3 / (at_once * calls_per_second(lambda: replay.advance(at_once), seconds, 1))
    spent: dict[int, list[float]] = defaultdict(list)
    calls: dict[int, Call] = {}
    drawing = 0.0
    fill = HeldDraws.fill

    def draw(draws: HeldDraws, keys: Iterable[DrawKey]) -> None:
        nonlocal drawing
        started = time.process_time()
        fill(draws, keys)
        drawing += time.process_time() - started

    def run(program: Program) -> None:
        with torch.inference_mode():
            for call in program._calls:
                started = time.process_time()
                call()
                spent[id(call)].append(time.process_time() - started)
                calls[id(call)] = call

    with patch.object(Program, "run", run), patch.object(HeldDraws, "fill", draw):
        replay.advance(num_steps)
    parts = _parts(calls, spent, num_steps)
    parts.append(Part(RANDOM_NUMBERS, 1, 1e3 * drawing / num_steps, math.nan))
    rest = whole - sum(part.milliseconds for part in parts)
    parts.append(Part(REST, 0, rest, math.nan))
    return sorted(parts, key=lambda part: -part.milliseconds)


def _parts(calls: dict[int, Call], spent: dict[int, list[float]], num_steps: int) -> list[Part]:
    """Return the calls by name."""
    clock = _seconds_of_the_clock()
    seconds: dict[str, float] = defaultdict(float)
    numbers: dict[str, int] = defaultdict(int)
    work: dict[str, float] = {}
    for key, call in calls.items():
        name, work_of_call = _describe(call)
        times = spent[key]
        seconds[name] += len(times) * (statistics.median(times) - clock)
        numbers[name] += len(times)
        work[name] = work_of_call
    return [
        Part(
            name,
            numbers[name] / num_steps,
            1e3 * seconds[name] / num_steps,
            work[name] * numbers[name] / seconds[name] / 1e9 if work[name] else math.nan,
        )
        for name in seconds
    ]


def _describe(call: Any) -> tuple[str, float]:  # noqa: ANN401 - partials of several kinds
    """Return the name of a call's operation, and its work where it is a product [FLOP]."""
    library = ""
    while call.args and isinstance(call.args[0], partial):  # by another library, or copied
        library = ", by BLAS" if call.func.__name__ == "_by_blas" else library
        call = call.args[0]
    name = call.func.__name__.split(".")[0]
    if name not in _PRODUCTS:
        return name, 0.0
    factors = [tensor for tensor in tensors_in(call.args) if tensor.dim() == 3][-2:]
    sizes = *factors[0].shape, factors[1].shape[-1]
    dtype = (
        "" if factors[0].dtype == torch.float32 else f" {factors[0].dtype}".replace("torch.", "")
    )
    return f"{name} {' x '.join(map(str, sizes))}{dtype}{library}", 2.0 * math.prod(sizes)


def _seconds_of_the_clock() -> float:
    """Return what taking the time takes [s]."""
    nothing: list[float] = []
    for _ in range(1000):
        started = time.process_time()
        nothing.append(time.process_time() - started)
    return statistics.median(nothing)


def profile_table(parts: list[Part]) -> str:
    """Return the parts in Markdown, with their shares of a step; the small ones are one line."""
    whole = sum(part.milliseconds for part in parts)
    small = [part for part in parts if 0 <= part.milliseconds < _LEAST * whole]
    parts = [part for part in parts if part not in small]
    if small:
        calls, milliseconds = (
            sum(values) for values in zip(*(p[1:3] for p in small), strict=True)
        )
        parts.append(Part(f"{len(small)} parts of less", calls, milliseconds, math.nan))
    lines = ["| part of a step | calls | ms | share | GFLOP/s |", "|---|---|---|---|---|"]
    for part in parts:
        rate = "" if math.isnan(part.gflop_per_second) else f"{part.gflop_per_second:.0f}"
        calls = f"{part.num_calls:.1f}" if part.num_calls else ""
        lines.append(
            f"| {part.name} | {calls} | {part.milliseconds:.3f} "
            f"| {part.milliseconds / whole:.0%} | {rate} |"
        )
    return "\n".join([*lines, f"| a step | | {whole:.3f} | | |"])
