"""The policies of a trial's runs as plain arrays, which no training step changes.

Shapes: K runs, S observation, A action, I input and O output units of a layer.
"""

import numpy as np
import torch
from torch import Tensor

from rayoff.data import Normalizer
from rayoff.evaluation import Layer, Normalization, PerceptronPolicy
from rayoff.networks import Actor, BatchNorm, Block, GroupNorm, RMSNorm, StackedLinear, StackedNorm


def export_policies(actor: Actor, normalizer: Normalizer) -> list[PerceptronPolicy]:
    """Return the policy of each run as it now is, (K,); equal to the actor within rounding.

    Args:
        actor: of K runs, on any device.
        normalizer: how it sees observations.
    """
    mean, std = _array(normalizer.mean), _array(normalizer.std)
    layers = [_export_block(block) for block in actor.blocks if isinstance(block, Block)]
    layers.append(_export_linear(actor.head, "tanh"))
    return [PerceptronPolicy(mean, std, run) for run in zip(*layers, strict=True)]


def _export_block(block: Block) -> list[Layer]:
    """Return the layer of each run."""
    norms = None if block.norm is None else _export_norm(block.norm)
    return _export_linear(block.linear, block.activation_name, norms, first=block.norm_first)


def _export_linear(
    linear: StackedLinear,
    activation: str,
    norms: list[Normalization] | None = None,
    *,
    first: bool = True,
) -> list[Layer]:
    with torch.no_grad():
        weights = _array(linear.effective_weight())  # (K, I, O)
    biases = [None] * len(weights) if linear.bias is None else list(_array(linear.bias))
    return [
        Layer(weight, bias, activation, norm, first)
        for weight, bias, norm in zip(weights, biases, norms or [None] * len(weights), strict=True)
    ]


def _export_norm(norm: StackedNorm) -> list[Normalization]:
    """Return the normalisation of each run; running statistics become part of gain and shift."""
    gain, shift = norm.gain.detach(), norm.shift.detach()  # (K, O)
    num_groups, eps = 1, 1e-5
    if isinstance(norm, GroupNorm):
        num_groups = norm.num_groups
    if isinstance(norm, BatchNorm):
        num_groups = 0
        gain = gain * (norm.running_var + norm.eps).rsqrt()
        shift = shift - norm.running_mean * gain
    centred = not isinstance(norm, RMSNorm)
    return [
        Normalization(*run, num_groups, centred, eps)
        for run in zip(_array(gain), _array(shift), strict=True)
    ]


def _array(tensor: Tensor) -> np.ndarray:
    """Return a copy, contiguous and on the host."""
    return tensor.detach().cpu().contiguous().clone().numpy()
