"""Evaluations of all runs of a trial, on episodes that each run's seed and the step select.

Shapes: K runs (seeds), E episodes, S observation, A action.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rayoff.errors import StudyError
from rayoff.evaluation.environment import Environment, check_environment
from rayoff.evaluation.simulation import Policy, Simulation


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
    ) -> None:
        low, high = np.asarray(action_low, np.float64), np.asarray(action_high, np.float64)
        action_size = low.size if low.ndim else None
        if reason := check_environment(environment, observation_size, action_size):
            raise StudyError(reason)
        self._seeds, self._num_episodes = tuple(seeds), num_episodes
        self._task = environment, num_episodes, low, high
        self._simulation: Simulation | None = None

    def rollout(self, policies: Sequence[Policy], step: int) -> Rollout:
        """Return the returns and lengths of one episode of each run in each environment.

        Args:
            policies: of the runs, (K,).
            step: gradient step of this evaluation; selects its episodes [step].
        """
        if self._simulation is None:
            self._simulation = Simulation(*self._task)
        done = [
            self._simulation.rollout(policy, self._episode_seeds(seed, step))
            for policy, seed in zip(policies, self._seeds, strict=True)
        ]
        returns, lengths = zip(*done, strict=True)
        return Rollout(np.stack(returns), np.stack(lengths))

    def close(self) -> None:
        """Close the environments."""
        if self._simulation is not None:
            self._simulation.close()

    def _episode_seeds(self, seed: int, step: int) -> list[int]:
        """Return the reset seed of each episode of a run, (E,)."""
        return [
            int(np.random.SeedSequence((seed, step, episode)).generate_state(1)[0])
            for episode in range(self._num_episodes)
        ]
