"""Tests of what a study is told to cost."""

import time
from pathlib import Path

import pytest
from tiny_studies import make_study
from toy_pendulum import write_pendulum

from rayoff.search import Resources
from rayoff.search.planning import NUM_MEASURED_STEPS, measure_cost
from rayoff.study import trials
from rayoff.trial.probing import Probe

PROBE_SECONDS = 0.5


@pytest.mark.parametrize(
    ("num_steps", "period", "num_probes"),
    [(400, 400, 1), (400, 150, 3), (100, NUM_MEASURED_STEPS // 2, 10)],
)
def test_probes_cost_as_often_as_they_are_read(
    num_steps: int, period: int, num_probes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Probe.read

    def read_slowly(*arguments: object) -> object:
        time.sleep(PROBE_SECONDS)
        return read(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Probe, "read", read_slowly)
    source = write_pendulum(tmp_path / "pendulum.parquet")
    study = make_study(source, settings={"num_steps": num_steps, "seem.period": period})
    cost = measure_cost(trials(study), Resources())
    assert cost is not None
    training = cost.trial_seconds - num_probes * PROBE_SECONDS
    assert 0 < training < 8 * PROBE_SECONDS  # a probe each 20 steps would make it 20 of them
