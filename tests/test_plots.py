"""Tests of rayoff.plots: what is drawn is what was measured, and equal results look equal."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from synthetic_results import BOUND, make_run_folder

from rayoff.plots import arm_styles, save_figure, score_figure, stability_figure
from rayoff.plots.style import ARM_COLORS, BASELINE_COLOR
from rayoff.report import summarize
from rayoff.results import collect, run_table
from rayoff.stats import wilson_interval


def results(folder: Path, **options: Any) -> Any:  # noqa: ANN401
    return collect(make_run_folder(folder, **options)).to_pandas()


def titles(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def lines(axes: Axes, color: str, width: float) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in axes.lines
        if line.get_color() == color
        and line.get_linewidth() == width
        and len(line.get_xdata()) > 1  # pyright: ignore[reportArgumentType]
    ]


def levels(axes: Axes, style: str) -> list[float]:
    """Return the heights of the horizontal lines of a style."""
    lines = (line for line in axes.lines if line.get_linestyle() == style)
    return [np.asarray(line.get_ydata()).item(0) for line in lines]


def crosses(axes: Axes) -> list[tuple[float, float]]:
    return sorted(
        (np.asarray(line.get_xdata()).item(0), np.asarray(line.get_ydata()).item(0))
        for line in axes.lines
        if line.get_marker() == "X"
    )


def test_the_baseline_is_grey_and_no_two_arms_look_alike() -> None:
    arms = [f"arm{index}" for index in range(19)]
    styles = arm_styles(arms)
    assert list(styles) == arms
    assert styles["arm0"].color == BASELINE_COLOR
    assert len({(style.color, style.line) for style in styles.values()}) == len(arms)
    assert {style.color for style in list(styles.values())[1:]} == set(ARM_COLORS)


def test_colours_stand_out_from_white() -> None:
    for color in (BASELINE_COLOR, *ARM_COLORS):
        red, green, blue = (((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert 1.05 / (luminance + 0.05) > 2.0  # contrast as WCAG 2 defines it


def test_median_and_runs_of_q_are_drawn_over_steps(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", mode="observe", seeds=(0, 1, 2))
    figure = stability_figure(frame)
    assert figure is not None
    panels = titles(figure)
    assert list(panels) == ["100% of the data", "10% of the data", "1% of the data"]
    for fraction, axes in zip((1.0, 0.1, 0.01), panels.values(), strict=True):
        assert axes.get_yscale() == "log"
        cell = frame[(frame["fraction"] == fraction) & (frame["arm"] == "layer")]
        ((steps, median),) = lines(axes, ARM_COLORS[0], 2.2)
        for step, value in zip(steps, median, strict=True):
            assert value == np.median(cell.loc[cell["step"] == step, "critic/q_abs"])
        assert len(lines(axes, ARM_COLORS[0], 0.8)) == 3


def test_the_bound_and_every_stop_are_marked(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", mode="observe", fractions=(0.1,), seeds=(0, 1, 2))
    figure = stability_figure(frame)
    assert figure is not None
    (axes,) = titles(figure).values()
    assert levels(axes, "--") == [BOUND]
    assert f"bound {BOUND:.0f}" in [text.get_text() for text in axes.texts]
    stops = frame[frame["step"] == frame["stop_step"]]
    assert len(stops) == 3
    assert crosses(axes) == sorted(zip(stops["step"], stops["critic/q_abs"], strict=True))


@pytest.mark.parametrize(("factor", "label"), [(None, "586,000"), (200.0, "117,200")])
def test_the_ceiling_of_the_study_is_drawn(
    tmp_path: Path, factor: float | None, label: str
) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    if factor is not None:
        frame["config.stopper.ceiling_factor"] = factor
    figure = stability_figure(frame)
    assert figure is not None
    (axes,) = titles(figure).values()
    assert levels(axes, "-.") == [(factor or 1000) * BOUND]
    assert f"ceiling {label}" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("last", [np.nan, np.inf])
def test_a_run_that_was_stopped_without_a_finite_q_is_marked_at_its_last_one(
    tmp_path: Path, last: float
) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), seeds=(0,))
    stop = frame["step"] == frame["stop_step"]
    (stop_step,) = frame.loc[stop, "stop_step"]
    frame.loc[stop, "critic/q_abs"] = last
    own = frame["arm"] == "none"
    (q_abs,) = frame.loc[own & (frame["step"] == stop_step - 200), "critic/q_abs"]
    figure = stability_figure(frame)
    assert figure is not None
    (axes,) = titles(figure).values()
    assert crosses(axes) == [(stop_step, q_abs)]


def test_the_median_ends_where_half_of_the_runs_have_ended(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), seeds=(0, 1, 2))
    figure = stability_figure(frame)
    assert figure is not None
    (axes,) = titles(figure).values()
    ends = sorted(frame[frame["arm"] == "none"].groupby("seed")["step"].max())
    ((steps, _),) = lines(axes, BASELINE_COLOR, 2.2)
    assert steps[-1] == ends[1]  # two of three still train


def test_where_runs_are_too_many_only_medians_are_drawn(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), seeds=range(31))
    figure = stability_figure(frame)
    assert figure is not None
    (axes,) = titles(figure).values()
    assert lines(axes, ARM_COLORS[0], 0.8) == []
    assert len(lines(axes, ARM_COLORS[0], 2.2)) == 1


def test_the_threshold_of_the_study_is_drawn(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    frame["config.stopper.seem_threshold"] = 0.2
    figure = stability_figure(frame)
    assert figure is not None
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "suspicious from 0.2" in texts


def test_without_a_critic_there_is_no_stability_figure(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    assert stability_figure(frame.assign(**{"critic/q_abs": np.nan})) is None
    assert stability_figure(frame.drop(columns="critic/q_abs")) is None


@pytest.mark.parametrize("num_seeds", [2, 5])
def test_scores_stand_at_the_values_of_the_table(tmp_path: Path, num_seeds: int) -> None:
    frame = results(tmp_path / "a", seeds=range(num_seeds))
    summary = summarize(frame)
    (axes,) = titles(score_figure(run_table(frame), summary)).values()
    ((_, heights),) = lines(axes, ARM_COLORS[0], 1.8)
    layered = summary[summary["arm"] == "layer"]
    center = "iqm" if num_seeds == 5 else "mean"
    assert heights.tolist() == layered[center].tolist()
    spans = [
        segment[:, 1].tolist()
        for group in axes.collections
        for segment in group.get_segments()  # pyright: ignore[reportAttributeAccessIssue]
    ]
    for low, high in zip(layered["low"], layered["high"], strict=True):
        assert [low, high] in spans
    dots = [line for line in axes.lines if line.get_markersize() == 3]
    assert len(dots) == (12 if num_seeds == 2 else 0)
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 3


def test_without_scores_the_rate_of_divergence_is_drawn(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", simulator=False, seeds=(0, 1, 2))
    (axes,) = titles(score_figure(run_table(frame), summarize(frame))).values()
    ((_, rates),) = lines(axes, BASELINE_COLOR, 1.8)
    assert rates.tolist() == [1.0, 1.0, 1.0]
    low, high = wilson_interval(3, 3)
    for interval in axes.collections[:3]:
        (segment,) = interval.get_segments()  # pyright: ignore[reportAttributeAccessIssue]
        assert segment[:, 1] == pytest.approx([low, high])
    assert axes.get_ylabel() == "runs that diverged"


def test_with_one_fraction_the_arms_are_the_axis(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    (axes,) = titles(score_figure(run_table(frame), summarize(frame))).values()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "layer"]
    assert axes.get_xscale() == "linear"


def test_every_dataset_has_its_panels(tmp_path: Path) -> None:
    names = ("hopper", "ant", "walker", "pen")
    frame = results(tmp_path / "a", datasets=names, fractions=(1.0, 0.1))
    figure = score_figure(run_table(frame), summarize(frame))
    assert list(titles(figure)) == list(names)
    stability = stability_figure(frame)
    assert stability is not None
    assert len(stability.axes) == 4 * 2 * 2


def test_a_study_in_which_nothing_ran_yet_can_be_drawn(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a")
    for path in folder.glob("trials/*/*"):
        path.unlink()
    frame = collect(folder).to_pandas()
    assert stability_figure(frame) is None
    save_figure(score_figure(run_table(frame), summarize(frame)), tmp_path / "score")


def test_equal_results_give_equal_files(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        frame = results(tmp_path / name, fractions=(0.1,))
        figure = stability_figure(frame)
        assert figure is not None
        paths = save_figure(figure, tmp_path / f"figures{name}" / "stability")
        paths += save_figure(
            score_figure(run_table(frame), summarize(frame)), tmp_path / f"figures{name}" / "score"
        )
        assert [path.suffix for path in paths] == [".svg", ".pdf"] * 2
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


def test_text_stays_text_and_settings_stay_as_they_were(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    frame = results(tmp_path / "a", fractions=(0.1,))
    svg, _ = save_figure(score_figure(run_table(frame), summarize(frame)), tmp_path / "score")
    assert "score, 0 to 100</text>" in svg.read_text()
    assert dict(matplotlib.rcParams) == before


def test_reports_need_neither_ray_nor_torch_nor_pyplot() -> None:
    code = (
        "import sys, rayoff.report\n"
        "print([m for m in ('ray', 'torch', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
