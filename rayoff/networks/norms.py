"""Normalisations of hidden units, with gain and shift of their own for every network.

Shapes: G networks (runs, or runs times critics, flattened), B batch, H units; ``lead`` is (K,)
or (K, N). Every norm maps (G, B, H) to (G, B, H) as gain * normalize(x) + shift.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from rayoff.inference import Normalization
from rayoff.networks.arrays import to_array

Mode = Literal["train", "target", "policy", "eval"]
"""Which pass a network is in: ``train`` (data, statistics advance), ``target`` and ``policy``
(statistics of their own batch, nothing advances), ``eval`` (running statistics, no dropout)."""


class StackedNorm(nn.Module, ABC):
    """A normalisation with affine parameters; subclasses say how ``normalize`` works."""

    def __init__(self, lead: tuple[int, ...], width: int, device: torch.device) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(*lead, width, device=device))
        self.shift = nn.Parameter(torch.zeros(*lead, width, device=device))

    @abstractmethod
    def normalize(self, x: Tensor, mode: Mode) -> Tensor:
        """Return the normalised input before gain and shift, (G, B, H)."""

    @abstractmethod
    def to_numpy(self) -> list[Normalization]:
        """Return how each network normalises in mode eval, (G,)."""

    def forward(self, x: Tensor, mode: Mode = "eval") -> Tensor:
        """Return gain * normalize(x) + shift, (G, B, H)."""
        gain, shift = self.gain.flatten(0, -2)[:, None], self.shift.flatten(0, -2)[:, None]
        return torch.addcmul(shift, self.normalize(x, mode), gain)


class LayerNorm(StackedNorm):
    """Zero mean and unit variance over the units of one row (eps 1e-5, as torch)."""

    def normalize(self, x: Tensor, mode: Mode) -> Tensor:
        """Return (x - mean) / sqrt(var + eps) over H."""
        return nn.functional.layer_norm(x, x.shape[-1:])

    def to_numpy(self) -> list[Normalization]:
        """Return one group of all units for each network, (G,)."""
        return _to_numpy(self.gain, self.shift, num_groups=1)


class GroupNorm(StackedNorm):
    """Layer norm within each of ``num_groups`` equal groups of units."""

    def __init__(
        self, lead: tuple[int, ...], width: int, device: torch.device, num_groups: int
    ) -> None:
        super().__init__(lead, width, device)
        self.num_groups = num_groups

    def normalize(self, x: Tensor, mode: Mode) -> Tensor:
        """Return (x - mean) / sqrt(var + eps) over each group."""
        groups = x.unflatten(-1, (self.num_groups, -1))
        return nn.functional.layer_norm(groups, groups.shape[-1:]).flatten(-2)

    def to_numpy(self) -> list[Normalization]:
        """Return the groups of each network, (G,)."""
        return _to_numpy(self.gain, self.shift, self.num_groups)


class RMSNorm(StackedNorm):
    """Unit root mean square over the units of one row; no centring, and no shift."""

    def __init__(self, lead: tuple[int, ...], width: int, device: torch.device) -> None:
        super().__init__(lead, width, device)
        del self.shift
        self.register_buffer("shift", torch.zeros(*lead, width, device=device), persistent=False)

    def normalize(self, x: Tensor, mode: Mode) -> Tensor:
        """Return x / sqrt(mean x^2 + eps) over H."""
        return nn.functional.rms_norm(x, x.shape[-1:], eps=1e-5)

    def to_numpy(self) -> list[Normalization]:
        """Return one group of all units for each network, not centred, (G,)."""
        return _to_numpy(self.gain, self.shift, num_groups=1, centred=False)


class BatchNorm(StackedNorm):
    """Zero mean and unit variance of each unit over the batch; running statistics in eval.

    The statistics belong to one network; batches of different runs never mix. ``momentum`` is
    the weight of the new batch (0.1 is torch's default; CrossQ has 0.01 and eps 1e-3).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        lead: tuple[int, ...],
        width: int,
        device: torch.device,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(lead, width, device)
        self.momentum, self.eps = momentum, eps
        self.register_buffer("running_mean", torch.zeros(*lead, width, device=device))
        self.register_buffer("running_var", torch.ones(*lead, width, device=device))

    def normalize(self, x: Tensor, mode: Mode) -> Tensor:
        """Return (x - mean) / sqrt(var + eps), statistics over B or, in eval, running ones."""
        if mode == "eval":
            mean = self.running_mean.flatten(0, -2)[:, None]
            var = self.running_var.flatten(0, -2)[:, None]
        else:
            var, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        if mode == "train":
            self._track(mean.detach(), var.detach(), x.shape[1])
        return (x - mean) * (var + self.eps).rsqrt()

    def to_numpy(self) -> list[Normalization]:
        """Return gain and shift of each network with the running statistics in them, (G,)."""
        gain = self.gain * (self.running_var + self.eps).rsqrt()
        return _to_numpy(gain, self.shift - self.running_mean * gain, num_groups=0)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, batch_size: int) -> None:
        """Move the running statistics; the variance is tracked without bias, as torch does."""
        unbiased = var * (batch_size / (batch_size - 1))
        self.running_mean.lerp_(mean.view_as(self.running_mean), self.momentum)
        self.running_var.lerp_(unbiased.view_as(self.running_var), self.momentum)


def _to_numpy(
    gain: Tensor, shift: Tensor, num_groups: int, *, centred: bool = True
) -> list[Normalization]:
    """Return a normalisation of the units of a row (eps 1e-5) for each gain (*lead, H)."""
    rows = zip(to_array(gain.flatten(0, -2)), to_array(shift.flatten(0, -2)), strict=True)
    return [Normalization(*row, num_groups, centred, 1e-5) for row in rows]


def make_norm(
    norm: str, lead: tuple[int, ...], width: int, num_groups: int, device: torch.device
) -> StackedNorm | None:
    """Return the norm of one hidden block, or None where it acts on weights or not at all."""
    match norm:
        case "layer":
            return LayerNorm(lead, width, device)
        case "group":
            return GroupNorm(lead, width, device, num_groups)
        case "rms":
            return RMSNorm(lead, width, device)
        case "batch":
            return BatchNorm(lead, width, device)
        case "batch_joint":  # CrossQ's constants: arXiv 1902.05605, table 3 of the authors' code
            return BatchNorm(lead, width, device, momentum=0.01, eps=1e-3)
        case _:
            return None
