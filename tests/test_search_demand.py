"""Tests of what trials take of memory, against processes that train them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import pytest
from tiny_studies import make_study
from toy_pendulum import write_pendulum

from rayoff.config import SeemConfig
from rayoff.data import load_table
from rayoff.search.demand import bound_demand, measure_demand
from rayoff.search.packing import Demand
from rayoff.study import Axis, PlannedTrial, trials

_TRAIN = """
import json, resource, sys
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
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pendulum(tmp_path_factory.mktemp("data") / "pendulum.parquet")


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
    assert many.of_run == many.state + many.arena + many.probe
    assert all_critics.probe == 2 * many.probe
    assert never.probe == 0
