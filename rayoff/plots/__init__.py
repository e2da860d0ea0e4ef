"""The figures of a report, from its results alone, as SVG and PDF.

They are drawn without pyplot's global state, and equal results give equal bytes.
"""

from rayoff.plots.curves import curves_figure
from rayoff.plots.forest import forest_figure
from rayoff.plots.heatmap import heatmap_figure
from rayoff.plots.profiles import profiles_figure
from rayoff.plots.score import score_figure
from rayoff.plots.search import history_figure, importance_figure, online_figure, pareto_figure
from rayoff.plots.stability import stability_figure
from rayoff.plots.style import arm_styles, save_figure
from rayoff.plots.waterfall import waterfall_figure

__all__ = [
    "arm_styles",
    "curves_figure",
    "forest_figure",
    "heatmap_figure",
    "history_figure",
    "importance_figure",
    "online_figure",
    "pareto_figure",
    "profiles_figure",
    "save_figure",
    "score_figure",
    "stability_figure",
    "waterfall_figure",
]
