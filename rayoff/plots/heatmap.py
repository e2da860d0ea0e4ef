"""A matrix as coloured cells with their numbers, diverging from a middle value."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from rayoff.plots.style import BAD_COLOR, FIGURE_STYLE, GOOD_COLOR

_COLORS = LinearSegmentedColormap.from_list("verdicts", [BAD_COLOR, "#f7f7f7", GOOD_COLOR])


def heatmap_figure(
    matrix: pd.DataFrame,
    *,
    middle: float,
    digits: int,
    emphasized: pd.DataFrame | None = None,
    title: str = "",
) -> Figure:
    """Return a heat map; cells that are nan stay empty.

    Args:
        matrix: values with their labels, rows and columns.
        middle: value without colour; below it cells are orange, above it green.
        digits: behind the decimal point.
        emphasized: cells of the same shape whose number is bold; None: none.
        title: above the figure.
    """
    values = matrix.to_numpy(float)
    reach = float(np.nanmax(np.abs(values - middle), initial=0.0)) or 1.0
    width = 1.6 + 0.08 * max(len(str(label)) for label in matrix.index) + 0.62 * values.shape[1]
    height = 1.0 + 0.05 * max(len(str(label)) for label in matrix.columns) + 0.34 * len(values)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(max(width, 4.5), max(height, 2.0)), layout="constrained")
        axes = figure.subplots()
        norm = TwoSlopeNorm(middle, middle - reach, middle + reach)
        axes.pcolormesh(values, cmap=_COLORS, norm=norm, edgecolors="white", linewidth=1.0)
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                strong = abs(value - middle) > 0.75 * reach
                bold = emphasized is not None and bool(emphasized.iloc[row, column])
                look = {"color": "#fefefe" if strong else "#1b1f24", "size": 8}
                look |= {"weight": "bold"} if bold else {}
                text = f"{round(value, digits) + 0.0:.{digits}f}"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", **look)
        axes.set_xticks(np.arange(values.shape[1]) + 0.5, matrix.columns, rotation=30, ha="left")
        axes.set_yticks(np.arange(values.shape[0]) + 0.5, matrix.index)
        axes.xaxis.tick_top()
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
    return figure
