"""The precision of the matrix products that training consists of.

Parameters, moments, losses, targets and sums over a batch stay float32 whatever is chosen here,
and so does all that is computed outside ``products_in``: evaluation and readings of SEEM.

Source: mixed precision with float32 master weights, Micikevicius et al. 2018, arXiv 1710.03740;
bfloat16 has float32's exponents, so that no loss has to be scaled (Kalamkar et al. 2019,
arXiv 1905.12322).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from rayoff.config import Precision
from rayoff.errors import StudyError
from rayoff.networks.narrow import NARROW, NarrowMap

_PRECISION: ContextVar[Precision] = ContextVar("_PRECISION", default="float32")


def check_precision(precision: Precision, device: str) -> None:
    """Check that a precision differs from float32 on a device, as a study that states it means.

    Raises:
        StudyError: only GPUs have TF32.
    """
    if precision == "tf32" and not device.startswith("cuda"):
        raise StudyError(
            "precision must be float32 or bfloat16 on a CPU but got tf32, which is float32 there. "
            "Train on a GPU (--gpu-per-trial), or change precision."
        )


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Compute the products of linear layers in a precision, for as long as the context lasts.

    A CUDA graph that is captured inside keeps the precision; so do gradients that are asked for
    inside.
    """
    matmul = torch.backends.cuda.matmul
    token = _PRECISION.set(precision)
    tf32, reduced = matmul.fp32_precision, matmul.allow_bf16_reduced_precision_reduction
    if precision == "tf32":
        matmul.fp32_precision = "tf32"
    matmul.allow_bf16_reduced_precision_reduction = False  # partial sums stay float32
    try:
        yield
    finally:
        matmul.allow_bf16_reduced_precision_reduction = reduced
        matmul.fp32_precision = tf32
        _PRECISION.reset(token)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W + b in the precision that holds here, as float32 (G, B, O).

    In ``bfloat16`` the operands are rounded, and what was added up in float32 is rounded once
    more: so the kernels of CPU and GPU have it. The bias is added to that in float32. The same
    holds of the products of the backward pass.

    Args:
        x: (G, B, I).
        weight: (G, I, O).
        bias: (G, 1, O) or none.
    """
    if _PRECISION.get() != "bfloat16":
        if bias is None:
            return torch.bmm(x, weight)
        if x.is_cpu and weight.shape[-2] >= NARROW * weight.shape[-1]:
            return NarrowMap.apply(x, weight, bias)
        return torch.baddbmm(bias, x, weight)
    product = torch.bmm(x.bfloat16(), weight.bfloat16()).float()
    return product if bias is None else product + bias
