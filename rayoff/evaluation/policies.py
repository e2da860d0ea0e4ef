"""What acts in rollouts: a function of rows, and one that scales what it observes.

Shapes: E rows, S observation, A action.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Policy = Callable[[np.ndarray], np.ndarray]
"""Maps observations, float32, (E, S), to actions in [-1, 1], (E, A), each row by itself. Its
input is written over after the call. Worker processes ask that it can be pickled."""


@dataclass(frozen=True)
class NormalizedPolicy:
    """Maps raw observations (E, S) to actions in [-1, 1], (E, A)."""

    mean: np.ndarray
    """Taken from observations, (S,)."""
    std: np.ndarray
    """Divides them then, (S,)."""
    act: Policy
    """What follows."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return the actions; nan where the policy has diverged."""
        return self.act((observations - self.mean) / self.std)
