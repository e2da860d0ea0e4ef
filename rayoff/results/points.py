"""The points of a search as a table, from the records in ``points/``.

Beside them, ``study.json`` has under ``search`` what was asked: ``objectives``, a list of names
of ``OBJECTIVES``, with the sampler, its seed and the budget. Trials of a point have its number
as ``point`` in ``results.parquet``, and ``search`` or ``confirm`` as ``phase``.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rayoff.study import OBJECTIVES
from rayoff.study.records import PointRecord, read_records

_COLUMNS: dict[str, str] = {
    "point": "int64",
    "phase": "string",
    "origin": "string",
    "is_baseline": "bool",
    "state": "string",
    "order": "Int64",
    "same_as": "Int64",
    "feasible": "boolean",
    "reason": "string",
    "started": "float64",
    "ended": "float64",
    "arm": "string",
    "num_runs": "int64",
    **dict.fromkeys(OBJECTIVES, "float64"),
}


def read_points(run_folder: Path) -> pd.DataFrame:
    """Return one row for each point of a search, and for each confirmation, by number.

    A factorial study has none.

    Returns:
        - ``point``: number in the order of suggestion; 0 is the baseline
        - ``phase``: search, or confirm: the point trained again on fresh seeds
        - ``origin``: baseline, known or sampled
        - ``is_baseline``: whether it is the baseline of the search; one that failed is not
        - ``state``: running, complete, pruned or failed
        - ``order``: rank by which it ended within its phase, from 0; NA while it runs
        - ``same_as``: earlier point with the same configuration, whose values it has; else NA
        - ``feasible``: whether no more runs diverged than allowed; NA before the end
        - ``reason``: why it failed, was pruned or is infeasible; else NA
        - ``started``, ``ended``: [s since 1970]
        - ``arm``: its name in ``results.parquet``; that of ``same_as`` where it has no trials
        - ``num_runs``: runs over all its trials
        - ``score``, ``device_seconds``, ``divergence_rate``: nan before the end
        - ``param.<path>``: what the space was asked for; None or nan where it was not

    Raises:
        ResultsError: a record is damaged.
    """
    records = read_records(run_folder)
    if not records:
        empty = {name: pd.Series(dtype=_dtype(kind)) for name, kind in _COLUMNS.items()}
        return pd.DataFrame(empty)
    arms = {record.number: _arm(record) for record in reversed(records)}
    frame = pd.DataFrame([_row(record, arms) for record in records])
    params = pd.DataFrame([record.params for record in records]).add_prefix("param.")
    ended = frame["ended"].groupby(frame["phase"])
    frame["order"] = ended.rank(method="first") - 1
    typed = {name: frame[name].astype(_dtype(kind)) for name, kind in _COLUMNS.items()}
    return pd.concat([pd.DataFrame(typed), params], axis=1)


def read_dimensions(run_folder: Path) -> dict[str, dict[str, Any]]:
    """Return what each parameter of a search could be, by path, in the order of asking.

    A dimension has ``choices``, or ``low``, ``high``, ``log`` and ``step``, the same at every
    point: a study with another space is refused.
    """
    found: dict[str, dict[str, Any]] = {}
    for record in read_records(run_folder):
        for path, dimension in record.dimensions.items():
            found.setdefault(path, asdict(dimension))
    return found


def best_so_far(points: pd.DataFrame) -> pd.DataFrame:
    """Return the history of a search: its complete points, in the order in which they ended.

    Args:
        points: as ``read_points`` returns them.

    Returns:
        ``order``, ``point``, ``score``, ``feasible``, ``origin`` and ``best``, the largest score
        of a feasible point until then; nan before the first.
    """
    columns = ["order", "point", "score", "feasible", "origin"]
    ended = (points["phase"] == "search") & (points["state"] == "complete")
    history = pd.DataFrame(points.loc[ended, columns]).sort_values("order")
    scores = pd.Series(history["score"]).where(history["feasible"].astype(bool))
    return history.assign(best=scores.cummax().ffill()).reset_index(drop=True)


def pareto_front(points: pd.DataFrame, objectives: list[str]) -> pd.DataFrame:
    """Return the feasible points that no other one equals or beats in every objective.

    Args:
        points: as ``read_points`` returns them.
        objectives: names of ``OBJECTIVES``.

    Returns:
        Rows of ``points`` in their order; of points with equal values the first.
    """
    feasible = points["feasible"].fillna(False).astype(bool)
    complete = (points["phase"] == "search") & (points["state"] == "complete")
    ended = points.loc[complete & feasible].drop_duplicates(objectives)
    signs = [1.0 if OBJECTIVES[name] == "maximize" else -1.0 for name in objectives]
    values = ended[objectives].to_numpy(dtype=float) * signs  # (P, objectives)
    as_good = (values[:, None] >= values[None]).all(-1)
    better = as_good & (values[:, None] > values[None]).any(-1)
    return ended.loc[~better.any(0)]


def winner(points: pd.DataFrame) -> dict[str, Any] | None:
    """Return the feasible point with the best score, whatever the objectives; None: there is none.

    It is the one that is trained again on fresh seeds.

    Args:
        points: as ``read_points`` returns them.
    """
    best = pareto_front(points, ["score"]).to_dict(orient="records")
    return {str(name): value for name, value in best[0].items()} if best else None


def confirmations(points: pd.DataFrame) -> pd.DataFrame:
    """Return what became of the winner and the baseline on fresh seeds.

    Args:
        points: as ``read_points`` returns them.

    Returns:
        ``point``, ``origin``, ``search_score``, ``fresh_score`` and ``shrinkage``, the one minus
        the other; the baseline first. Empty before the confirmation has ended.
    """
    confirmed = points.loc[(points["phase"] == "confirm") & points["score"].notna()]
    searched = points.loc[points["phase"] == "search"].set_index("point")["score"].to_dict()
    found = pd.DataFrame(confirmed[["point", "origin"]])
    found = found.sort_values("origin", key=lambda origin: origin != "baseline", kind="stable")
    found["search_score"] = [searched[number] for number in found["point"]]
    found["fresh_score"] = confirmed["score"]
    found["shrinkage"] = found["search_score"] - found["fresh_score"]
    return found.reset_index(drop=True)


def _row(record: PointRecord, arms: dict[int, str | None]) -> dict[str, Any]:
    """Return the columns of a record, with the arms of all points of the search by number."""
    own = ("phase", "origin", "is_baseline", "state", "same_as", "feasible", "reason")
    return {
        "point": record.number,
        **{name: getattr(record, name) for name in (*own, "started", "ended")},
        "arm": _arm(record) or (None if record.same_as is None else arms[record.same_as]),
        "num_runs": sum(len(trial.config.seeds) for trial in record.trials),
        **{name: record.values.get(name, np.nan) for name in OBJECTIVES},
    }


def _arm(record: PointRecord) -> str | None:
    return record.trials[0].arm if record.trials else None


def _dtype(kind: str) -> Any:  # noqa: ANN401 - numpy's or pandas' own
    return pd.api.types.pandas_dtype(kind)
