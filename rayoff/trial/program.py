"""A recorded step as a flat list of calls in memory that was laid out once.

What a replay leaves out, all of it without an effect on a bit of the results:

* views: tensors stay where they are, so that their views are made once (``_Layout.place``);
* what only feeds statistics that nobody reads (``_needed``);
* constants that autograd makes anew at every step, such as ones (``_without_constants``);
* allocation: results are written where one that is no longer needed lay, elementwise ones over
  their own input, while it is in the cache (``Memory``).

The kernels, their operands' layouts and their order are those of the recorded step.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from rayoff.trial.calls import Call, make_call
from rayoff.trial.recording import Operation, storage_of


class Memory:
    """Blocks of memory that the programs of one agent use in turn.

    Attributes:
        num_bytes: of all blocks together.
    """

    def __init__(self) -> None:
        self.num_bytes = 0
        self._free: dict[int, list[torch.UntypedStorage]] = {}

    def take(self, num_bytes: int) -> torch.UntypedStorage:
        """Return the block of this size that was given back last, or a new one."""
        blocks = self._free.get(num_bytes)
        if blocks:
            return blocks.pop()
        self.num_bytes += num_bytes
        return torch.empty(num_bytes, dtype=torch.uint8).untyped_storage()

    def give_back(self, block: torch.UntypedStorage) -> None:
        """Let others have a block."""
        self._free.setdefault(block.nbytes(), []).append(block)


class Program:
    """The calls of one recorded step.

    Attributes:
        info: its statistics, each (K,), rewritten by every run.
    """

    def __init__(
        self, operations: list[Operation], info: Mapping[str, Tensor], memory: Memory
    ) -> None:
        """Lay out the operations.

        Args:
            operations: of the step, in order.
            info: the recorded tensors that are read after a run; all else may be left out.
            memory: where results go.
        """
        outside = _outside(operations)
        operations = _without_views(operations)
        operations, constants = _without_constants(operations)
        operations = _needed(operations, outside | {storage_of(t) for t in info.values()})
        layout = _Layout(operations, outside | constants, info.values(), memory)
        self._calls = [layout.call(index) for index in range(len(operations))]
        self.info = {name: layout.place(tensor) for name, tensor in info.items()}
        layout.give_back()

    def run(self) -> None:
        """Take the step."""
        with torch.inference_mode():
            for call in self._calls:
                call()

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self._calls)


def _outside(operations: Iterable[Operation]) -> set[int]:
    """Return the storages that were there before the step."""
    outside: set[int] = set()
    made: set[int] = set()
    for operation in operations:
        outside |= {storage_of(tensor) for tensor in operation.inputs} - made
        made |= {storage_of(tensor) for tensor in operation.results} - outside
    return outside


def _without_views(operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations that compute something."""

    def is_view(operation: Operation) -> bool:
        known = {storage_of(tensor) for tensor in operation.inputs}
        results = {storage_of(tensor) for tensor in operation.results}
        return bool(results) and results <= known and not operation.written

    return [operation for operation in operations if not is_view(operation)]


def _needed(operations: list[Operation], read: set[int]) -> list[Operation]:
    """Return the operations on which the storages ``read`` depend."""
    read, kept = set(read), []
    for operation in reversed(operations):
        made = {storage_of(tensor) for tensor in operation.results}
        if (made | operation.written) & read:
            kept.append(operation)
            read |= {storage_of(tensor) for tensor in operation.inputs}
    return kept[::-1]


_SHAPED_LIKE = {"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"}
"""Operations that ask a tensor for its shape only."""


def _without_constants(operations: list[Operation]) -> tuple[list[Operation], set[int]]:
    """Return the operations whose results vary, and the storages of all other results.

    A result is constant where it follows from no tensor but constant ones, and nothing writes
    to it later.
    """
    written: set[int] = set().union(*(operation.written for operation in operations))
    constants: set[int] = set()
    kept = []
    for operation in operations:
        made = {storage_of(tensor) for tensor in operation.results}
        name = operation.function.overloadpacket.__name__
        follows = {storage_of(tensor) for tensor in operation.inputs} <= constants
        if made and not made & written and (follows or name in _SHAPED_LIKE):
            constants |= made
        else:
            kept.append(operation)
    return kept, constants


class _Layout:
    """Where the tensors of a program lie, and for how long."""

    def __init__(
        self,
        operations: list[Operation],
        fixed: set[int],
        kept: Iterable[Tensor],
        memory: Memory,
    ) -> None:
        """Find each storage's last use; ``fixed`` ones stay where they are recorded."""
        self._operations, self._fixed, self._memory = operations, fixed, memory
        self._blocks: dict[int, torch.UntypedStorage] = {}
        self._last_use: dict[int, int] = {}
        for index, operation in enumerate(operations):
            for tensor in (*operation.inputs, *operation.results):
                self._last_use[storage_of(tensor)] = index
        self._last_use |= {storage_of(tensor): len(operations) for tensor in kept}

    def place(self, tensor: Tensor) -> Tensor:
        """Return the tensor where the program has it."""
        storage = storage_of(tensor)
        if storage in self._fixed:
            return tensor.detach()
        geometry = tensor.storage_offset(), tensor.shape, tensor.stride()
        return torch.empty(0, dtype=tensor.dtype).set_(self._blocks[storage], *geometry)

    def call(self, index: int) -> Call:
        """Return the call of one operation, asked for in order, and free what it used last."""
        operation = self._operations[index]
        arguments, options = tree_map_only(
            Tensor, self.place, (operation.arguments, dict(operation.options))
        )
        made = [t for t in operation.results if not self._is_placed(storage_of(t))]
        self._find_room(index, made)
        call = make_call(operation.function, arguments, options, [self.place(t) for t in made])
        for tensor in (*operation.inputs, *made):
            if self._last_use[storage_of(tensor)] == index:
                self._free(storage_of(tensor))
        return call

    def give_back(self) -> None:
        """Let other programs have all blocks but those that are read after a run."""
        for storage in list(self._blocks):
            if self._last_use[storage] < len(self._operations):
                self._free(storage)

    def _is_placed(self, storage: int) -> bool:
        return storage in self._fixed or storage in self._blocks

    def _free(self, storage: int) -> None:
        if storage in self._blocks:
            self._memory.give_back(self._blocks.pop(storage))

    def _find_room(self, index: int, made: list[Tensor]) -> None:
        """Give new tensors a block: their input's, where both are elementwise the same."""
        for tensor in made:
            overwritten = self._overwritable(index, tensor) if len(made) == 1 else None
            if overwritten is not None:
                block = self._blocks.pop(overwritten)
            else:
                block = self._memory.take(tensor.untyped_storage().nbytes())
            self._blocks[storage_of(tensor)] = block

    def _overwritable(self, index: int, made: Tensor) -> int | None:
        """Return the storage of an input that an elementwise result may take over, or None."""
        operation = self._operations[index]
        if torch.Tag.pointwise not in operation.function.tags:
            return None
        for tensor in operation.inputs:
            storage = storage_of(tensor)
            sharing = [t for t in operation.inputs if storage_of(t) == storage]
            if (
                storage in self._blocks
                and self._last_use[storage] == index
                and all(_geometry(t) == _geometry(made) for t in sharing)
            ):
                return storage
        return None


def _geometry(tensor: Tensor) -> tuple[object, ...]:
    """Return what two tensors must share for one to be written over the other."""
    num_bytes = tensor.untyped_storage().nbytes()
    return num_bytes, tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset()
