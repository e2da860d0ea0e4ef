"""Affine maps to few outputs, as the heads of networks are, arranged so that a CPU is not held up.

Shapes: G networks, B batch, I input, O output units; ``lead`` is (K,) or (K, N).
"""

from typing import Any

import torch
from torch import Tensor

NARROW = 8
"""Times that a weight is taller than wide from which its gradient is better taken transposed on a
CPU, by up to four times."""


class ColumnMap(torch.autograd.Function):
    """Affine map to one output unit, as the heads of critics have.

    Batched matrix products are two to five times slower on such shapes than the same sums
    written as elementwise products and row vectors. They are sums of float32 in every precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        """Return x W + b, (G, B, 1), for x (G, B, I), W (G, I, 1) and b (*lead, 1)."""
        ctx.save_for_backward(x, weight)
        ctx.bias_shape = bias.shape
        return torch.linalg.vecdot(x, weight.mT).add_(bias.view(-1, 1))[..., None]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of x, W and b that are asked for."""
        (grad,) = grads  # (G, B, 1)
        x, weight = ctx.saved_tensors
        asks_x, asks_weight, asks_bias = ctx.needs_input_grad
        return (
            grad * weight.mT if asks_x else None,
            torch.bmm(grad.mT, x).mT if asks_weight else None,
            grad.sum(1).view(ctx.bias_shape) if asks_bias else None,
        )


class NarrowMap(torch.autograd.Function):
    """Affine map to few output units, as the heads of actors have, in float32 on the CPU.

    The product for the weight's gradient is up to four times faster taken transposed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        """Return x W + b, (G, B, O), for x (G, B, I), W (G, I, O) and b (G, 1, O)."""
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias, x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of x, W and b that are asked for."""
        (grad,) = grads  # (G, B, O)
        x, weight = ctx.saved_tensors
        asks_x, asks_weight, asks_bias = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight.mT) if asks_x else None,
            torch.bmm(grad.mT, x).mT.contiguous() if asks_weight else None,
            grad.sum(1, keepdim=True) if asks_bias else None,
        )
