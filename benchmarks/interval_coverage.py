"""How often a nominal 95% interval of the report covers the truth, by simulation.

Three kinds of scores are drawn: normal ones; skewed ones of which one run in five diverged and
counts with the floor; and differences of matched runs of two such arms. Each stratum (a dataset
at a fraction) lies ten points above the one before. The truth is that of a million runs.

    python benchmarks/interval_coverage.py
"""

import argparse
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from rayoff.stats import (
    Estimate,
    bootstrap_improvement,
    bootstrap_iqm,
    iqm,
    pooled_t_mean,
    probability_of_improvement,
    wilson_interval,
)

NUM_SEEDS = (3, 5, 10)
NUM_STRATA = (1, 3, 9)
NUM_TRUTH = 1_000_000

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def normal(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return scores around 50 with a standard deviation of 10."""
    return rng.normal(50.0, 10.0, size)


def with_floor(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return scores with a long lower tail below 70, one in five of them at the floor, 0."""
    scores = np.maximum(70.0 - rng.gamma(2.0, 8.0, size), 0.0)
    return np.where(rng.random(size) < 0.2, 0.0, scores)


def difference(rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return differences between an arm that never diverges and one that does."""
    return normal(rng, size) - with_floor(rng, size)


def with_levels(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores (strata, runs) with each stratum ten points above the one before."""
    return scores + 10.0 * np.arange(len(scores))[:, None]


def coverage(
    draw: Draw,
    interval: Callable[[list[NDArray[np.float64]]], Estimate],
    truth: float,
    shape: tuple[int, int],
    num_repetitions: int,
) -> float:
    """Return the share of repetitions whose interval holds the truth.

    Args:
        draw: makes scores of a given shape.
        interval: estimate of strata.
        truth: what is estimated.
        shape: strata and seeds.
        num_repetitions: simulated studies.
    """
    rng = np.random.default_rng(shape)
    hits = 0
    for _ in range(num_repetitions):
        estimate = interval(list(with_levels(draw(rng, shape))))
        hits += estimate.low <= truth <= estimate.high
    return hits / num_repetitions


def measure(num_repetitions: int, num_resamples: int) -> list[list[str]]:
    """Return a row for each kind of scores, number of strata and interval."""
    rows = []
    for draw, num_strata in itertools.product((normal, with_floor, difference), NUM_STRATA):
        large = draw(np.random.default_rng(0), (num_strata, NUM_TRUTH // num_strata))
        large = with_levels(large).ravel()
        truth_iqm, truth_mean = float(iqm(large)), float(large.mean())
        kinds: list[tuple[str, Callable[[list[NDArray[np.float64]]], Estimate], float]] = [
            ("IQM, bootstrap", lambda s: bootstrap_iqm(s, num_resamples=num_resamples), truth_iqm),
            ("mean, pooled t", pooled_t_mean, truth_mean),
        ]
        for name, interval, truth in kinds:
            shares = [
                coverage(draw, interval, truth, (num_strata, n), num_repetitions)
                for n in NUM_SEEDS
            ]
            label = draw.__name__.replace("_", " ")
            rows.append([label, str(num_strata), name, *(f"{share:.0%}" for share in shares)])
    return rows


def improvement_coverage(num_repetitions: int, num_resamples: int) -> list[list[str]]:
    """Return how often the interval of the probability of improvement holds the truth."""
    large = [draw(np.random.default_rng(0), (2_000,)) for draw in (normal, with_floor)]
    truth = probability_of_improvement(large[:1], large[1:])
    rows = []
    for num_strata in NUM_STRATA:
        shares = []
        for num_seeds in NUM_SEEDS:
            rng = np.random.default_rng(num_seeds)
            shape = (num_strata, num_seeds)
            pairs = ((normal(rng, shape), with_floor(rng, shape)) for _ in range(num_repetitions))
            found = (
                bootstrap_improvement(list(x), list(y), num_resamples=num_resamples)
                for x, y in pairs
            )
            shares.append(np.mean([e.low <= truth <= e.high for e in found]))
        rows.append([str(num_strata), *(f"{share:.0%}" for share in shares)])
    return rows


def wilson_coverage() -> list[list[str]]:
    """Return the exact coverage of Wilson's interval for some rates."""
    rows = []
    for rate in (0.05, 0.2, 0.5):
        shares = []
        for num_runs in NUM_SEEDS:
            chances = scipy_stats.binom.pmf(range(num_runs + 1), num_runs, rate)
            ends = [wilson_interval(hits, num_runs) for hits in range(num_runs + 1)]
            held = [low <= rate <= high for low, high in ends]
            shares.append(math.fsum(chances[held]))
        rows.append([f"{rate:.0%}", *(f"{share:.0%}" for share in shares)])
    return rows


def show(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print("\n| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main() -> None:
    """Print the coverage of every kind of interval."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=500, help="simulated studies")
    parser.add_argument("--resamples", type=int, default=2_000, help="of each bootstrap")
    given = parser.parse_args()
    seeds = [f"{n} seeds" for n in NUM_SEEDS]
    sizes = given.repetitions, given.resamples
    show(["scores", "strata", "interval", *seeds], measure(*sizes))
    show(["improvement: strata", *seeds], improvement_coverage(*sizes))
    show(["Wilson: rate", *seeds], wilson_coverage())


if __name__ == "__main__":
    main()
