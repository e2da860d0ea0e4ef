"""Tests of what is said of a search: expected best scores, and what matters in it."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayoff.stats import expected_online_performance, fanova_importance, ped_anova_importance


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=7))
def test_the_expected_best_is_the_mean_maximum_over_all_subsets(scores: list[float]) -> None:
    brute_force = [
        np.mean([max(subset) for subset in itertools.combinations(scores, size)])
        for size in range(1, len(scores) + 1)
    ]
    assert expected_online_performance(scores) == pytest.approx(brute_force, abs=1e-9)


def test_the_expected_best_of_many_points_stays_exact() -> None:
    curve = expected_online_performance(np.arange(1000.0))
    subset_sizes = np.arange(1, 1001)
    assert curve == pytest.approx(subset_sizes * 1001 / (subset_sizes + 1) - 1)  # order statistics


DIMENSIONS: dict[str, dict[str, Any]] = {
    "norm": {"choices": ["none", "layer"]},
    "depth": {"low": 1, "high": 3, "log": False, "step": None},
    "lr": {"low": 1e-5, "high": 1e-3, "log": True, "step": None},
    "rd": {"low": 0.0, "high": 1.0, "log": False, "step": None},
    "same": {"choices": [1]},
}


def searched(num_points: int = 120) -> tuple[list[dict[str, Any]], list[float], dict[str, Any]]:
    """Return points whose score depends on norm and depth, not on lr; rd is conditional."""
    rng = np.random.default_rng(0)
    points: list[dict[str, Any]] = []
    for _ in range(num_points):
        norm = str(rng.choice(["none", "layer"]))
        point = {
            "norm": norm,
            "depth": int(rng.choice([1, 2, 3])),
            "lr": 10 ** rng.uniform(-5, -3),
        }
        points.append(point | ({"rd": rng.uniform()} if norm == "layer" else {}) | {"same": 1})
    scores = [30.0 * (p["norm"] == "layer") + 3.0 * p["depth"] for p in points]
    return points, scores, DIMENSIONS


def test_fanova_gives_the_share_of_variance() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: rayoff[fanova]")
    found = fanova_importance(*searched())
    norm_variance, depth_variance = 30.0**2 / 4, 3.0**2 * 2 / 3
    expected = norm_variance / (norm_variance + depth_variance)
    assert list(found)[:2] == ["norm", "depth"]
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["norm"] == pytest.approx(expected, abs=0.05)
    assert not {"rd", "same"} & set(found)  # conditional, and never varied


def test_equal_seeds_give_an_equal_forest() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: rayoff[fanova]")
    points, scores, dimensions = searched(20)
    first, second = (fanova_importance(points, scores, dimensions, seed=3) for _ in range(2))
    assert first == second


def test_ped_anova_sees_what_the_best_points_share() -> None:
    found = ped_anova_importance(*searched())
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["norm"] + found["depth"] > found["lr"]
    assert "same" not in found
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("points", [[{}], [{"lr": 1e-4}], [{"lr": 1e-4}, {"lr": 1e-4}]])
def test_without_variation_nothing_matters(points: list[dict[str, Any]]) -> None:
    assert ped_anova_importance(points, [0.0] * len(points), DIMENSIONS) == {}


def test_without_scikit_learn_fanova_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayoff.stats.importance.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rayoff\[fanova\]'"):
        fanova_importance(*searched())


def test_unmatched_points_are_refused() -> None:
    with pytest.raises(ValueError, match="one score but got 1 points and 2 scores"):
        ped_anova_importance([{"lr": 0.1}], [1.0, 2.0], DIMENSIONS)
