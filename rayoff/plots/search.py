"""How a search went: its history, what it is worth, its trade-offs, and what mattered."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rayoff.plots.style import (
    ARM_COLORS,
    BAD_COLOR,
    BASELINE_COLOR,
    FIGURE_STYLE,
    GOOD_COLOR,
    REFERENCE_COLOR,
    Look,
    add_legends,
)
from rayoff.stats import expected_online_performance

_OBJECTIVE_LABELS = {
    "score": "score in the search",
    "device_seconds": "device time of a point [s]",
    "divergence_rate": "share of runs that diverged",
}


def history_figure(history: pd.DataFrame) -> Figure:
    """Return the score of each point in the order in which they ended, and the best until then.

    Args:
        history: as ``rayoff.results.best_so_far`` returns it.
    """
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.0, 3.4), layout="constrained")
        axes = figure.subplots()
        is_feasible = history["feasible"].astype(bool)
        for chosen, color, mark in (
            (is_feasible, ARM_COLORS[0], "o"),
            (~is_feasible, BAD_COLOR, "x"),
        ):
            part = history.loc[chosen]
            axes.plot(part["order"].astype(float), part["score"], mark, ms=5, color=color)
        axes.step(
            history["order"].astype(float), history["best"], where="post", color=GOOD_COLOR, lw=2.0
        )
        baseline = history.loc[history["origin"] == "baseline", "score"]
        if len(baseline):
            axes.axhline(baseline.iloc[0], color=BASELINE_COLOR, lw=1.2, ls="--")
        axes.set_xlabel("points that had ended before")
        axes.set_ylabel(_OBJECTIVE_LABELS["score"])
        looks: dict[str, Look] = {
            "point": {"ls": "", "marker": "o", "ms": 5, "color": ARM_COLORS[0]},
            "infeasible: its runs diverged": {"ls": "", "marker": "x", "color": BAD_COLOR},
            "best until then": {"lw": 2.0, "color": GOOD_COLOR},
            "baseline": {"lw": 1.2, "ls": "--", "color": BASELINE_COLOR},
        }
        add_legends(figure, looks, {})
    return figure


def online_figure(scores: np.ndarray) -> Figure:
    """Return the expected best score after evaluating some of the points, chosen at random.

    Args:
        scores: what each configuration that was tried is worth, (M,).
    """
    expected = expected_online_performance(scores)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.0, 3.0), layout="constrained")
        axes = figure.subplots()
        counts = np.arange(1, len(expected) + 1)
        axes.plot(counts, expected, "o-", ms=3, color=ARM_COLORS[0], lw=1.8)
        axes.set_xlabel("points evaluated")
        axes.set_ylabel("expected best score")
    return figure


def pareto_figure(points: pd.DataFrame, front: pd.DataFrame, pair: tuple[str, str]) -> Figure:
    """Return all points that ended by two objectives, with the front.

    Args:
        points: that ended, as ``rayoff.results.read_points`` returns them.
        front: the points of the front among them.
        pair: the objectives on the horizontal and the vertical axis.
    """
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.0, 3.6), layout="constrained")
        axes = figure.subplots()
        x, y = pair
        is_feasible = points["feasible"].fillna(False).astype(bool)
        rest = {True: (ARM_COLORS[0], "o"), False: (BAD_COLOR, "x")}
        for feasible, (color, mark) in rest.items():
            part = points.loc[is_feasible == feasible]
            axes.plot(part[x], part[y], mark, ms=5, color=color, alpha=0.7)
        ordered = front.sort_values(by=[x, y])
        axes.plot(ordered[x], ordered[y], "D--", ms=7, mfc="none", color=GOOD_COLOR, lw=1.2)
        for _, point in ordered.iterrows():
            axes.annotate(
                str(point["point"]),
                (point[x], point[y]),
                xytext=(6, 4),
                textcoords="offset points",
                size=8,
                color=REFERENCE_COLOR,
            )
        axes.set_xlabel(_OBJECTIVE_LABELS[x])
        axes.set_ylabel(_OBJECTIVE_LABELS[y])
        looks: dict[str, Look] = {
            "on the front, with its number": {
                "ls": "", "marker": "D", "ms": 7, "mfc": "none", "color": GOOD_COLOR,
            },
            "point": {"ls": "", "marker": "o", "ms": 5, "color": ARM_COLORS[0]},
            "infeasible: its runs diverged": {"ls": "", "marker": "x", "color": BAD_COLOR},
        }  # fmt: skip
        add_legends(figure, looks, {})
    return figure


def importance_figure(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return the importance of each parameter by each method, side by side.

    Args:
        shares: importances by parameter, for each method; a parameter may be absent.
    """
    first = next(iter(shares.values()))
    names = list(dict.fromkeys([*first, *(name for own in shares.values() for name in own)]))
    height = 0.8 / max(len(shares), 1)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.0, 1.1 + 0.4 * len(names)), layout="constrained")
        axes = figure.subplots()
        looks: dict[str, Look] = {}
        for index, (method, own) in enumerate(shares.items()):
            color = ARM_COLORS[index]
            places = np.arange(len(names)) + (index - (len(shares) - 1) / 2) * height
            axes.barh(places, [own.get(name, 0.0) for name in names], 0.9 * height, color=color)
            looks[method] = {"color": color, "lw": 6}
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of the importance")
        add_legends(figure, looks, {})
    return figure
