"""What the data is worth to each arm: score, or divergence, against the data fraction."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from rayoff.plots.style import FIGURE_STYLE, ArmStyle, Look, add_legends, arm_styles
from rayoff.results import arm_order
from rayoff.stats import MIN_BOOTSTRAP_RUNS, wilson_interval

_INTERVAL_SIGN: dict[str, Look] = {"95% interval": {"ls": "", "marker": "|", "ms": 10}}
_SCORE_SIGNS: dict[str, Look] = {
    "one run": {"ls": "", "marker": "o", "ms": 3, "alpha": 0.7},
    "hollow: some runs diverged": {"ls": "", "marker": "o", "ms": 6, "mfc": "white"},
}


def score_figure(runs: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Return score against data fraction, a panel for each dataset, with 95% intervals.

    Panels of scores have one scale; those of raw returns each have their own.

    A hollow mark says that some of its runs diverged, and count with their floor; where runs
    are few, each is a small mark. A dataset where nothing was evaluated shows how many runs
    diverged instead, with Wilson's interval.

    Args:
        runs: as ``rayoff.results.run_table`` returns them.
        summary: as ``rayoff.report.summarize`` returns it.
    """
    styles = arm_styles(arm_order(summary))
    datasets = list(dict.fromkeys(summary["dataset"]))
    with matplotlib.rc_context(FIGURE_STYLE):
        num_columns = min(len(datasets), 3)
        num_rows = -(-len(datasets) // num_columns)
        size = (max(4.6 * num_columns, 6.0), 0.5 + 3.3 * num_rows)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for axes in grid.flat[len(datasets) :]:
            axes.set_visible(False)
        for name, axes in zip(datasets, grid.flat, strict=False):
            axes.set_title(name, loc="left", weight="bold", size=10)
            cells = summary.loc[summary["dataset"] == name]
            own = runs.loc[runs["dataset"] == name]
            places = _places(axes, list(styles), sorted(set(cells["fraction"])))
            if len(cells.dropna(subset=["measure"])):
                _draw_scores(axes, cells, own, styles, places)
                _set_scale(axes, own, runs)
            else:
                _draw_divergence(axes, cells, styles, places)
        looks: dict[str, Look] = {
            arm: {"color": s.color, "ls": s.line, "lw": 1.8, "marker": s.marker}
            for arm, s in styles.items()
        }
        scored = len(summary.dropna(subset=["measure"])) > 0
        add_legends(figure, looks, _INTERVAL_SIGN | (_SCORE_SIGNS if scored else {}))
    return figure


def _places(axes: Axes, arms: list[str], fractions: list[float]) -> dict[tuple[str, float], float]:
    """Return the place on the horizontal axis of each arm and fraction, and label that axis.

    Fractions stand on a logarithmic axis, arms a little apart; with one fraction the arms
    themselves are the axis.
    """
    if len(fractions) == 1:
        axes.set_xticks(range(len(arms)), arms, rotation=20 if len(arms) > 4 else 0)
        axes.set_xlim(-0.5, len(arms) - 0.5)
        axes.set_xlabel(f"arm, at {100 * fractions[0]:g}% of the data")
        return {(arm, fractions[0]): float(index) for index, arm in enumerate(arms)}
    axes.set_xscale("log")
    axes.set_xticks(fractions, [f"{100 * fraction:g}%" for fraction in fractions])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("share of the data, logarithmic")
    half = min(0.03 * (len(arms) - 1), 0.15)  # in decades
    shifts = np.linspace(-half, half, len(arms))
    return {
        (arm, fraction): float(fraction * 10**shift)
        for arm, shift in zip(arms, shifts, strict=True)
        for fraction in fractions
    }


def _draw_scores(
    axes: Axes,
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    styles: dict[str, ArmStyle],
    places: dict[tuple[str, float], float],
) -> None:
    value = cells["iqm"].where(cells["interval"].str.startswith("iqm"), cells["mean"])
    _draw_arms(axes, cells.assign(value=value), styles, places)
    beside = offset_copy(axes.transData, axes.get_figure(root=True), x=6, units="points")
    few = cells.loc[cells["num_runs"] < MIN_BOOTSTRAP_RUNS, ["arm", "fraction"]]
    for arm, fraction, result in runs.merge(few)[["arm", "fraction", "value"]].to_numpy():
        look = {"color": styles[arm].color, "ms": 3, "alpha": 0.7, "transform": beside}
        axes.plot(places[arm, fraction], result, "o", **look)
    (measure,) = set(cells["measure"].dropna())
    axes.set_ylabel("score, 0 to 100" if measure == "score" else "return [reward]")


def _set_scale(axes: Axes, own: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Span the results of a panel's own runs, or where they are scores, of all that are.

    Intervals of few runs may leave the panel.
    """
    (measure,) = set(own["measure"].dropna())
    alike = runs if measure == "score" else own
    known = alike.loc[alike["measure"] == measure, "value"].dropna()
    if len(known):
        low, high = min(known), max(known)
        margin = 0.2 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)


def _draw_divergence(
    axes: Axes,
    cells: pd.DataFrame,
    styles: dict[str, ArmStyle],
    places: dict[tuple[str, float], float],
) -> None:
    known = cells.query("num_runs > 0")
    counts = list(zip(known["num_diverged"], known["num_runs"], strict=True))
    ends = np.array([wilson_interval(*count) for count in counts]).reshape(-1, 2)
    known = known.assign(value=known["num_diverged"] / known["num_runs"])
    _draw_arms(axes, known.assign(low=ends[:, 0], high=ends[:, 1]), styles, places)
    axes.set_ylabel("runs that diverged")
    axes.set_ylim(-0.04, 1.04)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.0f}%"))


def _draw_arms(
    axes: Axes,
    cells: pd.DataFrame,
    styles: dict[str, ArmStyle],
    places: dict[tuple[str, float], float],
) -> None:
    """Draw ``value`` with ``low`` and ``high`` of each arm over its fractions."""
    for arm, style in styles.items():
        own = cells.loc[cells["arm"] == arm].dropna(subset=["value"])
        x = [places[arm, fraction] for fraction in own["fraction"]]
        value = own["value"].to_numpy(float)
        axes.plot(x, value, color=style.color, ls=style.line, lw=1.8)
        for place, cell in zip(x, own.to_dict(orient="records"), strict=True):
            few = cell["num_runs"] < MIN_BOOTSTRAP_RUNS  # wide intervals would hide the runs
            span = cell["low"], cell["high"]
            axes.vlines(place, *span, color=style.color, lw=1.4, alpha=0.4 if few else 1.0)
            fill = "white" if cell["num_diverged"] else style.color
            axes.plot(place, cell["value"], style.marker, ms=6, color=style.color, mfc=fill)
