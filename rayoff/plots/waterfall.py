"""From the baseline arm to the best one, a bar for what each choice adds."""

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from rayoff.plots.style import (
    BAD_COLOR,
    BASELINE_COLOR,
    FIGURE_STYLE,
    GOOD_COLOR,
    REFERENCE_COLOR,
)
from rayoff.stats import Estimate


def waterfall_figure(
    start: tuple[str, float],
    end: str,
    steps: Sequence[tuple[str, Estimate]],
    measure: str,
    *,
    title: str = "",
) -> Figure:
    """Return the steps from one arm to another, with their intervals.

    Args:
        start: name and result of the baseline arm.
        end: name of the best arm, where the steps lead.
        steps: each choice and what it adds.
        measure: ``score`` or ``return``.
        title: above the figure.
    """
    labels = [start[0], *(name for name, _ in steps), end]
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.5, 0.8 + 0.36 * len(labels)), layout="constrained")
        axes = figure.subplots()
        axes.barh(0, start[1], 0.6, color=BASELINE_COLOR)
        axes.annotate(f"{start[1]:.1f}", (start[1], 0), **_BESIDE)
        reached = start[1]
        for place, (_, estimate) in enumerate(steps, start=1):
            color = GOOD_COLOR if estimate.value >= 0 else BAD_COLOR
            axes.barh(place, estimate.value, 0.6, left=reached, color=color)
            ends = (reached + estimate.low, reached + estimate.high)
            axes.hlines(place, *ends, color=REFERENCE_COLOR, lw=1.2)
            axes.vlines(reached, place - 1.3, place + 0.3, color=REFERENCE_COLOR, lw=0.6)
            reached += estimate.value
            axes.annotate(f"{estimate.value:+.1f}", (max(reached, ends[1]), place), **_BESIDE)
        axes.barh(len(labels) - 1, reached, 0.6, color=REFERENCE_COLOR)
        axes.annotate(f"{reached:.1f}", (reached, len(labels) - 1), **_BESIDE)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.margins(x=0.1)
        axes.grid(visible=False, axis="y")
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
        axes.set_xlabel(f"mean {'score' if measure == 'score' else 'return [reward]'}")
    return figure


_BESIDE = {
    "xytext": (5, 0),
    "textcoords": "offset points",
    "va": "center",
    "size": 8,
    "color": REFERENCE_COLOR,
}
