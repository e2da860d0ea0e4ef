"""Evaluations of all runs of a trial, on episodes that each run's seed and the step select.

Shapes: K runs (seeds), E episodes, S observation, A action.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rayoff.errors import StudyError
from rayoff.evaluation.environment import Environment, check_environment
from rayoff.evaluation.policies import Policy
from rayoff.evaluation.simulation import Simulation
from rayoff.evaluation.workers import Done, Job, Workers


class Rollout(NamedTuple):
    """What the policies of K runs earned in E episodes each."""

    returns: np.ndarray
    """Undiscounted sums of the environment's own rewards [reward], float64, (K, E); nan where
    the policy gave an action that is not a number."""
    lengths: np.ndarray
    """Environment steps of each episode [step], int64, (K, E)."""


class Evaluator:
    """Rolls out the policies of K runs, each in E environments side by side.

    An environment whose episode is over idles until the others are done: had it begun another,
    short episodes would be counted more often than long ones.

    An episode's seed is a pure function of (seed of its run, step, episode). So a run meets the
    same episodes alone and stacked, interrupted and resumed; arms that share seeds are compared
    on the same episodes; and successive evaluations of a run average over different ones.

    Args:
        environment: what to make, or its Gymnasium id. Observations that are dictionaries become
            vectors as in the data, by ``rayoff.observations``.
        seeds: evaluation seed of each run, at least 0, (K,).
        num_episodes: E.
        action_low: action that the policy's -1 stands for, scalar or (A,).
        action_high: action that the policy's +1 stands for, scalar or (A,).
        observation_size: S that the policy takes; None accepts any.
        num_workers: processes that share the runs among them; 0: rollouts are done in this one.
            The numbers are the same.

    Raises:
        StudyError: the environment cannot be made or does not suit (see ``check_environment``).

    Source:
        Fujimoto's TD3+BC, main.py, reseeds with seed + 100 at each evaluation and so meets the
        same episodes every time; ours differ between evaluations.
    """

    def __init__(
        self,
        environment: Environment | str,
        seeds: Sequence[int],
        num_episodes: int,
        action_low: ArrayLike,
        action_high: ArrayLike,
        observation_size: int | None = None,
        num_workers: int = 0,
    ) -> None:
        low, high = np.asarray(action_low, np.float64), np.asarray(action_high, np.float64)
        action_size = low.size if low.ndim else None
        if reason := check_environment(environment, observation_size, action_size):
            raise StudyError(reason)
        self._seeds, self._num_episodes = tuple(seeds), num_episodes
        self._arguments = environment, num_episodes, low, high
        self._simulation: Simulation | None = None
        num_workers = min(num_workers, len(self._seeds))
        self._workers = Workers(num_workers, self._arguments) if num_workers else None
        self._jobs: list[Job] = []

    def rollout(self, policies: Sequence[Policy], step: int) -> Rollout:
        """Return the returns and lengths of one episode of each run in each environment.

        Args:
            policies: of the runs, (K,).
            step: gradient step of this evaluation; selects its episodes [step].
        """
        self.start(policies, step)
        return self.finish()

    def start(self, policies: Sequence[Policy], step: int) -> None:
        """Begin a rollout, which goes on in the processes if there are any; see ``rollout``.

        Without processes it is done when it is asked for.
        """
        self._jobs = [
            (policy, episode_seeds(seed, step, self._num_episodes))
            for policy, seed in zip(policies, self._seeds, strict=True)
        ]
        if self._workers is not None:
            self._workers.send(self._jobs)

    def finish(self) -> Rollout:
        """Return the rollout that was begun, once it is done."""
        done = [None] * len(self._jobs) if self._workers is None else self._workers.collect()
        returns, lengths = zip(
            *(
                self._simulate(job) if result is None else result
                for job, result in zip(self._jobs, done, strict=True)
            ),
            strict=True,
        )
        return Rollout(np.stack(returns), np.stack(lengths))

    def close(self) -> None:
        """Close the environments, and end the processes."""
        if self._simulation is not None:
            self._simulation.close()
        if self._workers is not None:
            self._workers.close()

    def _simulate(self, job: Job) -> Done:
        """Return what a job earns, in this process."""
        if self._simulation is None:
            self._simulation = Simulation(*self._arguments)
        return self._simulation.rollout(*job)


def episode_seeds(seed: int, step: int, num_episodes: int) -> list[int]:
    """Return the reset seeds of the episodes of a run's evaluation, (E,).

    Args:
        seed: evaluation seed of the run, at least 0.
        step: gradient step of the evaluation [step].
        num_episodes: E.
    """
    return [
        int(np.random.SeedSequence((seed, step, episode)).generate_state(1)[0])
        for episode in range(num_episodes)
    ]
