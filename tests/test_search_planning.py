"""Tests of what a study is told to cost."""

from pathlib import Path

import pyarrow as pa
import pytest
from tiny_studies import make_study
from toy_pendulum import write_pendulum

from rayoff.config import TrialConfig
from rayoff.data import load_table
from rayoff.search import Resources, planning
from rayoff.search.planning import NUM_MEASURED_STEPS, describe_plan, measure_cost
from rayoff.study import load_study, override, trials
from rayoff.trial import Row
from rayoff.trial.probing import Probe

RECORDING_SECONDS, STEP_SECONDS, PROBE_SECONDS = 0.3, 0.01, 0.5


@pytest.mark.parametrize(
    ("num_steps", "period", "num_probes"),
    [(400, 400, 1), (400, 150, 3), (100, NUM_MEASURED_STEPS // 2, 10)],
)
def test_steps_and_probes_cost_as_often_as_they_are_taken(
    num_steps: int, period: int, num_probes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(config: TrialConfig, table: pa.Table, device: str, num_steps: int) -> Row:
        return {
            "time/train_seconds": RECORDING_SECONDS + STEP_SECONDS * num_steps,
            "time/probe_seconds": PROBE_SECONDS,
        }

    monkeypatch.setattr(planning, "_train", train)
    source = write_pendulum(tmp_path / "pendulum.parquet")
    study = make_study(source, settings={"num_steps": num_steps, "seem.period": period})
    cost = measure_cost(trials(study), Resources())
    assert cost is not None
    training = RECORDING_SECONDS + STEP_SECONDS * num_steps
    assert cost.trial_seconds == pytest.approx(training + num_probes * PROBE_SECONDS)


@pytest.mark.parametrize("period", [5, 4000])
def test_a_measured_trial_is_probed_once(
    period: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reads = Probe.read, []

    def count(*arguments: object) -> object:
        reads.append(1)
        return read(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Probe, "read", count)
    source = write_pendulum(tmp_path / "pendulum.parquet")
    (first, *_) = trials(make_study(source, settings={"seem.period": period}))
    row = planning._train(first.config, load_table(source), "cpu", 20)
    assert len(reads) == 1
    assert row["step"] == 20
    assert float(row["time/train_seconds"]) > 0


def test_the_plan_names_the_design_and_what_each_arm_is_compared_with() -> None:
    study = override(load_study("cloning_ladder"), ["data.fraction=1.0"])
    headline, *lines = describe_plan(study, Resources(), None).splitlines()
    assert "4 arms of 2 x 2 x 2 points" in headline
    assert headline.endswith("design: ladder, each arm beside the step before, paired")
    first = next(i for i, line in enumerate(lines) if line.startswith("  pairs"))
    assert [line[9:] for line in lines[first : first + 3]] == [
        "td3_bc-none-critics2: algorithm td3_bc instead of td3",
        "td3_bc-layer-critics2: critic.norm layer instead of none",
        "td3_bc-layer-critics5: critic.num_critics 5 instead of 2",
    ]


def test_a_name_close_to_a_dataset_that_is_here_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning, "list_datasets", lambda: [("mixed/hopper/medium-v0", 1000)])
    (told,) = planning._dataset_warnings("mixed/hopper/medum-v0", [])
    assert told.startswith("mixed/hopper/medum-v0 is not on this machine: it will be downloaded")
    assert told.endswith("Did you mean 'mixed/hopper/medium-v0', which is here?")
    (told,) = planning._dataset_warnings("mujoco/hopper/medium-v0", [])  # another dataset
    assert told.endswith("when the study runs")
