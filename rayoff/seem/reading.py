"""SEEM's readings: the eigenvalue that says whether a critic amplifies its own TD errors.

A step on the TD errors u = Q(X) - (r + gamma Q(X*)) moves them by eta A u, where
A = gamma G(X*, X) - G(X, X), G is the tangent kernel, X the probe's pairs (s, a) and X* the
pairs (s', pi(s')) that the next value is taken at. Errors grow where A has an eigenvalue with
positive real part.

Shapes: K runs, N critics that are read, M probe rows, S observation, A action.

Source:
    Yue et al. 2023, arXiv 2310.04411, section 3; ``compute_detect_matrix`` in the authors'
    td3/main.py. Ours masks terminations, and adds the row-normalised value. The eigenvalues are
    of float32 matrices, scaled by their largest entry: on trained critics within 1.1e-6
    (normalised) and 1.1e-7 (row-normalised) of float64, at half its cost.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rayoff.networks import Critic
from rayoff.seem.eigenvalues import largest_real_part
from rayoff.seem.kernel import kernel


def read_seem(
    critic: Critic,
    observations: Tensor,
    actions: Tensor,
    next_observations: Tensor,
    next_actions: Tensor,
    discount: float,
    terminations: Tensor | None = None,
    weights: Tensor | None = None,
    critics: Literal["first", "all"] = "first",
    runs: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """Return SEEM of K runs on their probe rows.

    Args:
        critic: the online critic; it is read in eval mode, and left as it was.
        observations: s, (K, M, S); an expanded view where the runs share their rows.
        actions: a, (K, M, A).
        next_observations: s', (K, M, S).
        next_actions: pi(s') of the live actor, without noise, (K, M, A).
        discount: gamma, in [0, 1).
        terminations: 1 where nothing is bootstrapped, (K, M); None bootstraps every row, as
            the authors' code does.
        weights: weight of each row in the critic's loss, (K, M); None weighs all alike.
        critics: members that are read; of ``all``, the largest reading of each kind is given.
        runs: which of the critic's runs the rows are for, K of them; None: all.

    Returns:
        What ``read_matrix`` gives, each (K,).
    """
    pairs = torch.cat([observations, actions], dim=-1)
    next_pairs = torch.cat([next_observations, next_actions], dim=-1)
    num_rows = pairs.shape[1]
    num_critics = critic.num_critics if critics == "all" else 1
    both = kernel(critic, torch.cat([pairs, next_pairs], dim=1), num_rows, num_critics, runs)
    gram, next_gram = both.split(num_rows, dim=2)
    a = td_matrix(gram, next_gram, discount, terminations, weights)
    row_norms = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    return {name: value.amax(1) for name, value in read_matrix(a, row_norms).items()}


def td_matrix(
    gram: Tensor,
    next_gram: Tensor,
    discount: float,
    terminations: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Return A, the matrix by which a step moves the TD errors; it is not symmetric.

    Args:
        gram: G(X, X), (K, N, M, M).
        next_gram: G(X*, X), row i at x*_i, (K, N, M, M).
        discount: gamma, in [0, 1).
        terminations: as for ``read_seem``; scale rows.
        weights: as for ``read_seem``; scale columns.
    """
    if terminations is not None:
        next_gram = next_gram * (1 - terminations)[:, None, :, None]
    a = discount * next_gram - gram
    return a if weights is None else a * weights[:, None, None, :]


def read_matrix(a: Tensor, row_norms: Tensor) -> dict[str, Tensor]:
    """Return the readings of each matrix; nan where it holds a number that is not finite.

    Args:
        a: matrices A, (..., M, M).
        row_norms: gradient norm ||phi(x_i)|| at each probe row, (..., M), above zero.

    Returns:
        By name, each (...):
        ``seem/value``: the largest real part of A's eigenvalues, SEEM; grows with M and with
        the scale of the parameters.
        ``seem/rate``: SEEM / M; under gradient descent with mean squared error, the TD error's
        logarithm grows by 2 learning_rate * rate a step.
        ``seem/normalized``: SEEM / ||A||_F, in [-1, 1], as published.
        ``seem/row_normalized``: the rate when every phi(x_i) and phi(x*_i) is first divided by
        ||phi(x_i)||, so that no row weighs more than another. The published normalisation
        raises false alarms where a few rows with large gradients carry A.
    """
    value, normalized = _largest_real_part(a)
    rows, columns = row_norms[..., :, None], row_norms[..., None, :]
    row_normalized, _ = _largest_real_part(a / rows / columns)
    num_rows = a.shape[-1]
    return {
        "seem/value": value,
        "seem/rate": value / num_rows,
        "seem/normalized": normalized,
        "seem/row_normalized": row_normalized / num_rows,
    }


def _largest_real_part(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return max Re eig(A), plain and over ||A||_F; nan where A is not finite; (...)."""
    tiny = torch.finfo(a.dtype).tiny
    peak = a.abs().amax((-2, -1), keepdim=True)
    finite = peak.isfinite()
    # the squares of ||A||_F overflow long before A does, and eigenvalues need finite numbers
    scaled = torch.where(finite, a / peak.clamp_min(tiny), 0.0)
    largest = largest_real_part(scaled)
    largest = torch.where(finite[..., 0, 0], largest, torch.nan)
    norm = torch.linalg.matrix_norm(scaled).clamp_min(tiny)
    return largest * peak[..., 0, 0], largest / norm
