"""What a search found, in sentences: the winner, what became of it on fresh seeds, the front."""

from pathlib import Path

import pandas as pd

from rayoff.report.searches import describe_change
from rayoff.results import (
    confirmations,
    is_over,
    pareto_front,
    read_json,
    read_points,
    winner,
)


def describe_search(run_folder: Path) -> list[str]:
    """Return what a search has found so far, a sentence each; nothing for a factorial study.

    Args:
        run_folder: with ``study.json`` and the records of points.

    Raises:
        ResultsError: they cannot be read.
    """
    search = read_json(run_folder / "study.json").get("search")
    points = read_points(run_folder)
    if search is None or points.empty:
        return []
    lines = [_counts(points)]
    best = winner(points)
    if best is None:
        if not points["ended"].dropna().tolist():
            return [*lines, "No point has ended yet."]
        return [*lines, "No point is feasible: there is no winner."]
    name = "Winner" if is_over(run_folder) else "Best so far"
    lines.append(f"{name} p{best['point']:03d}: {describe_change(best, points)}.")
    lines += _shrinkage(points)
    objectives = search["objectives"]
    if len(objectives) > 1:
        front = pareto_front(points, objectives)["point"].tolist()
        names = ", ".join(f"p{number:03d}" for number in front)
        lines.append(f"Best in {', '.join(objectives)} together, on the Pareto front: {names}.")
    return lines


def _counts(points: pd.DataFrame) -> str:
    searched = points.loc[points["phase"] == "search"]
    states = [str(state) for state in searched["state"]]
    infeasible = [feasible is False for feasible in searched["feasible"].astype(object)]
    repeated = searched.dropna(subset=["same_as"])
    pruned = states.count("pruned")
    given_up = f", {pruned} given up" * (pruned > 0)
    known = f", {len(repeated)} known already" * (len(repeated) > 0)
    return (
        f"Search: {len(states)} points, {states.count('running')} unfinished, "
        f"{states.count('failed')} failed, {sum(infeasible)} infeasible{given_up}{known}."
    )


def _shrinkage(points: pd.DataFrame) -> list[str]:
    """Return what became of the winner and the baseline on fresh seeds."""
    fresh = points[points["phase"] == "confirm"].set_index("point")["num_runs"].to_dict()
    lines = []
    for row in confirmations(points).to_dict("records"):
        name = "Baseline" if row["origin"] == "baseline" else "Winner"
        lines.append(
            f"{name} p{row['point']:03d}: score {row['search_score']:.1f} in the search, "
            f"{row['fresh_score']:.1f} on {fresh[row['point']]} fresh seeds "
            f"(shrinkage {row['shrinkage']:.1f})."
        )
    return lines
