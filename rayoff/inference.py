"""A perceptron in numpy: how the network of one run acts, without torch.

Ten rows through 2 x 256 units take torch 120 us, most of it the way to the kernels, and numpy
25 to 35. It is plain arrays, so it travels to another process, and stays what it was while its
run trains on. ``rayoff.networks`` says of each of its modules what it is here, by ``to_numpy``.

Shapes: E rows, I input and O output units of a layer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Normalization:
    """Scales the units of each row: gain * normalize(x) + shift."""

    gain: np.ndarray
    """(O,)."""
    shift: np.ndarray
    """(O,)."""
    num_groups: int
    """Groups of units that are brought to unit variance each; 0: gain and shift are all."""
    centred: bool
    """Whether each group's mean is taken away first."""
    eps: float
    """Added to the mean square."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the normalised rows, (E, O)."""
        if self.num_groups:
            groups = x.reshape(len(x), self.num_groups, -1)
            if self.centred:
                groups = groups - groups.mean(-1, keepdims=True)
            square = np.square(groups).mean(-1, keepdims=True)
            x = (groups / np.sqrt(square + np.float32(self.eps))).reshape(x.shape)
        return x * self.gain + self.shift


@dataclass(frozen=True)
class Layer:
    """A linear map with what follows it."""

    weight: np.ndarray
    """(I, O), float32."""
    bias: np.ndarray | None
    """(O,), float32."""
    activation: str
    """A key of ``ACTIVATIONS``."""
    normalization: Normalization | None = None
    normalized_first: bool = True
    """Whether the normalisation stands before the activation, or after it."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Map (E, I) to (E, O)."""
        x = x @ self.weight
        if self.bias is not None:
            x += self.bias
        normalize = self.normalization
        if normalize is not None and self.normalized_first:
            x = normalize(x)
        x = ACTIVATIONS[self.activation](x)
        if normalize is not None and not self.normalized_first:
            x = normalize(x)
        return x


@dataclass(frozen=True)
class Perceptron:
    """Layers one after another."""

    layers: tuple[Layer, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Map (E, I) of the first layer to (E, O) of the last, in float32; nan if diverged."""
        with np.errstate(all="ignore"):
            for layer in self.layers:
                x = layer(x)
        return x


def _gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return x * np.float32(0.5) * (1 + erf(x * np.float32(2**-0.5)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0, out=x)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": _relu,
    "mish": lambda x: x * np.tanh(np.logaddexp(np.float32(0), x)),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "tanh": np.tanh,
    "leaky_relu": lambda x: np.where(x > 0, x, np.float32(0.01) * x),
}
"""Nonlinearities by their name in ``rayoff.config``."""
