"""Stacked networks: K runs times N critics as one tensor program.

Source of the layout: ensembles as a leading axis, as in torch.func and JAX's vmap.
"""

from rayoff.networks.bootstrap import TargetUpdate, bootstrap, reduce_ensemble
from rayoff.networks.linear import SpectralNormLinear, StackedLinear, WeightNormLinear
from rayoff.networks.norms import BatchNorm, Mode, RMSNorm, StackedNorm
from rayoff.networks.optimization import (
    enable_fast_products,
    keep_freed_memory,
    make_optimizer,
    step,
)
from rayoff.networks.perceptron import ACTIVATIONS, Actor, Critic, StackedMLP
from rayoff.networks.precision import check_precision, products_in

__all__ = [
    "ACTIVATIONS",
    "Actor",
    "BatchNorm",
    "Critic",
    "Mode",
    "RMSNorm",
    "SpectralNormLinear",
    "StackedLinear",
    "StackedMLP",
    "StackedNorm",
    "TargetUpdate",
    "WeightNormLinear",
    "bootstrap",
    "check_precision",
    "enable_fast_products",
    "keep_freed_memory",
    "make_optimizer",
    "products_in",
    "reduce_ensemble",
    "step",
]
