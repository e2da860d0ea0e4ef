"""Which parameters of a search matter: two answers, by Optuna's evaluators.

PED-ANOVA asks what sets the best points apart from the rest; fANOVA which share of the variance
of all points a parameter explains. They disagree often, so both are shown.

Source:
    Watanabe et al. 2023, arXiv 2304.10255 (PED-ANOVA); Hutter et al. 2014, ICML (fANOVA).
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from numpy.typing import ArrayLike

from rayoff.stats.strata import check_strata

Points = Sequence[Mapping[str, Any]]
"""The parameters of each point, by name; a conditional one is absent where it has no effect."""

_MAX_CATEGORIES = 8
"""Different numbers up to which a parameter counts as a choice, where they repeat."""


def ped_anova_importance(points: Points, scores: ArrayLike) -> dict[str, float]:
    """Return how far the best tenth of the points differs from all in each parameter.

    Args:
        points: parameters of each of M points; numbers, texts or booleans.
        scores: of the points, (M,); larger is better.

    Returns:
        Shares that sum to 1, largest first; parameters that never vary are left out. Empty
        where no parameter varies or fewer than 2 points are given.

    Raises:
        ValueError: the numbers of points and scores differ, or a score is NaN.
    """
    from optuna.importance import PedAnovaImportanceEvaluator

    return _evaluate(PedAnovaImportanceEvaluator(), points, scores)


def fanova_importance(points: Points, scores: ArrayLike, *, seed: int = 0) -> dict[str, float]:
    """Return which share of the scores' variance each parameter explains.

    Parameters that some points do not have are left out: a forest needs all of them.

    Args:
        points: as for ``ped_anova_importance``.
        scores: of the points, (M,).
        seed: of the random forest.

    Returns:
        As ``ped_anova_importance``.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        ValueError: the numbers of points and scores differ, or a score is NaN.
    """
    if find_spec("sklearn") is None:
        raise ModuleNotFoundError("fANOVA needs scikit-learn: pip install 'rayoff[fanova]'")
    from optuna.importance import FanovaImportanceEvaluator

    return _evaluate(FanovaImportanceEvaluator(seed=seed), points, scores)


def _evaluate(evaluator: Any, points: Points, scores: ArrayLike) -> dict[str, float]:  # noqa: ANN401
    """Return an evaluator's importances of a made study, normalised."""
    import optuna

    (values,) = check_strata([scores])
    if len(values) != len(points):
        counts = f"{len(points)} points and {len(values)} scores"
        raise ValueError(f"Each point must have one score but got {counts}.")
    names = dict.fromkeys(name for point in points for name in point)
    known = {name: [point[name] for point in points if name in point] for name in names}
    spaces = {name: _distribution(found) for name, found in known.items() if _varies(found)}
    if len(points) < 2 or not spaces:
        return {}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(verbosity)
    for point, value in zip(points, values, strict=True):
        parameters = {name: _native(point[name]) for name in spaces if name in point}
        distributions = {name: spaces[name] for name in parameters}
        study.add_trial(
            optuna.create_trial(params=parameters, distributions=distributions, value=value)
        )
    found = {name: float(share) for name, share in evaluator.evaluate(study).items()}
    total = sum(found.values())
    shares = {name: share / total if total else 0.0 for name, share in found.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _varies(values: Sequence[object]) -> bool:
    return any(value != values[0] for value in values)


def _native(value: Any) -> Any:  # noqa: ANN401
    """Return a NumPy scalar as Python's own, since Optuna accepts no other."""
    return value.item() if hasattr(value, "item") else value


def _distribution(values: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return Optuna's distribution of the values.

    Few numbers are categories; many are a range, logarithmic over two decades or more.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    values = [_native(value) for value in values]
    kinds = {type(value) for value in values}
    few = len(set(values)) <= min(_MAX_CATEGORIES, len(values) / 2)
    if few or not kinds <= {int, float}:
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = min(values), max(values)
    kind = IntDistribution if kinds == {int} else FloatDistribution
    return kind(low, high, log=low > 0 and high >= 100 * low)
