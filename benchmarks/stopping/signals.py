"""Every signal that a stopping rule might look at, read from the same rows at the same time.

Shapes: K runs, N critics, M probe rows, S observation, A action.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rayoff.networks import Critic
from rayoff.seem import kernel, read_matrix, td_matrix

KEPT_SHARE = 0.9
"""Share of the probe rows that the trimmed reading keeps, those with the smallest gradients."""


class ProbeRows(NamedTuple):
    """Where the critics are read."""

    observations: Tensor
    """(K, M, S)."""
    actions: Tensor
    """(K, M, A)."""
    next_observations: Tensor
    """(K, M, S)."""
    next_actions: Tensor
    """Of the live policy, (K, M, A)."""
    terminations: Tensor
    """(K, M)."""


def read_signals(critic: Critic, rows: ProbeRows, discount: float) -> dict[str, Tensor]:
    """Return every signal of each run, (K,), of its first critic.

    ``masked_*`` bootstrap nothing from rows that end an episode, ``unmasked_*`` are as the
    authors' code has it, ``trimmed_*`` are masked and without the tenth of the rows whose
    gradients are largest; each as ``rate``, ``normalized`` and ``row_normalized`` of
    ``rayoff.seem.read_matrix``. ``self_excitation`` is the median over rows of
    gamma k(x*, x) / k(x, x), the one-row part of SEEM; ``gradient_*`` are of ||phi(x)||;
    ``feature_*`` compare penultimate features at x and x* (DR3's signal).
    """
    pairs = torch.cat([rows.observations, rows.actions], -1)
    next_pairs = torch.cat([rows.next_observations, rows.next_actions], -1)
    num_rows = pairs.shape[1]
    gram, next_gram = kernel(critic, torch.cat([pairs, next_pairs], 1), num_rows).split(
        num_rows, 2
    )
    norms = gram.diagonal(dim1=-2, dim2=-1).sqrt()  # (K, 1, M)
    masked = td_matrix(gram, next_gram, discount, rows.terminations)
    unmasked = td_matrix(gram, next_gram, discount)
    kept = norms[:, 0].argsort(-1)[:, : int(KEPT_SHARE * num_rows)]  # (K, M')
    trimmed = torch.stack([a[0][index][:, index] for a, index in zip(masked, kept, strict=True)])
    readings = {
        "masked": (masked[:, 0], norms[:, 0]),
        "unmasked": (unmasked[:, 0], norms[:, 0]),
        "trimmed": (trimmed, norms[:, 0].gather(-1, kept)),
    }
    signals = {
        f"{matrix}_{name.removeprefix('seem/')}": value
        for matrix, (a, row_norms) in readings.items()
        for name, value in read_matrix(a, row_norms).items()
        if name != "seem/value"
    }
    bootstrapped = next_gram.diagonal(dim1=-2, dim2=-1)[:, 0] * (1 - rows.terminations)
    signals |= {
        "self_excitation": discount * (bootstrapped / norms[:, 0].square()).median(-1).values,
        "gradient_median": norms[:, 0].median(-1).values,
        "gradient_max": norms[:, 0].amax(-1),
    }
    return signals | _feature_products(critic, rows)


@torch.no_grad()
def _feature_products(critic: Critic, rows: ProbeRows) -> dict[str, Tensor]:
    features = critic.pair_features(rows.observations, rows.actions)[:, 0]
    next_features = critic.pair_features(rows.next_observations, rows.next_actions)[:, 0]
    cosine = torch.nn.functional.cosine_similarity(features, next_features, dim=-1)
    return {
        "feature_product": (features * next_features).sum(-1).mean(-1),
        "feature_cosine": cosine.mean(-1),
    }
