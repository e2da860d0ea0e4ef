"""The work of a training step, counted as its operations run, and not written in by hand."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from speed.cases import Case, single_step


class Work(NamedTuple):
    """Of a step of one run, a mean over steps with and without the actor's."""

    mflop: float
    """Floating-point work of the matrix products [MFLOP]; elementwise work is not counted."""
    num_operations: float
    """Operations that are no views, sampling among them and making random numbers not: on a GPU
    about as many kernels, which bound a step of few runs."""


def count_work(case: Case) -> Work:
    """Return the work of a step of each run; it is the same for every number of seeds."""
    step = single_step(case.on_cpu_alone())
    period = step.agent.actor_period
    for _ in range(period):  # optimisers make their state in their first step
        step(read=True)
    with FlopCounterMode(display=False) as flops, _Operations() as operations:
        for _ in range(period):
            step(read=True)
    return Work(flops.get_total_flops() / period / 1e6, operations.number / period)


class _Operations(TorchDispatchMode):
    """Counts the operations that run inside it and compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - as torch has it
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run and count one operation."""
        self.number += not (func.is_view or func.namespace == "profiler")
        return func(*args, **(kwargs or {}))
