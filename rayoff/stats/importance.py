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
Dimensions = Mapping[str, Mapping[str, Any]]
"""What each parameter could be: ``choices``, or ``low``, ``high``, ``log`` and ``step``."""


def ped_anova_importance(
    points: Points, scores: ArrayLike, dimensions: Dimensions
) -> dict[str, float]:
    """Return how far the best tenth of the points differs from all in each parameter.

    Args:
        points: parameters of each of M points.
        scores: of the points, (M,); larger is better.
        dimensions: of every parameter.

    Returns:
        Shares that sum to 1, largest first; parameters that never vary are left out. Empty
        where no parameter varies.

    Raises:
        ValueError: the numbers of points and scores differ, or a score is NaN.
    """
    from optuna.importance import PedAnovaImportanceEvaluator

    return _evaluate(PedAnovaImportanceEvaluator(), points, scores, dimensions)


def fanova_importance(
    points: Points, scores: ArrayLike, dimensions: Dimensions, *, seed: int = 0
) -> dict[str, float]:
    """Return which share of the scores' variance each parameter explains.

    Parameters that some points do not have are left out: a forest needs all of them.

    Args:
        points: as for ``ped_anova_importance``.
        scores: of the points, (M,).
        dimensions: of every parameter.
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

    return _evaluate(FanovaImportanceEvaluator(seed=seed), points, scores, dimensions)


def _evaluate(
    evaluator: Any,  # noqa: ANN401
    points: Points,
    scores: ArrayLike,
    dimensions: Dimensions,
) -> dict[str, float]:
    """Return an evaluator's importances of a made study, normalised."""
    import optuna

    (values,) = check_strata([scores])
    if len(values) != len(points):
        counts = f"{len(points)} points and {len(values)} scores"
        raise ValueError(f"Each point must have one score but got {counts}.")
    found: dict[str, list[Any]] = {
        name: [point[name] for point in points if name in point] for name in dimensions
    }
    spaces = {name: _distribution(dimensions[name]) for name, own in found.items() if _varies(own)}
    if not spaces:
        return {}
    study = _quiet_study()
    for point, value in zip(points, values, strict=True):
        parameters = {name: point[name] for name in spaces if name in point}
        study.add_trial(
            optuna.create_trial(
                params=parameters,
                distributions={name: spaces[name] for name in parameters},
                value=float(value),
            )
        )
    shares = {name: float(share) for name, share in evaluator.evaluate(study).items()}
    total = sum(shares.values()) or 1.0
    return dict(sorted(((n, s / total) for n, s in shares.items()), key=lambda item: -item[1]))


def _quiet_study() -> Any:  # noqa: ANN401
    """Return an empty study in memory, without Optuna's line about it."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(verbosity)
    return study


def _varies(values: Sequence[object]) -> bool:
    return any(value != values[0] for value in values)


def _distribution(dimension: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a dimension in Optuna's terms."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if "choices" in dimension:
        return CategoricalDistribution(tuple(dimension["choices"]))
    low, high, log, step = (dimension[name] for name in ("low", "high", "log", "step"))
    if isinstance(low, int):
        return IntDistribution(low, high, log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)
