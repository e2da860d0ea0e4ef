"""Tensors as numpy's arrays."""

import numpy as np
from torch import Tensor


def to_array(tensor: Tensor) -> np.ndarray:
    """Return a copy, contiguous and on the host."""
    return tensor.detach().cpu().contiguous().clone().numpy()
