"""How well the crash is foretold: the forecast against what was seen.

The forecast is read at the first probe with |Q| at or above a tenth of the ceiling.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rayoff.config import StopperConfig
from rayoff.forecast import forecast
from stopping.rules import metrics_at, replay
from stopping.runs import CEILING_FACTOR, Run


class Foretold(NamedTuple):
    """One run's crash, as it was foretold and as it was seen."""

    run: Run
    made_at: float
    """Step of the forecast [step]."""
    predicted: float
    """Step at which |Q| would pass the ceiling [step]; inf for never."""
    low: float
    high: float
    by_age: float
    """What the law says without a fit, if it held from the first step on [step]."""
    seen: float
    """Step at which it did, interpolated between readings [step]."""

    @property
    def error(self) -> float:
        """Distance of the forecast from what was seen, over what was seen."""
        return abs(self.predicted - self.seen) / self.seen

    @property
    def error_of_age(self) -> float:
        """The same of ``by_age``."""
        return abs(self.by_age - self.seen) / self.seen

    @property
    def error_of_rest(self) -> float:
        """Distance of the forecast from what was seen, over the steps that were left."""
        return abs(self.predicted - self.seen) / (self.seen - self.made_at)

    @property
    def is_within(self) -> bool:
        """Whether the interval holds the crash."""
        return self.low <= self.seen <= self.high


def foretell(runs: Sequence[Run], config: StopperConfig, share: float = 0.1) -> list[Foretold]:
    """Return the forecasts of the divergent runs, made at ``share`` of the ceiling.

    Left out are runs that were above the ceiling at that probe already, where nothing was left to
    foretell, and runs that were not watched long enough for a forecast.
    """
    found = []
    for run in (run for run in runs if run.diverged):
        index = int((run.excess >= share * CEILING_FACTOR).argmax())
        if run.excess[index] > CEILING_FACTOR:
            continue
        monitor = replay(run, config)
        for past in range(index + 1):
            monitor.observe(int(run.steps[past]), metrics_at(run, past))
        window = monitor.window
        if window is None:
            continue
        ceiling = CEILING_FACTOR * run.bound
        ahead = forecast(monitor.law, window.steps, window.q_abs, ceiling, monitor.num_layers)
        made_at = float(run.steps[index])
        by_age = made_at * (CEILING_FACTOR / run.excess[index]) ** (1 / monitor.num_layers)
        crash = seen_crash(run)
        found.append(Foretold(run, made_at, ahead.step, ahead.low, ahead.high, by_age, crash))
    return found


def seen_crash(run: Run) -> float:
    """Return when |Q| passed the ceiling, on a line in log |Q| between readings [step]."""
    index = int((run.excess > CEILING_FACTOR).argmax())
    if index == 0 or not np.isfinite(run.excess[index]):
        return float(run.steps[index])
    low, high = np.log(run.excess[index - 1 : index + 1])
    share = (np.log(CEILING_FACTOR) - low) / (high - low)
    return float(run.steps[index - 1] + share * (run.steps[index] - run.steps[index - 1]))
