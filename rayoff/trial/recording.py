"""Recording a training step: the tensor operations that it consists of, as they happen.

Autograd, modules and agents are Python and C++ around a flat sequence of operations. A dispatch
mode sits below all of them, so what it sees is that sequence: forward and backward passes,
in-place steps of the optimisers and of the targets. The step is taken for real meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves


def storage_of(tensor: Tensor) -> int:
    """Return what identifies a tensor's memory, for as long as the tensor is alive."""
    return tensor.untyped_storage()._cdata


def tensors_in(*values: object) -> list[Tensor]:
    """Return the tensors in nested arguments, in order."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of an operation, with the tensors that went in and came out."""

    function: OpOverload
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    results: list[Tensor]

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Tensors among the arguments."""
        return tensors_in(self.arguments, self.options)

    @cached_property
    def written(self) -> set[int]:
        """Storages that the operation writes in place."""
        schema = self.function._schema.arguments
        given = dict(zip((one.name for one in schema), self.arguments, strict=False))
        given |= self.options
        names = [one.name for one in schema if one.alias_info and one.alias_info.is_write]
        return {storage_of(tensor) for name in names for tensor in tensors_in(given.get(name))}


_UNREPEATABLE = {
    torch.Tag.data_dependent_output: "reads a value",
    torch.Tag.dynamic_output_shape: "has a shape that depends on values",
    torch.Tag.nondeterministic_seeded: "draws from torch's own generator",
}


def _obstacle(operation: Operation) -> str | None:
    """Return why an operation cannot be repeated, or None."""
    for tag, reason in _UNREPEATABLE.items():
        if tag in operation.function.tags:
            return f"{operation.function} {reason}"
    known = {storage_of(tensor) for tensor in operation.inputs}
    if len({storage_of(tensor) in known for tensor in operation.results}) > 1:
        return f"{operation.function} returns new tensors beside old ones"
    return None


class Recording(TorchDispatchMode):
    """Records the operations that run inside it.

    Attributes:
        operations: in order; their tensors are kept alive, so that no memory is used twice.
        obstacle: why the operations cannot be repeated, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.obstacle: str | None = None

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - as torch has it
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run and record one operation."""
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        if func.namespace != "profiler":
            self.operations.append(Operation(func, args, kwargs, tensors_in(results)))
            self.obstacle = self.obstacle or _obstacle(self.operations[-1])
        return results

    def signature(self) -> "Signature":
        """Return what the step did, without the memory that it did it in."""
        describe = _Describer()
        described = [describe(operation) for operation in self.operations]
        made = describe.made
        outside = [t for o in self.operations for t in o.inputs if storage_of(t) not in made]
        return Signature(described, outside)

    def difference(self, earlier: "Signature") -> str | None:
        """Return what the same step did otherwise at an earlier time, or None.

        Numbers and outside tensors must be the same: one that changes from step to step, as a
        learning rate on a schedule of Python's does, would be frozen by a replay.
        """
        for mine, yours in zip_longest(self.signature().operations, earlier.operations):
            if mine != yours:
                found = mine or yours
                assert found is not None
                return f"{found[0]} does not recur as it was"
        return None


class Signature(NamedTuple):
    """What a recorded step did."""

    operations: list[tuple[object, ...]]
    """Each operation, its numbers, and the geometry and origin of its tensors."""
    outside: list[Tensor]
    """What it found; kept, so that nothing else comes to lie at the same address."""


class _Describer:
    """Describes operations with the memory that they make numbered in order."""

    def __init__(self) -> None:
        self.made: dict[int, int] = {}
        self._outside: set[int] = set()

    def __call__(self, operation: Operation) -> tuple[object, ...]:
        """Return the operation, its numbers, and the geometry and origin of its tensors."""
        leaves, structure = tree_flatten((operation.arguments, dict(operation.options)))
        for tensor in operation.inputs:
            if storage_of(tensor) not in self.made:
                self._outside.add(storage_of(tensor))
        described = [self._describe(leaf) for leaf in leaves]
        for tensor in operation.results:
            if storage_of(tensor) not in self._outside:
                self.made.setdefault(storage_of(tensor), len(self.made))
        return operation.function, structure, *described

    def _describe(self, leaf: object) -> object:
        if not isinstance(leaf, Tensor):
            return leaf if leaf == leaf else "nan"
        storage = storage_of(leaf)
        origin = ("made", self.made[storage]) if storage in self.made else ("outside", storage)
        return *origin, leaf.dtype, leaf.shape, leaf.stride(), leaf.storage_offset()
