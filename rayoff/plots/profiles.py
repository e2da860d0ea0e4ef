"""Performance profiles: the share of runs above each result, for each arm."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from rayoff.plots.style import FIGURE_STYLE, Look, add_legends, arm_styles
from rayoff.stats import performance_profile

_NUM_THRESHOLDS = 101


def profiles_figure(
    values: Mapping[str, list[NDArray[np.float64]]],
    measure: str,
    arms: Sequence[str],
    *,
    seed: int = 0,
) -> Figure:
    """Return the performance profile of each arm with its band.

    Args:
        values: for each arm to be drawn, the results of the runs of each cell, (R,).
        measure: ``score`` or ``return``.
        arms: all arms that have a colour, the baseline first.
        seed: of the bootstrap.
    """
    known = np.concatenate([cell for strata in values.values() for cell in strata])
    low, high = min(known.min(), 0.0) if measure == "score" else known.min(), known.max()
    margin = 0.02 * max(high - low, 1e-9)
    thresholds = np.linspace(low - margin, high + margin, _NUM_THRESHOLDS)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.0, 4.0), layout="constrained")
        axes = figure.subplots()
        styles = {arm: s for arm, s in arm_styles(arms).items() if arm in values}
        for arm, style in styles.items():
            profile = performance_profile(values[arm], thresholds, seed=seed)
            axes.fill_between(thresholds, profile.low, profile.high, color=style.color, alpha=0.12)
            axes.plot(thresholds, profile.share, color=style.color, ls=style.line, lw=1.8)
        axes.set_xlabel("score, 0 to 100" if measure == "score" else "return [reward]")
        axes.set_ylabel("runs above")
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        looks: dict[str, Look] = {
            arm: {"color": s.color, "ls": s.line, "lw": 1.8} for arm, s in styles.items()
        }
        add_legends(figure, looks, {"95% band, at each result alone": {"lw": 6, "alpha": 0.2}})
    return figure
