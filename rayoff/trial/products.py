"""Which library takes a matrix product on the CPU: oneDNN, or the BLAS that torch was built with.

oneDNN is up to twice as fast on products that fill a core (``enable_fast_products``), but every
call of it costs some 15 us more than one of the BLAS. A narrow network's products take that long
themselves. So the small ones are timed, and handed to the BLAS where it is faster and gives the
same bits: both add up a short inner dimension in order.
"""

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

_LARGE = 1 << 24
"""Multiplications [1] from which oneDNN is taken without a measurement."""

_NUM_COMPARED = 5
"""Draws of random operands on which both must give the same bits."""

_Geometry = tuple[tuple[int, ...], tuple[int, ...]]


def by_faster_library(
    function: OpOverload, call: Callable[[], Any], operands: list[Tensor]
) -> Callable[[], Any]:
    """Return the call, or one that takes the BLAS instead of oneDNN.

    Args:
        function: ``bmm`` or ``baddbmm``; other operations are left as they are.
        call: of the function on the operands.
        operands: the last two are multiplied, (G, B, I) and (G, I, O); those that are not
            float32 are oneDNN's.
    """
    if function not in (torch.ops.aten.bmm.default, torch.ops.aten.baddbmm.default):
        return call
    num_networks, num_rows, num_inputs = operands[-2].shape
    if num_networks * num_rows * num_inputs * operands[-1].shape[-1] >= _LARGE:
        return call
    if operands[-1].dtype != torch.float32:
        return call
    if operands[0].device.type != "cpu" or _matmul().fp32_precision != "bf16":
        return call  # oneDNN is not asked anyway
    geometry = tuple((tuple(one.shape), one.stride()) for one in operands)
    if _blas_is_better(function, geometry, torch.get_num_threads()):
        return partial(_by_blas, call)
    return call


def _matmul() -> Any:  # noqa: ANN401 - untyped in torch
    return torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]


def _by_blas(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the call returns
    """Make a call without oneDNN."""
    matmul = _matmul()
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        return call()
    finally:
        matmul.fp32_precision = before


@cache
def _blas_is_better(
    function: OpOverload, geometry: tuple[_Geometry, ...], num_threads: int
) -> bool:
    """Say whether the BLAS is faster, with the same bits, on random operands of a geometry.

    Which one is faster may change with the load of the machine, so bits must not depend on it:
    several draws are compared, over six orders of magnitude and with zeros as after a ReLU.
    """
    generator = torch.Generator().manual_seed(0)
    draws = [[_random(*one, generator) for one in geometry] for _ in range(_NUM_COMPARED)]
    products = [partial(function, *operands) for operands in draws]
    with torch.inference_mode():
        if not all(torch.equal(product(), _by_blas(product)) for product in products):
            return False
        return _seconds(partial(_by_blas, products[0])) < _seconds(products[0])


def _random(shape: tuple[int, ...], stride: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return a tensor of random numbers of many scales, a third of them 0, of given strides."""
    extent = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    numbers, scales = torch.randn(2, extent, generator=generator)
    kept = torch.rand(extent, generator=generator) > 1 / 3
    return (numbers * 10 ** (2 * scales).clamp(-3, 3) * kept).as_strided(shape, stride)


def _seconds(call: Callable[[], object], num_calls: int = 20) -> float:
    """Return the least seconds of CPU that a call takes."""
    spent = []
    for _ in range(num_calls):
        started = time.process_time()
        call()
        spent.append(time.process_time() - started)
    return min(spent)
