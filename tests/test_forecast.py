"""Tests of rayoff.forecast against the laws themselves and a numerical integration."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from rayoff.forecast import (
    Law,
    _student_quantile,
    choose_law,
    crash_from_seem,
    forecast,
    growth_exponent,
)

STEPS = np.arange(100, 200, 10)


@pytest.mark.parametrize(
    ("optimizer", "tau", "law"),
    [
        ("adam", 1.0, "adam"),
        ("sgd", 1.0, "sgd"),
        ("adam", 0.005, "exponential"),
        ("sgd", 0.005, "exponential"),
    ],
)
def test_law_follows_from_optimiser_and_target(optimizer: str, tau: float, law: Law) -> None:
    assert choose_law(optimizer, tau) == law


def test_unknown_optimiser_is_refused() -> None:
    with pytest.raises(ValueError, match="'adam' or 'sgd' but got 'adamw'"):
        choose_law("adamw", 1.0)


@pytest.mark.parametrize("num_layers", [2, 3, 4])
def test_adam_passes_the_limit_as_a_power_of_time(num_layers: int) -> None:
    q_abs = (0.1 * STEPS + 5) ** num_layers
    found = forecast("adam", STEPS, q_abs, limit=205.0**num_layers, num_layers=num_layers)
    assert found.step == pytest.approx(2000)
    assert found.slope == pytest.approx(0.1)
    assert found.r_squared == pytest.approx(1)


@pytest.mark.parametrize("num_layers", [2, 3, 4])
def test_sgd_crashes_in_finite_time(num_layers: int) -> None:
    exponent = num_layers / (2 * num_layers - 2)
    q_abs = (1 - STEPS / 300) ** -exponent
    crash = forecast("sgd", STEPS, q_abs, limit=math.inf, num_layers=num_layers)
    passage = forecast("sgd", STEPS, q_abs, limit=10**exponent, num_layers=num_layers)
    assert crash.step == pytest.approx(300)
    assert passage.step == pytest.approx(270)
    assert crash.r_squared == passage.r_squared == pytest.approx(1)


def test_a_lagging_target_doubles_in_equal_times() -> None:
    q_abs = 3 * 2.0 ** (STEPS / 50)
    found = forecast("exponential", STEPS, q_abs, limit=3 * 2.0**20, num_layers=3)
    assert found.step == pytest.approx(1000)
    assert found.slope == pytest.approx(math.log(2) / 50)


@pytest.mark.parametrize("law", ["adam", "sgd", "exponential"])
@pytest.mark.parametrize("trend", [-1.0, 0.0])
def test_a_critic_that_does_not_grow_never_passes(law: Law, trend: float) -> None:
    found = forecast(law, STEPS, 500 + trend * STEPS, limit=1e6, num_layers=3)
    assert found.step == found.low == found.high == math.inf


def test_the_interval_holds_the_passage_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(1000):
        root = 0.02 * STEPS + 3 + rng.normal(0, 0.02, len(STEPS))
        found = forecast("adam", STEPS, root**3, 20.0**3, num_layers=3, law_error=1)
        passage = (20 - 3 - rng.normal(0, 0.02)) / 0.02
        held.append(found.low <= passage <= found.high)
        assert found.low < found.step < found.high
    assert 0.93 <= np.mean(held) <= 0.97  # two standard errors: 0.014


def test_the_ends_of_the_interval_are_where_a_new_reading_would_just_be_expected() -> None:
    """Against the prediction interval of the line."""
    root = 0.02 * STEPS + 3 + np.random.default_rng(1).normal(0, 0.02, len(STEPS))
    found = forecast("adam", STEPS, root**3, 20.0**3, num_layers=3, confidence=0.9, law_error=1)
    slope, intercept = np.polyfit(STEPS, root, 1)
    scatter = np.sum((root - intercept - slope * STEPS) ** 2) / (len(STEPS) - 2)
    for end in (found.low, found.high):
        share = 1 / len(STEPS) + (end - STEPS.mean()) ** 2 / np.sum((STEPS - STEPS.mean()) ** 2)
        reach = t.ppf(0.95, len(STEPS) - 2) * np.sqrt(scatter * (1 + share))
        assert abs(20 - intercept - slope * end) == pytest.approx(reach, rel=1e-3)


def test_a_law_that_holds_roughly_stretches_the_time_left() -> None:
    root = 0.02 * STEPS + 3 + np.random.default_rng(1).normal(0, 0.02, len(STEPS))
    exact, rough = (
        forecast("adam", STEPS, root**3, 20.0**3, num_layers=3, law_error=error)
        for error in (1.0, 2.0)
    )
    now = STEPS[-1]
    assert rough.step == exact.step
    assert rough.high - now == pytest.approx(2 * (exact.high - now))
    assert rough.low - now == pytest.approx((exact.low - now) / 2)


@pytest.mark.parametrize("law", ["adam", "sgd", "exponential"])
def test_growth_that_may_be_chance_has_no_upper_end(law: Law) -> None:
    found = forecast(law, [1, 2, 3, 4], [1.0, 2.0, 1.0, 2.0], limit=10, num_layers=3)
    assert math.isfinite(found.step)
    assert found.high == math.inf


def test_a_constant_is_explained_by_no_law() -> None:
    assert forecast("adam", STEPS, np.full(10, 2.0), limit=10, num_layers=3).r_squared == 0


def test_the_wrong_law_fits_worse() -> None:
    q_abs = (1 - STEPS / 200) ** -1.0
    fits = {
        law: forecast(law, STEPS, q_abs, limit=1e3, num_layers=2).r_squared
        for law in ("adam", "sgd", "exponential")
    }
    assert fits["sgd"] > 0.999 > fits["exponential"] > fits["adam"]


@given(
    law=st.sampled_from(["adam", "sgd", "exponential"]),
    exponent=st.floats(-6, 6),
    seed=st.integers(0, 100),
)
def test_the_scale_of_rewards_does_not_move_the_forecast(
    law: Law, exponent: float, seed: int
) -> None:
    q_abs = np.sort(np.random.default_rng(seed).uniform(1, 100, len(STEPS)))
    plain = forecast(law, STEPS, q_abs, 1e4, num_layers=3)
    scaled = forecast(law, STEPS, q_abs * 10**exponent, 1e4 * 10**exponent, num_layers=3)
    assert scaled.step == pytest.approx(plain.step, rel=1e-6)
    assert scaled.r_squared == pytest.approx(plain.r_squared, abs=1e-9)


@pytest.mark.parametrize("num_layers", [2, 3])
def test_crash_from_seem_equals_the_integrated_law(num_layers: int) -> None:
    """Parameters of norm s, |Q| = s^L and SEEM = rate s^(2L-2) feed on one another."""
    rate, learning_rate, s, steps = 0.02, 0.01, 1.0, 0.0
    predicted = crash_from_seem(0, rate, learning_rate, num_layers)
    while s < 100:
        growth = 2 * learning_rate * rate * s ** (2 * num_layers - 2)  # of log |Q|
        step = 1e-4 / growth
        s *= 1 + growth * step / num_layers
        steps += step
    assert predicted == pytest.approx(steps, rel=0.01)


def test_no_crash_without_self_excitation() -> None:
    assert crash_from_seem(100, 0.0, 0.1, 3) == math.inf
    assert crash_from_seem(100, -1.0, 0.1, 3) == math.inf


def test_growth_exponent_is_that_of_the_power() -> None:
    assert growth_exponent(STEPS, 4 * STEPS**2.9) == pytest.approx(2.9)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_only_numbers_above_zero_are_fitted(bad: float) -> None:
    with pytest.raises(ValueError, match=f"above zero but got {bad}"):
        forecast("adam", [1, 2, 3], [1.0, bad, 2.0], 1e3, num_layers=3)


def test_readings_at_one_step_are_no_line() -> None:
    with pytest.raises(ValueError, match="Steps must differ but all are 7"):
        forecast("adam", [7, 7, 7], [1.0, 2.0, 3.0], 1e3, num_layers=3)


@pytest.mark.parametrize("law", ["adam", "exponential"])
def test_a_power_and_an_exponential_have_no_crash(law: Law) -> None:
    found = forecast(law, STEPS, STEPS**3.0, limit=math.inf, num_layers=3)
    assert found.step == found.low == found.high == math.inf


@pytest.mark.parametrize("num_free", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("probability", [0.9, 0.975])
def test_the_quantile_of_t_is_within_a_hundredth(num_free: int, probability: float) -> None:
    assert _student_quantile(probability, num_free) == pytest.approx(
        t.ppf(probability, num_free), rel=0.01
    )


def test_two_readings_are_no_line() -> None:
    with pytest.raises(ValueError, match=r"At least 3 steps .* but got \(2,\) and \(2,\)"):
        growth_exponent([1, 2], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        growth_exponent([1, 2, 3], [1.0, 2.0])
