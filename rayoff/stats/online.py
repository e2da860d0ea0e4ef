"""What a search is worth to someone who can evaluate only some of its points."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rayoff.stats.strata import check_strata


def expected_online_performance(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the expected best score after evaluating 1 to M of M points, chosen at random.

    Entry k - 1 is the mean of the maximum over all subsets of size k: points are drawn without
    replacement, which is unbiased, where the paper draws with it.

    Args:
        scores: one for each point, (M,).

    Returns:
        Non-decreasing scores, (M,): the first is the mean, the last the maximum.

    Raises:
        ValueError: there is no score, or one is NaN.

    Source:
        Kurenkov & Kolesnikov 2022, arXiv 2110.04156; without replacement: Tang et al. 2020,
        arXiv 2004.14373, section 3.
    """
    (values,) = check_strata([scores])
    values = np.sort(values)
    num_points = len(values)
    weights = np.full(num_points, 1 / num_points)  # chance that each point is the best of k
    expected = np.empty(num_points)
    for k in range(1, num_points + 1):
        expected[k - 1] = weights @ values
        # C(i, k) / C(M, k + 1) from C(i, k - 1) / C(M, k), of the point with i below it
        below = np.arange(num_points)
        weights = weights * np.clip(below - k + 1, 0, None) / k * (k + 1) / max(num_points - k, 1)
    return expected
