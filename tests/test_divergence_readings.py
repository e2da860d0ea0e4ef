"""Tests of rayoff.divergence.readings: which part of a run's past the rule looks at."""

import pytest

from rayoff.config import StopperConfig
from rayoff.divergence.readings import Readings


def make_readings(steps: list[int], period: int = 100, q_abs: float = 1.0) -> Readings:
    readings = Readings(StopperConfig(num_fitted=4, probe_speedup=5), period)
    for step in steps:
        readings.take(step, {"critic/q_abs": q_abs})
    return readings


def test_the_window_spans_as_many_periods_as_readings_are_fitted() -> None:
    window = make_readings([100, 200, 300, 400, 500, 600]).window()
    assert window == ([300, 400, 500, 600], [1.0] * 4)


def test_probing_more_often_fills_the_window_and_does_not_shorten_it() -> None:
    dense = [100, 200, 300, *range(320, 601, 20)]
    window = make_readings(dense).window()
    assert window is not None
    assert window[0] == [300, *range(320, 601, 20)]


def test_between_the_periods_the_window_reaches_back_to_the_reading_before() -> None:
    window = make_readings([100, 200, 300, 400, 450]).window()
    assert window is not None
    assert window[0] == [100, 200, 300, 400, 450]


@pytest.mark.parametrize("steps", [[], [100], [100, 200, 300], [400, 420, 440, 460]])
def test_what_was_not_watched_long_enough_has_no_window(steps: list[int]) -> None:
    assert make_readings(steps).window() is None


def test_a_critic_that_was_zero_has_no_window() -> None:
    assert make_readings([100, 200, 300, 400], q_abs=0.0).window() is None


def test_a_window_of_dense_readings_is_never_cut_by_what_is_kept() -> None:
    config = StopperConfig(num_fitted=30, probe_speedup=5)
    readings = Readings(config, period=100)
    for step in range(20, 10_001, 20):
        readings.take(step, {"critic/q_abs": 1.0})
    window = readings.window()
    assert window is not None
    assert window[0] == list(range(10_000 - 2900, 10_001, 20))


def test_streaks_end_at_the_last_reading() -> None:
    readings = Readings(StopperConfig(seem_threshold=0.05), period=100)
    for step, (q_abs, seem) in enumerate([(9.0, 0.1), (1.0, 0.1), (9.0, 0.1), (9.0, 0.01)]):
        readings.take(step, {"critic/q_abs": q_abs, "seem/row_normalized": seem})
    assert readings.num_above(5.0) == 2
    assert readings.num_suspicious() == 0
