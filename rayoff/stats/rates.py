"""Rates of yes/no outcomes, such as divergence."""

from scipy import stats as scipy_stats


def wilson_interval(num_hits: int, num_runs: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a rate, both ends in [0, 1].

    Raises:
        ValueError: there is no run, or more hits than runs.

    Source:
        Wilson 1927, JASA 22(158); no continuity correction.
    """
    if not 0 <= num_hits <= num_runs or num_runs == 0:
        raise ValueError(f"Hits must lie in [0, runs > 0] but got {num_hits} of {num_runs}.")
    interval = scipy_stats.binomtest(num_hits, num_runs).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
