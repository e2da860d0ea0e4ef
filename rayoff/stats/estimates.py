"""Aggregates over runs with their 95% intervals."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from rayoff.stats.strata import Strata, check_strata

MIN_BOOTSTRAP_RUNS = 5
"""Runs of the smallest stratum below which the bootstrap's interval is too narrow.

A nominal 95% covers 74% to 77% with 3 runs of one dataset, and 89% with 5, by
benchmarks/interval_coverage.py.
"""


class Estimate(NamedTuple):
    """A number with its 95% interval."""

    value: float
    """The point estimate, in the unit of the scores."""
    low: float
    """Lower end; nan where the runs allow no interval (one run in every stratum)."""
    high: float
    """Upper end; nan as for ``low``."""
    method: str
    """What value and interval are, such as ``iqm, bootstrap`` or ``mean, pooled t``."""
    num_runs: int
    """Runs behind the number."""


def aggregate(strata: Strata, *, seed: int = 0) -> Estimate:
    """Return the estimate that the number of runs allows.

    Args:
        strata: scores of each stratum's runs, each (R,).
        seed: of the bootstrap.

    Returns:
        The IQM with its bootstrap interval where every stratum has ``MIN_BOOTSTRAP_RUNS``, else
        the mean with its pooled-t interval.

    Raises:
        ValueError: a stratum is empty, not one-dimensional, or holds a NaN.
    """
    if min(len(scores) for scores in check_strata(strata)) >= MIN_BOOTSTRAP_RUNS:
        return bootstrap_iqm(strata, seed=seed)
    return pooled_t_mean(strata)


def iqm(scores: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Return the interquartile mean along ``axis``; below 4 values that is the plain mean.

    Raises:
        ValueError: the scores hold a NaN.
    """
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("scores must be numbers but got a NaN.")
    return scipy_stats.trim_mean(values, 0.25, axis=axis)


def bootstrap_iqm(strata: Strata, *, seed: int = 0, num_resamples: int = 10_000) -> Estimate:
    """Return the IQM over all strata with its 95% percentile-bootstrap interval.

    Args:
        strata: scores of each stratum's runs, each (R,), R >= 2; runs are resampled within
            their stratum.
        seed: of the resampling; equal seeds give equal bits.
        num_resamples: bootstrap repetitions.

    Raises:
        ValueError: a stratum has fewer than two runs, or holds a NaN.
    """
    return _bootstrap(strata, _trimmed_mean, "iqm, bootstrap", seed, num_resamples)


def bootstrap_median(strata: Strata, *, seed: int = 0, num_resamples: int = 10_000) -> Estimate:
    """Return the median over the runs of all strata, with its interval as ``bootstrap_iqm``.

    Args:
        strata: scores of each stratum's runs, each (R,), R >= 2.
        seed: of the resampling.
        num_resamples: bootstrap repetitions.

    Raises:
        ValueError: a stratum has fewer than two runs, or holds a NaN.
    """
    return _bootstrap(strata, np.median, "median, bootstrap", seed, num_resamples)


def pooled_t_mean(strata: Strata) -> Estimate:
    """Return the mean over all runs with its 95% interval from the pooled variance.

    The variance is that within strata, so that datasets of different level do not widen the
    interval; degrees of freedom are runs less strata. With a single stratum it is Student's.

    Args:
        strata: scores of each stratum's runs, each (R,), R >= 1.

    Raises:
        ValueError: a stratum is empty, not one-dimensional, or holds a NaN.
    """
    samples = check_strata(strata)
    num_runs = sum(map(len, samples))
    value = float(np.concatenate(samples).mean())
    degrees = num_runs - len(samples)
    if degrees == 0:
        return Estimate(value, float("nan"), float("nan"), "mean, pooled t", num_runs)
    squares = sum(float(np.square(scores - scores.mean()).sum()) for scores in samples)
    half = float(scipy_stats.t.ppf(0.975, degrees)) * np.sqrt(squares / degrees / num_runs)
    return Estimate(value, float(value - half), float(value + half), "mean, pooled t", num_runs)


def _trimmed_mean(scores: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return scipy_stats.trim_mean(scores, 0.25, axis=axis)


def _bootstrap(
    strata: Strata,
    center: Callable[..., NDArray[np.float64]],
    method: str,
    seed: int,
    num_resamples: int,
) -> Estimate:
    """Return ``center`` over all strata with its percentile-bootstrap interval."""
    samples = check_strata(strata, min_runs=2)

    def statistic(*resamples: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return center(np.concatenate(resamples, axis=axis), axis=axis)

    interval = scipy_stats.bootstrap(
        samples,
        statistic,
        n_resamples=num_resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    value = float(center(np.concatenate(samples), axis=-1))
    num_runs = sum(map(len, samples))
    return Estimate(value, float(interval.low), float(interval.high), method, num_runs)
