"""Tests of rayoff.divergence.readings: which part of a run's past the rule looks at."""

import math

import pytest

from rayoff.config import StopperConfig
from rayoff.divergence.readings import Readings

CONFIG = StopperConfig(num_fitted=4, fit_fraction=0.3, num_confirmed=2)
NUM_STEPS = 1000  # four readings over 300 steps: 100 apart


def make_readings(steps: list[int], period: int = 100, q_abs: float = 1.0) -> Readings:
    readings = Readings(CONFIG, NUM_STEPS, period)
    for step in steps:
        readings.take(step, {"critic/q_abs": q_abs})
    return readings


def steps_of(readings: Readings, age: int = 0) -> list[int] | None:
    window = readings.window(age)
    return None if window is None else window.steps


def test_the_window_spans_its_share_of_the_budget() -> None:
    readings = make_readings([100, 200, 300, 400, 500, 600])
    assert steps_of(readings) == [300, 400, 500, 600]
    assert steps_of(readings, age=1) == [200, 300, 400, 500]


@pytest.mark.parametrize(
    ("seem", "holds"),
    [
        ((0.1, 0.1, 0.1, 0.1), True),
        ((0.0, 0.05, 0.1, 0.2), True),
        ((0.1, 0.2, 0.2, 0.15), True),
        ((0.1, 0.2, 0.2, 0.13), False),
        ((-0.1, -0.1, -0.1, -0.2), False),
        ((math.nan, 0.1, math.nan, 0.1), True),
        ((0.1, 0.1, 0.1, math.nan), True),
        ((math.nan,) * 4, True),
    ],
)
def test_seem_holds_while_it_is_near_its_peak(seem: tuple[float, ...], holds: bool) -> None:
    readings = Readings(CONFIG, NUM_STEPS, period=100)
    for step, value in zip((100, 200, 300, 400), seem, strict=True):
        readings.take(step, {"critic/q_abs": 1.0, "seem/row_normalized": value})
    window = readings.window()
    assert window is not None
    assert window.holds_seem(0.7) == holds
    assert window.holds_seem(0.0)


def test_probing_more_often_neither_shortens_nor_fills_it() -> None:
    dense = [100, 200, 300, *range(320, 601, 20)]
    assert steps_of(make_readings(dense)) == [300, 400, 500, 600]
    assert steps_of(make_readings([*dense, 620])) == [320, 420, 520, 620]


def test_where_probes_are_rare_their_period_is_the_distance() -> None:
    readings = make_readings([250, 500, 750, 1000], period=250)
    assert steps_of(readings) == [250, 500, 750, 1000]


def test_the_reading_that_is_nearest_stands_in_for_a_missing_one() -> None:
    assert steps_of(make_readings([100, 200, 300, 400, 450])) == [100, 200, 300, 450]


@pytest.mark.parametrize("steps", [[], [100], [100, 200, 300], [400, 420, 440, 460]])
def test_what_was_not_watched_long_enough_has_no_window(steps: list[int]) -> None:
    assert make_readings(steps).window() is None


def test_a_hole_in_the_readings_leaves_no_window() -> None:
    assert make_readings([100, 200, 600, 700]).window() is None


def test_a_critic_that_was_zero_has_no_window() -> None:
    assert make_readings([100, 200, 300, 400], q_abs=0.0).window() is None


def test_what_is_kept_does_not_grow_and_is_enough_for_every_window() -> None:
    readings = make_readings(list(range(20, 100_001, 20)))
    assert steps_of(readings, age=1) == [99_600, 99_700, 99_800, 99_900]
    assert len(readings.state()) <= 6 * 5 + 1


def test_streaks_end_at_the_last_reading() -> None:
    readings = Readings(StopperConfig(seem_threshold=0.05), NUM_STEPS, period=100)
    for step, (q_abs, seem) in enumerate([(9.0, 0.1), (1.0, 0.1), (9.0, 0.1), (9.0, 0.01)], 1):
        readings.take(step, {"critic/q_abs": q_abs, "seem/row_normalized": seem})
    assert readings.num_above(5.0) == 2
    assert readings.num_suspicious() == 0
