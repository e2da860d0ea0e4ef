"""The evaluations of a trial: in which environment, when, and what they tell.

Shapes: K runs, E episodes.
"""

from collections.abc import Sequence

import numpy as np

from rayoff.config import TrialConfig
from rayoff.data import DatasetFacts, TableMetadata, score
from rayoff.errors import DatasetError, StudyError
from rayoff.evaluation import Environment, Evaluator, Policy


def choose_environment(chosen: str | None, metadata: TableMetadata) -> Environment | None:
    """Return the environment of an evaluation, None where there is none.

    Args:
        chosen: id of ``evaluation.environment``, which is made as it is registered.
        metadata: of the dataset, whose environment is made with the arguments that it tells.
    """
    if chosen is not None:
        return Environment(chosen)
    if metadata.environment_spec is not None:
        return Environment.from_spec(metadata.environment_spec)
    return None if metadata.environment is None else Environment(metadata.environment)


def require_environment(config: TrialConfig, facts: DatasetFacts) -> Environment:
    """Return the environment of a trial's evaluation.

    Args:
        config: of the trial.
        facts: what the trial learns from.

    Raises:
        DatasetError: neither the dataset nor the configuration names one.
    """
    environment = choose_environment(config.evaluation.environment, facts)
    if environment is None:
        raise DatasetError(
            f"{facts.source} must name an environment to be evaluated in but does not. "
            "Train with --set evaluation.environment=ID."
        )
    return environment


def action_bounds(facts: DatasetFacts) -> tuple[np.ndarray, np.ndarray]:
    """Return the actions that a policy's -1 and +1 stand for, each (A,)."""
    ones = np.ones(facts.action_size)
    low, high = facts.action_low, facts.action_high
    return -ones if low is None else np.array(low), ones if high is None else np.array(high)


def make_evaluator(
    config: TrialConfig,
    facts: DatasetFacts,
    seeds: Sequence[int] | None = None,
    num_episodes: int | None = None,
    num_workers: int = 0,
) -> Evaluator:
    """Return the evaluator of a trial's policies.

    Args:
        config: of the trial.
        facts: what the trial learns from.
        seeds: of the runs, (K,); None: all of the trial.
        num_episodes: E, at least 1; None: as in the trial.
        num_workers: processes that do the rollouts; 0: this one does.

    Raises:
        DatasetError: neither the dataset nor the configuration names an environment.
        StudyError: the environment cannot be made, or does not suit the data.
    """
    environment = require_environment(config, facts)
    seeds = config.seeds if seeds is None else seeds
    return Evaluator(
        environment,
        [seed + config.evaluation.seed for seed in seeds],
        num_episodes or config.evaluation.num_episodes,
        *action_bounds(facts),
        observation_size=facts.observation_size,
        num_workers=num_workers,
    )


class Evaluations:
    """The evaluations of a trial, one at a time.

    Attributes:
        skipped: why there are none, or None.
        awaited: step of the evaluation that was begun and not asked for yet [step], or None.
        facts: of the data, whose reference returns make scores.
    """

    def __init__(self, config: TrialConfig, facts: DatasetFacts, num_workers: int = 0) -> None:
        """Prepare what can be evaluated.

        Args:
            config: of the trial.
            facts: what the trial learns from.
            num_workers: processes that do the rollouts; 0: this one does.
        """
        self.facts = facts
        self.awaited: int | None = None
        self._period, self._num_steps = config.evaluation.period, config.num_steps
        self._evaluator: Evaluator | None = None
        self.skipped: str | None = None if self._period else "evaluation.period is 0"
        if self._period:
            try:
                self._evaluator = make_evaluator(config, facts, num_workers=num_workers)
            except (DatasetError, StudyError) as error:
                self.skipped = str(error)

    @property
    def period(self) -> int | None:
        """Return the steps between evaluations [step], or None where there are none."""
        return None if self._evaluator is None else self._period

    def is_due(self, step: int) -> bool:
        """Whether policies are to be evaluated at a step: each period, and in the end."""
        return self._evaluator is not None and (
            step % self._period == 0 or step >= self._num_steps
        )

    def start(self, policies: Sequence[Policy], step: int) -> None:
        """Begin the evaluation of a step at which one is due, of the policies as they are."""
        assert self._evaluator is not None
        self._evaluator.start(policies, step)
        self.awaited = step

    def finish(self) -> dict[str, list[float]]:
        """Return the mean return of each run, and its score where the data has references.

        A policy gone nan counts as the worst: the reference for 0, or the data's worst return.
        """
        assert self._evaluator is not None
        returns = self._evaluator.finish().returns.mean(1)  # (K,)
        self.awaited = None
        unscored = None in (self.facts.ref_min, self.facts.ref_max)
        floor = self.facts.worst_return if unscored else self.facts.ref_min
        returns[~np.isfinite(returns)] = floor
        metrics = {"eval/return": returns.tolist()}
        scores = score(returns, self.facts)
        return metrics if scores is None else metrics | {"eval/score": scores.tolist()}
