"""Performance profiles: the share of runs that are better than each threshold."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rayoff.stats.strata import Strata, check_strata


class Profile(NamedTuple):
    """A profile with its band, each (T,), in [0, 1]."""

    share: NDArray[np.float64]
    """Share of runs above each threshold, averaged over strata."""
    low: NDArray[np.float64]
    """Lower end of the 95% interval at each threshold alone."""
    high: NDArray[np.float64]
    """Upper end."""


def performance_profile(
    strata: Strata, thresholds: ArrayLike, *, seed: int = 0, num_resamples: int = 2_000
) -> Profile:
    """Return which share of runs scores above each threshold.

    Args:
        strata: scores of each stratum's runs, each (R,); each stratum weighs the same.
        thresholds: scores, (T,).
        seed: of the bootstrap, which resamples runs within strata.
        num_resamples: bootstrap repetitions.

    Raises:
        ValueError: a stratum is empty, not one-dimensional, or holds a NaN.

    Source:
        Agarwal et al. 2021, arXiv 2108.13264, section 4.2 (score distributions).
    """
    samples, levels = check_strata(strata), np.asarray(thresholds, dtype=np.float64)
    rng = np.random.default_rng(seed)
    above = np.concatenate(
        [(scores[:, None] > levels) / (len(scores) * len(samples)) for scores in samples]
    )  # (runs of all strata, T)
    counts = [
        rng.multinomial(len(scores), [1 / len(scores)] * len(scores), num_resamples)
        for scores in samples
    ]
    resampled = np.concatenate(counts, axis=1, dtype=np.float64) @ above
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return Profile(above.sum(0), low, high)
