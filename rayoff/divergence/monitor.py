"""The stopping rule: when a run's critic counts as lost, from its reported metrics alone.

A run is *suspect* when SEEM is high at several readings in a row, or when |Q| exceeds what the
rewards allow by a factor: it is then probed more often. It is *lost* when |Q| is far above that
bound, SEEM holds, and its growth law passes the ceiling well within the budget, even at the late
end of the forecast's interval, twice in a row; or when |Q| is above the ceiling already; or when
a number is no longer finite.

SEEM alone never stops a run: it was high for thousands of steps in runs that stayed bounded, and
its height differs between runs that are lost. But it is what drives |Q|: before a growth ends,
SEEM falls, and the forecast, which knows of |Q| alone, is not believed.

Source:
    Bound and ceiling: QLIMIT in the code of Yue et al. 2023, arXiv 2310.04411, with |r| for r.
    The rule is ours; benchmarks/audit.py compares it with others and supports its thresholds.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from rayoff.config import StopperConfig
from rayoff.divergence.readings import Reading, Readings, Window
from rayoff.divergence.rule import check_stopper
from rayoff.forecast import Forecast, Law, forecast, growth_exponent


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be done with a run; steps are None where the event has not come."""

    suspect: bool = False
    """Whether the run is suspect now, so that it should be probed more often."""
    stop: bool = False
    """Whether the run is lost; if so, the verdict stands."""
    reason: str | None = None
    """Why it is lost: a sentence with its numbers."""
    suspected_step: int | None = None
    """When the run was first suspect [step]."""
    stop_step: int | None = None
    """When the run was lost [step]."""
    passed_step: int | None = None
    """When |Q| was first seen above the ceiling, or not finite [step]; seen also after the stop,
    while the run trains on."""
    forecast_step: int | None = None
    """When a suspect run's |Q| will pass the ceiling [step]; None also where it never will.
    The last one stands that was made before |Q| was seen above it, and no later than the stop."""
    forecast_low: int | None = None
    """Early end of the forecast's interval [step]."""
    forecast_high: int | None = None
    """Late end of the interval [step]; None also where the growth may be chance."""


class _Growth(NamedTuple):
    """How |Q| has grown over the last readings."""

    ahead: Forecast
    """By the law, when |Q| passes the ceiling."""
    exponent: float
    """e of |Q| ~ t^e."""


class RunMonitor:
    """Watches one run, probe by probe.

    Decisions depend on |Q| over the bound only, so they do not change with the scale of the
    rewards. The monitor decides alike in modes ``stop`` and ``observe``, and the caller acts by
    the mode; in mode ``off`` it finds nothing.

    Args:
        config: the rule's thresholds.
        q_bound: largest |Q| that rewards allow [reward], above zero.
        num_steps: budget of the run [step].
        law: how |Q| would grow, of ``rayoff.forecast.choose_law``.
        num_layers: linear layers of the critic, one more than its depth.
        period: steps between probes while nothing is suspect [step].

    Raises:
        StudyError: as ``check_stopper``.
        ValueError: the bound, the budget or the period is not above zero.
    """

    def __init__(
        self,
        config: StopperConfig,
        q_bound: float,
        num_steps: int,
        law: Law,
        num_layers: int,
        period: int,
    ) -> None:
        check_stopper(config)
        if not 0 < q_bound < math.inf or min(num_steps, period) < 1:
            got = f"{q_bound}, {num_steps} and {period}"
            raise ValueError(f"q_bound, num_steps and period must be above zero but got {got}.")
        self.config = config
        self.q_bound = q_bound
        self.num_steps = num_steps
        self.law: Law = law
        self.num_layers = num_layers
        self._readings = Readings(config, num_steps, period)
        self._is_finite = True  # the last probe
        self._verdict = Verdict()

    def observe(self, step: int, metrics: Mapping[str, float]) -> Verdict:
        """Take in the metrics of one probe, and judge the run.

        Args:
            step: gradient steps taken [step].
            metrics: ``critic/q_abs``, mean |Q| on the probe rows; optionally ``critic/q_max``
                and ``critic/loss``, asked only whether they are finite, and
                ``seem/row_normalized``, of which nan is no suspicion.

        Raises:
            ValueError: the step is not above that of the last probe.
        """
        if self.config.mode == "off":
            return self._verdict
        lost = [what for name, what in _MUST_BE_FINITE.items() if not _is_finite(metrics, name)]
        self._is_finite = not lost
        last = None if lost else self._readings.take(step, metrics)
        if self._verdict.passed_step is None and self.is_above_ceiling:
            self._verdict = replace(self._verdict, passed_step=step)
        if self._verdict.stop:  # it stands; the readings go on, for the growth
            return self._verdict
        if last is None:
            return self._judge(step, None, f"{lost[0]} is no longer finite at step {step:,}")
        if not self._is_suspect(last):
            self._verdict = self._with_forecast(replace(self._verdict, suspect=False), step, None)
            return self._verdict
        growth = self._growth()
        reason = self._above_ceiling(last) or self._confirmed(last, growth)
        return self._judge(step, growth, reason)

    @property
    def verdict(self) -> Verdict:
        """What the last probe led to."""
        return self._verdict

    @property
    def is_above_ceiling(self) -> bool:
        """Whether |Q| was above the ceiling at the last probe, or not finite."""
        return not self._is_finite or self._readings.num_above(self._ceiling) > 0

    @property
    def excess(self) -> str | None:
        """Why the run counts as diverged if it ends now: |Q| far above the bound, else None."""
        factor, last = self.config.diverged_factor, self._readings.last
        if not self._is_finite:
            return "|Q| or the critic's loss is not finite at the last probe"
        if last is None or last.q_abs <= factor * self.q_bound:
            return None
        return (
            f"|Q| {_short(last.q_abs)} above {factor:g} times the bound "
            f"{_short(self.q_bound)} at the last probe, step {last.step:,}"
        )

    @property
    def window(self) -> Window | None:
        """The readings that the growth law is fitted to now; None while there are too few."""
        return self._readings.window()

    @property
    def growth(self) -> float | None:
        """Exponent e of |Q| ~ t^e over the window, or None."""
        window = self.window
        return None if window is None else growth_exponent(window.steps, window.q_abs)

    def state_dict(self) -> dict[str, Any]:
        """Return what the monitor knows, as JSON can hold it."""
        return {
            "readings": self._readings.state(),
            "is_finite": self._is_finite,
            "verdict": asdict(self._verdict),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another monitor of the same configuration knew."""
        self._readings.load_state(state["readings"])
        self._is_finite = state["is_finite"]
        self._verdict = Verdict(**state["verdict"])

    @property
    def _ceiling(self) -> float:
        return self.config.ceiling_factor * self.q_bound

    def _is_suspect(self, last: Reading) -> bool:
        is_excited = self._readings.num_suspicious() >= self.config.num_suspicious
        return is_excited or last.q_abs > self.config.suspect_factor * self.q_bound

    def _growth(self) -> _Growth | None:
        """Return how |Q| grows; None where there are too few readings."""
        window = self.window
        if window is None:
            return None
        return _Growth(self._ahead(window), growth_exponent(window.steps, window.q_abs))

    def _ahead(self, window: Window) -> Forecast:
        return forecast(self.law, window.steps, window.q_abs, self._ceiling, self.num_layers)

    def _foresees_loss(self, age: int) -> bool:
        """Whether |Q| was far out, SEEM held, and the ceiling lay ahead, ``age`` ago."""
        config, window = self.config, self._readings.window(age)
        if window is None or window.q_abs[-1] <= config.confirm_factor * self.q_bound:
            return False
        now = window.steps[-1]
        horizon = now + config.horizon_fraction * (self.num_steps - now)
        return window.holds_seem(config.seem_held) and self._ahead(window).high <= horizon

    def _above_ceiling(self, last: Reading) -> str | None:
        """Return the reason if |Q| has stayed above the ceiling."""
        count = self._readings.num_above(self._ceiling)
        if count < self.config.num_above_ceiling:
            return None
        return (
            f"|Q| {_short(last.q_abs)} above {self.config.ceiling_factor:g} times the bound "
            f"{_short(self.q_bound)} at {count} probes"
        )

    def _confirmed(self, last: Reading, growth: _Growth | None) -> str | None:
        """Return the reason if a suspect run's |Q| will pass the ceiling soon."""
        config = self.config
        if growth is None or not all(map(self._foresees_loss, range(config.num_confirmed))):
            return None
        q = f"|Q| {_short(last.q_abs)}"
        cause = f"{q}, {_short(last.q_abs / self.q_bound)} times the bound {_short(self.q_bound)},"
        count = self._readings.num_suspicious()
        if last.seem is not None and count >= config.num_suspicious:
            threshold = f"{_short(last.seem)} >= {config.seem_threshold:g} at {count} probes"
            cause = f"critic self-excites: row-normalised SEEM {threshold}, {q}"
        ahead = growth.ahead
        passage, low, high = (_from(last.step, at) for at in (ahead.step, ahead.low, ahead.high))
        return (
            f"{cause} growing as t^{growth.exponent:.1f}, forecast to pass "
            f"{_short(self._ceiling)} at step {passage:,} "
            f"[{low:,}, {high:,}] of {self.num_steps:,}"
        )

    def _judge(self, step: int, growth: _Growth | None, reason: str | None) -> Verdict:
        """Return the verdict on a run that is suspect, and lost if there is a reason."""
        first = self._verdict.suspected_step
        verdict = replace(
            self._verdict,
            suspect=True,
            stop=reason is not None,
            reason=reason,
            suspected_step=step if first is None else first,
            stop_step=None if reason is None else step,
        )
        self._verdict = self._with_forecast(verdict, step, growth)
        return self._verdict

    def _with_forecast(self, verdict: Verdict, step: int, growth: _Growth | None) -> Verdict:
        """Return the verdict with what is foretold now, unless |Q| has passed the ceiling."""
        if verdict.passed_step is not None:
            return verdict
        ahead = growth.ahead if growth else Forecast(math.inf, math.inf, math.inf, 0.0, 0.0)
        passage, low, high = (
            None if math.isinf(at) else _from(step, at)
            for at in (ahead.step, ahead.low, ahead.high)
        )
        return replace(verdict, forecast_step=passage, forecast_low=low, forecast_high=high)


_MUST_BE_FINITE = {
    "critic/q_abs": "|Q|",
    "critic/q_max": "|Q|",
    "critic/loss": "the critic's loss",
}
"""Metrics that end a run when they are no number, and what they are called."""


def _is_finite(metrics: Mapping[str, float], name: str) -> bool:
    return math.isfinite(metrics.get(name, 0.0))


def _from(step: int, later: float) -> int:
    """Return a step to come in full steps, never before ``step``."""
    return max(step, math.ceil(later))


def _short(number: float) -> str:
    """Return a number to two or three digits: 0.13, 586, 4.1e3."""
    if number < 1000:
        return f"{number:.3g}" if number >= 1 else f"{number:.2g}"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"
