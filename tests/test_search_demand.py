"""Tests of what trials take of memory, against processes that train them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from data_fixtures import flat_rows, write_parquet
from tiny_studies import make_study

from rayoff.config import SeemConfig, TrialConfig
from rayoff.data import load_table
from rayoff.search import run_memory
from rayoff.search.demand import bound_demand, measure_demand
from rayoff.search.packing import Demand
from rayoff.study import Axis, PlannedTrial, trials

_TRAIN = """
import json, sys
import ray, torch
from rayoff.config import SeemConfig
from rayoff.data import load_table
from rayoff.study import config_from_dict
from rayoff.trial import Trial
torch.set_num_threads(1)
config = config_from_dict(json.loads(sys.argv[1]))
trial = Trial(config, load_table(config.data.source))
while not trial.done:
    trial.advance()
# not ru_maxrss, which a new process takes over from the one that started it
with open("/proc/self/status") as status:
    (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
print(int(peak) * 1024)
"""


def plan(
    source: str,
    axes: Sequence[Axis] = (),
    num_seeds: int = 1,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> list[PlannedTrial]:
    """Return the trials of a study of td3_bc with the widths that are common."""
    given = {"critic.width": 256, "actor.width": 256, "batch_size": 256, **settings}
    varied = {axis.path for axis in axes}
    study = make_study(
        source,
        base="td3_bc",
        axes=list(axes),
        baseline={axis.path: axis.values[0] for axis in axes if axis.path != "data.fraction"},
        seeds=range(num_seeds),
    )
    stated = {path: v for path, v in {**study.settings, **given}.items() if path not in varied}
    return trials(replace(study, settings=stated))


def demand_of(source: str, planned: list[PlannedTrial]) -> Demand:
    return measure_demand(planned, {source: load_table(source)})


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    ("num_seeds", "width", "num_rows"),
    [
        (8, 256, 256),
        pytest.param(1, 256, 256, marks=pytest.mark.slow),
        pytest.param(4, 1024, 256, marks=pytest.mark.slow),
        pytest.param(4, 64, 1024, marks=pytest.mark.slow),
    ],
)
def test_a_process_takes_what_was_estimated(
    source: str, num_seeds: int, width: int, num_rows: int
) -> None:
    sizes = {"critic.width": width, "actor.width": width, "seem.num_rows": num_rows}
    steps = {"num_steps": 8, "seem.period": 8}
    planned = plan(source, num_seeds=num_seeds, settings=sizes | steps)
    config = json.dumps(asdict(planned[0].config))
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN, config], check=True, capture_output=True, text=True
    )
    expected = demand_of(source, planned).on_host(on_gpu=False)
    assert int(done.stdout) == pytest.approx(expected, rel=0.3)


def test_the_demand_is_that_of_the_largest_trial(source: str) -> None:
    axes = [Axis("critic.width", [32, 256, 64]), Axis("critic.norm", ["none", "batch"])]
    both = demand_of(source, plan(source, axes))
    largest = plan(source, settings={"critic.norm": "batch"})
    assert both == demand_of(source, largest)
    plain = demand_of(source, plan(source))
    assert both.step > 1.5 * plain.step
    assert both.state == pytest.approx(plain.state, rel=0.05)


def test_what_is_measured_of_a_run_is_that_of_each(source: str) -> None:
    one, eight = (demand_of(source, plan(source, num_seeds=k)) for k in (1, 8))
    assert eight.of_run == one.of_run
    assert eight.on_host(on_gpu=False) - one.on_host(on_gpu=False) == 7 * one.of_run
    assert eight.on_gpu - one.on_gpu == 7 * (one.of_run + one.step + one.probe)  # two graphs


def test_state_is_weights_targets_and_moments(source: str) -> None:
    actor, critic = 3 * 256 + 256 + 256 * 256 + 256 + 256 + 1, 4 * 256 + 256 + 256 * 256 + 512 + 1
    numbers = 4 * (actor + 2 * critic)
    assert demand_of(source, plan(source)).state == pytest.approx(4 * numbers, rel=0.01)


def test_rows_are_counted_by_the_largest_fraction(source: str) -> None:
    num_rows = load_table(source).num_rows
    axis = Axis("data.fraction", [0.1, 0.5])
    demand = demand_of(source, plan(source, [axis]))
    num_columns = 3 + 1 + 1 + 3 + 1 + 1
    assert demand.data == pytest.approx(2 * 4 * num_columns * num_rows / 2, rel=0.01)
    assert demand.own_data == demand.data


def test_rows_that_trials_share_are_not_their_own(source: str) -> None:
    tables = {source: load_table(source)}
    whole, both, half = (
        bound_demand(plan(source, [Axis("data.fraction", fractions)]), tables)
        for fractions in ([1.0], [1.0, 0.5], [0.5])
    )
    assert whole.own_data == 0
    assert both.own_data == half.own_data == half.data
    assert both.data == whole.data > half.data


@pytest.mark.parametrize("norm", ["none", "batch_joint"])
@pytest.mark.parametrize("width", [32, 256])
def test_the_bound_lies_above_what_is_measured(source: str, norm: str, width: int) -> None:
    planned = plan(source, (), 2, {"critic.norm": norm, "critic.width": width})
    bound = bound_demand(planned, {source: load_table(source)})
    measured = demand_of(source, planned)
    assert bound.num_runs == measured.num_runs == 2
    assert bound.data == measured.data
    assert bound.of_run > 4 * measured.of_run


def test_a_reading_counts_where_it_takes_more_than_a_step(source: str) -> None:
    (planned,) = plan(source)
    few, many, all_critics, never = (
        demand_of(source, [replace(planned, config=replace(planned.config, seem=seem))])
        for seem in (
            SeemConfig(num_rows=256),
            SeemConfig(num_rows=2048),
            SeemConfig(num_rows=2048, critics="all"),
            SeemConfig(period=0),
        )
    )
    assert few.of_run == never.of_run  # a step takes more
    assert many.probe == 64 * few.probe
    more = many.on_host(on_gpu=False) - never.on_host(on_gpu=False)
    assert more == many.probe - many.step  # runs are read one after the other
    assert all_critics.probe == 2 * many.probe
    assert never.probe == 0


def test_penalties_and_dropout_count_where_the_networks_are_alike(source: str) -> None:
    rewards = [Axis("regularizer.rd_weight", [0.0, 1e-3]), Axis("critic.dropout", [0.0, 0.1])]
    settings = {"regularizer.rd_stage": "auto"}
    both = demand_of(source, plan(source, rewards, settings=settings))
    fixed = {"regularizer.rd_weight": 1e-3, "critic.dropout": 0.1}
    largest = demand_of(source, plan(source, settings=settings | fixed))
    assert both == largest
    plain = demand_of(source, plan(source))
    assert both.of_run > 1.8 * plain.of_run


def test_the_demand_takes_each_part_from_the_arm_where_it_is_largest(source: str) -> None:
    tables = {source: load_table(source)}
    arms = [
        plan(source, settings={"critic.width": width, "actor.width": width, "batch_size": size})
        for width, size in ((512, 16), (64, 512))
    ]
    for arm, activation in zip(arms, ("relu", "mish"), strict=True):
        critic = replace(arm[0].config.critic, activation=activation)
        arm[0] = replace(arm[0], config=replace(arm[0].config, critic=critic))
    wide, long = (measure_demand(arm, tables) for arm in arms)
    assert wide.state > long.state
    assert wide.step < long.step
    both = measure_demand([*arms[0], *arms[1]], tables)
    assert (both.state, both.step) == (wide.state, long.step)
    assert both.arena == max(wide.arena, long.arena)


def test_arms_that_differ_in_amounts_alone_are_measured_once(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[float] = []

    def measure(config: TrialConfig, *_: int) -> tuple[int, int, int]:
        measured.append(config.critic.width)
        return 1, 1, 1

    monkeypatch.setattr(run_memory, "measure_run", measure)
    axes = [
        Axis("critic.dropout", [0.1, 0.2, 0.5]),
        Axis("critic.width", [16, 32]),
        Axis("regularizer.dr3_weight", [0.0, 0.1, 0.2]),
        Axis("data.fraction", [0.5, 1.0]),
    ]
    demand_of(source, plan(source, axes))
    assert measured == [32, 32]
    measured.clear()
    activations = Axis("critic.activation", ["relu", "mish", "silu", "gelu", "elu", "tanh"])
    norms = Axis("critic.norm", ["none", "layer", "batch", "rms", "weight", "spectral"])
    demand_of(source, plan(source, [activations, norms]))
    assert len(measured) == 24


def test_the_bound_lies_above_what_regularized_critics_take(source: str) -> None:
    settings = {"regularizer.rd_weight": 1e-3, "regularizer.rd_stage": "auto"}
    planned = plan(source, settings=settings | {"regularizer.dr3_weight": 1e-3})
    bound = bound_demand(planned, {source: load_table(source)})
    assert bound.of_run > 4 * demand_of(source, planned).of_run


@pytest.mark.parametrize("num_critics", [2, 10])
def test_the_bound_lies_above_what_wide_observations_take(
    num_critics: int, tmp_path: Path
) -> None:
    rows = flat_rows([20, 20], [True, True])
    rows |= {"observations": np.zeros((40, 4000), np.float32)}
    wide = write_parquet(tmp_path / "wide.parquet", rows)
    widths = {"critic.width": 16, "actor.width": 16, "critic.num_critics": num_critics}
    planned = plan(wide, settings=widths)
    bound = bound_demand(planned, {wide: load_table(wide)})
    assert bound.of_run > 1.5 * demand_of(wide, planned).of_run
