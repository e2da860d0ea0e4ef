"""What a point of a search amounts to, and which point is the best. Pure functions of records."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rayoff.study import Scalar, Search
from rayoff.study.records import PointRecord


def evaluated(
    record: PointRecord,
    measured: Sequence[Mapping[str, float]],
    search: Search,
) -> PointRecord:
    """Return the record of a point whose trials are finished, with its values.

    A point whose runs diverged is complete, with their floors in its score, and infeasible where
    they are too many. Without a finite value of each objective it has failed.

    Args:
        record: of the point.
        measured: of each trial, ``score``, ``device_seconds``, ``divergence_rate`` and
            ``num_diverged``.
        search: what may diverge.
    """
    values = {
        "score": _mean(measured, "score"),
        "device_seconds": sum(one["device_seconds"] for one in measured),
        "divergence_rate": _mean(measured, "divergence_rate"),
    }
    if not all(math.isfinite(value) for value in values.values()):
        told = ", ".join(f"{name} {value:g}" for name, value in values.items())
        return replace(record, state="failed", reason=f"its values must be finite but are {told}")
    ended = replace(record, state="complete", values=values)
    feasible = excess_divergence(ended, search) <= 0
    num_runs = sum(len(trial.config.seeds) for trial in record.trials)
    num_diverged = sum(one["num_diverged"] for one in measured)
    reason = None if feasible else f"{num_diverged:g} of {num_runs} runs diverged"
    return replace(ended, feasible=feasible, reason=reason)


def pruned(record: PointRecord, step: int, score: float) -> PointRecord:
    """Return the record of a point that was given up on its way, with its values so far.

    Args:
        record: as ``evaluated`` returns it.
        step: at which it was [step].
        score: that was behind those of other points.
    """
    reason = f"given up at step {step:,}: score {score:.1f} is behind that of other points"
    return record if record.state == "failed" else replace(record, state="pruned", reason=reason)


def excess_divergence(record: PointRecord, search: Search) -> float:
    """Return by how much the divergence rate of a point is over what is allowed."""
    return record.values["divergence_rate"] - search.max_divergence_rate


def winner(records: Iterable[PointRecord]) -> PointRecord | None:
    """Return the feasible point with the best score; None: there is none."""
    own = [one for one in records if one.state == "complete" and one.same_as is None]
    feasible = [one for one in own if one.phase == "search" and one.feasible]
    return max(feasible, key=lambda one: one.values["score"], default=None)


def annotations(record: PointRecord, search: Search) -> dict[str, Scalar]:
    """Return what the journal keeps of a point beside the values of its objectives."""
    others = {name: v for name, v in record.values.items() if name not in search.objectives}
    known = {
        "arm": f"p{record.number:03d}",
        "origin": record.origin,
        "same_as": record.same_as,
        "reason": record.reason,
        **others,
    }
    return {name: value for name, value in known.items() if value is not None}


def _mean(measured: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(one[name] for one in measured) / len(measured)
