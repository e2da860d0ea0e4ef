"""Calls of single operations with everything bound, results included.

A result is written where it is wanted by the overload of the same kernel that torch has for it;
where there is none it is copied, which took no longer than leading tensors to new memory.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rayoff.trial.products import by_faster_library
from rayoff.trial.recording import tensors_in

Call = Callable[[], Any]
"""Takes nothing; what it returns is not used."""


def make_call(
    function: OpOverload, arguments: tuple[Any, ...], options: dict[str, Any], out: list[Tensor]
) -> Call:
    """Return a call of an operation that leaves its results in given tensors.

    Args:
        function: the operation.
        arguments: of the operation, by position.
        options: arguments of the operation by name.
        out: of the sizes and strides of its results; the first may lie over the first argument
            where the operation is elementwise; none where it writes in place.
    """
    function, arguments = _with_tensors(function, arguments)
    if not out:
        return _bind(function, arguments, options)
    writing = _writing_variant(function)
    if writing is not None and len(writing[1]) == len(out):
        places = dict(zip(writing[1], out, strict=True))
        call = _bind(writing[0], arguments, options | places)
        return by_faster_library(function, call, tensors_in(arguments))
    if function.overloadpacket.__name__ in ("clone", "_to_copy"):
        return partial(out[0].copy_, arguments[0])
    in_place = _in_place_variant(function)
    if in_place is not None and arguments[0].data_ptr() == out[0].data_ptr():
        return _bind(in_place, arguments, options)
    return partial(_copy_results, _bind(function, arguments, options), out)


_aten = torch.ops.aten

_OF_TENSORS = {
    _aten.add.Scalar: _aten.add.Tensor,
    _aten.add_.Scalar: _aten.add_.Tensor,
    _aten.sub.Scalar: _aten.sub.Tensor,
    _aten.mul.Scalar: _aten.mul.Tensor,
    _aten.mul_.Scalar: _aten.mul_.Tensor,
    _aten.div.Scalar: _aten.div.Tensor,
    _aten.div_.Scalar: _aten.div_.Tensor,
    _aten.rsub.Scalar: _aten.sub.Tensor,  # the other way round
}
"""Operations with a number, and the same of two tensors, which can write where it is wanted."""


def _with_tensors(
    function: OpOverload, arguments: tuple[Any, ...]
) -> tuple[OpOverload, tuple[Any, ...]]:
    """Return an operation with its number as a tensor: torch makes one at every call."""
    if function not in _OF_TENSORS or len(arguments) != 2:
        return function, arguments
    tensor, number = arguments
    if not tensor.dtype.is_floating_point:
        return function, arguments
    number = torch.tensor(number, dtype=tensor.dtype, device=tensor.device)
    pair = (number, tensor) if function is _aten.rsub.Scalar else (tensor, number)
    return _OF_TENSORS[function], pair


def _copy_results(call: Call, out: list[Tensor]) -> None:
    """Make a call that only returns new tensors, and copy them."""
    results = call()
    if isinstance(results, Tensor):
        out[0].copy_(results)
        return
    returned = (one for one in results if one is not None)  # no gradient was asked for
    for place, result in zip(out, returned, strict=True):
        place.copy_(result)


def _bind(function: OpOverload, arguments: tuple[Any, ...], options: dict[str, Any]) -> Call:
    """Return a call of an overload, by torch's own Python binding where that leads to it.

    Bindings take half the time of overloads (0.8 instead of 1.8 us), but choose among overloads
    by the arguments: what they choose is seen before a kernel runs.
    """
    name = function.overloadpacket.__name__
    for binding in (getattr(torch, name, None), getattr(Tensor, name, None)):
        if binding is not None and _leads_to(binding, function, arguments, options):
            return partial(binding, *arguments, **options)
    return partial(function, *arguments, **options)


def _leads_to(
    binding: Callable[..., object],
    function: OpOverload,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> bool:
    """Say whether a binding calls just this overload, with these arguments."""
    with _Reached() as reached, torch.inference_mode():
        try:
            binding(*arguments, **options)
        except (TypeError, RuntimeError):  # other arguments than the overload's, or results
            return False
    expected = tree_leaves((function, arguments, options))
    return len(reached.leaves) == len(expected) and all(
        one is other or (not isinstance(one, Tensor) and type(one) is type(other) and one == other)
        for one, other in zip(reached.leaves, expected, strict=True)
    )


class _Reached(TorchDispatchMode):
    """Keeps the operations that would run with their arguments, and runs none."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves: list[object] = []

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Note an operation, and return what it would write to."""
        kwargs = dict(kwargs or {})
        self.leaves += tree_leaves((func, args, kwargs))
        out = [kwargs[one.name] for one in func._schema.arguments if one.is_out]
        return out[0] if len(out) == 1 else tuple(out) or args[0]


@cache
def _writing_variant(function: OpOverload) -> tuple[OpOverload, list[str]] | None:
    """Return the overload of the same kernel that writes into given tensors, and their names.

    Overloads that torch generates allocate and copy; they gain nothing.
    """
    packet = function.overloadpacket
    for name in packet.overloads():
        variant = getattr(packet, name)
        out = [one.name for one in variant._schema.arguments if one.is_out]
        if out and torch.Tag.generated not in variant.tags and _takes_the_same(variant, function):
            return variant, out
    return None


@cache
def _in_place_variant(function: OpOverload) -> OpOverload | None:
    """Return the overload that writes over its first argument, where there is one."""
    packet = getattr(torch.ops.aten, f"{function.overloadpacket.__name__}_", None)
    names = packet.overloads() if packet is not None else ()
    variants = (getattr(packet, name) for name in names)
    return next((one for one in variants if _takes_the_same(one, function)), None)


def _takes_the_same(variant: OpOverload, function: OpOverload) -> bool:
    """Say whether two overloads have the same arguments, apart from where results go."""

    def arguments(overload: OpOverload) -> list[tuple[str, str]]:
        given = overload._schema.arguments
        return [(one.name, str(one.type)) for one in given if not one.is_out]

    return arguments(variant) == arguments(function)
