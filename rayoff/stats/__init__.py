"""Statistics of runs: aggregates with intervals, matched pairs, rates, searches.

A *run* (one seed) is the unit. Runs come in *strata*, one array for each dataset (and
fraction), and are only ever compared or resampled within one. Everything is a pure function
of arrays and of an explicit seed; NaN is refused at the border, since one would silently turn
every number after it into NaN.

Source:
    Agarwal et al. 2021, arXiv 2108.13264 (IQM, stratified bootstrap, profiles, improvement).
"""

from rayoff.stats.comparisons import (
    holm,
    paired_differences,
    share_improved,
    sign_test,
    signed_rank_test,
)
from rayoff.stats.estimates import (
    MIN_BOOTSTRAP_RUNS,
    Estimate,
    aggregate,
    bootstrap_iqm,
    bootstrap_median,
    iqm,
    pooled_t_mean,
)
from rayoff.stats.importance import fanova_importance, ped_anova_importance
from rayoff.stats.improvement import bootstrap_improvement, probability_of_improvement
from rayoff.stats.online import expected_online_performance
from rayoff.stats.profiles import Profile, performance_profile
from rayoff.stats.rates import wilson_interval

__all__ = [
    "MIN_BOOTSTRAP_RUNS",
    "Estimate",
    "Profile",
    "aggregate",
    "bootstrap_improvement",
    "bootstrap_iqm",
    "bootstrap_median",
    "expected_online_performance",
    "fanova_importance",
    "holm",
    "iqm",
    "paired_differences",
    "ped_anova_importance",
    "performance_profile",
    "pooled_t_mean",
    "probability_of_improvement",
    "share_improved",
    "sign_test",
    "signed_rank_test",
    "wilson_interval",
]
