"""How results grow over training: the mean of each arm's runs, and every run behind it."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rayoff.plots.style import (
    FIGURE_STYLE,
    ArmStyle,
    Look,
    add_legends,
    arm_styles,
    step_axis,
)
from rayoff.results import arm_order

MAX_LINES = 40
"""Runs of a panel up to which each is drawn; with more, only means can be told apart."""
MAX_RUNS = 400
"""Runs of a figure up to which each is drawn; more would make the page of a report too large."""

_SIGNS: dict[str, Look] = {"mean of runs": {"lw": 2.0}, "one run": {"lw": 0.7, "alpha": 0.5}}


def curves_figure(frame: pd.DataFrame) -> Figure | None:
    """Return evaluations over steps, a panel for each dataset and fraction.

    The mean is over the runs evaluated at a step; one that was stopped is in it until then.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.

    Returns:
        None where nothing was evaluated.
    """
    styles = arm_styles(arm_order(frame))
    scored = frame["floor_score"].notna()
    frame = frame.assign(value=frame["score"].where(scored, frame["return"]), scored=scored)
    frame = frame.dropna(subset=["value"])
    if not len(frame):
        return None
    datasets = list(dict.fromkeys(frame["dataset"]))
    fractions = sorted(set(frame["fraction"]), reverse=True)
    show_runs = len(frame.drop_duplicates(["trial", "seed"])) <= MAX_RUNS
    with matplotlib.rc_context(FIGURE_STYLE):
        size = (1.0 + 2.7 * max(len(fractions), 2), 0.9 + 2.3 * len(datasets))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(
            len(datasets), len(fractions), squeeze=False, sharex=True, sharey="row"
        )
        for name, row in zip(datasets, grid, strict=True):
            own = frame.loc[frame["dataset"] == name]
            for fraction, axes in zip(fractions, row, strict=True):
                _draw(axes, own.loc[own["fraction"] == fraction], styles, show_runs)
                axes.set_title(f"{100 * fraction:g}% of the data", loc="left")
            unit = "score" if bool(own["scored"].iloc[0]) else "return [reward]"
            row[0].set_ylabel(f"{name}\n{unit}" if len(datasets) > 1 else unit)
        for axes in grid[-1]:
            step_axis(axes)
        looks: dict[str, Look] = {
            arm: {"color": s.color, "ls": s.line, "lw": 2.0} for arm, s in styles.items()
        }
        add_legends(figure, looks, _SIGNS)
    return figure


def _draw(axes: Axes, cell: pd.DataFrame, styles: dict[str, ArmStyle], show_runs: bool) -> None:
    show_runs &= len(cell.drop_duplicates(["trial", "seed"])) <= MAX_LINES
    for arm, style in styles.items():
        own = cell.loc[cell["arm"] == arm]
        runs = own.groupby(["step", "seed"])["value"].mean().unstack()
        for seed in runs if show_runs else ():
            run = runs[seed].dropna()
            axes.plot(run.index, run, "-", color=style.color, lw=0.7, alpha=0.35)
        mean = runs.mean(axis=1)
        dot = "o" if len(mean) == 1 else None  # a line needs two evaluations
        axes.plot(mean.index, mean, marker=dot, ls=style.line, ms=3, color=style.color, lw=2.0)
    steps = np.unique(cell["step"])
    if len(steps):
        axes.set_xlim(min(0, steps[0]), max(steps[-1], 1))
