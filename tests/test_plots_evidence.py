"""Tests of the figures behind the answer: what is drawn is what was measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from synthetic_results import make_run_folder

from rayoff.plots import (
    arm_styles,
    curves_figure,
    forest_figure,
    heatmap_figure,
    history_figure,
    importance_figure,
    online_figure,
    pareto_figure,
    profiles_figure,
    waterfall_figure,
)
from rayoff.plots.forest import MAX_ROWS
from rayoff.plots.style import ARM_COLORS, BAD_COLOR, BASELINE_COLOR, GOOD_COLOR
from rayoff.report import effects_table, find_effects, summarize
from rayoff.report.figures import MAX_ARMS, shown_arms
from rayoff.results import collect
from rayoff.stats import Estimate, expected_online_performance


def results(folder: Path, **options: Any) -> pd.DataFrame:  # noqa: ANN401
    return collect(make_run_folder(folder, **options)).to_pandas()


def only_axes(figure: Figure | None) -> Axes:
    assert figure is not None
    (axes,) = figure.axes
    return axes


def data_of(line: Line2D) -> tuple[list[float], list[float]]:
    """Return what a line was made of."""
    return [float(x) for x in np.asarray(line.get_xdata())], [
        float(y) for y in np.asarray(line.get_ydata())
    ]


def points(axes: Axes) -> list[tuple[float, float]]:
    """Return the marks of single points, in the order of drawing."""
    return [(x[0], y[0]) for x, y in map(data_of, axes.lines) if len(x) == 1]


def test_a_forest_has_a_mark_for_each_effect_at_its_difference(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", seeds=range(5), fractions=(1.0, 0.1))
    effects = effects_table(find_effects(frame))
    axes = only_axes(forest_figure(effects))
    assert points(axes) == [(row, place) for place, row in enumerate(effects["difference"])]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [
        "critic.norm = layer",
        "100% of the data",
        "10% of the data",
    ]


def test_a_forest_of_very_many_effects_shows_the_largest_overall_ones() -> None:
    effects = pd.DataFrame(
        {
            "axis": "arm",
            "value": [f"p{index}" for index in range(2 * MAX_ROWS)],
            "overall": True,
            "dataset": "all",
            "fraction": "all",
            "measure": "score",
            "difference": np.arange(2.0 * MAX_ROWS),
            "low": np.arange(2.0 * MAX_ROWS) - 1,
            "high": np.arange(2.0 * MAX_ROWS) + 1,
            "p_holm": 1.0,
            "verdict": "helps",
        }
    )
    drawn = [x for x, _ in points(only_axes(forest_figure(effects)))]
    assert drawn == list(range(MAX_ROWS, 2 * MAX_ROWS))


def test_without_scores_there_is_no_forest_and_no_curve(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", simulator=False, fractions=(0.1,))
    assert forest_figure(effects_table(find_effects(frame))) is None
    assert curves_figure(frame) is None


def test_a_curve_is_the_mean_of_the_runs_that_were_evaluated(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), seeds=range(3))
    axes = only_axes(curves_figure(frame))
    thick = [line for line in axes.lines if line.get_linewidth() == 2.0]
    assert [line.get_color() for line in thick] == [BASELINE_COLOR, ARM_COLORS[0]]
    for arm, line in zip(("none", "layer"), thick, strict=True):
        own = frame.loc[(frame["arm"] == arm) & frame["score"].notna()]
        for step, value in zip(*data_of(line), strict=True):
            assert value == pytest.approx(own.loc[own["step"] == step, "score"].mean())
    assert sum(line.get_linewidth() == 0.7 for line in axes.lines) == 6


def test_an_arm_keeps_its_colour_where_others_are_not_drawn() -> None:
    arms = ["none", "layer", "batch"]
    values = {"none": [np.array([1.0, 2.0])], "batch": [np.array([3.0, 4.0])]}
    axes = only_axes(profiles_figure(values, "score", arms))
    styles = arm_styles(arms)
    assert [line.get_color() for line in axes.lines] == [
        styles["none"].color,
        styles["batch"].color,
    ]


def test_a_profile_falls_from_all_runs_to_none() -> None:
    values = {"none": [np.array([10.0, 20.0, 30.0, 40.0])]}
    (line,) = only_axes(profiles_figure(values, "score", ["none"])).lines
    x, y = data_of(line)
    for threshold, share in zip(x, y, strict=True):
        assert share == np.mean(values["none"][0] > threshold)
    assert (y[0], y[-1]) == (1.0, 0.0)


def test_a_heat_map_writes_every_known_number() -> None:
    matrix = pd.DataFrame([[np.nan, 5.04], [-5.04, 0.0]], index=["a", "b"], columns=["a", "b"])
    axes = only_axes(heatmap_figure(matrix, middle=0.0, digits=1))
    assert {text.get_text() for text in axes.texts} == {"5.0", "-5.0", "0.0"}
    (mesh,) = axes.collections
    colors = [to_hex(color) for color in mesh.to_rgba(mesh.get_array()).reshape(-1, 4)]  # pyright: ignore
    assert (colors[1], colors[2]) == (GOOD_COLOR, BAD_COLOR)


def test_a_waterfall_steps_from_start_to_end() -> None:
    steps = [
        ("norm", Estimate(30.0, 25.0, 35.0, "mean, pooled t", 6)),
        ("width", Estimate(-5.0, -8.0, -2.0, "mean, pooled t", 6)),
    ]
    axes = only_axes(waterfall_figure(("none", 20.0), "layer-w64", steps, "score"))
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]  # pyright: ignore
    assert ends == [(0.0, 20.0), (20.0, 50.0), (50.0, 45.0), (0.0, 45.0)]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["none", "norm", "width", "layer-w64"]


HISTORY = pd.DataFrame(
    {
        "order": pd.array([0, 1, 2], dtype="Int64"),
        "point": [0, 2, 1],
        "origin": ["baseline", "sampled", "sampled"],
        "score": [10.0, 50.0, 30.0],
        "feasible": pd.array([True, False, True], dtype="boolean"),
        "best": [10.0, 10.0, 30.0],
        "device_seconds": [5.0, 6.0, 7.0],
    }
)


def test_the_history_of_a_search_tells_infeasible_points_apart() -> None:
    axes = only_axes(history_figure(HISTORY))
    feasible, infeasible, best, baseline = axes.lines
    assert data_of(feasible)[1] == [10.0, 30.0]
    assert (data_of(infeasible)[1], infeasible.get_color()) == ([50.0], BAD_COLOR)
    assert data_of(best)[1] == [10.0, 10.0, 30.0]
    assert data_of(baseline)[1] == [10.0, 10.0]


def test_the_worth_of_a_search_is_its_expected_best() -> None:
    scores = np.array([3.0, 1.0, 2.0])
    (line,) = only_axes(online_figure(scores)).lines
    assert data_of(line)[1] == list(expected_online_performance(scores))


def test_the_pareto_front_is_numbered() -> None:
    axes = only_axes(
        pareto_figure(HISTORY, HISTORY.iloc[[0, 2]], pair=("device_seconds", "score"))
    )
    assert [text.get_text() for text in axes.texts] == ["0", "1"]


def test_importances_stand_beside_each_other() -> None:
    shares = {"PED-ANOVA": {"norm": 0.7, "width": 0.3}, "fANOVA": {"norm": 1.0}}
    axes = only_axes(importance_figure(shares))
    widths = [bar.get_width() for bar in axes.patches]  # pyright: ignore[reportAttributeAccessIssue]
    assert widths == [0.7, 0.3, 1.0, 0.0]


def test_figures_of_many_arms_show_the_baseline_and_the_best(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=range(64, 64 + 20), fractions=(0.1,), seeds=(0,))
    summary = summarize(frame)
    arms = shown_arms(frame, summary)
    assert len(arms) == MAX_ARMS
    assert arms[0] == frame.loc[frame["baseline"], "arm"].iloc[0]
    values = summary.set_index("arm")["mean"].to_dict()
    hidden = set(values) - set(arms)
    assert min(values[arm] for arm in arms[1:]) >= max(values[arm] for arm in hidden)
