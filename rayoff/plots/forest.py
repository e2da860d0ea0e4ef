"""Effects as a forest: a point with its interval for each, and a line at no difference."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rayoff.plots.style import BASELINE_COLOR, FIGURE_STYLE, REFERENCE_COLOR, verdict_color

MAX_ROWS = 60
"""Effects that a forest can hold and still be read."""


def forest_figure(effects: pd.DataFrame) -> Figure | None:
    """Return the paired effects of each choice: overall, then by fraction and by dataset.

    Overall effects have a square, their parts a dot; filled marks survive Holm's correction.
    With more than ``MAX_ROWS`` effects only the overall ones are drawn, the largest of them.

    Args:
        effects: as ``rayoff.report.effects_table`` returns them.

    Returns:
        None where no result was measured.
    """
    known = effects.dropna(subset=["difference"]) if len(effects) else effects
    if not len(known):
        return None
    if len(known) > MAX_ROWS:
        known = known.loc[known["overall"].astype(bool)]
    if len(known) > MAX_ROWS:
        size = pd.Series(known["difference"]).abs()
        known = known.loc[size.rank(ascending=False, method="first") <= MAX_ROWS]
    rows = known.to_dict(orient="records")
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(8.0, 0.9 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.0, color=BASELINE_COLOR, lw=1.2, zorder=1)
        for place, row in enumerate(rows):
            color = verdict_color(row["verdict"])
            axes.hlines(place, row["low"], row["high"], color=color, lw=1.6)
            mark, size = ("s", 6.5) if row["overall"] else ("o", 4.5)
            fill = color if row["p_holm"] <= 0.05 else "white"
            axes.plot(row["difference"], place, mark, ms=size, color=color, mfc=fill)
        several = len({row["dataset"] for row in rows if row["overall"]}) > 1
        axes.set_yticks(range(len(rows)), [_label(row, several) for row in rows])
        for text, row in zip(axes.get_yticklabels(), rows, strict=True):
            text.set_color(REFERENCE_COLOR)
            text.set_fontweight("bold" if row["overall"] else "normal")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"difference in {_measures(known)}, right is better")
        _limit(axes, known)
    return figure


def _label(row: dict, several: bool) -> str:
    """Return what an effect is about, with its dataset where there are several."""
    if row["overall"]:
        where = f", {row['dataset']}" if several else ""
        return f"{row['axis']} = {row['value']}{where}"
    if row["fraction"] != "all":
        return f"{100 * float(row['fraction']):g}% of the data"
    return str(row["dataset"])


def _measures(effects: pd.DataFrame) -> str:
    names = {"score": "score", "return": "return [reward]"}
    return " or ".join(names[name] for name in sorted(set(effects["measure"])))


def _limit(axes: Axes, effects: pd.DataFrame) -> None:
    """Keep the wide intervals of few runs from squeezing all others."""
    ends = effects[["difference", "low", "high"]].to_numpy(float)
    values = ends[:, 0]
    reach = max(np.ptp([*values, 0.0]), 1e-9)
    lowest, highest = min(0.0, values.min()) - 0.6 * reach, max(0.0, values.max()) + 0.6 * reach
    low, high = np.nanmin([*ends.ravel(), 0.0]), np.nanmax([*ends.ravel(), 0.0])
    margin = 0.05 * reach
    axes.set_xlim(max(low - margin, lowest), min(high + margin, highest))
