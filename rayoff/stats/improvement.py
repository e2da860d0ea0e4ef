"""How likely a run of one arm is better than a run of another, where runs are not matched."""

import numpy as np
from numpy.typing import NDArray

from rayoff.stats.estimates import Estimate
from rayoff.stats.strata import Strata, check_strata

_BATCH = 500
"""Resamples that are held in memory at once."""


def probability_of_improvement(treatment: Strata, control: Strata) -> float:
    """Return P(X > Y) + P(X = Y) / 2 of single runs, averaged over strata.

    Args:
        treatment: scores X of each stratum's runs, each (R,).
        control: scores Y of the same strata in the same order; numbers of runs may differ.

    Raises:
        ValueError: the numbers of strata differ, or one is empty or holds a NaN.

    Source:
        Agarwal et al. 2021, arXiv 2108.13264, section 4.3: the Mann-Whitney U over its maximum.
    """
    pairs = zip(*_matching(treatment, control), strict=True)
    return float(np.mean([_share_above(x[None], y[None])[0] for x, y in pairs]))


def bootstrap_improvement(
    treatment: Strata, control: Strata, *, seed: int = 0, num_resamples: int = 10_000
) -> Estimate:
    """Return the probability of improvement with its 95% percentile-bootstrap interval.

    Args:
        treatment: scores of each stratum's runs, each (R,).
        control: scores of the same strata in the same order.
        seed: of the resampling, within strata and arms.
        num_resamples: bootstrap repetitions.

    Raises:
        ValueError: as ``probability_of_improvement``.
    """
    ours, theirs = _matching(treatment, control)
    rng = np.random.default_rng(seed)
    shares = np.zeros(num_resamples)
    for x, y in zip(ours, theirs, strict=True):
        for start in range(0, num_resamples, _BATCH):
            size = min(_BATCH, num_resamples - start)
            resampled = rng.choice(x, (size, len(x))), rng.choice(y, (size, len(y)))
            shares[start : start + size] += _share_above(*resampled) / len(ours)
    low, high = np.quantile(shares, [0.025, 0.975])
    value = probability_of_improvement(ours, theirs)
    num_runs = sum(map(len, (*ours, *theirs)))
    return Estimate(value, float(low), float(high), "probability, bootstrap", num_runs)


def _share_above(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often x (B, R) is above y (B, Q), ties counting half, for each of B."""
    difference = x[:, :, None] - y[:, None, :]  # (B, R, Q)
    return ((difference > 0) + 0.5 * (difference == 0)).mean((1, 2))


def _matching(
    treatment: Strata, control: Strata
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    if len(treatment) != len(control):
        counts = f"{len(treatment)} and {len(control)}"
        raise ValueError(f"Both arms must have the same strata but got {counts}.")
    return check_strata(treatment), check_strata(control)
