"""Tests that SEEM's published laws hold: on a toy maze, for kernels, and on pendulum swings.

The numbers are those of an independent reproduction of the authors' code.
``benchmarks/seem_laws.py`` measures the same at full length.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import seem_laws
import torch
from laws import adam, crash, kernels, layer_norm, one_step, pendulum, transition
from laws.checks import Check, Finding
from laws.crash import Crash
from matplotlib.figure import Figure
from seem_laws import HEADING, write_section

from rayoff.config import Norm, SeemConfig, StopperConfig
from rayoff.forecast import crash_from_seem, forecast
from rayoff.seem import read_seem

SHAPES = pytest.mark.parametrize(("depth", "width"), kernels.SHAPES)


@pytest.fixture(scope="module")
def run() -> Crash:
    return crash.published_crash()


def test_two_layers_under_sgd_crash_as_the_inverse_of_a_line(run: Crash) -> None:
    found, early = crash.fit(run, 200, 290), crash.fit(run, 200, 250)
    assert 1 / run.q[200] == pytest.approx(0.302, abs=0.002)
    assert 1 / run.q[250] == pytest.approx(0.151, abs=0.002)
    assert found.r_squared >= 0.999
    assert found.slope == pytest.approx(-2.9e-3, rel=0.02)
    assert found.step == pytest.approx(302.1, abs=3)
    assert run.first_above(1e3) == pytest.approx(303, abs=3)
    assert run.first_above(1e6) == pytest.approx(305, abs=3)
    assert early.step == pytest.approx(299.8, abs=3)


def test_one_small_step_multiplies_the_td_errors_by_one_plus_eta_a() -> None:
    errors = {rate: one_step.one_step_error(rate) for rate in (2e-3, 2e-4, 2e-5)}
    assert errors[2e-4] <= 1e-5
    assert errors[2e-3] / errors[2e-4] == pytest.approx(10, rel=0.1)  # of first order
    assert errors[2e-4] / errors[2e-5] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(("step", "tolerance"), [(200, 0.09), (250, 0.04), (275, 0.025)])
def test_one_reading_of_seem_foretells_the_crash(run: Crash, step: int, tolerance: float) -> None:
    predicted = crash_from_seem(step, run.rates[step], crash.LEARNING_RATE, num_layers=2)
    assert predicted == pytest.approx(304, rel=tolerance)


def test_one_reading_foretells_the_crash_of_three_layers_half_its_life_ahead() -> None:
    deep = crash.three_layer_crash()
    assert deep.first_above(1e6) == pytest.approx(1803, abs=3)
    for step, rate in deep.rates.items():
        predicted = crash_from_seem(step, rate, crash.DEEP_LEARNING_RATE, num_layers=3)
        assert predicted == pytest.approx(1803, rel=0.08)


@pytest.mark.slow
def test_three_layers_under_adam_grow_as_the_cube_of_time() -> None:
    growth = adam.run(40_000, period=1000)
    half, settled = growth.since(20_000), growth.since(2_000)
    steps = growth.steps[half]
    assert forecast("adam", steps, growth.q_abs[half], np.inf, num_layers=3).r_squared >= 0.999
    line = forecast("adam", steps, growth.norms[half], np.inf, num_layers=1)
    assert line.r_squared >= 0.999
    assert 0.7 <= line.slope / (3e-4 * np.sqrt(growth.num_parameters)) <= 1.1
    assert growth.seem[half] == pytest.approx([0.45] * len(steps), abs=0.05)
    assert min(growth.kernel_cosines[settled]) >= 0.999


def test_without_biases_q_and_its_kernel_scale_as_powers_of_the_parameters() -> None:
    scaling = kernels.scale_parameters(biased=False)
    assert scaling.coefficient == pytest.approx(1e3, abs=1e-9)
    assert scaling.unexplained <= 1e-12
    assert scaling.kernel_ratio == pytest.approx(1e4, rel=1e-9)


def test_biases_spoil_that_only_while_the_parameters_are_small() -> None:
    small, large = (kernels.scale_parameters(True, scale) for scale in (1.0, 1000.0))
    assert small.unexplained > 0.01
    assert large.unexplained <= 1e-6
    assert large.coefficient == pytest.approx(1e3, rel=1e-3)


@SHAPES
def test_the_kernel_of_a_plain_critic_grows_in_proportion_to_the_distance(
    depth: int, width: int
) -> None:
    near, far = kernels.along_ray(kernels.make_critic("none", depth, width), [1e3, 1e4])
    assert 9.9 <= (far / near).item() <= 10.1


@SHAPES
def test_layer_norm_bounds_the_kernel_at_every_distance(depth: int, width: int) -> None:
    critic = kernels.make_critic("layer", depth, width)
    assert kernels.along_ray(critic, [10.0**e for e in range(7)]).max() <= 1.05


def test_without_layer_norm_both_published_seeds_crash() -> None:
    plain = layer_norm.run("none", 310, period=400)
    assert layer_norm.passages(plain)[:2] == pytest.approx([305, 142], abs=3)


def test_layer_norm_keeps_all_seeds_bounded() -> None:
    course = layer_norm.run("layer", 400, period=50)
    assert course.q_abs.max() < 60
    assert course.seem.max() <= 0.02


@pytest.mark.slow
def test_layer_norm_keeps_all_seeds_bounded_until_q_has_decayed() -> None:
    course = layer_norm.run("layer", 5000, period=50)
    assert course.q_abs.max() < 60
    assert course.seem.max() <= 0.02
    assert course.q_abs[-1].max() < 10


def test_divergence_sets_in_at_a_discount() -> None:
    seeds = range(6)
    assert not transition.run(0.95, seeds, num_steps=500).diverged.any()
    assert transition.run(0.99, seeds, num_steps=500).diverged.sum() >= 5


def test_the_direction_of_the_parameters_settles_as_the_crash_nears(run: Crash) -> None:
    at = run.directions[[0, 200, 275, 300]]
    assert at == pytest.approx([0.22, 0.40, 0.64, 0.94], abs=0.01)
    assert (np.diff(run.directions) > 0).all()
    assert run.kernel_cosine >= 0.995


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_readings_at_full_width_equal_explicit_jacobians(norm: Norm) -> None:
    critic, rows = kernels.make_critic(norm, sizes=(11, 3)), kernels.make_rows(32)
    phi = kernels.jacobian(critic, rows.observations, rows.actions)
    next_phi = kernels.jacobian(critic, rows.next_observations, rows.next_actions)
    kept = 0.99 * (1 - rows.terminations[0].double())
    matrix = (kept[:, None] * next_phi - phi) @ phi.T * rows.weights[0].double()
    expected = torch.linalg.eigvals(matrix).real.max()

    readings = read_seem(critic, *rows[:4], 0.99, rows.terminations, rows.weights)

    assert readings["seem/value"].item() == pytest.approx(expected.item(), rel=1e-5)
    normalized = (expected / matrix.norm()).item()
    assert readings["seem/normalized"].item() == pytest.approx(normalized, rel=1e-5)


def test_high_seem_under_a_slow_target_stops_no_run() -> None:
    """In short, and the stopper may act on a tenth of the bound, at the third reading."""
    config = replace(
        pendulum.make_config(pendulum.SLOW_TARGET, num_steps=500, seeds=(0, 1)),
        seem=SeemConfig(period=100),
        stopper=StopperConfig(
            suspect_factor=0.1,
            confirm_factor=0.1,
            num_fitted=3,
            fit_fraction=0.01,
            num_confirmed=1,
        ),
        batch_size=32,
    )
    rows = pendulum.train(config, pendulum.make_table())
    assert len(rows) == 2 * 5
    assert all(row["seem/normalized"] > 0.1 for row in rows)
    assert all(row["critic/q_max"] < row["critic/q_bound"] for row in rows)
    assert {row["stop_step"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("measured", "holds"),
    [(0.89, False), (0.9, True), (1.1, True), (1.11, False), (np.nan, False), (np.inf, False)],
)
def test_a_verdict_is_whether_the_number_lies_in_its_interval(
    measured: float, holds: bool
) -> None:
    assert Check("R1", "a number", "1", measured, low=0.9, high=1.1).holds == holds


def test_laws_that_are_measured_again_replace_their_own_lines_only(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n\nAn introduction.\n\n## Another section\n\nIts text.\n")
    first, second = (Check(law, "a number", "1", 1.0, high=2.0) for law in ("R1", "R2"))
    write_section([first, second], page)
    write_section([replace(first, measured=3.0)], page)
    text = page.read_text()
    assert text.startswith("# Results\n\nAn introduction.\n\n## Another section\n\nIts text.\n")
    assert text.count(HEADING) == 1
    lines = [line for line in text.splitlines() if line.startswith("| R")]
    assert lines == [
        "| R1 | a number | 1 | at most 2 | 3 | **fails** |",
        "| R2 | a number | 1 | at most 2 | 1 | holds |",
    ]


def test_figures_are_written_beside_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n", encoding="utf-8")
    found = Finding([Check("R6", "a number", "1", 1.0, high=2.0)], {"laws-kernel": Figure()})
    monkeypatch.setattr(seem_laws, "measure", lambda _: found)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)  # the suite keeps its cores
    monkeypatch.setattr(sys, "argv", ["seem_laws.py", "--laws", "R6", "--results", str(page)])
    assert seem_laws.main() == 0
    assert "figures/laws-kernel.svg" in page.read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["laws-kernel.svg"]
