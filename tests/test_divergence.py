"""Tests of rayoff.divergence on series as they were measured, and on every edge of the rule."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from rayoff.config import StopperConfig
from rayoff.divergence import RunMonitor, Verdict, check_stopper, q_bound
from rayoff.errors import StudyError
from rayoff.forecast import Law

HOPPER_BOUND = 586.0
HALFCHEETAH_BOUND = 1392.0
BUDGET = 4000


def make_monitor(bound: float = HOPPER_BOUND, **config: Any) -> RunMonitor:  # noqa: ANN401
    return RunMonitor(StopperConfig(**config), bound, BUDGET, "adam", num_layers=3, period=200)


def metrics(q_abs: float, seem: float = 0.0) -> dict[str, float]:
    return {"critic/q_abs": q_abs, "critic/q_max": 2 * q_abs, "seem/row_normalized": seem}


def watch(
    monitor: RunMonitor,
    q_abs: Callable[[int], float],
    seem: float = 0.0,
    steps: Iterable[int] = range(200, BUDGET + 1, 200),
) -> Verdict:
    """Return the last verdict on a run whose |Q| and SEEM are functions of the step."""
    verdict = Verdict()
    for step in steps:
        verdict = monitor.observe(step, metrics(q_abs(step), seem))
    return verdict


def diverging(step: int) -> float:
    """Return |Q| of a plain critic on hopper: 4.9e3 at 500, 3e5 at 2,000, 1.7e6 at 4,000."""
    return (0.0303 * step + 2.0) ** 3


def test_the_self_exciting_critic_is_stopped_before_it_passes_the_ceiling() -> None:
    verdict = watch(make_monitor(), diverging, seem=0.13)
    assert verdict.stop
    assert verdict.stop_step is not None
    assert diverging(verdict.stop_step) < 1000 * HOPPER_BOUND
    passage = (586_000 ** (1 / 3) - 2.0) / 0.0303
    assert verdict.forecast_step == math.ceil(passage)
    assert verdict.suspected_step == 400
    assert verdict.stop_step == 1600
    assert verdict.reason == (
        "critic self-excites: row-normalised SEEM 0.13 >= 0.05 at 8 probes, |Q| 1.3e5 "
        "growing as t^2.8, forecast to pass 5.9e5 at step 2,696 [2,331, 3,244] of 4,000"
    )


def test_a_bounded_critic_is_left_alone() -> None:
    verdict = watch(make_monitor(), lambda step: 260 * (1 - math.exp(-step / 1000)), seem=0.015)
    assert verdict == Verdict()


def test_a_critic_below_the_bound_is_left_alone_however_it_grows() -> None:
    monitor = make_monitor(HALFCHEETAH_BOUND)
    assert watch(monitor, lambda step: 700 * (step / BUDGET) ** 3, seem=0.028) == Verdict()


def test_high_seem_alone_makes_a_run_suspect_and_never_stops_it() -> None:
    verdict = watch(make_monitor(), lambda step: 50 + step / 1000, seem=0.9)
    assert verdict.suspect
    assert not verdict.stop


def test_growth_is_followed_without_seem_where_q_is_far_out() -> None:
    verdict = watch(make_monitor(), diverging, seem=math.nan)
    assert verdict.stop
    assert verdict.reason == (
        "|Q| 1.3e5, 220 times the bound 586, growing as t^2.8, "
        "forecast to pass 5.9e5 at step 2,696 [2,331, 3,244] of 4,000"
    )


def test_one_high_reading_is_no_suspicion() -> None:
    monitor = make_monitor()
    for step, seem in [(600, 0.5), (800, 0.5), (1000, 0.01), (1200, 0.5), (1400, 0.5)]:
        assert not monitor.observe(step, metrics(1.0, seem)).suspect
    assert monitor.observe(1600, metrics(1.0, 0.5)).suspect


def test_a_missing_seem_is_no_suspicion() -> None:
    monitor = make_monitor()
    for step in (600, 800, 1000):
        assert not monitor.observe(step, {"critic/q_abs": 1.0}).suspect


def test_suspicion_ends_with_its_cause() -> None:
    monitor = make_monitor()
    assert monitor.observe(600, metrics(4 * HOPPER_BOUND)).suspect
    verdict = monitor.observe(800, metrics(0.9 * HOPPER_BOUND))
    assert not verdict.suspect
    assert verdict.suspected_step == 600


def test_a_critic_that_grows_and_falls_back_is_left_alone() -> None:
    def swings(step: int) -> float:
        return diverging(step) * (0.2 if step % 400 else 1.0)

    assert not watch(make_monitor(), swings, 0.13, range(200, 1801, 200)).stop


def test_a_passage_beyond_the_horizon_prevents_the_stop() -> None:
    early = make_monitor(horizon_fraction=0.1)
    verdict = watch(early, diverging, 0.13, range(200, 2001, 200))
    assert verdict.forecast_step == 2696
    assert not verdict.stop


def test_a_forecast_that_may_be_chance_prevents_the_stop() -> None:
    def in_jumps(step: int) -> float:
        return 1e5 if step > 1200 else 7e3 + step / 100

    verdict = watch(make_monitor(horizon_fraction=1.0), in_jumps, 0.13, range(200, 2001, 200))
    assert not verdict.stop
    assert verdict.forecast_step is not None
    assert verdict.forecast_step < BUDGET
    assert verdict.forecast_high is None or verdict.forecast_high > BUDGET


def test_too_few_readings_allow_no_forecast() -> None:
    """Two forecasts, each from five readings, need six."""
    assert not watch(make_monitor(), diverging, 0.13, range(1000, 1801, 200)).stop
    assert watch(make_monitor(), diverging, 0.13, range(1000, 2001, 200)).stop


def test_no_forecast_is_believed_while_seem_falls() -> None:
    """As on hopper/medium: |Q| grew to 455 bounds, SEEM fell, and |Q| came back."""
    monitor = make_monitor()
    for step in range(200, 2601, 200):
        monitor.observe(step, metrics(diverging(step), 0.3 * 0.8 ** (step / 200)))
    assert not monitor.verdict.stop
    assert monitor.verdict.forecast_step == 2696
    heedless = make_monitor(seem_held=0.0)
    assert watch(heedless, diverging, 0.13, range(200, 2601, 200)).stop


def test_one_forecast_that_passes_the_ceiling_is_not_enough() -> None:
    """A spurt that the next reading takes back."""

    def spurts(step: int) -> float:
        return diverging(step) if step <= 2000 else diverging(2000) * (1 - (step - 2000) / 4000)

    eager = watch(make_monitor(num_confirmed=1, horizon_fraction=1.0), spurts)
    patient = watch(make_monitor(num_confirmed=9, horizon_fraction=1.0), spurts)
    assert eager.stop
    assert not patient.stop


@pytest.mark.parametrize("law", ["adam", "exponential"])
@pytest.mark.parametrize("level", [1.3, 5.0, 50.0])
@pytest.mark.parametrize("pace", [20_000, 100_000])
def test_in_a_long_study_a_critic_that_saturates_is_left_alone(
    law: Law, level: float, pace: int
) -> None:
    """At the default period and budget a stretch of five probes would be too short to tell."""
    monitor = RunMonitor(StopperConfig(), 1.0, 1_000_000, law, num_layers=3, period=2000)
    step = 0
    while step < 1_000_000:
        verdict = monitor.verdict
        hurried = verdict.suspect and not verdict.stop
        step += 400 if hurried else 2000
        verdict = monitor.observe(step, metrics(level * (1 - math.exp(-step / pace))))
    assert not monitor.verdict.stop


def passage_on(steps: Iterable[int]) -> int:
    """Return the first of these steps at which the diverging critic is above the ceiling."""
    return next(step for step in steps if diverging(step) > 1000 * HOPPER_BOUND)


def test_the_crash_is_seen_also_after_the_stop_of_a_run_that_trains_on() -> None:
    stopped = watch(make_monitor(), diverging, 0.13, range(200, 1601, 200))
    monitor = make_monitor(mode="observe")
    seen = watch(monitor, diverging, 0.13)
    assert stopped.stop_step == seen.stop_step == 1600
    assert stopped.passed_step is None
    assert seen.passed_step is not None
    assert seen.passed_step == passage_on(range(200, BUDGET, 200)) == 2800
    assert seen == replace(stopped, passed_step=2800)
    assert seen.forecast_low is not None
    assert seen.forecast_high is not None
    assert seen.forecast_low < seen.passed_step < seen.forecast_high
    assert monitor.observe(BUDGET + 200, metrics(1.0)) == seen  # what was seen stays seen


def test_the_last_forecast_before_the_crash_is_kept_when_the_crash_is_seen() -> None:
    """A rule that trusts no forecast stops at the ceiling, where the forecast would be now."""
    monitor = make_monitor(horizon_fraction=1e-9)
    before = watch(monitor, diverging, 0.13, range(200, 2601, 200))
    assert not before.stop
    assert before.forecast_step == 2696
    passed = monitor.observe(2800, metrics(diverging(2800), 0.13))
    assert passed == replace(before, passed_step=2800)
    stopped = monitor.observe(3000, metrics(diverging(3000), 0.13))
    assert (stopped.stop_step, stopped.passed_step) == (3000, 2800)
    foretold = (before.forecast_step, before.forecast_low, before.forecast_high)
    assert foretold == (stopped.forecast_step, stopped.forecast_low, stopped.forecast_high)


def test_a_number_that_is_not_finite_is_a_crash_and_leaves_the_forecast_before_it() -> None:
    monitor = make_monitor(horizon_fraction=1e-9)
    before = watch(monitor, diverging, 0.13, range(200, 2401, 200))
    lost = monitor.observe(2600, metrics(math.inf))
    assert (lost.stop_step, lost.passed_step) == (2600, 2600)
    assert lost.forecast_step == before.forecast_step == 2696


def test_a_withdrawn_forecast_is_none_that_was_made_before_the_crash() -> None:
    monitor = make_monitor(horizon_fraction=1e-9)
    assert watch(monitor, diverging, 0.13, range(200, 2401, 200)).forecast_step == 2696
    assert monitor.observe(2600, metrics(1.0)).forecast_step is None
    assert monitor.observe(2800, metrics(diverging(2800))).forecast_step is None


def test_above_the_ceiling_two_readings_are_enough() -> None:
    monitor = make_monitor()
    for step, q_abs in [(600, 6.3e5), (800, 5.8e5), (1000, 6.3e5)]:
        assert not monitor.observe(step, metrics(q_abs)).stop
    verdict = monitor.observe(1200, metrics(6.1e5))
    assert verdict.stop_step == 1200
    assert verdict.reason == "|Q| 6.1e5 above 1000 times the bound 586 at 2 probes"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("critic/q_abs", "|Q| is"),
        ("critic/q_max", "|Q| is"),
        ("critic/loss", "the critic's loss is"),
    ],
)
def test_numbers_that_are_not_finite_stop_even_in_the_warm_up(
    bad: float, name: str, what: str
) -> None:
    verdict = make_monitor().observe(1234, metrics(1.0) | {name: bad})
    assert verdict.stop
    assert verdict.suspect
    assert verdict.reason == f"{what} no longer finite at step 1,234"


def test_a_verdict_to_stop_stands() -> None:
    monitor = make_monitor()
    stopped = monitor.observe(600, metrics(math.nan))
    assert monitor.observe(800, metrics(1.0)) == stopped


def test_mode_off_finds_nothing_and_observe_decides_as_stop() -> None:
    assert watch(make_monitor(mode="off"), diverging, 0.13) == Verdict()
    assert make_monitor(mode="off").observe(600, metrics(math.nan)) == Verdict()
    observed = watch(make_monitor(mode="observe"), diverging, 0.13)
    assert observed == watch(make_monitor(mode="stop"), diverging, 0.13)


def test_probes_come_in_the_order_of_their_steps() -> None:
    monitor = make_monitor()
    monitor.observe(200, metrics(1.0))
    with pytest.raises(ValueError, match="above the last, 200, but got 200"):
        monitor.observe(200, metrics(1.0))


def test_state_goes_through_json_and_the_run_goes_on() -> None:
    undisturbed, before, after = make_monitor(), make_monitor(), make_monitor()
    expected = watch(undisturbed, diverging, 0.13)
    watch(before, diverging, 0.13, range(200, 801, 200))
    after.load_state_dict(json.loads(json.dumps(before.state_dict(), allow_nan=False)))
    assert watch(after, diverging, 0.13, range(1000, BUDGET + 1, 200)) == expected


def test_state_after_a_number_that_was_not_finite_is_still_json() -> None:
    monitor = make_monitor()
    monitor.observe(600, metrics(1.0, math.nan))
    stopped = monitor.observe(800, metrics(math.inf))
    restored = make_monitor()
    restored.load_state_dict(json.loads(json.dumps(monitor.state_dict(), allow_nan=False)))
    assert restored.observe(1000, metrics(1.0)) == stopped


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_rewards_changes_no_decision(scale: float) -> None:
    plain = watch(make_monitor(), diverging, 0.13)
    scaled = watch(make_monitor(HOPPER_BOUND * scale), lambda s: scale * diverging(s), 0.13)
    assert plain.stop
    assert scaled.stop_step == plain.stop_step
    assert scaled.suspected_step == plain.suspected_step
    assert scaled.forecast_step == plain.forecast_step


def test_negative_rewards_give_the_bound_of_their_size() -> None:
    assert q_bound(max_abs_reward=abs(-1.0), discount=0.99) == pytest.approx(100)
    negative = watch(make_monitor(), lambda step: -diverging(step), 0.13)
    assert negative == watch(make_monitor(), diverging, 0.13)


def test_rewards_of_zero_are_taken_for_ones() -> None:
    assert q_bound(0.0, 0.99) == q_bound(1.0, 0.99)


@pytest.mark.parametrize(
    ("reward", "discount"),
    [(-1.0, 0.9), (math.nan, 0.9), (math.inf, 0.9), (1.0, 1.0), (1.0, -0.1)],
)
def test_a_bound_needs_a_reward_and_a_discount(reward: float, discount: float) -> None:
    with pytest.raises(ValueError, match="but got"):
        q_bound(reward, discount)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_fitted": 2}, "stopper.num_fitted must be at least 3, .* but got 2"),
        ({"num_suspicious": 0}, "stopper.num_suspicious must be at least 1 but got 0"),
        ({"num_above_ceiling": 0}, "num_above_ceiling"),
        ({"probe_speedup": 0}, "probe_speedup"),
        ({"fit_fraction": 0.0}, "fit_fraction"),
        ({"seem_held": 1.5}, "seem_held"),
        ({"num_confirmed": 0}, "num_confirmed"),
        ({"seem_threshold": 0.0}, "seem_threshold"),
        ({"suspect_factor": 0.0}, "suspect_factor"),
        ({"horizon_fraction": 0.0}, "horizon_fraction"),
        ({"audit_fraction": 1.1}, "audit_fraction"),
        ({"confirm_factor": 0.5}, r"confirm_factor must be at least suspect_factor = 3.0"),
        ({"ceiling_factor": 0.5}, r"ceiling_factor must be at least confirm_factor = 10.0"),
    ],
)
def test_a_rule_that_could_not_work_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        check_stopper(StopperConfig(**config))
    with pytest.raises(StudyError, match=message):
        make_monitor(**config)


@pytest.mark.parametrize(
    ("bound", "budget", "period"), [(0.0, 100, 1), (math.nan, 100, 1), (1.0, 0, 1), (1.0, 100, 0)]
)
def test_a_monitor_needs_a_bound_a_budget_and_a_period(
    bound: float, budget: int, period: int
) -> None:
    with pytest.raises(ValueError, match="must be above zero but got"):
        RunMonitor(StopperConfig(), bound, budget, "adam", 3, period)


def test_growth_goes_on_after_the_verdict_of_a_run_that_is_only_observed() -> None:
    monitor = make_monitor()
    verdict = watch(monitor, diverging, seem=0.13)
    assert monitor.growth is not None
    assert monitor.growth > 2
    for step in range(4_200, 5_400, 200):
        assert monitor.observe(step, {"critic/q_abs": 1e6}) == verdict
    assert monitor.growth == pytest.approx(0, abs=1e-9)
