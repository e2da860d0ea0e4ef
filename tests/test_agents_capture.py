"""Tests that an update contains nothing that a CUDA graph could not capture.

The meta device has shapes and no numbers, so an update that runs there has asked for no value;
and every tensor that it meets on another device would be a copy between host and device.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import pytest
import torch
from tiny_agents import (
    BATCH_SIZE,
    CASES,
    NUM_ACTIONS,
    NUM_OBSERVATIONS,
    make_draws,
    make_tiny_agent,
    tensors,
    tiny,
)
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_members import draw_batch

from rayoff.agents import AGENTS, Agent
from rayoff.batch import Batch
from rayoff.config import Precision, TrialConfig
from rayoff.data import Rows, Transitions
from rayoff.draws import AheadDraws
from rayoff.trial.replay import EagerStep
from rayoff.trial.sampling import Sampler

SEEDS = (3, 7, 11)


class NoConstants(TorchFunctionMode):
    """Fails on a tensor made of Python numbers: a copy to the device, which meta does not show."""

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        assert func not in (torch.tensor, torch.as_tensor, torch.asarray), func
        return func(*args, **(kwargs or {}))


class CapturableOnly(TorchDispatchMode):
    """Fails on an operation that a captured graph could not repeat.

    It reads a value, has a shape that depends on values, draws from torch's own generator, or
    meets a tensor that is not on the meta device.
    """

    _BARRED = (
        torch.Tag.data_dependent_output,
        torch.Tag.dynamic_output_shape,
        torch.Tag.nondeterministic_seeded,
    )

    def __init__(self) -> None:
        super().__init__()
        self.num_operations = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        barred = [tag for tag in self._BARRED if tag in func.tags]
        assert not barred, f"{func} is {barred}"
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, Tensor):
                assert leaf.device.type == "meta", f"{func} on {leaf.device}"
        self.num_operations += 1
        return result


def without_adam(agent: Agent) -> Agent:
    """Return the agent with plain gradient steps: torch's fused Adam knows no meta device."""
    for owner in (agent, vars(agent).get("regularizer")):
        for name, part in vars(owner).items() if owner else ():
            if isinstance(part, torch.optim.Adam):
                weights = [weight for group in part.param_groups for weight in group["params"]]
                setattr(owner, name, torch.optim.SGD(weights, lr=1e-3))
    return agent


@pytest.mark.parametrize("config", CASES)
def test_an_update_reads_no_value_and_meets_no_other_device(config: TrialConfig) -> None:
    draws = make_draws(SEEDS, device="meta")
    agent = without_adam(make_tiny_agent(config, draws))
    batch = draw_batch(draws, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS)
    with NoConstants(), CapturableOnly() as capturable:
        for _ in range(2):  # the second moves the actor and the targets
            draws.advance()
            agent.update(batch)
    assert capturable.num_operations > 50


@pytest.mark.parametrize(
    "config",
    [
        tiny("td3_bc", network={"dropout": 0.1}, regularizer="rd_auto"),
        tiny("td3", reducer="lcb", num_critics=3),
        tiny("td3", reducer="independent", agent={"optimizer": "sgd"}),
        tiny("bc", network={"dropout": 0.1}),
    ],
    ids=["dropout", "lcb", "independent", "bc"],
)
def test_other_choices_are_capturable_too(config: TrialConfig) -> None:
    test_an_update_reads_no_value_and_meets_no_other_device(config)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: 1.0 if x.sum() > 0 else 2.0,
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        torch.randn_like,
        torch.nn.functional.dropout,
        lambda x: x.to("cpu"),
        lambda x: x + torch.ones(3),
        lambda x: x * torch.tensor(2.0),
        lambda x: torch.tensor([1.0, 2.0], device=x.device),
        lambda x: torch.as_tensor(2.0, device=x.device),
    ],
)
def test_the_check_finds_what_a_graph_could_not_capture(
    operation: Callable[[Tensor], object],
) -> None:
    x = torch.empty(3, device="meta")
    with pytest.raises((AssertionError, NotImplementedError)), NoConstants(), CapturableOnly():
        operation(x)


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize("algorithm", AGENTS)
def test_a_whole_step_samples_and_draws_on_the_device_alone(
    algorithm: str, precision: Precision
) -> None:
    draws = AheadDraws(torch.tensor(SEEDS, device="meta"), torch.tensor(0, device="meta"))
    agent = without_adam(make_tiny_agent(tiny(algorithm, network={"dropout": 0.1}), draws))
    widths = (NUM_OBSERVATIONS, NUM_ACTIONS, NUM_OBSERVATIONS, NUM_ACTIONS)
    s, a, s_next, a_next = (torch.empty(100, width, device="meta") for width in widths)
    of_each = torch.empty(100, device="meta")
    rows = Rows.of(Transitions(s, a, of_each, s_next, a_next, of_each))
    sampler = Sampler(rows, BATCH_SIZE)
    step = EagerStep(agent, sampler, draws, precision)
    with NoConstants(), CapturableOnly() as capturable:
        for _ in range(2):
            step(read=True)
    assert capturable.num_operations > 50


def two_updates(agent: Agent, batch: Batch) -> dict[str, Tensor]:
    """Take two updates, of which the second moves the actor, and return its statistics."""
    batch.draws.advance()
    agent.update(batch)
    batch.draws.advance()
    return agent.update(batch)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("config", CASES)
def test_captured_updates_equal_eager_ones(config: TrialConfig) -> None:
    batches = [
        draw_batch(draws, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS)
        for draws in (make_draws(SEEDS, device="cuda") for _ in range(2))
    ]
    eager, captured = (make_tiny_agent(config, batch.draws) for batch in batches)

    for _ in range(7):
        two_updates(eager, batches[0])
    expected = two_updates(eager, batches[0])

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            two_updates(captured, batches[1])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):  # records, and runs nothing
        info = two_updates(captured, batches[1])
    for _ in range(5):
        graph.replay()

    for name, value in tensors(eager).items():
        torch.testing.assert_close(tensors(captured)[name], value, rtol=1e-4, atol=1e-5)
    for name, value in expected.items():
        torch.testing.assert_close(info[name], value, rtol=1e-4, atol=1e-5)
