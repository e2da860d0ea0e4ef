"""When a run's critic counts as lost."""

from rayoff.divergence.monitor import RunMonitor, Verdict
from rayoff.divergence.rule import check_stopper, earliest_stop, q_bound

__all__ = ["RunMonitor", "Verdict", "check_stopper", "earliest_stop", "q_bound"]
