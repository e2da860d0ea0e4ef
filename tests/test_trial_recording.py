"""Tests of what a recording holds, and of when two of them tell the same step."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rayoff.trial.recording import Recording, storage_of


def record(step: Callable[[], object]) -> Recording:
    with Recording() as recording:
        step()
    return recording


def names(recording: Recording) -> list[str]:
    return [str(operation.function) for operation in recording.operations]


def test_the_backward_pass_and_the_optimiser_are_recorded_too() -> None:
    weight = torch.randn(3, 3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (torch.ones(2, 3) @ weight).relu().sum().backward()
        optimizer.step()

    found = names(record(step))

    assert {"aten.mm.default", "aten.threshold_backward.default", "aten.add_.Tensor"} <= {*found}
    assert not any(name.startswith("profiler") for name in found)


def test_an_operation_knows_what_it_reads_and_writes() -> None:
    x, y, z = (torch.ones(2) for _ in range(3))
    recording = record(lambda: (torch._foreach_add_([x, y], [z, z]), torch.add(x, y, out=z)))  # pyright: ignore[reportPrivateImportUsage]
    both, out = recording.operations
    assert both.written == {storage_of(x), storage_of(y)}
    assert out.written == {storage_of(z)}
    assert {storage_of(tensor) for tensor in both.inputs} == {storage_of(t) for t in (x, y, z)}


def scaled(x: Tensor, factor: float) -> Callable[[], Tensor]:
    def step() -> Tensor:
        return (x * factor).sum()

    return step


def test_the_same_step_has_no_difference() -> None:
    x = torch.ones(3)
    assert record(scaled(x, 2.0)).difference(record(scaled(x, 2.0)).signature()) is None
    assert (
        record(scaled(x, torch.nan)).difference(record(scaled(x, torch.nan)).signature()) is None
    )


@pytest.mark.parametrize(
    "other",
    [
        lambda x: scaled(x, 3.0),  # another number
        lambda x: scaled(x.clone(), 2.0),  # another tensor
        lambda x: scaled(x[:2], 2.0),  # another shape
        lambda x: lambda: x * 2.0,  # less
        lambda x: lambda: (x * 2.0).sum() + 1,  # more
        lambda x: lambda: (x * 2.0).mean() * 1,  # another operation
        lambda x: lambda: (x * 2.0, x.sum()),  # other operands
    ],
)
def test_whatever_else_changes_is_a_difference(
    other: Callable[[Tensor], Callable[[], object]],
) -> None:
    x = torch.ones(3)
    first, second = record(scaled(x, 2.0)), record(other(x))
    assert "does not recur" in (first.difference(second.signature()) or "")
    assert "does not recur" in (second.difference(first.signature()) or "")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda x: x.sum().item(), "reads a value"),
        (lambda x: x[x > 0], "shape that depends on values"),
        (torch.rand_like, "torch's own generator"),
    ],
)
def test_what_a_program_cannot_repeat_is_an_obstacle(
    step: Callable[[Tensor], object], reason: str
) -> None:
    x = torch.ones(3)
    assert reason in (record(lambda: step(x)).obstacle or "")
    assert record(lambda: x + 1).obstacle is None


def test_new_tensors_beside_old_ones_are_an_obstacle() -> None:
    with torch.library._scoped_library("rayoff_test", "DEF") as library:
        library.define("both(Tensor(a) x) -> (Tensor(a), Tensor)")
        library.impl("both", lambda x: (x, x + 1), "CompositeExplicitAutograd")
        recording = record(lambda: torch.ops.rayoff_test.both(torch.ones(3)))
    assert recording.obstacle == "rayoff_test.both.default returns new tensors beside old ones"
