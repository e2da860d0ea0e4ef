"""What the stopping rule is measured against: the bound on |Q|, and sound thresholds."""

import math

from rayoff.config import StopperConfig
from rayoff.errors import StudyError


def q_bound(max_abs_reward: float, discount: float) -> float:
    """Return the largest |Q| that rewards allow, max|r| / (1 - discount) [reward].

    Rewards that are zero everywhere carry no scale; a largest reward of 1 is then assumed, so
    that a critic which excites itself from nothing is still found out.

    Args:
        max_abs_reward: over the whole dataset, after the reward transform.
        discount: gamma, in [0, 1).

    Raises:
        ValueError: the reward is negative or not finite, or the discount outside [0, 1).
    """
    if not 0 <= max_abs_reward < math.inf:
        raise ValueError(f"max_abs_reward must be finite, at least 0 but got {max_abs_reward}.")
    if not 0 <= discount < 1:
        raise ValueError(f"discount must lie in [0, 1) but got {discount}.")
    return (max_abs_reward or 1.0) / (1 - discount)


def spacing(config: StopperConfig, num_steps: int, period: int) -> float:
    """Return the distance between the readings that a growth law is fitted to [step].

    Args:
        config: the rule's thresholds.
        num_steps: budget of the run [step].
        period: steps between probes while nothing is suspect [step].
    """
    return max(period, config.fit_fraction * num_steps / (config.num_fitted - 1))


def earliest_stop(config: StopperConfig, num_steps: int, period: int) -> float:
    """Return the step before which no forecast can stop a run [step]; as ``spacing``."""
    num_distances = config.num_fitted + config.num_confirmed - 2
    return period + num_distances * spacing(config, num_steps, period)


def check_stopper(config: StopperConfig) -> None:
    """Refuse a configuration by which the rule could not work.

    Raises:
        StudyError: a field is out of its range, or the factors are not in order.
    """
    for name in ("num_suspicious", "num_confirmed", "num_above_ceiling", "probe_speedup"):
        _require(getattr(config, name) >= 1, config, name, "at least 1")
    _require(config.num_fitted >= 3, config, "num_fitted", "at least 3, to fit a line through")
    _require(0 < config.fit_fraction < 1, config, "fit_fraction", "in (0, 1)")
    _require(config.seem_threshold > 0, config, "seem_threshold", "above 0")
    _require(config.diverged_factor > 0, config, "diverged_factor", "above 0")
    _require(config.suspect_factor > 0, config, "suspect_factor", "above 0")
    _require(0 <= config.seem_held <= 1, config, "seem_held", "in [0, 1]")
    _require(0 <= config.audit_fraction <= 1, config, "audit_fraction", "in [0, 1]")
    _require(0 < config.horizon_fraction <= 1, config, "horizon_fraction", "in (0, 1]")
    for low, high in (
        ("suspect_factor", "confirm_factor"),
        ("confirm_factor", "ceiling_factor"),
    ):
        bound = getattr(config, low)
        _require(getattr(config, high) >= bound, config, high, f"at least {low} = {bound}")


def _require(holds: bool, config: StopperConfig, name: str, expected: str) -> None:
    if not holds:
        raise StudyError(f"stopper.{name} must be {expected} but got {getattr(config, name)}.")
