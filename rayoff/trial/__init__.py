"""One trial: the K runs of an arm, trained side by side."""

from rayoff.trial.evaluating import choose_environment, make_evaluator
from rayoff.trial.exporting import export_policies
from rayoff.trial.trial import Row, Trial

__all__ = ["Row", "Trial", "choose_environment", "export_policies", "make_evaluator"]
