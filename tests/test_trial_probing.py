"""Tests of rayoff.trial.probing: what is read of a run does not depend on what else is read."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pyarrow as pa
import pytest
import torch
from toy_dynamics import write_dynamics

import rayoff.trial.probing as probing
from rayoff.config import (
    ActorConfig,
    CriticConfig,
    EvaluationConfig,
    Norm,
    SeemConfig,
    TD3Config,
    TrialConfig,
)
from rayoff.data import load_table
from rayoff.trial import Trial

SEEDS = (3, 5, 8, 13)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return load_table(write_dynamics(tmp_path_factory.mktemp("data") / "dynamics.parquet"))


def make_trial(table: pa.Table, norm: Norm = "none", **seem: Any) -> Trial:  # noqa: ANN401
    """Return a trial that has trained for a few steps."""
    config = TrialConfig(
        algorithm="td3",
        agent=TD3Config(tau=1.0, learning_rate=3e-3),
        actor=ActorConfig(width=32),
        critic=CriticConfig(width=32, norm=norm),
        seem=SeemConfig(period=20, **seem),
        evaluation=EvaluationConfig(period=0),
        num_steps=100,
        batch_size=64,
        seeds=SEEDS,
    )
    trial = Trial(config, table)
    trial.advance()
    return trial


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("norm", "num_rows", "critics"),
    [("none", 64, "first"), ("none", 33, "all"), ("layer", 51, "first"), ("spectral", 20, "all")],
)
def test_a_run_reads_the_same_bits_whichever_others_are_read(
    table: pa.Table, norm: Norm, num_rows: int, critics: Literal["first", "all"]
) -> None:
    """Odd numbers of rows, since a matrix of them lies at another alignment beside others."""
    trial = make_trial(table, norm, num_rows=num_rows, critics=critics)
    everything = trial.watch.probe.read(trial.agent)
    for runs in ([0], [2], [1, 3], [3, 0]):
        found = trial.watch.probe.read(trial.agent, runs)
        assert found.keys() == everything.keys()
        for name, value in found.items():
            assert torch.equal(value, everything[name][runs]), name


def test_runs_differ_in_what_they_read(table: pa.Table) -> None:
    """Else the bits of the wrong run would do."""
    trial = make_trial(table, num_rows=32)
    for name, value in trial.watch.probe.read(trial.agent).items():
        assert len(set(value.tolist())) == len(SEEDS), name


def test_seem_is_read_of_those_runs_alone_that_are_due(
    table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(table, num_rows=32)
    read: list[int] = []
    read_seem = probing.read_seem

    def note(*args: Any, runs: Sequence[int], **options: Any) -> Any:  # noqa: ANN401
        read.extend(runs)
        return read_seem(*args, runs=runs, **options)

    monkeypatch.setattr(probing, "read_seem", note)
    monkeypatch.setattr(trial.watch, "due", lambda step: [1, 3])
    readings = trial.watch.read(trial.step + 1, trial.agent, {"critic/loss": [1.0] * len(SEEDS)})
    assert read == [1, 3]
    assert list(readings) == [1, 3]
    everything = trial.watch.probe.read(trial.agent)
    for run, reading in readings.items():
        assert reading["seem/value"] == everything["seem/value"][run]
        assert reading["critic/q_abs"] == everything["critic/q_abs"][run]
