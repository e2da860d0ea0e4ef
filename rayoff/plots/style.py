"""One look for every figure: a colour per arm, the baseline grey, legends, and equal bytes."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from rayoff.files import replacing

BASELINE_COLOR = "#767676"
"""The grey of the arm that the others are compared with."""
ARM_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, told apart with any colour vision; without its yellow, too pale for
lines, and its black. From the seventh arm on the colours return with another line style."""

GOOD_COLOR, BAD_COLOR = "#1a7f5a", "#c2540a"
"""Of what helps and what hurts, where colour does not stand for an arm."""

REFERENCE_COLOR = "#444444"
"""Of bounds, thresholds and legends' signs."""

_LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1)))
_MARKERS = "sD^vP*"

FIGURE_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rayoff",
    "pdf.fonttype": 42,
}
"""Matplotlib settings of the figures; text stays text in the SVG, for readers and search."""


class ArmStyle(NamedTuple):
    """How an arm is drawn, in every figure."""

    color: str
    line: str | tuple[int, tuple[float, ...]]
    marker: str


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """Return the style of each arm; the first is the baseline, and grey."""
    baseline, *others = arms
    styles = {baseline: ArmStyle(BASELINE_COLOR, "-", "o")}
    for index, arm in enumerate(others):
        color = index % len(ARM_COLORS)
        line = _LINE_STYLES[index // len(ARM_COLORS) % len(_LINE_STYLES)]
        marker = _MARKERS[(index + index // len(ARM_COLORS)) % len(_MARKERS)]
        styles[arm] = ArmStyle(ARM_COLORS[color], line, marker)
    return styles


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write ``path`` with the suffixes .svg and .pdf, making its folder; return both paths."""
    paths = [path.with_suffix(".svg"), path.with_suffix(".pdf")]
    with matplotlib.rc_context(FIGURE_STYLE):
        if engine := figure.get_layout_engine():
            engine.execute(figure)  # once, where each file would lay it out again
            figure.set_layout_engine("none")
        dpi = figure.get_dpi()  # printing changes it
        # Figure.savefig would draw each twice, once for a layout that it no longer has.
        without = {"Date": None, "Creator": None}
        with replacing(paths[0]) as unfinished:
            FigureCanvasSVG(figure).print_svg(unfinished, metadata=without)
        without = {"CreationDate": None, "Creator": None, "Producer": None}
        with replacing(paths[1]) as unfinished:
            FigureCanvasPdf(figure).print_pdf(unfinished, metadata=without)
        figure.set_dpi(dpi)
    return paths


def verdict_color(verdict: str) -> str:
    """Return the colour of ``helps``, ``hurts``, and of what shows no difference."""
    return {"helps": GOOD_COLOR, "hurts": BAD_COLOR}.get(verdict, REFERENCE_COLOR)


def step_axis(axes: Axes) -> None:
    """Name the horizontal axis of gradient steps, with ticks as 500, 2k, 1.5M."""
    axes.set_xlabel("gradient step")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: _short_count(step)))


Look = dict[str, Any]
"""Matplotlib's properties of a line."""


def add_legends(figure: Figure, arms: dict[str, Look], signs: dict[str, Look]) -> None:
    """Name the arms above the figure, and what its signs mean below it."""
    above, below = _entries(arms), _entries(signs)
    columns = _num_columns(figure, arms, 9)
    figure.legend(handles=above, loc="outside upper left", ncols=columns, fontsize=9)
    if signs:
        columns = _num_columns(figure, signs, 8)
        figure.legend(handles=below, loc="outside lower left", ncols=columns, fontsize=8)


def _short_count(count: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(count) >= size:
            return f"{count / size:g}{unit}"
    return f"{count:g}"


def _num_columns(figure: Figure, labels: Collection[str], size: float) -> int:
    """Return how many columns of a legend fit a figure, at a font size [pt]."""
    entry_width = (0.07 + 0.0085 * max(map(len, labels))) * size  # in inches, as rendered
    return max(1, min(len(labels), int(figure.get_figwidth() / entry_width)))


def _entries(looks: dict[str, Look]) -> list[Line2D]:
    default: Look = {"color": REFERENCE_COLOR}
    return [Line2D([], [], label=label, **(default | look)) for label, look in looks.items()]
