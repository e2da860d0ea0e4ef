"""Tests that replayed steps equal eager ones bit by bit, and that what cannot recur is found."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_agents import CHOICES
from tiny_agents import (
    BATCH_SIZE,
    CASES,
    NUM_ACTIONS,
    NUM_OBSERVATIONS,
    make_draws,
    tensors,
    tiny,
)
from torch import Tensor
from toy_dynamics import write_dynamics

from rayoff.agents import BC, Agent, make_agent
from rayoff.batch import Batch
from rayoff.checkpoint import flatten_state
from rayoff.config import EvaluationConfig, SeemConfig, TrialConfig
from rayoff.data import Rows, Transitions, load_table
from rayoff.networks import enable_fast_products
from rayoff.trial import Trial
from rayoff.trial.agent_state import agent_state, load_agent_state
from rayoff.trial.replay import RecordedStep, Replay
from rayoff.trial.replay import make_draws as make_replay_draws
from rayoff.trial.sampling import Sampler

SEEDS = (3, 7, 11)


def make_sampler(num_rows: int = 200, device: str = "cpu") -> Sampler:
    generator = torch.Generator().manual_seed(0)
    widths = (NUM_OBSERVATIONS, NUM_ACTIONS, NUM_OBSERVATIONS, NUM_ACTIONS)
    s, a, s_next, a_next = (torch.rand(num_rows, w, generator=generator) * 2 - 1 for w in widths)
    transitions = Transitions(
        observations=s,
        actions=a,
        rewards=torch.rand(num_rows, generator=generator),
        next_observations=s_next,
        next_actions=a_next,
        terminations=(torch.arange(num_rows) % 50 == 49).float(),
    )
    return Sampler(Rows.of(Transitions(*(c.to(device) for c in transitions))), BATCH_SIZE)


def make_replay(
    config: TrialConfig,
    *,
    eager: bool,
    device: str = "cpu",
    make: Callable[..., Any] = make_agent,
) -> tuple[Agent, Replay]:
    draws = make_draws(SEEDS, device=device)
    agent = make(config, NUM_OBSERVATIONS, NUM_ACTIONS, draws)
    seeds, step = torch.tensor(SEEDS, device=device), torch.tensor(0, device=device)
    replay = Replay(
        agent,
        make_sampler(device=device),
        make_replay_draws(seeds, step),
        precision=config.precision,
        eager=eager,
    )
    return agent, replay


def assert_equal_bits(ours: Agent, theirs: Agent) -> None:
    expected, _ = flatten_state(agent_state(theirs))
    found, _ = flatten_state(agent_state(ours))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def assert_replay_equals_eager(config: TrialConfig) -> None:
    (agent, replay), (plain, eager) = (make_replay(config, eager=e) for e in (False, True))
    for num_steps in (1, 8, 23, 18):  # odd and even, so that either kind of step is the last
        replay.advance(num_steps)
        eager.advance(num_steps)
        assert replay.obstacle is None
        assert replay.info.keys() == eager.info.keys()
        for name, value in eager.info.items():
            assert torch.equal(replay.info[name], value), name
    assert_equal_bits(agent, plain)
    assert agent.num_updates == plain.num_updates == 50


@pytest.mark.parametrize("config", CASES)
def test_replayed_steps_equal_eager_ones_bit_by_bit(config: TrialConfig) -> None:
    assert_replay_equals_eager(config)


@pytest.mark.parametrize("algorithm", ["bc", "td3", "td3_bc"])
@pytest.mark.parametrize("choice", CHOICES)
def test_other_choices_are_replayed_bit_by_bit_too(algorithm: str, choice: str) -> None:
    changes = dict(CHOICES[choice])
    if algorithm == "bc":
        changes = {"network": changes.get("network", {})}
    assert_replay_equals_eager(tiny(algorithm, **changes))


@pytest.mark.parametrize("width", [64, 256])
def test_networks_of_common_widths_with_fast_products_are_replayed_bit_by_bit(width: int) -> None:
    """There products go to one library or the other, by what is faster at the same bits."""
    matmul = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]: untyped
    before = matmul.fp32_precision
    enable_fast_products()
    try:
        config = tiny("td3_bc")
        config = replace(config, critic=replace(config.critic, width=width))
        assert_replay_equals_eager(replace(config, actor=replace(config.actor, width=width)))
    finally:
        matmul.fp32_precision = before


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        tiny("td3_bc", "layer", "rd_auto"),
        tiny("td3", "batch_joint", "dr3"),
        tiny("td3", "spectral", network={"dropout": 0.1}),
        tiny("td3_bc", "weight", network={"width": 256}),
        tiny("bc", "rms"),
    ],
    ids=["layer", "batch_joint", "spectral", "weight", "bc"],
)
def test_steps_in_bfloat16_are_replayed_bit_by_bit_too(config: TrialConfig, fast: bool) -> None:
    matmul = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]: untyped
    before = matmul.fp32_precision
    try:
        if fast:
            enable_fast_products()
        assert_replay_equals_eager(replace(config, precision="bfloat16"))
        _, plain = make_replay(config, eager=False)
        _, coarse = make_replay(replace(config, precision="bfloat16"), eager=False)
        for replay in (plain, coarse):
            replay.advance(50)
        assert not torch.equal(plain.info["actor/loss"], coarse.info["actor/loss"])
    finally:
        matmul.fp32_precision = before


def test_a_number_that_is_changed_between_steps_is_seen() -> None:
    (agent, replay), (plain, eager) = (
        make_replay(tiny("td3_bc"), eager=eager) for eager in (False, True)
    )
    for one, trained in ((replay, agent), (eager, plain)):
        one.advance(9)
        for optimizer in (trained.critic_optimizer, trained.actor_optimizer):  # pyright: ignore[reportAttributeAccessIssue]: of this agent
            optimizer.param_groups[0]["lr"] *= 0.1
        one.advance(8)
    assert replay.obstacle is None
    assert_equal_bits(agent, plain)


def test_the_laid_out_step_is_shorter_and_leaves_unread_statistics_out() -> None:
    _, replay = make_replay(tiny("td3_bc"), eager=False)
    replay.advance(10)
    for step in replay._steps.values():
        assert isinstance(step, RecordedStep)
        unread, read = (len(step._programs[kind]) for kind in (False, True))
        assert 40 < unread < read < 130  # 133 and 251 operations were recorded


def test_a_change_in_place_between_steps_is_seen() -> None:
    (agent, replay), (plain, eager) = (
        make_replay(tiny("td3_bc"), eager=eager) for eager in (False, True)
    )
    for one, trained in ((replay, agent), (eager, plain)):
        one.advance(9)
        with torch.no_grad():
            next(trained.actor.parameters())[0] = 0.5
        one.advance(4)
    assert_equal_bits(agent, plain)


def test_a_replaced_tensor_is_found_and_the_steps_are_recorded_anew() -> None:
    (agent, replay), (plain, eager) = (
        make_replay(tiny("td3_bc"), eager=eager) for eager in (False, True)
    )
    for one, trained in ((replay, agent), (eager, plain)):
        one.advance(10)
        state = deepcopy(agent_state(trained))
        one.advance(7)
        load_agent_state(trained, state)  # the optimisers' tensors are replaced
        one.advance(9)
    assert replay.obstacle is None
    assert_equal_bits(agent, plain)


class Counting(BC):
    """BC with one more statistic; subclasses change it in ways that a replay must not freeze."""

    def __init__(self, *args: Any) -> None:  # noqa: ANN401
        super().__init__(*args)
        self._more = torch.zeros(len(SEEDS))

    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        self._more.add_(1)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        info = super().update(batch)
        self.count(batch, info)
        return info | {"actor/more": self._more}


class ReadsAValue(Counting):
    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        self._more.add_(info["actor/loss"].sum().item())


class CountsInPython(Counting):
    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        self._more.add_(1 / self.num_updates)


class ReplacesATensor(Counting):
    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        self._more = self._more + 1


class DrawsFromTorch(Counting):
    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        self._more.copy_(torch.randn(len(SEEDS)))


class DrawsMoreAndMore(Counting):
    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        for stream in range(self.num_updates):
            self._more.copy_(batch.draws.uniform(str(stream), ()))


class TakesMoreAndMoreSteps(Counting):
    def count(self, batch: Batch, info: dict[str, Tensor]) -> None:
        for _ in range(self.num_updates):
            self._more.add_(1)


def test_statistics_may_live_in_the_agent() -> None:
    replays = [make_replay(tiny("bc"), eager=eager, make=Counting)[1] for eager in (False, True)]
    for replay in replays:
        replay.advance(12)
        assert replay.info["actor/more"].tolist() == [12.0] * len(SEEDS)
    assert replays[0].obstacle is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (ReadsAValue, "_local_scalar_dense.default reads a value"),
        (CountsInPython, "add_.Tensor does not recur"),
        (ReplacesATensor, "add.Tensor does not recur"),
        (DrawsFromTorch, "torch's own generator"),
        (DrawsMoreAndMore, "the random numbers asked for do not recur"),
        (TakesMoreAndMoreSteps, "add_.Tensor does not recur"),
    ],
)
def test_what_cannot_recur_is_named_and_taken_eagerly(
    make: type[Counting], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    (agent, replay), (plain, eager) = (
        make_replay(tiny("bc"), eager=eager, make=make) for eager in (False, True)
    )
    torch.manual_seed(0)
    replay.advance(12)
    torch.manual_seed(0)
    eager.advance(12)
    replay.advance(0)
    assert reason in (replay.obstacle or "")
    told = [record.message for record in caplog.records]
    assert told == [f"Training steps are not replayed, which is slower: {replay.obstacle}."]
    assert_equal_bits(agent, plain)
    assert torch.equal(replay.info["actor/more"], eager.info["actor/more"])


def test_eager_steps_can_be_asked_for() -> None:
    _, replay = make_replay(tiny("bc"), eager=True)
    replay.advance(5)
    assert replay.obstacle == "eager steps were asked for"


def test_draws_that_are_not_held_in_place_are_an_obstacle() -> None:
    draws = make_draws(SEEDS, num_ahead=8)
    agent = make_agent(tiny("bc"), NUM_OBSERVATIONS, NUM_ACTIONS, make_draws(SEEDS))
    replay = Replay(agent, make_sampler(), draws)
    replay.advance(5)
    assert replay.obstacle == "the random numbers are not held in place"
    plain, eager = make_replay(tiny("bc"), eager=True)
    eager.advance(5)
    assert_equal_bits(agent, plain)


def test_statistics_that_were_handed_out_stay_as_they_were() -> None:
    _, replay = make_replay(tiny("td3_bc"), eager=False)
    replay.advance(12)
    info = replay.info
    before = {name: value.clone() for name, value in info.items()}
    replay.advance(12)
    for name, value in before.items():
        assert torch.equal(info[name], value)
        assert not torch.equal(replay.info[name], value)


def test_a_trial_has_the_same_rows_eager_and_replayed(tmp_path: Path) -> None:
    table = load_table(write_dynamics(tmp_path / "dynamics.parquet"))
    config = replace(
        tiny("td3", "layer", "rd_auto", network={"dropout": 0.1}),
        seem=SeemConfig(period=7, num_rows=32),
        evaluation=EvaluationConfig(period=0),
        num_steps=40,
    )
    rows = []
    for eager in (False, True):
        trial = Trial(config, table, eager=eager)
        while not trial.done:
            trial.advance()
        assert trial._replay.obstacle == ("eager steps were asked for" if eager else None)
        assert {row["time/replayed"] for row in trial.rows} == {float(not eager)}
        rows.append(
            [
                {k: v for k, v in row.items() if k != "seconds" and not k.startswith("time/")}
                for row in trial.rows
            ]
        )
    assert len(rows[0]) >= 6 * len(config.seeds)
    assert rows[0] == rows[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("config", CASES)
def test_captured_steps_equal_eager_ones_on_a_gpu(config: TrialConfig) -> None:
    (agent, replay), (plain, eager) = (
        make_replay(config, eager=eager, device="cuda") for eager in (False, True)
    )
    for num_steps in (1, 8, 23, 18):
        replay.advance(num_steps)
        eager.advance(num_steps)
        for name, value in eager.info.items():
            torch.testing.assert_close(replay.info[name], value, rtol=1e-4, atol=1e-5)
    for name, value in tensors(plain).items():
        torch.testing.assert_close(tensors(agent)[name], value, rtol=1e-4, atol=1e-5)
    assert agent.num_updates == plain.num_updates == 50
