"""Matched pairs of runs, their tests, and many tests at once."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from rayoff.stats.strata import check_strata

Key = TypeVar("Key", bound=Hashable)

_MAX_EXACT_PAIRS = 12
"""Untied pairs up to which all 2^n signs are counted; scipy's own exact p-value refuses ties."""


def paired_differences(
    treatment: Mapping[Key, float], control: Mapping[Key, float]
) -> dict[Key, float]:
    """Return treatment minus control for every key that both have, in the treatment's order.

    Args:
        treatment: score of each run, by what the run shares with its partner (dataset,
            fraction, seed, and every other choice).
        control: the same without the treatment.

    Raises:
        ValueError: a matched score is NaN.
    """
    differences = {key: treatment[key] - control[key] for key in treatment if key in control}
    for key, difference in differences.items():
        if np.isnan(difference):
            raise ValueError(f"Matched scores must be numbers but got a NaN at {key}.")
    return differences


def share_improved(differences: ArrayLike) -> float:
    """Return the share of differences (R,) above zero, ties counting half.

    Raises:
        ValueError: there is no difference, or one is NaN.
    """
    (values,) = check_strata([differences])
    return float((values > 0).mean() + 0.5 * (values == 0).mean())


def sign_test(num_better: int, num_worse: int) -> float:
    """Return the two-sided p-value that better and worse pairs are equally likely.

    For matched yes/no outcomes this is McNemar's exact test; ties carry no information and are
    left out. Without any pair the value is 1.

    Raises:
        ValueError: a number is negative.
    """
    if min(num_better, num_worse) < 0:
        raise ValueError(f"Counts must be at least 0 but got {num_better} and {num_worse}.")
    num_pairs = num_better + num_worse
    return float(scipy_stats.binomtest(num_better, num_pairs).pvalue) if num_pairs else 1.0


def signed_rank_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test on differences (R,).

    It asks whether they lie symmetrically around zero. Zeros carry no information and are left
    out; without any other difference the value is 1. Up to 12 pairs it is exact, also with ties;
    above, SciPy's exact value without ties, or the normal approximation with them.

    Raises:
        ValueError: there is no difference, or one is NaN.

    Source:
        Wilcoxon 1945, Biometrics Bulletin 1(6).
    """
    (values,) = check_strata([differences])
    values = values[values != 0]
    if not len(values):
        return 1.0
    if len(values) > _MAX_EXACT_PAIRS:
        _, p_value = scipy_stats.wilcoxon(values)
        return float(p_value)  # pyright: ignore[reportArgumentType]
    ranks = scipy_stats.rankdata(np.abs(values))
    signs = np.indices((2,) * len(values)).reshape(len(values), -1)  # (R, 2^R)
    sums = ranks @ signs
    observed = ranks[values > 0].sum()
    tail = min((sums <= observed).mean(), (sums >= observed).mean())
    return float(min(1.0, 2 * tail))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values (M,) corrected for their number: one below 5% survives all M tests.

    The chance that any true null hypothesis is rejected stays below 5%, however the tests
    depend on each other.

    Raises:
        ValueError: a p-value lies outside [0, 1].

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p-values must lie in [0, 1] but got {values.tolist()}.")
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
