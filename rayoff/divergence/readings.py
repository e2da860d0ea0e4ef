"""What the probes told of one run, as far back as the rule looks."""

import math
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from rayoff.config import StopperConfig
from rayoff.divergence.rule import spacing


class Reading(NamedTuple):
    """What one probe told of a run."""

    step: int
    """When [step]."""
    q_abs: float
    """Mean |Q| on the probe rows; finite."""
    seem: float | None
    """Row-normalised SEEM; None where it was not read, or not finite."""


class Window(NamedTuple):
    """Readings at equal distances, which a growth law is fitted to."""

    steps: list[int]
    """[step], rising."""
    q_abs: list[float]
    """|Q| at these steps, above zero."""
    seem: list[float | None]
    """Row-normalised SEEM at these steps."""

    def holds_seem(self, share: float) -> bool:
        """Whether the last SEEM is at least a share of the peak; so for 0, and if not read.

        Where even the peak is below zero, the critic excites nothing, and nothing is held.
        """
        last, known = self.seem[-1], [seem for seem in self.seem if seem is not None]
        return not share or last is None or last >= share * max(known)


class Readings:
    """The last readings of a run, in the order of their steps.

    Args:
        config: the rule's thresholds.
        num_steps: budget of the run [step].
        period: steps between probes while nothing is suspect [step].
    """

    def __init__(self, config: StopperConfig, num_steps: int, period: int) -> None:
        self._config = config
        self._spacing = spacing(config, num_steps, period)
        self._min_kept = max(config.num_suspicious, config.num_above_ceiling)
        self._readings: list[Reading] = []

    @property
    def last(self) -> Reading | None:
        """The last reading."""
        return self._readings[-1] if self._readings else None

    def take(self, step: int, metrics: Mapping[str, float]) -> Reading:
        """Keep what the rule needs of a probe, and return it.

        Raises:
            ValueError: the step is not above that of the last reading, or 0.
        """
        last = self._readings[-1].step if self._readings else 0
        if step <= last:
            raise ValueError(f"Steps must rise above the last, {last}, but got {step}.")
        seem = metrics.get("seem/row_normalized", math.nan)
        known = seem if math.isfinite(seem) else None
        reading = Reading(step, abs(metrics["critic/q_abs"]), known)
        self._readings.append(reading)
        oldest = step - (self._config.num_fitted + self._config.num_confirmed) * self._spacing
        while len(self._readings) > self._min_kept and self._readings[0].step < oldest:
            del self._readings[0]
        return reading

    def window(self, age: int = 0) -> Window | None:
        """Return the readings that a growth law is fitted to, evenly spread.

        They span a share of the budget, however often the run was probed: a line through a
        shorter stretch would be extrapolated further than such lines were tested, and the
        errors of readings that lie closer are not independent.

        Args:
            age: how many distances between readings ago the window ended.

        Returns:
            None where the run was not watched that long, or |Q| was zero.
        """
        if not self._readings:
            return None
        end = self._readings[-1].step - age * self._spacing
        chosen: list[Reading] = []
        for index in reversed(range(self._config.num_fitted)):
            due = end - index * self._spacing
            nearest = min(self._readings, key=lambda reading: abs(reading.step - due))
            if abs(nearest.step - due) > self._spacing / 2 or nearest in chosen:
                return None
            chosen.append(nearest)
        if min(reading.q_abs for reading in chosen) <= 0:
            return None
        steps, q_abs, seem = zip(*chosen, strict=True)
        return Window(list(steps), list(q_abs), list(seem))

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
