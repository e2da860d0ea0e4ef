"""The stopping rule: when a run's critic counts as lost, from its reported metrics alone.

A run is *suspect* when SEEM is high at several readings in a row, or when |Q| nears what the
rewards allow. It is *lost* when, besides, |Q| is above a share of that bound and its growth law
passes the ceiling well within the budget, even at the late end of the forecast's interval; or
when it is above the ceiling already; or when a number is no longer finite. SEEM alone never
stops a run: it was high for thousands of steps in runs that stayed bounded.

Source:
    Bound and ceiling: QLIMIT in the code of Yue et al. 2023, arXiv 2310.04411, with |r| for r.
    The rule is ours; benchmarks/audit.py compares it with others and supports its thresholds.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from typing import Any, NamedTuple

from rayoff.config import StopperConfig
from rayoff.divergence.rule import check_stopper
from rayoff.forecast import Forecast, Law, forecast, growth_exponent

_MIN_KEPT = 64
"""Readings that are kept at least: those before the checkpoint that a trial is restored from."""


class Reading(NamedTuple):
    """What one probe told of a run."""

    step: int
    """When [step]."""
    q_abs: float
    """Mean |Q| on the probe rows; finite."""
    seem: float | None
    """Row-normalised SEEM; None where it was not read, or not finite."""


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
    forecast_step: int | None = None
    """When a suspect run's |Q| will pass the ceiling [step]; None also where it never will."""
    forecast_low: int | None = None
    """Lower end of the forecast's 95% interval [step]."""
    forecast_high: int | None = None
    """Upper end of the interval [step]; None also where the growth may be chance."""


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

    Raises:
        StudyError: as ``check_stopper``.
        ValueError: the bound or the budget is not above zero.
    """

    def __init__(
        self, config: StopperConfig, q_bound: float, num_steps: int, law: Law, num_layers: int
    ) -> None:
        check_stopper(config)
        if not 0 < q_bound < math.inf or num_steps < 1:
            got = f"{q_bound} and {num_steps}"
            raise ValueError(f"q_bound and num_steps must be above zero but got {got}.")
        self.config = config
        self.q_bound = q_bound
        self.num_steps = num_steps
        self.law: Law = law
        self.num_layers = num_layers
        self._readings: list[Reading] = []
        self._is_finite = True  # the last probe
        self._verdict = Verdict()

    def observe(self, step: int, metrics: Mapping[str, float]) -> Verdict:
        """Take in the metrics of one probe, and judge the run.

        A step that was seen before replaces what followed it: so a restored trial is judged as
        if it had never been interrupted, and the same call twice changes nothing.

        Args:
            step: gradient steps taken [step].
            metrics: ``critic/q_abs``, mean |Q| on the probe rows; optionally ``critic/q_max``
                and ``critic/loss``, asked only whether they are finite, and
                ``seem/row_normalized``, of which nan is no suspicion.
        """
        self._forget_from(step)
        if self.config.mode == "off":
            return self._verdict
        lost = [what for name, what in _MUST_BE_FINITE.items() if not _is_finite(metrics, name)]
        self._is_finite = not lost
        if lost:
            if self._verdict.stop:
                return self._verdict
            return self._judge(step, None, f"{lost[0]} is no longer finite at step {step:,}")
        self._take(step, metrics)
        if self._verdict.stop:  # it stands; the readings go on, for the growth
            return self._verdict
        if step < self.config.warmup_steps or not self._is_suspect():
            self._verdict = Verdict(suspected_step=self._verdict.suspected_step)
            return self._verdict
        growth = self._growth()
        return self._judge(step, growth, self._above_ceiling() or self._confirmed(growth))

    @property
    def verdict(self) -> Verdict:
        """What the last probe led to."""
        return self._verdict

    @property
    def is_above_ceiling(self) -> bool:
        """Whether |Q| was above the ceiling at the last probe, or not finite."""
        ceiling = self.config.ceiling_factor * self.q_bound
        return not self._is_finite or (bool(self._readings) and self._readings[-1].q_abs > ceiling)

    @property
    def excess(self) -> str | None:
        """Why the run counts as diverged if it ends now: |Q| far above the bound, else None."""
        config = self.config
        if not self._is_finite:
            return "|Q| or the critic's loss is not finite at the last probe"
        if not self._readings or self._readings[-1].q_abs <= config.diverged_factor * self.q_bound:
            return None
        last = self._readings[-1]
        return (
            f"|Q| {_short(last.q_abs)} above {config.diverged_factor:g} times the bound "
            f"{_short(self.q_bound)} at the last probe, step {last.step:,}"
        )

    @property
    def growth(self) -> float | None:
        """Exponent e of |Q| ~ t^e over the last ``num_fitted`` readings; None before them."""
        window = self._readings[-self.config.num_fitted :]
        if len(window) < self.config.num_fitted or min(window[0].step, *_sizes(window)) <= 0:
            return None
        return growth_exponent([r.step for r in window], _sizes(window))

    def state_dict(self) -> dict[str, Any]:
        """Return what the monitor knows, as JSON can hold it."""
        return {
            "readings": [list(r) for r in self._readings],
            "is_finite": self._is_finite,
            "verdict": asdict(self._verdict),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another monitor of the same configuration knew."""
        self._readings = [Reading(*reading) for reading in state["readings"]]
        self._is_finite = state["is_finite"]
        self._verdict = Verdict(**state["verdict"])

    def _forget_from(self, step: int) -> None:
        """Drop what was seen and found at ``step`` and later."""
        self._readings = [reading for reading in self._readings if reading.step < step]
        found = self._verdict
        if found.stop_step is not None and found.stop_step >= step:
            found = replace(found, stop=False, stop_step=None, reason=None)
        if found.suspected_step is not None and found.suspected_step >= step:
            found = replace(found, suspected_step=None)
        self._verdict = found

    def _take(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep what the rule needs of a probe."""
        seem = metrics.get("seem/row_normalized", math.nan)
        reading = Reading(
            step, abs(metrics["critic/q_abs"]), seem if math.isfinite(seem) else None
        )
        config = self.config
        longest = max(config.num_suspicious, config.num_fitted, config.num_above_ceiling)
        self._readings = [*self._readings, reading][-max(longest, _MIN_KEPT) :]

    def _is_suspect(self) -> bool:
        is_excited = self._num_suspicious() >= self.config.num_suspicious
        return is_excited or self._readings[-1].q_abs > self.config.suspect_factor * self.q_bound

    def _num_suspicious(self) -> int:
        """Return the number of readings in a row, up to the last, at which SEEM was high."""
        threshold = self.config.seem_threshold
        suspicious = (r.seem is not None and r.seem >= threshold for r in self._readings[::-1])
        return sum(1 for _ in takewhile(bool, suspicious))

    def _growth(self) -> _Growth | None:
        """Return how |Q| grows; None where there are too few readings."""
        window = self._readings[-self.config.num_fitted :]
        steps, q_abs = [r.step for r in window], [r.q_abs for r in window]
        if len(window) < self.config.num_fitted or min(steps[0], *q_abs) <= 0:
            return None
        ceiling = self.config.ceiling_factor * self.q_bound
        ahead = forecast(self.law, steps, q_abs, ceiling, self.num_layers)
        return _Growth(ahead, growth_exponent(steps, q_abs))

    def _above_ceiling(self) -> str | None:
        """Return the reason if |Q| has stayed above the ceiling."""
        config = self.config
        ceiling = config.ceiling_factor * self.q_bound
        last = self._readings[-config.num_above_ceiling :]
        if len(last) < config.num_above_ceiling or min(r.q_abs for r in last) <= ceiling:
            return None
        return (
            f"|Q| {_short(last[-1].q_abs)} above {config.ceiling_factor:g} times the bound "
            f"{_short(self.q_bound)} at {len(last)} probes"
        )

    def _confirmed(self, growth: _Growth | None) -> str | None:
        """Return the reason if a suspect run's |Q| will pass the ceiling soon."""
        config, last = self.config, self._readings[-1]
        horizon = last.step + config.horizon_fraction * (self.num_steps - last.step)
        is_small = last.q_abs <= config.confirm_factor * self.q_bound
        if growth is None or is_small or growth.ahead.high > horizon:
            return None
        q = f"|Q| {_short(last.q_abs)}"
        cause = f"{q}, {_short(last.q_abs / self.q_bound)} times the bound {_short(self.q_bound)},"
        count = self._num_suspicious()
        if last.seem is not None and count >= config.num_suspicious:
            threshold = f"{_short(last.seem)} >= {config.seem_threshold:g} at {count} probes"
            cause = f"critic self-excites: row-normalised SEEM {threshold}, {q}"
        ahead = growth.ahead
        passage, low, high = map(self._from_now, (ahead.step, ahead.low, ahead.high))
        return (
            f"{cause} growing as t^{growth.exponent:.1f}, forecast to pass "
            f"{_short(config.ceiling_factor * self.q_bound)} at step {passage:,} "
            f"[{low:,}, {high:,}] of {self.num_steps:,}"
        )

    def _from_now(self, step: float) -> int:
        """Return a step to come in full steps, never before the last reading."""
        return max(self._readings[-1].step, math.ceil(step))

    def _judge(self, step: int, growth: _Growth | None, reason: str | None) -> Verdict:
        """Return the verdict on a run that is suspect, and lost if there is a reason."""
        first = self._verdict.suspected_step
        ahead = growth.ahead if growth else Forecast(math.inf, math.inf, math.inf, 0.0, 0.0)
        passage, low, high = (
            None if math.isinf(at) else self._from_now(at)
            for at in (ahead.step, ahead.low, ahead.high)
        )
        self._verdict = Verdict(
            suspect=True,
            stop=reason is not None,
            reason=reason,
            suspected_step=step if first is None else first,
            stop_step=None if reason is None else step,
            forecast_step=passage,
            forecast_low=low,
            forecast_high=high,
        )
        return self._verdict


_MUST_BE_FINITE = {
    "critic/q_abs": "|Q|",
    "critic/q_max": "|Q|",
    "critic/loss": "the critic's loss",
}
"""Metrics that end a run when they are no number, and what they are called."""


def _is_finite(metrics: Mapping[str, float], name: str) -> bool:
    return math.isfinite(metrics.get(name, 0.0))


def _sizes(readings: list[Reading]) -> list[float]:
    """Return |Q| of each reading."""
    return [reading.q_abs for reading in readings]


def _short(number: float) -> str:
    """Return a number to two or three digits: 0.13, 586, 4.1e3."""
    if number < 1000:
        return f"{number:.3g}" if number >= 1 else f"{number:.2g}"
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"
