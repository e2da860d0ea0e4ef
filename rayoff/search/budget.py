"""When a search has spent its budget, from the records of its points."""

from collections.abc import Iterable, Sequence

from rayoff.study import Search
from rayoff.study.records import PointRecord

_HOUR = 3600.0


def spent(search: Search, records: Sequence[PointRecord], seconds: float) -> str | None:
    """Return which budget no longer allows another point, as a sentence; None: none is spent.

    Args:
        search: with its budgets.
        records: of the points that count.
        seconds: time that the search has taken so far [s].
    """
    if search.num_points is not None and len(records) >= search.num_points:
        return f"{search.num_points} points were suggested"
    if search.hours is not None and seconds >= search.hours * _HOUR:
        return f"{search.hours:g} h have passed"
    trained = [record for record in records if record.same_as is None]
    used = sum(record.values.get("device_seconds", 0.0) for record in trained)
    if search.device_hours is not None and used >= search.device_hours * _HOUR:
        return f"{search.device_hours:g} device-hours were used"
    return None


def seconds_under_way(records: Iterable[PointRecord]) -> float:
    """Return the time in which at least one point was under way that has ended [s]."""
    spans = sorted((one.started, one.ended) for one in records if one.ended is not None)
    total, until = 0.0, float("-inf")
    for started, ended in spans:
        total += max(0.0, ended - max(started, until))
        until = max(until, ended)
    return total
