"""What the probes told of one run, as far back as the rule looks."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from rayoff.config import StopperConfig

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


class Readings:
    """The last readings of a run, in the order of their steps.

    Args:
        config: the rule's thresholds.
        period: steps between probes while nothing is suspect [step].
    """

    def __init__(self, config: StopperConfig, period: int) -> None:
        self._config, self._period = config, period
        longest = max(config.num_suspicious, config.num_above_ceiling)
        self._num_kept = max(longest, config.num_fitted * config.probe_speedup, _MIN_KEPT)
        self._readings: list[Reading] = []

    @property
    def last(self) -> Reading | None:
        """The last reading."""
        return self._readings[-1] if self._readings else None

    def take(self, step: int, metrics: Mapping[str, float]) -> Reading:
        """Keep what the rule needs of a probe, and return it."""
        seem = metrics.get("seem/row_normalized", math.nan)
        known = seem if math.isfinite(seem) else None
        reading = Reading(step, abs(metrics["critic/q_abs"]), known)
        self._readings = [*self._readings, reading][-self._num_kept :]
        return reading

    def forget_from(self, step: int) -> None:
        """Drop the readings at ``step`` and later."""
        self._readings = [reading for reading in self._readings if reading.step < step]

    def window(self) -> tuple[list[int], list[float]] | None:
        """Return steps and |Q| that a growth law is fitted to.

        They span ``num_fitted`` probes at their normal period, also where a suspect run was
        probed more often: a line through a shorter stretch would say less of the future.

        Returns:
            None where the run was not watched that long, or |Q| was zero.
        """
        if not self._readings:
            return None
        num_fitted = self._config.num_fitted
        begin = self._readings[-1].step - (num_fitted - 1) * self._period
        first = bisect_right([reading.step for reading in self._readings], begin) - 1
        window = self._readings[first:]
        if first < 0 or len(window) < num_fitted or min(r.q_abs for r in window) <= 0:
            return None
        return [reading.step for reading in window], [reading.q_abs for reading in window]

    def num_suspicious(self) -> int:
        """Return the number of readings in a row, up to the last, at which SEEM was high."""
        threshold = self._config.seem_threshold
        return _streak([r.seem is not None and r.seem >= threshold for r in self._readings])

    def num_above(self, limit: float) -> int:
        """Return the number of readings in a row, up to the last, with |Q| above a limit."""
        return _streak([reading.q_abs > limit for reading in self._readings])

    def state(self) -> list[list[Any]]:
        """Return all readings, as JSON can hold them."""
        return [list(reading) for reading in self._readings]

    def load_state(self, state: Sequence[Sequence[Any]]) -> None:
        """Take over the readings of another."""
        self._readings = [Reading(*reading) for reading in state]


def _streak(hits: Sequence[bool]) -> int:
    """Return how many hits the sequence ends with."""
    return sum(1 for _ in takewhile(bool, reversed(hits)))
