"""The tangent kernel: how it scales, how far it reaches, and that the fast one is the true one.

Source: Yue et al. 2023, arXiv 2310.04411: homogeneity of a ReLU network without biases, and the
two propositions on the kernel far from the data, without and with LayerNorm.
"""

import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from laws.checks import Check, Finding, around
from rayoff.config import CriticConfig, Norm
from rayoff.draws import Draws
from rayoff.networks import Critic
from rayoff.plots.style import arm_styles
from rayoff.seem import kernel, read_seem, td_matrix

SHAPES = ((1, 1000), (2, 256))
"""Depth and width of the critics whose kernel is followed along a ray."""
NORMS: tuple[Norm, ...] = ("none", "layer")
DISCOUNT = 0.99


def make_critic(
    norm: Norm = "none", depth: int = 2, width: int = 256, sizes: tuple[int, int] = (2, 2)
) -> Critic:
    """Return one critic of seed 0 for observations and actions of these sizes."""
    config = CriticConfig(depth=depth, width=width, norm=norm, num_critics=1)
    return Critic(config, *sizes, Draws(torch.tensor([0]), torch.tensor(0)))


class Scaling(NamedTuple):
    """How Q and its kernel answer to parameters that are all ten times as large."""

    coefficient: float
    """Of the regression of Q afterwards on Q before, through the origin."""
    unexplained: float
    """1 - R^2 of that regression."""
    kernel_ratio: float
    """Frobenius norm of the kernel afterwards over before."""


def scale_parameters(biased: bool, scale: float = 1.0) -> Scaling:
    """Return what a factor of ten on all parameters does to a critic of three layers.

    Args:
        biased: whether the layers have biases.
        scale: factor on the initial parameters, before the factor of ten.
    """
    critic = make_critic().double()
    if not biased:
        for layer in [*(block.linear for block in critic.blocks), critic.head]:
            layer.bias = None
    pairs = torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(0)).double()
    _multiply(critic, scale)
    q, gram = _q_and_kernel(critic, pairs)
    _multiply(critic, 10)
    scaled_q, scaled_gram = _q_and_kernel(critic, pairs)
    coefficient = (q @ scaled_q) / (q @ q)
    residual = (scaled_q - coefficient * q).square().sum()
    unexplained = residual / (scaled_q - scaled_q.mean()).square().sum()
    ratio = scaled_gram.norm() / gram.norm()
    return Scaling(coefficient.item(), unexplained.item(), ratio.item())


@torch.no_grad()
def _multiply(critic: Critic, factor: float) -> None:
    for parameter in critic.parameters():
        parameter.mul_(factor)


def _q_and_kernel(critic: Critic, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Return Q (M,) and G (M, M) of one critic at pairs (1, M, D)."""
    x = pairs
    with torch.no_grad():
        for block in critic.blocks:
            x = block(x, "eval", None)
        q = critic.head(x)[0, :, 0]
    return q, kernel(critic, pairs, pairs.shape[1])[0, 0]


def along_ray(critic: Critic, factors: Sequence[float]) -> Tensor:
    """Return k(x, c x) / k(x, x) for each factor c, with x fixed, (len(factors),)."""
    x = torch.tensor([1.0, -0.6, 1.6, -1.2])
    pairs = torch.stack([factor * x for factor in [1.0, *factors]])
    against_x = kernel(critic, pairs[None], num_columns=1)[0, 0, :, 0]
    return against_x[1:] / against_x[0]


class Rows(NamedTuple):
    """A probe of one run, (1, M, ...)."""

    observations: Tensor
    actions: Tensor
    next_observations: Tensor
    next_actions: Tensor
    terminations: Tensor
    weights: Tensor


def make_rows(num_rows: int, sizes: tuple[int, int] = (11, 3)) -> Rows:
    """Return random rows, every fifth of them terminal, with weights from 0.5 to 2."""
    generator = torch.Generator().manual_seed(0)
    s, a, next_s, next_a = (torch.randn(1, num_rows, d, generator=generator) for d in sizes * 2)
    terminations = (torch.arange(num_rows) % 5 == 0).float()[None]
    return Rows(s, a, next_s, next_a, terminations, torch.linspace(0.5, 2, num_rows)[None])


def jacobian(critic: Critic, observations: Tensor, actions: Tensor) -> Tensor:
    """Return the parameter gradients of Q, one row at a time, float64, (M, P)."""
    parameters = list(critic.parameters())
    q = critic(observations, actions)[0, 0]
    rows = [torch.autograd.grad(one, parameters, retain_graph=True) for one in q]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).double()


def gram_error(norm: Norm, num_rows: int = 256) -> float:
    """Return how far A by the fast kernel is from A by Jacobians, masked and weighted, relative.

    Both of float32 critics; the Jacobians are multiplied in float64.
    """
    critic, rows = make_critic(norm, sizes=(11, 3)), make_rows(num_rows)
    pairs = torch.cat([rows.observations, rows.actions], -1)
    next_pairs = torch.cat([rows.next_observations, rows.next_actions], -1)
    gram, next_gram = kernel(critic, torch.cat([pairs, next_pairs], 1), num_rows).chunk(2, 2)
    a = td_matrix(gram, next_gram, DISCOUNT, rows.terminations, rows.weights)[0, 0]
    phi = jacobian(critic, rows.observations, rows.actions)
    next_phi = jacobian(critic, rows.next_observations, rows.next_actions)
    kept = DISCOUNT * (1 - rows.terminations[0].double())
    expected = (kept[:, None] * next_phi - phi) @ phi.T * rows.weights[0].double()
    return ((a - expected).norm() / expected.norm()).item()


def reading_seconds(norm: Norm, num_rows: int = 256, num_repeats: int = 7) -> float:
    """Return the median processor time of a reading of one run [s]."""
    critic, rows = make_critic(norm, sizes=(11, 3)), make_rows(num_rows)
    times = []
    for _ in range(num_repeats):
        started = time.process_time()
        read_seem(critic, *rows[:4], DISCOUNT)
        times.append(time.process_time() - started)
    return statistics.median(times)


def spectrum_error() -> float:
    """Return how far the spectra of A and of the TD matrix over parameters lie apart, relative.

    21 parameters, 40 rows: the 21 eigenvalues of A that are largest in size against all of the
    parameters' matrix, each against the nearest, in float64.
    """
    critic = make_critic(depth=1, width=4, sizes=(1, 2)).double()  # 3 x 4 + 4 + 4 + 1
    rows = [x.double() for x in make_rows(40, sizes=(1, 2))]
    phi, next_phi = jacobian(critic, *rows[:2]), jacobian(critic, *rows[2:4])
    over_parameters = torch.linalg.eigvals(phi.T @ (DISCOUNT * next_phi - phi))
    pairs = torch.cat([torch.cat(rows[:2], -1), torch.cat(rows[2:4], -1)], 1)
    gram, next_gram = kernel(critic, pairs, 40).chunk(2, 2)
    over_rows = torch.linalg.eigvals(td_matrix(gram, next_gram, DISCOUNT)[0, 0])
    nonzero = over_rows[over_rows.abs().argsort(descending=True)[: len(over_parameters)]]
    distances = (nonzero[:, None] - over_parameters).abs()
    farthest = torch.maximum(distances.amin(0).max(), distances.amin(1).max())
    return (farthest / over_parameters.abs().max()).item()


def examine() -> Finding:
    """Return what is found of R5, R6 and R10."""
    checks = [*_homogeneity_checks(), *_reach_checks(), *_exactness_checks()]
    return Finding(checks, {"laws-kernel": draw()})


def draw() -> Figure:
    """Return the kernel between a point and its multiples, without and with LayerNorm."""
    factors: NDArray[np.float64] = np.logspace(0, 6, 25)
    styles = arm_styles(["no norm", "LayerNorm"])
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, style), norm in zip(styles.items(), NORMS, strict=True):
        for (depth, width), line in zip(SHAPES, ("-", "--"), strict=True):
            ratios = along_ray(make_critic(norm, depth, width), factors.tolist())
            label = f"{name}, {depth} x {width}"
            axes.loglog(factors, ratios, color=style.color, ls=line, label=label)
    axes.set(xlabel="c, distance along the ray", ylabel="k(x, c x) / k(x, x)")
    axes.legend(fontsize=8)
    return figure


def _homogeneity_checks() -> list[Check]:
    plain, biased = scale_parameters(False), scale_parameters(True, scale=1000)
    check = partial(Check, "R5")
    return [
        check(
            "no biases: Q at 10 θ over Q at θ, less 1000",
            "0",
            plain.coefficient - 1000,
            **around(0, 1e-9),
        ),
        check(
            "no biases: kernel at 10 θ over kernel at θ, less 1e4",
            "0",
            plain.kernel_ratio - 1e4,
            **around(0, 1e-6),
        ),
        check(
            "biases, θ 1000 times the initial: 1 - R² of Q at 10 θ",
            "≤ 1e-6",
            biased.unexplained,
            high=1e-6,
        ),
    ]


def _reach_checks() -> list[Check]:
    check, checks = partial(Check, "R6"), []
    for depth, width in SHAPES:
        where = f"{depth} hidden of {width}"
        near, far = along_ray(make_critic("none", depth, width), [1e3, 1e4])
        bounded = along_ray(make_critic("layer", depth, width), [10.0**e for e in range(7)])
        checks += [
            check(
                f"{where}: k(x, 1e4 x) over k(x, 1e3 x)",
                "10",
                (far / near).item(),
                low=9.9,
                high=10.1,
            ),
            check(
                f"{where}, LayerNorm: largest k(x, c x) over k(x, x), c to 1e6",
                "1",
                bounded.max().item(),
                high=1.05,
            ),
        ]
    return checks


def _exactness_checks() -> list[Check]:
    check = partial(Check, "R10")
    return [
        *(
            check(
                f"norm {n}: error of A against Jacobians, 256 masked, weighted rows, relative",
                "1.2e-7",
                gram_error(n),
                high=1e-5,
            )
            for n in NORMS
        ),
        *(
            check(
                f"norm {n}: a reading of 256 rows [s]",
                "0.02 to 0.05",
                reading_seconds(n),
                high=0.1,
            )
            for n in NORMS
        ),
        check(
            "distance of A's spectrum to that of the 21 x 21 TD matrix, relative",
            "0",
            spectrum_error(),
            high=1e-9,
        ),
    ]
