"""The border at which scores are checked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Strata = Sequence[ArrayLike]
"""Scores of the runs of each stratum, each (R,)."""


def check_strata(strata: Strata, min_runs: int = 1) -> list[NDArray[np.float64]]:
    """Return the strata as arrays (R,), R >= ``min_runs``.

    Raises:
        ValueError: there is no stratum, or one is too short, not one-dimensional, or holds a NaN.
    """
    samples = [np.asarray(scores, dtype=np.float64) for scores in strata]
    if not samples:
        raise ValueError("At least one stratum is needed but got none.")
    for index, scores in enumerate(samples):
        if scores.ndim != 1 or len(scores) < min_runs:
            needed = f"one-dimensional with at least {min_runs} run(s)"
            raise ValueError(f"Stratum {index} must be {needed} but got shape {scores.shape}.")
        if np.isnan(scores).any():
            raise ValueError(f"Stratum {index} must hold numbers but got a NaN.")
    return samples
