"""CUDA graphs as torch has them, emulated on the CPU: what of capturing needs no GPU to be tested.

As on a GPU, a capture runs nothing (what it wrote is taken back), a replay runs the captured
operations and no Python on the memory that they had, and a capture that meets what is not allowed
ends in a second error and leaves the capture's stream behind.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rayoff.trial.recording import Operation, storage_of, tensors_in


class Graph:
    """Operations that were captured."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.num_replays = 0

    @torch.inference_mode()  # below autograd, as a graph of kernels is
    def replay(self) -> None:
        self.num_replays += 1
        for operation in self.operations:
            results = tensors_in(operation.function(*operation.arguments, **operation.options))
            known = {storage_of(tensor) for tensor in operation.inputs}
            for place, result in zip(operation.results, results, strict=True):
                if storage_of(place) not in known:
                    place.copy_(result)


class _Capturing(TorchDispatchMode):
    """Captures operations, and takes back what they wrote to memory that was there before."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        self._made: dict[int, Tensor] = {}
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        if torch.Tag.data_dependent_output in func.tags:
            raise RuntimeError("operation not permitted when stream is capturing")
        operation = Operation(func, args, kwargs or {}, [])
        for tensor in operation.inputs:
            storage = storage_of(tensor)
            if storage in operation.written and storage not in {*self._made, *self._before}:
                whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
                self._before[storage] = whole, whole.clone()
        results = func(*args, **(kwargs or {}))
        operation.results.extend(tensors_in(results))
        known = {storage_of(tensor) for tensor in operation.inputs}
        self._made |= {storage_of(t): t for t in operation.results if storage_of(t) not in known}
        self._graph.operations.append(operation)
        return results

    def take_back(self) -> None:
        for whole, before in self._before.values():
            whole.copy_(before)


class Cuda:
    """The part of ``torch.cuda`` that capturing asks for; streams are their names."""

    def __init__(self) -> None:
        self.current = "default"
        self.num_streams = 0
        self.graphs: list[Graph] = []

    def make_stream(self, device: torch.device) -> "Stream":
        self.num_streams += 1
        return Stream(f"side {self.num_streams} of {device}")

    def make_graph(self) -> Graph:
        self.graphs.append(Graph())
        return self.graphs[-1]

    def current_stream(self, device: torch.device | None = None) -> "Stream":
        return Stream(self.current)

    def set_stream(self, stream: "Stream") -> None:
        self.current = stream.name

    @contextmanager
    def stream(self, stream: "Stream") -> Iterator[None]:
        before, self.current = self.current, stream.name
        yield
        self.current = before

    @contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        yield

    @contextmanager
    def graph(self, graph: Graph, stream: "Stream") -> Iterator[None]:
        before, self.current = self.current, stream.name
        capturing = _Capturing(graph)
        try:
            with capturing:
                yield
        except RuntimeError:
            # torch.cuda.graph.__exit__ ends the capture, which raises, and then the stream's block
            raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904 - as torch does
        finally:
            capturing.take_back()
        self.current = before


class Stream:
    """A stream; work on the CPU waits for nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def wait_stream(self, other: "Stream") -> None:
        """Order work after another stream's."""


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Put the emulation in the place of ``torch.cuda``'s."""
    emulated = Cuda()
    for name, value in {
        "Stream": emulated.make_stream,
        "CUDAGraph": emulated.make_graph,
        "current_stream": emulated.current_stream,
        "set_stream": emulated.set_stream,
        "stream": emulated.stream,
        "device": emulated.device,
        "graph": emulated.graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return emulated
