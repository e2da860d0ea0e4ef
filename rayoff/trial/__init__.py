"""One trial: the K runs of an arm, trained side by side."""

from rayoff.trial.evaluating import (
    action_bounds,
    choose_environment,
    make_evaluator,
    require_environment,
)
from rayoff.trial.exporting import export_policies
from rayoff.trial.policy import Policy
from rayoff.trial.trial import Row, Trial

__all__ = [
    "Policy",
    "Row",
    "Trial",
    "action_bounds",
    "choose_environment",
    "export_policies",
    "make_evaluator",
    "require_environment",
]
