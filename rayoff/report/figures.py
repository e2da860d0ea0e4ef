"""The figures of the report: which arms they show, their files, and how they stand in the page."""

import math
import re
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from rayoff.plots import (
    curves_figure,
    forest_figure,
    heatmap_figure,
    history_figure,
    importance_figure,
    online_figure,
    pareto_figure,
    profiles_figure,
    save_figure,
    score_figure,
    stability_figure,
    waterfall_figure,
)
from rayoff.report.aggregates import ArmScores, improvement_matrix
from rayoff.report.effects import Effect, effects_table
from rayoff.report.interactions import Interaction
from rayoff.report.searches import SearchResults, complete_points, online_scores, trade_offs
from rayoff.report.summary import BOOTSTRAP_SEED
from rayoff.report.waterfall import Waterfall
from rayoff.results import arm_order, run_table

MAX_ARMS = 12
"""Arms that a figure can hold and still be read."""
MAX_CHOICES = 16
"""Choices that a matrix of interactions can hold."""

_THEME = {
    "#000000": "var(--ink)",
    "#444444": "var(--reference)",
    "#888888": "var(--edge)",
    "#e8e8e8": "var(--grid)",
    "#ffffff": "var(--paper)",
}
"""Colours without a meaning, which follow the page from light to dark."""


class Analysis(NamedTuple):
    """What the figures are drawn from."""

    frame: pd.DataFrame
    """Results of the arms that are shown."""
    summary: pd.DataFrame
    """Of these arms."""
    effects: list[Effect]
    scores: ArmScores | str
    """Of all arms, or why they are not aggregated."""
    interactions: list[Interaction]
    waterfalls: list[Waterfall | str]
    search: SearchResults | None


def shown_arms(frame: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Return the arms that figures show: all, or the baseline and the best of them.

    What a search trained again on fresh seeds is always among them: it alone is no lucky draw.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        summary: of those results, as ``rayoff.report.summarize`` returns it.
    """
    arms = arm_order(frame)
    if len(arms) <= MAX_ARMS:
        return arms
    lost = summary["num_diverged"] / summary["num_runs"].clip(lower=1)
    means = pd.DataFrame(summary.assign(lost=lost).groupby("arm")[["mean", "lost"]].mean())
    means = means.fillna(-math.inf).to_dict("index")  # last: arms that were not evaluated
    ranked = sorted(arms[1:], key=lambda arm: (-means[arm]["mean"], means[arm]["lost"]))
    chosen = [arms[0], *frame.loc[frame["phase"] == "confirm", "arm"].unique()]
    chosen += [arm for arm in ranked if arm not in chosen][: MAX_ARMS - len(chosen)]
    return [arm for arm in arms if arm in chosen]


def draw_figures(analysis: Analysis) -> dict[str, Figure]:
    """Return the figures that these results allow, by name."""
    frame, arms = analysis.frame, arm_order(analysis.frame)
    figures = {
        "effects": forest_figure(effects_table(analysis.effects)),
        "score": score_figure(run_table(frame), analysis.summary),
        "stability": stability_figure(frame),
        "curves": curves_figure(frame),
    }
    if isinstance(analysis.scores, ArmScores):
        known = [arm for arm in arms if arm in analysis.scores.values]
        if len(known) > 1:
            values = {arm: analysis.scores.values[arm] for arm in known}
            measure = analysis.scores.measure
            figures["profiles"] = profiles_figure(values, measure, arms, seed=BOOTSTRAP_SEED)
            matrix = 100 * improvement_matrix(analysis.scores, known)
            figures["improvement"] = heatmap_figure(matrix, middle=50.0, digits=0)
    figures |= _numbered("interactions", _interaction_figures(analysis.interactions))
    figures |= _numbered("waterfall", _waterfall_figures(analysis.waterfalls))
    if analysis.search is not None:
        figures |= _search_figures(analysis.search)
    return {name: figure for name, figure in figures.items() if figure is not None}


def write_figures(folder: Path, figures: dict[str, Figure]) -> dict[str, list[Path]]:
    """Write the figures and return their files by name, the SVG first."""
    return {name: save_figure(figure, folder / name) for name, figure in figures.items()}


def _numbered(name: str, figures: list[Figure]) -> dict[str, Figure]:
    """Return figures of one kind by name, the second as ``name-2``."""
    return {f"{name}-{i + 1}" if i else name: figure for i, figure in enumerate(figures)}


def _interaction_figures(interactions: list[Interaction]) -> list[Figure]:
    """Return a matrix for each pool, of very many choices those with the largest numbers."""
    figures = []
    for dataset in dict.fromkeys(one.dataset for one in interactions):
        own = [one for one in interactions if one.dataset == dataset]
        ranked = sorted(own, key=lambda one: -abs(one.estimate.value))
        largest = list(dict.fromkeys(str(c) for one in ranked for c in (one.first, one.second)))
        labels = [name for name in _choices(own) if name in largest[:MAX_CHOICES]]
        matrix = pd.DataFrame(float("nan"), index=labels, columns=labels)
        emphasized = pd.DataFrame(data=False, index=labels, columns=labels)
        for one in own:
            for row, column in permutations((str(one.first), str(one.second))):
                if row in labels and column in labels:
                    matrix.loc[row, column] = one.estimate.value
                    emphasized.loc[row, column] = one.is_shown
        look = {"emphasized": emphasized, "title": dataset or ""}
        figures.append(heatmap_figure(matrix, middle=0.0, digits=1, **look))
    return figures


def _choices(interactions: list[Interaction]) -> list[str]:
    """Return the choices that interactions are about, in the study's order."""
    first, second = [one.first for one in interactions], [one.second for one in interactions]
    return list(dict.fromkeys(map(str, [*first, *second])))


def _waterfall_figures(waterfalls: list[Waterfall | str]) -> list[Figure]:
    return [
        waterfall_figure(
            (one.baseline, one.start), one.best, one.steps, one.measure, title=one.dataset or ""
        )
        for one in waterfalls
        if isinstance(one, Waterfall)
    ]


def _search_figures(search: SearchResults) -> dict[str, Figure | None]:
    figures: dict[str, Figure | None] = {}
    if len(search.history):
        figures["history"] = history_figure(search.history)
        figures["online"] = online_figure(online_scores(search))
    ended = complete_points(search)
    for one in trade_offs(search):
        name = f"pareto-{one.name.replace('_', '-')}"
        figures[name] = pareto_figure(ended, one.front, (one.name, "score"))
    if search.importances:
        figures["importance"] = importance_figure(search.importances)
    return figures


def inline_figure(path: Path) -> Markup:
    """Return an SVG file as an element with ids of its own, so that two can share a page."""
    name = path.stem
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A tenth of a point is finer than any screen, and halves the page.
    svg = re.sub(r' (d|x|y)="[^"]*"', lambda d: re.sub(r"(\.\d)\d+", r"\1", d.group()), svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    for color, variable in _THEME.items():
        svg = svg.replace(color, variable)
    svg = svg.replace("<svg", f'<svg role="img" aria-labelledby="{name}-about"', 1)
    return Markup(svg)
