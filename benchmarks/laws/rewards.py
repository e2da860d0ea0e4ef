"""The stopper under rewards of any scale and sign, of which it must see only the size.

The |Q| that is watched is that of the toy maze under Adam; the bound with rewards that are
nowhere positive is that of pendulum swings.
"""

from dataclasses import replace
from functools import partial

from laws import pendulum
from laws.adam import NUM_LAYERS, Growth, run
from laws.checks import Check, Finding
from rayoff.config import DataConfig, StopperConfig
from rayoff.divergence import RunMonitor, Verdict, q_bound
from rayoff.trial import Trial

DISCOUNT = 0.99
PERIOD = 500
"""Steps between readings [step]."""


def watch(growth: Growth, reward: float) -> Verdict:
    """Return the verdict on a run whose rewards, and with them its Q, are scaled by ``reward``."""
    bound = q_bound(abs(reward), DISCOUNT)
    budget = growth.steps[-1]
    monitor = RunMonitor(StopperConfig(), bound, budget, "adam", NUM_LAYERS, PERIOD)
    readings = list(zip(growth.steps, growth.q_abs, growth.seem, strict=True))
    for step, q_abs, seem in readings[1:]:  # a trial is never probed before its first step
        monitor.observe(step, {"critic/q_abs": reward * q_abs, "seem/row_normalized": seem})
    return monitor.verdict


def smallest_bound() -> float:
    """Return the lesser bound of pendulum swings with rewards in [-16.3, 0] and in [0, 16.3]."""
    table = pendulum.make_table()
    config = pendulum.make_config(pendulum.SLOW_TARGET, num_steps=1, seeds=(0,))
    signs = (1.0, -1.0)
    trials = [Trial(replace(config, data=DataConfig(reward_scale=s)), table) for s in signs]
    return min(trial.watch.bound for trial in trials)


def examine() -> Finding:
    """Return what is found of R12."""
    growth = run(20_000, period=PERIOD)
    expected = watch(growth, 1.0)
    others = [watch(growth, sign * scale) for sign in (-1, 1) for scale in (1e-3, 1.0, 1e3)]
    num_changed = sum(_steps(verdict) != _steps(expected) for verdict in others)
    check = partial(Check, "R12")
    return Finding(
        [
            check("bound with rewards in [-16.3, 0]", "above 0", smallest_bound(), low=1.0),
            check(
                "diverging critic, rewards of 1: stopped [step]",
                "in the budget",
                float("nan") if expected.stop_step is None else expected.stop_step,
                low=PERIOD,
                high=growth.steps[-1],
            ),
            check(
                "of 6 other scales and signs: verdicts that differ",
                "0",
                num_changed,
                low=0,
                high=0,
            ),
        ],
        {},
    )


def _steps(verdict: Verdict) -> tuple[int | None, int | None, int | None]:
    """Return when a run was suspect, stopped, and forecast to pass the ceiling."""
    return verdict.suspected_step, verdict.stop_step, verdict.forecast_step
