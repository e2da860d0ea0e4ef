"""The environments of one run, stepped side by side through one policy call per step.

Shapes: E episodes, S observation, A action.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rayoff.evaluation.environment import Environment, flat_size, make
from rayoff.evaluation.policies import Policy
from rayoff.observations import Observations, flatten_observations

if TYPE_CHECKING:
    import gymnasium


class Simulation:
    """E environments that run one episode each, made once and used for one run after another.

    One run at a time: the simulators of all runs side by side do not fit into a core's cache
    together, and a step of HalfCheetah then takes 60 us instead of 48 (80 instead of 10).

    Args:
        environment: what to make; it must suit (see ``check_environment``).
        num_episodes: E.
        action_low: action that the policy's -1 stands for, scalar or (A,).
        action_high: action that the policy's +1 stands for, scalar or (A,).
    """

    def __init__(
        self,
        environment: Environment | str,
        num_episodes: int,
        action_low: np.ndarray,
        action_high: np.ndarray,
    ) -> None:
        self._environments = [make(environment) for _ in range(num_episodes)]
        self._action_space = cast("gymnasium.spaces.Box", self._environments[0].action_space)
        self._observation_size = flat_size(self._environments[0].observation_space) or 0
        self._centre = (action_high + action_low) / 2
        self._half_width = (action_high - action_low) / 2

    def rollout(self, policy: Policy, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return returns [reward], float64, and lengths [step], int64, of the episodes, (E,).

        An environment whose episode is over waits for the others. Its last observation stays in
        the policy's input, whose shape thus stays the same: rounding depends on it.

        Args:
            policy: maps raw observations; where it gives nan the episode ends and the return is
                nan.
            seeds: of the episodes, (E,).
        """
        returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
        rows = np.empty((len(seeds), self._observation_size), np.float32)
        for episode, seed in enumerate(seeds):
            rows[episode] = _flat(self._environments[episode].reset(seed=seed)[0])
        running = list(range(len(seeds)))
        while running:
            actions = self._to_environment(policy(rows))
            for episode in tuple(running):
                lengths[episode] += 1
                action = actions[episode]
                if np.isnan(action).any():  # a diverged policy; simulators do not survive it
                    returns[episode] = np.nan
                    running.remove(episode)
                    continue
                observation, reward, terminated, truncated, _ = self._environments[episode].step(
                    action
                )
                rows[episode] = _flat(observation)
                returns[episode] += float(reward)
                if terminated or truncated:
                    running.remove(episode)
        return returns, lengths

    def close(self) -> None:
        """Close the environments."""
        for environment in self._environments:
            environment.close()

    def _to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Return actions (E, A) in [-1, 1] in the environment's units."""
        space = self._action_space
        scaled = self._centre + self._half_width * actions.astype(np.float64).clip(-1, 1)
        return scaled.clip(space.low, space.high).astype(space.dtype)


def _flat(observation: Any) -> np.ndarray:  # noqa: ANN401 - a vector, or nested dictionaries
    """Return the observation of one environment as a vector, (S,)."""
    if not isinstance(observation, Mapping):
        return observation
    return flatten_observations(_as_row(observation))[0]


def _as_row(observation: Observations) -> Observations:
    """Return vectors as arrays of one row, dictionaries likewise."""
    if isinstance(observation, Mapping):
        return {name: _as_row(part) for name, part in observation.items()}
    return observation[None]
