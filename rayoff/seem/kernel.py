"""The neural tangent kernel of stacked critics, exact, layer by layer.

k(x, x') is the product of the parameter gradients of Q at x and x'. A layer's share of it needs
no per-sample gradient: with the inputs a and the output gradients d of its rows it is a sum of
products of two Gram matrices, and one batched forward and backward pass gives all a and d. That
holds as long as the rows do not see each other, which is so in eval mode for every norm.

Shapes: G networks (K runs times N critics, flattened), R rows, C columns, I input, O output
units, D = dim(observation) + dim(action).

Source:
    Closed form of the linear layer: Jacot et al. 2018, arXiv 1806.07572; those of the affine
    norms and of the reparametrised weights are derived here and tested against autograd.
"""

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rayoff.networks import (
    Critic,
    RMSNorm,
    SpectralNormLinear,
    StackedLinear,
    StackedNorm,
    WeightNormLinear,
)


def kernel(
    critic: Critic,
    pairs: Tensor,
    num_columns: int,
    num_critics: int = 1,
    runs: Sequence[int] | None = None,
) -> Tensor:
    """Return the kernel of every row against the first ``num_columns`` rows.

    Args:
        critic: K runs times N critics; read in eval mode, and left as it was.
        pairs: observations and actions, (K, R, D).
        num_columns: C, at most R.
        num_critics: members of each ensemble that are read, the first ones; 1 to N.
        runs: which of the critic's runs ``pairs`` are for, K of them; None: all.

    Returns:
        k(pairs_r, pairs_c), (K, num_critics, R, C); linear in the number of parameters.

    Raises:
        TypeError: a layer with parameters has no closed form here.
    """
    chosen = slice(None) if runs is None else list(runs)
    members = {
        f"critic.{name}": value.detach()[chosen, :num_critics]
        for name, value in [*critic.named_parameters(), *critic.named_buffers()]
    }
    rows = pairs.detach()[:, None].expand(-1, num_critics, -1, -1)
    tangent_kernel = _TangentKernel(critic, num_columns)
    num_runs = len(pairs)
    at_once = 1 if pairs.device.type == "cpu" else num_runs  # a core's cache holds one run's
    parts = []
    for first in range(0, num_runs, at_once):
        some = slice(first, first + at_once)
        theirs = {name: value[some] for name, value in members.items()}
        parts.append(functional_call(tangent_kernel, theirs, (rows[some].flatten(0, 1),)))
    return torch.cat(parts).unflatten(0, (num_runs, num_critics))


class _TangentKernel(nn.Module):
    """The sum of the layers' shares of the kernel, with the parameters that are current."""

    def __init__(self, critic: Critic, num_columns: int) -> None:
        super().__init__()
        self.critic = critic
        self.num_columns = num_columns

    @torch.enable_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """Return the kernel of ``rows`` (G, R, D) against the first of them, (G, R, C)."""
        layers: list[nn.Module] = []
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []

        def record(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            layers.append(layer)
            inputs.append(args[0].detach())
            outputs.append(output)

        parametric = [m for m in self.critic.modules() if [*m.parameters(recurse=False)]]
        handles = [layer.register_forward_hook(record) for layer in parametric]
        try:
            features = self.critic.features(rows.requires_grad_(), "eval", None)
            q = self.critic.head(features)
        finally:
            for handle in handles:
                handle.remove()
        gradients = torch.autograd.grad(q.sum(), outputs)
        total = rows.new_zeros(rows.shape[0], rows.shape[1], self.num_columns)
        for layer, x, gradient in zip(layers, inputs, gradients, strict=True):
            total += _share(layer, x, gradient, self.num_columns)
        return total


@singledispatch
def _share(layer: nn.Module, x: Tensor, gradient: Tensor, num_columns: int) -> Tensor:
    """Return a layer's share of the kernel, (G, R, C).

    Args:
        layer: the layer; its type chooses the closed form.
        x: a, what entered it, (G, R, I).
        gradient: d, the gradient of Q with respect to what left it, (G, R, O).
        num_columns: C.
    """
    raise TypeError(f"kernel needs a closed form of each layer but got {type(layer).__name__}.")


@_share.register
def _(layer: StackedLinear, x: Tensor, gradient: Tensor, num_columns: int) -> Tensor:
    # dQ/dW = a d^T, dQ/db = d
    inner = _gram(x, num_columns)
    return _gram(gradient, num_columns) * (inner if layer.bias is None else inner + 1)


@_share.register
def _(layer: WeightNormLinear, x: Tensor, gradient: Tensor, num_columns: int) -> Tensor:
    # with unit columns v of V, z = a v and s = gain / ||V||:
    # dQ/dgain = d z, dQ/dV = s d (a - z v), of which the second is orthogonal to v
    norm = layer.direction_norm()
    scale = layer.gain.flatten(0, -2)[:, None] / norm
    projection = x @ (layer.weight.flatten(0, -3) / norm)
    along = gradient * projection
    direction = _gram(gradient * scale, num_columns) * _gram(x, num_columns)
    gain = _product(along * (1 - scale.square()), along, num_columns)
    return direction + gain + _gram(gradient, num_columns)


@_share.register
def _(layer: SpectralNormLinear, x: Tensor, gradient: Tensor, num_columns: int) -> Tensor:
    # the singular vectors are constants, so d sigma/dV = left right^T and
    # dQ/dV = (a d^T - p left right^T) / sigma, with p = a W d and q = (a left) (d right)
    p = ((x @ layer.effective_weight()) * gradient).sum(-1, keepdim=True)
    left, right = layer.left.flatten(0, -2)[..., None], layer.right.flatten(0, -2)[..., None]
    q = (x @ left) * (gradient @ right)  # (G, R, 1)
    full = _gram(gradient, num_columns) * _gram(x, num_columns)
    along = _product(torch.cat([p, q], -1), torch.cat([p - q, -p], -1), num_columns)
    return (full + along) / layer.sigma().square() + _gram(gradient, num_columns)


@_share.register
def _(layer: StackedNorm, x: Tensor, gradient: Tensor, num_columns: int) -> Tensor:
    # dQ/dgain = d xhat, dQ/dshift = d
    normalized = layer.normalize(x, "eval")
    return _gram(gradient * normalized, num_columns) + _gram(gradient, num_columns)


@_share.register
def _(layer: RMSNorm, x: Tensor, gradient: Tensor, num_columns: int) -> Tensor:
    # its shift is no parameter
    return _gram(gradient * layer.normalize(x, "eval"), num_columns)


def _gram(x: Tensor, num_columns: int) -> Tensor:
    """Return products of all rows of x (G, R, I) with its first ones, (G, R, C)."""
    return _product(x, x, num_columns)


def _product(x: Tensor, y: Tensor, num_columns: int) -> Tensor:
    """Return products of all rows of x with the first ``num_columns`` rows of y, (G, R, C)."""
    return torch.bmm(x, y[:, :num_columns].mT)
