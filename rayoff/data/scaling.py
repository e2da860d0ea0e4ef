"""Statistics by which the numbers of a trial are scaled.

Shapes: M rows of the whole dataset, W values of a row.
"""

import math
from itertools import pairwise

import numpy as np

from rayoff.config import DataConfig
from rayoff.data.facts import TableMetadata
from rayoff.data.table import BLOCK_ROWS
from rayoff.errors import DatasetError

_RETURN_RANGE = 1000  # to which return_range scales best - worst, as IQL does


def moments(values: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and population standard deviation of some rows, float64, each (W,).

    In blocks, since numpy would hold all of them in float64.

    Args:
        values: (M, W).
        rows: which; None: all.
    """
    num_rows = len(values) if rows is None else len(rows)
    num_blocks = math.ceil(num_rows / BLOCK_ROWS)
    size, num_longer = divmod(num_rows, num_blocks)
    edges = np.cumsum([size + 1] * num_longer + [size] * (num_blocks - num_longer))
    places = [slice(start, stop) for start, stop in pairwise([0, *edges])]

    def block(place: slice) -> np.ndarray:
        return np.ascontiguousarray(values[place]) if rows is None else values[rows[place]]

    mean = sum(block(place).sum(0, dtype=np.float64) for place in places) / num_rows
    squares = sum(np.square(block(place) - mean).sum(0) for place in places)
    return np.asarray(mean), np.sqrt(squares / num_rows)


def reward_transform(
    rewards: np.ndarray, config: DataConfig, metadata: TableMetadata
) -> tuple[float, float]:
    """Return (factor, shift) of the rewards of a trial; statistics are of all rows.

    Args:
        rewards: raw, of the whole dataset (M,).
        config: normalisation, scale and shift.
        metadata: of the dataset.

    Raises:
        DatasetError: the rewards or returns are all equal where they are to be normalised.
    """
    center, spread = 0.0, 1.0
    if config.reward_normalization == "return_range":
        spread = (metadata.best_return - metadata.worst_return) / _RETURN_RANGE
    elif config.reward_normalization == "standard":
        mean, std = moments(rewards[:, None], None)
        center, spread = float(mean[0]), float(std[0])
    if spread == 0:
        raise DatasetError(
            f"{metadata.source} must have rewards and returns that differ for "
            f"data.reward_normalization '{config.reward_normalization}', but got one value for "
            "all. Set it to 'none'."
        )
    factor = config.reward_scale / spread
    return factor, config.reward_shift - center * factor
