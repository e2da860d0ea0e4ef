"""Tests that captured steps are eager ones, with CUDA graphs emulated on the CPU.

They show what follows from capturing: Python runs once, memory stays where it is, the step's
counter and the random numbers advance on the device. Kernels, streams and what the driver allows
only a GPU can show: see the tests marked ``gpu``.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from emulated_cuda import Cuda, cuda
from test_trial_replay import SEEDS, Counting, ReadsAValue, assert_equal_bits, make_sampler
from tiny_agents import CASES, NUM_ACTIONS, NUM_OBSERVATIONS, make_draws, tiny
from torch import Tensor

from rayoff.agents import Agent, make_agent
from rayoff.config import TrialConfig
from rayoff.draws import AheadDraws, Draws
from rayoff.trial import replay as replaying
from rayoff.trial.replay import CapturedStep, EagerStep, Replay

__all__ = ["cuda"]


class CapturedReplay(Replay):
    """Replay as it is on a GPU."""

    def _make_step(self, memory: object) -> CapturedStep:
        return CapturedStep(EagerStep(self._agent, self._eager.sampler, self._eager.draws))


@pytest.fixture(autouse=True)
def no_streams_of_other_tests(cuda: Cuda) -> Iterator[None]:
    yield
    replaying._side_stream.cache_clear()


def make_pair(
    config: TrialConfig, make: Callable[..., Any] = make_agent
) -> tuple[tuple[Agent, Replay], tuple[Agent, Replay]]:
    """Return an agent whose steps are captured, and its eager twin."""
    made = []
    for kind in (CapturedReplay, Replay):
        agent = make(config, NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))
        make_draws_of = partial(AheadDraws, num_ahead=5) if kind is CapturedReplay else Draws
        draws = make_draws_of(torch.tensor(SEEDS), torch.tensor(0))
        made.append((agent, kind(agent, make_sampler(), draws)))
    return made[0], made[1]


def assert_same_statistics(ours: Replay, theirs: Replay) -> None:
    assert ours.info.keys() == theirs.info.keys()
    for name, value in theirs.info.items():
        assert torch.equal(ours.info[name], value), name


@pytest.mark.parametrize("config", CASES)
def test_captured_steps_equal_eager_ones_bit_by_bit(config: TrialConfig, cuda: Cuda) -> None:
    (agent, captured), (plain, eager) = make_pair(config)
    for num_steps in (1, 8, 6, 5):
        captured.advance(num_steps)
        eager.advance(num_steps)
        assert_same_statistics(captured, eager)
    assert captured.obstacle is None
    assert_equal_bits(agent, plain)
    assert agent.num_updates == plain.num_updates == 20
    assert cuda.graphs[-1].num_replays >= 4
    assert cuda.current == "default"


def test_all_steps_of_a_process_are_warmed_up_and_captured_on_one_stream(cuda: Cuda) -> None:
    for _ in range(2):
        (_, captured), _ = make_pair(tiny("td3_bc"))
        captured.advance(12)
    assert len(cuda.graphs) == 4
    assert cuda.num_streams == 1


def test_a_refused_capture_leaves_the_stream_and_tells_the_first_cause(cuda: Cuda) -> None:
    (agent, captured), (plain, eager) = make_pair(tiny("bc"), ReadsAValue)
    captured.advance(9)
    eager.advance(9)
    assert captured.obstacle == (
        "CUDA cannot capture it: operation not permitted when stream is capturing"
    )
    assert cuda.current == "default"
    assert_equal_bits(agent, plain)
    assert_same_statistics(captured, eager)


class KeepsATensor(Counting):
    """Counts in a tensor of its own, as a moving average does."""

    def count(self, batch: object, info: dict[str, Tensor]) -> None:
        self._more.lerp_(info["actor/loss"], 0.5)


def test_state_beside_the_weights_advances_in_place() -> None:
    (_, captured), (_, eager) = make_pair(tiny("bc"), KeepsATensor)
    for num_steps in (3, 9):
        captured.advance(num_steps)
        eager.advance(num_steps)
        assert_same_statistics(captured, eager)
