"""What a search found: its points, what mattered, and what its winner is worth on fresh seeds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayoff.report.exports import ReportTable
from rayoff.report.summary import BOOTSTRAP_SEED
from rayoff.report.tables import format_number, format_share
from rayoff.results import (
    OBJECTIVES,
    best_so_far,
    confirmations,
    is_over,
    pareto_front,
    read_dimensions,
    read_json,
    read_points,
)
from rayoff.stats import fanova_importance, ped_anova_importance

_MIN_POINTS = 10
"""Points that ended below which an importance says nothing."""


@dataclass(frozen=True, kw_only=True)
class SearchResults:
    """A search as far as it has gone."""

    points: pd.DataFrame
    """One row for each point, as ``rayoff.results.read_points`` returns them."""
    history: pd.DataFrame
    """The points that ended, in that order, with the best until then."""
    objectives: list[str]
    """What it optimises."""
    front: pd.DataFrame
    """The feasible points that no other beats in every objective; with one, the winner."""
    confirmed: pd.DataFrame
    """Search score, fresh score and shrinkage of the baseline and the winner; or empty."""
    importances: dict[str, dict[str, float]]
    """Shares of each parameter, by method."""
    notes: list[str]
    """Why a method is missing."""
    num_points: int | None
    """Points that it may evaluate; None: its budget is another."""
    num_confirm_seeds: int
    """Fresh seeds on which the winner is to be trained again; 0: it is not."""
    is_over: bool
    """Whether it has spent its budget, and confirmed its winner."""

    @property
    def num_ended(self) -> int:
        """Points that ended with a result, those that were given up on their way among them."""
        return len(self.history) + self.num_pruned

    @property
    def num_pruned(self) -> int:
        """Points that were given up on their way."""
        return self.points["state"].tolist().count("pruned")


def read_search(run_folder: Path) -> SearchResults | None:
    """Return the search in a run folder, None for a factorial study or without its records.

    Raises:
        ResultsError: a record is damaged.
    """
    points = read_points(run_folder)
    if not len(points):
        return None
    asked = read_json(run_folder / "study.json")["search"]
    objectives = asked["objectives"]
    importances, notes = _importances(points, read_dimensions(run_folder))
    return SearchResults(
        points=points,
        history=best_so_far(points),
        objectives=list(objectives),
        front=pareto_front(points, list(objectives)),
        confirmed=confirmations(points),
        importances=importances,
        notes=notes,
        num_points=asked["num_points"],
        num_confirm_seeds=asked["num_confirm_seeds"],
        is_over=is_over(run_folder),
    )


def search_progress(search: SearchResults) -> str | None:
    """Return how far a search is, None where nothing is left of it to do."""
    if search.is_over:
        return None
    states = search.points.loc[search.points["phase"] == "search", "state"].tolist()
    num_ended = len(states) - states.count("running")
    num_asked = max(search.num_points or 0, len(states))
    if num_ended < len(states) or (num_ended < num_asked and not len(search.confirmed)):
        begun = " begun so far" if search.num_points is None else ""
        return f"{num_ended} of {num_asked} points{begun} have ended"
    if search.num_confirm_seeds and len(search.front) and not len(search.confirmed):
        return "all points have ended, but the winner has not been confirmed on fresh seeds"
    return None


def describe_point(point: dict[Any, Any]) -> str:
    """Return the parameters that a point has, ``critic.norm = layer, critic.width = 256``."""
    return ", ".join(f"{name} = {text}" for name, text in _parameters(point).items())


def describe_change(point: dict[Any, Any], points: pd.DataFrame) -> str:
    """Return the parameters by which a point differs from the baseline.

    Args:
        point: a row of ``points``.
        points: as ``rayoff.results.read_points`` returns them; without a baseline among them, all
            parameters of the point are told.
    """
    records = points.loc[points["phase"] == "search"].to_dict(orient="records")
    baseline = next((one for one in records if one["is_baseline"]), {})
    own = _parameters(point)
    changed = {
        name: text
        for name, text in own.items()
        if baseline.get(f"param.{name}") != point[f"param.{name}"]
    }
    if not changed:
        return "the baseline itself"
    told = ", ".join(f"{name} = {text}" for name, text in changed.items())
    return f"{told}; else the baseline's" if len(changed) < len(own) else told


def _parameters(point: dict[Any, Any]) -> dict[str, str]:
    """Return the parameters that a point has, by name, as text."""
    return {
        str(name).removeprefix("param."): f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in point.items()
        if str(name).startswith("param.") and not pd.isna(value)
    }


def points_table(search: SearchResults) -> ReportTable:
    """Return the points of a search, best first; those that have not ended last."""
    shown = search.points.loc[search.points["phase"] == "search"]
    shown = shown.assign(is_complete=shown["state"] == "complete")
    order = ["is_complete", "feasible", "score"]
    shown = shown.sort_values(by=order, ascending=False, na_position="last")
    rows = [
        [
            *(str(point["point"]), describe_point(point), str(point["state"])),
            *(format_number(point["score"]), format_share(point["divergence_rate"])),
            *(format_number(point["device_seconds"], 0), _reason(point)),
        ]
        for point in shown.to_dict(orient="records")
    ]
    titles = ["point", "parameters", "state", "score", "diverged", "device [s]", "note"]
    points = shown.to_dict(orient="records")
    baseline = [index for index, point in enumerate(points) if point["is_baseline"]]
    return ReportTable(
        name="points",
        about="the points of the search, the best first",
        data=search.points,
        titles=titles,
        rows=rows,
        text=frozenset({"parameters", "state", "note"}),
        baseline=frozenset(baseline),
        bold=frozenset(
            (index, "score")
            for index, number in enumerate(shown["point"])
            if number in set(search.front["point"])
        ),
    )


def confirmed_table(search: SearchResults) -> ReportTable:
    """Return what became of the winner and the baseline on fresh seeds."""
    rows = [
        [
            *(str(row["point"]), row["origin"], format_number(row["search_score"])),
            *(format_number(row["fresh_score"]), format_number(-row["shrinkage"])),
        ]
        for row in search.confirmed.to_dict(orient="records")
    ]
    return ReportTable(
        name="confirmed",
        about="mean score in the search and on fresh seeds, of the baseline and the winner",
        data=search.confirmed,
        titles=["point", "origin", "score in the search", "on fresh seeds", "change"],
        rows=rows,
        text=frozenset({"origin"}),
        baseline=frozenset(index for index, row in enumerate(rows) if row[1] == "baseline"),
    )


def importance_table(search: SearchResults) -> ReportTable:
    """Return the importance of each parameter by each method."""
    methods = list(search.importances)
    names = list(dict.fromkeys(name for own in search.importances.values() for name in own))
    shares = [[search.importances[method].get(name) for method in methods] for name in names]
    data = pd.DataFrame(shares, columns=methods, dtype="float64")
    data.insert(0, "parameter", pd.Series(names, dtype="str"))
    return ReportTable(
        name="importance",
        about="share of the importance of each parameter, by method",
        data=data,
        titles=["parameter", *methods],
        rows=[[name, *map(format_share, own)] for name, own in zip(names, shares, strict=True)],
        text=frozenset({"parameter"}),
    )


def complete_points(search: SearchResults) -> pd.DataFrame:
    """Return the points that trained for their whole budget: only these can be compared."""
    points = search.points
    return points.loc[(points["phase"] == "search") & (points["state"] == "complete")]


def online_scores(search: SearchResults) -> NDArray[np.float64]:
    """Return what each configuration is worth to who evaluates it, (M,) of at least one.

    One that is infeasible cannot be chosen: it counts as the worst of the others.
    """
    tried = complete_points(search)
    tried = tried.loc[tried["same_as"].isna()]
    scores = tried["score"].to_numpy(dtype=float)
    is_feasible = tried["feasible"].fillna(False).to_numpy(dtype=bool)
    worst = (scores[is_feasible] if is_feasible.any() else scores).min()
    return np.where(is_feasible, scores, worst)


class TradeOff(NamedTuple):
    """Two objectives that are drawn against one another."""

    name: str
    """The horizontal one; the vertical one is the score."""
    front: pd.DataFrame
    """The feasible points that no other beats in what the search optimises, else in these two."""


def trade_offs(search: SearchResults) -> list[TradeOff]:
    """Return what the score is drawn against: every other objective, else what points took."""
    if "score" not in search.objectives:
        return []
    others = [name for name in OBJECTIVES if name in search.objectives and name != "score"]
    if others:
        return [TradeOff(name, search.front) for name in others]
    timed = complete_points(search).dropna(subset=["device_seconds"])
    front = pareto_front(timed, ["score", "device_seconds"])
    return [TradeOff("device_seconds", front)] if len(timed) else []


def _importances(
    points: pd.DataFrame, dimensions: dict[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, float]], list[str]]:
    ended = points.loc[(points["phase"] == "search") & (points["state"] == "complete")]
    if len(ended) < _MIN_POINTS:
        return {}, [f"Importances need {_MIN_POINTS} complete points; there are {len(ended)}."]
    params = [
        {
            str(name).removeprefix("param."): _in_dimension(value, dimensions, str(name))
            for name, value in point.items()
            if str(name).startswith("param.") and not pd.isna(value)
        }
        for point in ended.to_dict(orient="records")
    ]
    scores = ended["score"].to_numpy(float)
    methods: dict[str, Callable[[], dict[str, float]]] = {
        "PED-ANOVA": lambda: ped_anova_importance(params, scores, dimensions),
        "fANOVA": lambda: fanova_importance(params, scores, dimensions, seed=BOOTSTRAP_SEED),
    }
    found: dict[str, dict[str, float]] = {}
    notes = []
    for name, method in methods.items():
        try:
            found[name] = method()
        except ModuleNotFoundError as error:
            notes.append(f"{error}.")
        except ValueError as error:  # a space that gave a parameter two ranges
            notes.append(f"{name} has no importances: {error}")
    return {name: shares for name, shares in found.items() if shares}, notes


def _in_dimension(value: Any, dimensions: dict[str, dict[str, Any]], name: str) -> Any:  # noqa: ANN401
    """Return a value with the type of its dimension: a column with gaps holds floats."""
    dimension = dimensions[name.removeprefix("param.")]
    known = dimension.get("choices", [dimension.get("low")])
    return next((choice for choice in known if choice == value), type(known[0])(value))


def _reason(point: dict[Any, Any]) -> str:
    if not pd.isna(point["same_as"]):
        return f"same as point {point['same_as']}"
    return "" if pd.isna(point["reason"]) else str(point["reason"])
