"""How critics behave over steps: |Q| and SEEM of every run, with bound and ceiling drawn."""

from typing import Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from rayoff.config import StopperConfig
from rayoff.plots.style import (
    FIGURE_STYLE,
    REFERENCE_COLOR,
    ArmStyle,
    Look,
    add_legends,
    arm_styles,
)
from rayoff.results import arm_order

MAX_LINES = 60
"""Runs of a panel up to which each is drawn; with more, only medians can be told apart."""
MAX_RUNS = 400
"""Runs of a figure up to which each is drawn; more would make the page of a report too large."""

_RUN_SIGNS: dict[str, Look] = {
    "one run": {"lw": 0.8, "alpha": 0.6},
    "stopped, or would have been": {"ls": "", "marker": "X"},
}
_SIGNS: dict[str, Look] = {
    "median of runs": {"lw": 2.2},
    "bound: max |r| / (1 - discount)": {"ls": "--", "lw": 1.0},
    "ceiling: blown up above it": {"ls": "-.", "lw": 1.0},
}


def stability_figure(frame: pd.DataFrame) -> Figure | None:
    """Return |Q| and row-normalised SEEM over steps, a panel for each dataset and fraction.

    Thin lines are runs; the thick one is their median, drawn while more than half of them
    train, those that ended before counting with their last value. A cross marks where a run
    was, or would have been, stopped, at its last finite |Q|. Where a panel has more than
    ``MAX_LINES`` runs, or the figure more than ``MAX_RUNS``, there are medians only, and no
    crosses.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.

    Returns:
        None where no critic was read, as in behaviour cloning.
    """
    styles = arm_styles(arm_order(frame))
    stops = frame.groupby(["trial", "seed"])["stop_step"].transform("last")
    frame = frame.assign(stop_step=stops)
    frame = frame.dropna(subset=["critic/q_abs"]) if "critic/q_abs" in frame else frame.head(0)
    if not len(frame):
        return None
    datasets = list(dict.fromkeys(frame["dataset"]))
    fractions = sorted(set(frame["fraction"]), reverse=True)
    num_runs = len(frame.drop_duplicates(["trial", "seed"]))
    show_runs = num_runs <= min(MAX_LINES * len(datasets) * len(fractions), MAX_RUNS)
    with matplotlib.rc_context(FIGURE_STYLE):
        size = (1.2 + 2.6 * max(len(fractions), 2), 0.7 + 3.9 * len(datasets))
        figure = Figure(figsize=size, layout="constrained")
        parts = figure.subfigures(len(datasets), 1, squeeze=False)
        for name, part in zip(datasets, parts[:, 0], strict=True):
            part.suptitle(name, x=0.01, ha="left", weight="bold", size=10)
            axes = part.subplots(2, len(fractions), sharex=True, sharey="row", squeeze=False)
            own = frame.loc[frame["dataset"] == name]
            _draw_dataset(axes, own, fractions, styles, show_runs)
        looks = {arm: {"color": s.color, "ls": s.line, "lw": 2.2} for arm, s in styles.items()}
        add_legends(figure, looks, _SIGNS | (_RUN_SIGNS if show_runs else {}))
    return figure


def _draw_dataset(
    axes: NDArray[np.object_],
    frame: pd.DataFrame,
    fractions: list[float],
    styles: dict[str, ArmStyle],
    show_runs: bool,
) -> None:
    """Draw one dataset into axes (2, F): |Q| above, SEEM below, a column for each fraction."""
    for column, fraction in enumerate(fractions):
        cell = frame.loc[frame["fraction"] == fraction]
        upper, lower = axes[:, column]
        upper.set_title(f"{100 * fraction:g}% of the data", loc="left")
        upper.set_yscale("log")
        _draw_metric(upper, cell, "critic/q_abs", styles, show_runs)
        _draw_metric(lower, cell, "seem/row_normalized", styles, show_runs)
        if show_runs:
            _mark_stops(upper, cell, styles)
        for bound in sorted(set(cell["critic/q_bound"].dropna())):
            _draw_level(upper, bound, f"bound {bound:,.0f}", "--")
        ceilings = cell["critic/q_bound"] * _setting(cell, "ceiling_factor")
        for ceiling in sorted(set(ceilings.dropna())):
            # on the left: at the right end are the runs that passed it
            _draw_level(upper, ceiling, f"ceiling {ceiling:,.0f}", "-.", side="left")
        for threshold in sorted(set(_setting(cell, "seem_threshold"))):
            _draw_level(lower, threshold, f"suspicious from {threshold:g}", ":")
        lower.set_xlabel("gradient step")
        lower.xaxis.set_major_formatter(FuncFormatter(lambda step, _: _short_count(step)))
    axes[0, 0].set_ylabel("|Q| on the probe")
    axes[1, 0].set_ylabel("SEEM, row-normalised")


def _setting(cell: pd.DataFrame, name: str) -> pd.Series:
    """Return a setting of the stopper at each row; a default has no column."""
    column = f"config.stopper.{name}"
    default = pd.Series(getattr(StopperConfig(), name), cell.index)
    return pd.Series(cell[column]) if column in cell else default


def _draw_metric(
    axes: Axes, cell: pd.DataFrame, metric: str, styles: dict[str, ArmStyle], show_runs: bool
) -> None:
    if metric not in cell:
        return
    finite = cell[np.isfinite(cell[metric])]
    for arm, style in styles.items():
        runs = finite.loc[finite["arm"] == arm]
        runs = runs.groupby(["step", "seed"])[metric].mean().unstack()
        for seed in runs if show_runs else ():
            run = runs[seed].dropna()
            dot = "." if len(run) == 1 else ""  # a line needs two readings
            axes.plot(run.index, run, dot + "-", color=style.color, lw=0.8, alpha=0.4)
        median = _median_while_most_train(runs)
        axes.plot(median.index, median, color=style.color, ls=style.line, lw=2.2)


def _median_while_most_train(runs: pd.DataFrame) -> pd.Series:
    """Return the median of runs (step, seed) up to where half of them have ended."""
    training = runs.bfill().notna().sum(axis=1)
    most = training > runs.shape[1] / 2
    return pd.Series(runs.ffill().median(axis=1).loc[most])


def _mark_stops(axes: Axes, cell: pd.DataFrame, styles: dict[str, ArmStyle]) -> None:
    is_before = (cell["step"] <= cell["stop_step"]) & np.isfinite(cell["critic/q_abs"])
    before = cell[is_before].groupby(["trial", "seed"]).tail(1)
    for arm, step, q_abs in zip(
        before["arm"], before["stop_step"], before["critic/q_abs"], strict=True
    ):
        color = styles[arm].color
        axes.plot(step, q_abs, "X", ms=7, mfc=color, mec="white", mew=0.7, zorder=4)


def _draw_level(
    axes: Axes, level: float, label: str, line: str, side: Literal["left", "right"] = "right"
) -> None:
    axes.axhline(level, color=REFERENCE_COLOR, ls=line, lw=1.0, zorder=1)
    axes.annotate(
        label,
        (float(side == "right"), level),
        xycoords=("axes fraction", "data"),
        xytext=(-2 if side == "right" else 2, 3),
        textcoords="offset points",
        ha=side,
        color=REFERENCE_COLOR,
        size=7.5,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
    )


def _short_count(count: float) -> str:
    """Return 500, 2k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(count) >= size:
            return f"{count / size:g}{unit}"
    return f"{count:g}"
