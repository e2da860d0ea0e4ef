"""Tests that a laid-out program computes what was recorded, with less and in less memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rayoff.trial.program import Memory, Program
from rayoff.trial.recording import Recording

Step = Callable[[Tensor, Tensor], dict[str, Tensor]]


def make_state() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 6, generator=generator), torch.randn(4, 6, generator=generator)


def program_of(step: Step, state: tuple[Tensor, Tensor], *names: str) -> Program:
    """Take a step, and return the program of what it did that leads to the state and ``names``."""
    with Recording() as recording:
        info = step(*state)
    return Program(recording.operations, {name: info[name] for name in names}, Memory())


def overwrites_its_inputs(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    a = (x + y).relu() * 2
    x.add_(a.square().exp_(), alpha=1e-3)
    return {"a": a.sum(1)}


def keeps_what_is_read_twice(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    a = x + y
    b = a * 2
    c = b + a  # b may be written over, a is read again
    x.copy_(c - a)
    return {"c": c.sum(1)}


def multiplies_with_its_own_transpose(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    a = (x @ y.mT) + 1
    b = a * a.mT  # not over a: its elements are read in another order
    x.add_(b.sum() / 1e3)
    return {"b": b.sum(1)}


def looks_through_views(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    a = x.view(2, 12).clone()
    a[:, 3:5].mul_(0.5)
    first, second = a.t().split([4, 8])
    x.add_(torch.cat([first, second]).t().reshape(4, 6))
    return {"first": first.sum(0)}


def writes_into_zeros(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    a = torch.zeros_like(x)
    a[1] = y[0]
    b = torch.ones_like(a[0]) + torch.arange(6)
    x.add_(a * b)
    return {"b": b}


def has_several_results(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    z = torch.nn.functional.layer_norm(x + y, (6,))
    var, mean = torch.var_mean(z * 3 + y, dim=1)
    x.add_(z)
    return {"var": var, "mean": mean}


def returns_the_state_itself(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    y.mul_(x)
    return {"y": y[:, 0]}


def differentiates(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    weight = y.detach().requires_grad_()
    loss = torch.tanh(x @ weight.mT).square().mean((0, 1))
    (gradient,) = torch.autograd.grad(loss.sum(), [weight])
    y.sub_(gradient, alpha=0.1)
    return {"loss": loss.detach()}


STEPS = [
    overwrites_its_inputs,
    keeps_what_is_read_twice,
    multiplies_with_its_own_transpose,
    looks_through_views,
    writes_into_zeros,
    has_several_results,
    returns_the_state_itself,
    differentiates,
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("read", [True, False])
def test_a_program_goes_on_as_the_step_would(step: Step, read: bool) -> None:
    expected, state = make_state(), make_state()
    names = step(*make_state()) if read else ()
    program = program_of(step, state, *names)
    step(*expected)
    for _ in range(5):
        info = step(*expected)
        program.run()
        assert all(map(torch.equal, state, expected))
        for name in names:
            assert torch.equal(program.info[name], info[name])


def test_views_constants_and_what_nobody_reads_are_left_out() -> None:
    state = make_state()
    read, unread = (program_of(differentiates, state, *names) for names in (["loss"], []))
    with Recording() as recording:
        differentiates(*state)
    assert len(unread) < len(read) < len(recording.operations)


def test_a_result_is_written_over_an_input_that_is_no_longer_needed() -> None:
    memory, state = Memory(), make_state()
    with Recording() as recording:
        x, y = state
        x.copy_(((x + y).relu() * 2).neg())
    Program(recording.operations, {}, memory)
    assert [len(blocks) for blocks in memory._free.values()] == [1]  # one block of 24 floats


def test_programs_share_memory_but_not_what_is_read() -> None:
    memory, state = Memory(), make_state()
    programs, expected = [], []
    for factor in (1.0, 2.0):
        with Recording() as recording:
            info = {"sum": (state[0] * factor).square().sum(1)}
        programs.append(Program(recording.operations, info, memory))
        expected.append(info["sum"])
    for program in programs:
        program.run()
    for program, value in zip(programs, expected, strict=True):
        assert torch.equal(program.info["sum"], value)
    assert sum(len(blocks) for blocks in memory._free.values()) == 1


def test_what_is_outside_is_read_anew_at_every_run() -> None:
    x, y = make_state()
    program = program_of(lambda x, y: {"sum": (x + y).sum(1)}, (x, y), "sum")
    y.fill_(3.0)
    program.run()
    assert torch.equal(program.info["sum"], (x + 3).sum(1))
