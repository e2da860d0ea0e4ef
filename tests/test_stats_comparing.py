"""Tests of unmatched comparison, profiles and correction, against rliable and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from rayoff.stats import (
    bootstrap_improvement,
    bootstrap_iqm,
    bootstrap_median,
    holm,
    performance_profile,
    probability_of_improvement,
    signed_rank_test,
)

# 6 and 5 runs of 3 tasks, and what rliable 1.2.0 says of them (IQM and profile of the first with
# 50,000 and 20,000 repetitions; probability of improvement over the second with 20,000).
SCORES = np.array(
    [
        *([21.3, 48.7, 86.4], [21.0, 44.6, 83.6], [33.0, 59.5, 73.0]),
        *([7.3, 43.8, 80.4], [-3.3, 47.8, 67.5], [12.7, 44.6, 76.8]),
    ]
)
CONTROL = np.array(
    [
        *([19.1, 60.4, 83.7], [28.7, 43.3, 88.5], [24.0, 50.9, 77.6]),
        *([5.8, 45.4, 87.2], [4.9, 47.9, 83.4]),
    ]
)
RLIABLE_IQM = (48.38, 45.00, 52.13)
RLIABLE_IMPROVEMENT = (0.3667, 0.1778, 0.5667)
THRESHOLDS = (10.0, 20.0, 40.0, 60.0, 80.0)
RLIABLE_PROFILE = (
    (0.8889, 0.8333, 0.6667, 0.3333, 0.1667),
    (0.7778, 0.7222, 0.6667, 0.3333, 0.0556),
    (1.0000, 0.9444, 0.6667, 0.3333, 0.2778),
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=5)
RUNS = st.lists(st.integers(-3, 3), min_size=1, max_size=8)


def tasks(scores: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return list(scores.T)


def test_iqm_and_its_interval_are_rliables() -> None:
    estimate = bootstrap_iqm(tasks(SCORES))
    width = RLIABLE_IQM[2] - RLIABLE_IQM[1]
    assert estimate.value == pytest.approx(RLIABLE_IQM[0], abs=0.005)
    assert (estimate.low, estimate.high) == pytest.approx(RLIABLE_IQM[1:], abs=0.03 * width)


def test_probability_of_improvement_is_rliables() -> None:
    estimate = bootstrap_improvement(tasks(SCORES), tasks(CONTROL))
    assert estimate.value == pytest.approx(RLIABLE_IMPROVEMENT[0], abs=1e-4)
    assert (estimate.low, estimate.high) == pytest.approx(RLIABLE_IMPROVEMENT[1:], abs=0.02)


def test_the_performance_profile_is_rliables() -> None:
    profile = performance_profile(tasks(SCORES), THRESHOLDS)
    assert profile.share == pytest.approx(RLIABLE_PROFILE[0], abs=1e-4)
    assert profile.low == pytest.approx(RLIABLE_PROFILE[1], abs=0.06)  # steps of one run: 0.056
    assert profile.high == pytest.approx(RLIABLE_PROFILE[2], abs=0.06)


@given(RUNS, RUNS)
def test_probability_of_improvement_is_mann_whitneys_u_over_its_maximum(
    x: list[int], y: list[int]
) -> None:
    u = scipy_stats.mannwhitneyu(x, y, method="asymptotic").statistic
    assert probability_of_improvement([x], [y]) == pytest.approx(u / (len(x) * len(y)))


def test_strata_weigh_the_same_whatever_their_numbers_of_runs() -> None:
    assert probability_of_improvement([[1.0] * 9, [0.0]], [[0.0], [1.0] * 3]) == 0.5
    profile = performance_profile([[1.0] * 9, [0.0]], [0.5])
    assert (profile.share[0], profile.low[0], profile.high[0]) == pytest.approx((0.5, 0.5, 0.5))


def test_equal_seeds_give_equal_bits() -> None:
    for function in (bootstrap_iqm, bootstrap_median):
        assert function(tasks(SCORES), seed=3) == function(tasks(SCORES), seed=3)
    first, second = (bootstrap_improvement(tasks(SCORES), tasks(CONTROL)) for _ in range(2))
    assert first == second
    profiles = [performance_profile(tasks(SCORES), THRESHOLDS) for _ in range(2)]
    np.testing.assert_array_equal(profiles[0], profiles[1])


def test_the_bootstrap_of_the_median_covers_all_resamples_of_a_tiny_sample() -> None:
    scores = [0.0, 1.0, 5.0, 9.0]
    resamples = itertools.product(scores, repeat=len(scores))
    exact = np.quantile([np.median(resample) for resample in resamples], [0.025, 0.975])
    estimate = bootstrap_median([scores], num_resamples=100_000)
    assert estimate.value == 3.0
    assert (estimate.low, estimate.high) == pytest.approx(exact)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_signed_ranks_are_counted_over_all_signs(differences: list[int]) -> None:
    values = np.array([d for d in differences if d])
    ranks = scipy_stats.rankdata(np.abs(values)) if len(values) else np.zeros(0)
    observed = ranks[values > 0].sum()
    sums = [ranks @ signs for signs in itertools.product((0, 1), repeat=len(values))]
    tail = min(
        sum(s <= observed for s in sums) / len(sums), sum(s >= observed for s in sums) / len(sums)
    )
    assert signed_rank_test(differences) == pytest.approx(min(1.0, 2 * tail))


@pytest.mark.parametrize("num_pairs", [5, 12, 13, 40])
def test_signed_ranks_without_ties_are_scipys(num_pairs: int) -> None:
    differences = np.random.default_rng(num_pairs).normal(0.5, 1.0, num_pairs)
    expected = scipy_stats.wilcoxon(differences, method="exact")[1]
    assert signed_rank_test(differences) == pytest.approx(expected)


@given(P_VALUES)
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """A hypothesis falls where every set of hypotheses that holds it does, by Bonferroni."""
    tests = range(len(p_values))
    sets = [s for size in tests for s in itertools.combinations(tests, size + 1)]
    closed = [
        max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets if test in s)
        for test in tests
    ]
    assert holm(p_values) == pytest.approx(closed)


def test_no_comparison_needs_no_correction() -> None:
    assert holm([]).shape == (0,)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\] but got \[1\.5\]"):
        holm([1.5])
    with pytest.raises(ValueError, match="same strata but got 1 and 2"):
        probability_of_improvement([[1.0]], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="Stratum 0 must hold numbers but got a NaN"):
        performance_profile([[float("nan")]], [0.0])
