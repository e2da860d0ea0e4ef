"""Gradient steps on stacked parameters, and what makes a CPU take them fast."""

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Return ``adam`` or ``sgd`` over stacked parameters, safe inside a CUDA graph.

    Both are elementwise, so each run is treated as if it were alone.

    Args:
        name: of the optimiser.
        parameters: that it moves.
        learning_rate: step size.
        weight_decay: share of each parameter, times the step size, that a step takes away
            whatever the gradient is (decoupled: AdamW); 0: none.

    Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization".
    """
    parameters = list(parameters)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate, weight_decay=weight_decay)
    on_gpu = parameters[0].device.type == "cuda"
    return _Adam(
        parameters,
        lr=learning_rate,
        weight_decay=weight_decay,
        decoupled_weight_decay=weight_decay > 0,
        fused=True,
        capturable=on_gpu,
    )


class _Adam(torch.optim.Adam):
    """torch's fused Adam, which looks its tensors up once instead of at every step.

    The state is torch's own, but that the parameters' counts of steps are views of one tensor,
    which advances at once; a plain ``step`` works too, and gives the same bits.
    """

    _looked_up: tuple[list[Tensor], list[Tensor], list[Tensor], Tensor] | None = None

    @torch.no_grad()
    def step_along(self, gradients: Sequence[Tensor]) -> None:
        """Take one step along ``gradients``, one for each parameter; none is kept."""
        (group,) = self.param_groups
        parameters = group["params"]
        if self._looked_up is None:  # torch makes the state in its first step
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            self.step()
            self.zero_grad()
            self._looked_up = self._look_up(parameters)
            return
        first, second, steps, all_steps = self._looked_up
        beta1, beta2 = group["betas"]
        all_steps.add_(1)
        decoupled = group["decoupled_weight_decay"]
        update = torch._fused_adamw_ if decoupled else torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage]
        update(
            parameters,
            list(gradients),
            first,
            second,
            [],
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )

    def _look_up(
        self, parameters: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """Return both moments and the counts of steps, and what the counts are views of."""
        of_each = [self.state[parameter] for parameter in parameters]
        all_steps = torch.stack([state["step"] for state in of_each])
        for state, count in zip(of_each, all_steps.unbind(), strict=True):
            state["step"] = count
        first, second, steps = (
            [state[name] for state in of_each] for name in ("exp_avg", "exp_avg_sq", "step")
        )
        return first, second, steps, all_steps

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state, whose tensors replace the present ones."""
        super().load_state_dict(state_dict)
        self._looked_up = None


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step on the optimizer's own parameters, and compute no other gradient.

    A backward pass would also fill the gradients of networks that the loss only looks through
    (the critic under an actor loss): about 9% of a TD3 step.

    Args:
        optimizer: whose parameters move.
        loss: of all runs, (K,); their sum is differentiated, so gradients never mix.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = torch.autograd.grad(loss.sum(), parameters)
    if isinstance(optimizer, _Adam):
        optimizer.step_along(gradients)
        return
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let the C library keep the memory of freed tensors for the next ones.

    By default glibc gives what a stacked step frees back to the system, and the next step pays a
    page fault for every 4 KiB of it: thousands a step for 8 runs of 2 x 256 networks.

    Returns:
        Whether the C library took the setting; only glibc has it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return False
    # 32 MiB is the largest that glibc accepts for what it takes from its heap
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 25)) and bool(mallopt(_M_TRIM_THRESHOLD, 1 << 30))


def enable_fast_products(tolerance: float = 1e-6) -> bool:
    """Send float32 matrix products on the CPU through oneDNN where that costs no accuracy.

    On AMD processors torch's default BLAS leaves up to half of a core unused. The switch lets
    oneDNN pick its kernels, some of which round inputs to bfloat16 on some processors: so
    products of the shapes that training has are compared with float64 first.

    Args:
        tolerance: largest relative error (Frobenius) that is accepted.

    Returns:
        Whether the fast products are on.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    matmul = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]: untyped
    previous = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    generator = torch.Generator().manual_seed(0)
    for inner in (14, 256, 1024):
        a = torch.randn(2, 256, inner, generator=generator)
        b = torch.randn(2, inner, 256, generator=generator)
        exact = a.double() @ b.double()
        for product in (a @ b, a.mT.contiguous().mT @ b, torch.baddbmm(torch.zeros(256), a, b)):
            if (product - exact).norm() > tolerance * exact.norm():
                matmul.fp32_precision = previous
                return False
    return True
