"""How well the crash is foretold: the forecast against what was seen.

The forecast is read at the first probe with |Q| at or above a tenth of the ceiling.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rayoff.config import StopperConfig
from rayoff.forecast import forecast
from stopping.rules import replay
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
    seen: float
    """Step at which it did, interpolated between readings [step]."""

    @property
    def error(self) -> float:
        """Distance of the forecast from what was seen, over what was seen."""
        return abs(self.predicted - self.seen) / self.seen

    @property
    def is_within(self) -> bool:
        """Whether the interval holds the crash."""
        return self.low <= self.seen <= self.high


def foretell(runs: Sequence[Run], config: StopperConfig, share: float = 0.1) -> list[Foretold]:
    """Return the forecasts of the divergent runs, made at ``share`` of the ceiling.

    Runs that were above the ceiling already at that probe are left out: nothing was left to
    foretell.
    """
    found = []
    for run in (run for run in runs if run.diverged):
        index = int((run.excess >= share * CEILING_FACTOR).argmax())
        first = index + 1 - config.num_fitted
        window = slice(max(first, 0), index + 1)
        q = run.excess[window]
        if first < 0 or run.excess[index] > CEILING_FACTOR or not (np.isfinite(q) & (q > 0)).all():
            continue
        monitor = replay(run, config)
        ahead = forecast(monitor.law, run.steps[window], q, CEILING_FACTOR, monitor.num_layers)
        found.append(
            Foretold(run, run.steps[index], ahead.step, ahead.low, ahead.high, crash(run))
        )
    return found


def crash(run: Run) -> float:
    """Return when |Q| passed the ceiling, on a line in log |Q| between readings [step]."""
    index = int((run.excess > CEILING_FACTOR).argmax())
    if index == 0 or not np.isfinite(run.excess[index]):
        return float(run.steps[index])
    low, high = np.log(run.excess[index - 1 : index + 1])
    share = (np.log(CEILING_FACTOR) - low) / (high - low)
    return float(run.steps[index - 1] + share * (run.steps[index] - run.steps[index - 1]))
