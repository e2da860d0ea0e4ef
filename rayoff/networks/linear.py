"""Linear layers of G stacked networks, plain and with reparametrised weights.

Each layer names its parts so that SEEM can write its kernel in closed form (rayoff.seem).

Shapes: G networks (K runs, or K runs times N critics, flattened), B batch, I input, O output
units; ``lead`` is (K,) or (K, N), and parameters have shape (*lead, ...).
"""

import numpy as np
import torch
from torch import Tensor, nn

from rayoff.draws import Draws
from rayoff.networks.arrays import to_array
from rayoff.networks.initialization import initial_parameters
from rayoff.networks.narrow import ColumnMap
from rayoff.networks.precision import affine


class StackedLinear(nn.Module):
    """Affine map of each network: (G, B, I) to (G, B, O)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take initial values: ``weight`` (*lead, I, O), and ``bias`` (*lead, O) or none."""
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def effective_weight(self) -> Tensor:
        """Return the matrices that multiply the input, (G, I, O)."""
        return self.weight.flatten(0, -3)

    @torch.no_grad()
    def to_numpy(self) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Return weight (I, O) and bias (O,), or no bias, of each network, (G,)."""
        weights = to_array(self.effective_weight())
        if self.bias is None:
            return [(weight, None) for weight in weights]
        return list(zip(weights, to_array(self.bias.flatten(0, -2)), strict=True))

    def advance(self) -> None:
        """Advance what a training pass advances; nothing here."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x W + b, (G, B, O)."""
        weight = self.effective_weight()
        if self.bias is None:
            return affine(x, weight, None)
        if weight.shape[-1] == 1:
            return ColumnMap.apply(x, weight, self.bias)
        return affine(x, weight, self.bias.flatten(0, -2)[:, None])


class WeightNormLinear(StackedLinear):
    """Linear layer with W = gain * V / ||V||, the norm per output unit.

    Source: Salimans & Kingma 2016, arXiv 1602.07868; initialised so that W starts as V.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__(weight, bias)
        self.gain = nn.Parameter(weight.norm(dim=-2))  # (*lead, O)

    def direction_norm(self) -> Tensor:
        """Return ||V|| per output unit, (G, 1, O)."""
        return self.weight.flatten(0, -3).norm(dim=1, keepdim=True)

    def effective_weight(self) -> Tensor:
        """Return gain * V / ||V||, (G, I, O)."""
        scale = self.gain.flatten(0, -2)[:, None] / self.direction_norm()
        return self.weight.flatten(0, -3) * scale


class SpectralNormLinear(StackedLinear):
    """Linear layer with W = V / sigma(V), sigma by one power iteration per training pass.

    The singular vectors are buffers of each network; targets copy them, and only training
    passes advance them, so that a probe or a target pass leaves no trace.

    Source: Miyato et al. 2018, arXiv 1802.05957.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, left: Tensor, right: Tensor) -> None:
        """Take start vectors too: ``left`` (*lead, I) and ``right`` (*lead, O)."""
        super().__init__(weight, bias)
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        for _ in range(15):  # torch.nn.utils.parametrizations.spectral_norm starts likewise
            self.advance()

    @torch.no_grad()
    def advance(self) -> None:
        """Take one power iteration towards the leading singular vectors.

        Sums instead of matrix products, which round differently alone and stacked.
        """
        left = torch.linalg.vecdot(self.weight, self.right[..., None, :])
        self.left.copy_(nn.functional.normalize(left, dim=-1))
        right = torch.linalg.vecdot(self.weight, self.left[..., None], dim=-2)
        self.right.copy_(nn.functional.normalize(right, dim=-1))

    def sigma(self) -> Tensor:
        """Return the largest singular value of each network's V, (G, 1, 1)."""
        left, right = self.left.clone(), self.right.clone()  # advance() may write before backward
        value = torch.linalg.vecdot(torch.linalg.vecdot(self.weight, right[..., None, :]), left)
        return value.flatten()[:, None, None]

    def effective_weight(self) -> Tensor:
        """Return V / sigma(V), (G, I, O)."""
        return self.weight.flatten(0, -3) / self.sigma()


def make_linear(
    norm: str, scheme: str, shape: tuple[int, ...], draws: Draws, stream: str, *, bias: bool = True
) -> StackedLinear:
    """Return a linear layer with its initial weights.

    Args:
        norm: ``weight``, ``spectral``, or anything else for a plain layer.
        scheme: an initialisation of rayoff.config.Initialization, or ``small``.
        shape: (I, O), or (N, I, O) for an ensemble; draws add the runs' axis K.
        draws: random numbers of the runs.
        stream: name of the layer, unique within an agent.
        bias: whether a plain layer has one.
    """
    weight, shift = initial_parameters(scheme, shape, draws, stream)
    if norm == "weight":
        return WeightNormLinear(weight, shift)
    if norm == "spectral":
        *ensemble, num_inputs, num_outputs = shape
        left = draws.normal(f"{stream}/left", (*ensemble, num_inputs))
        right = draws.normal(f"{stream}/right", (*ensemble, num_outputs))
        return SpectralNormLinear(weight, shift, left, right)
    return StackedLinear(weight, shift if bias else None)
