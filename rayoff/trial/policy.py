"""A trained policy on its own: observations in, actions of the environment out.

Shapes: E rows, S observation, A action.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from rayoff.evaluation import NormalizedPolicy
from rayoff.inference import Layer, Perceptron
from rayoff.networks import ACTIVATIONS
from rayoff.observations import flatten_observations


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """The policy of one run, which knows how its observations and actions are scaled.

    It acts in numpy, with the weights as they were when it was made.
    """

    network: NormalizedPolicy
    """Maps raw observations (E, S) to actions in [-1, 1], (E, A)."""
    action_low: np.ndarray
    """Action of the environment that -1 stands for, (A,)."""
    action_high: np.ndarray
    """Action of the environment that +1 stands for, (A,)."""
    source: str
    """Dataset that it was trained on."""
    seed: int
    """Of its run."""
    step: int
    """Gradient steps that it was trained for [step]."""

    @property
    def observation_size(self) -> int:
        """S."""
        return len(self.network.mean)

    @property
    def action_size(self) -> int:
        """A."""
        return len(self.action_low)

    def __call__(self, observations: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """Return the actions at observations, float32, nan where the policy has diverged.

        Args:
            observations: (S,), or (E, S); of goal-conditioned tasks dictionaries of such arrays.

        Returns:
            Actions in the units of the environment, (A,), or (E, A).

        Raises:
            ValueError: the observations are of another size.
        """
        rows, is_single = _as_rows(observations)
        if rows.ndim != 2 or rows.shape[1] != self.observation_size:
            size = self.observation_size
            raise ValueError(
                f"observations must be ({size},) or (E, {size}), as in {self.source}, but got "
                f"{rows.shape[1:] if is_single else rows.shape}."
            )
        centre = (self.action_high + self.action_low) / 2
        actions = centre + (self.action_high - centre) * self.network(rows)
        actions = actions.clip(self.action_low, self.action_high).astype(np.float32)
        return actions[0] if is_single else actions

    def export(self, path: Path | str) -> Path:
        """Write the policy as a program of ``torch.export``, which runs without rayoff.

        ``torch.export.load(path).module()`` maps raw observations (E, S), float32, to actions in
        the units of the environment, (E, A). The archive's ``policy.json`` says what it is.

        Args:
            path: of the file; torch asks for the suffix ``.pt2``.

        Returns:
            The path.

        Raises:
            ValueError: the path has another suffix, or the policy is no perceptron.
        """
        path = Path(path)
        if path.suffix != ".pt2":
            raise ValueError(f"An exported policy must be a .pt2 file but got {path}.")
        if not isinstance(self.network.act, Perceptron):
            kind = type(self.network.act).__name__
            raise ValueError(f"A policy must be a Perceptron to be exported but is a {kind}.")
        module = _PolicyModule(self, self.network.act)
        example = (torch.zeros(2, self.observation_size),)
        rows = torch.export.Dim("rows")
        shapes = {"observations": {0: rows}}
        program = torch.export.export(module, example, dynamic_shapes=shapes)
        names = ("source", "seed", "step", "observation_size", "action_size")
        about = json.dumps({name: getattr(self, name) for name in names})
        torch.export.save(program, path, extra_files={"policy.json": about})
        return path


class _PolicyModule(nn.Module):
    """A policy in torch: the same layers, with the scaling of actions."""

    mean: Tensor
    std: Tensor
    centre: Tensor
    half_width: Tensor

    def __init__(self, policy: Policy, perceptron: Perceptron) -> None:
        super().__init__()
        network = policy.network
        centre = (policy.action_high + policy.action_low) / 2
        for name, array in (
            ("mean", network.mean),
            ("std", network.std),
            ("centre", centre),
            ("half_width", policy.action_high - centre),
        ):
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32))
        self.layers = nn.Sequential(*map(_LayerModule, perceptron.layers))

    def forward(self, observations: Tensor) -> Tensor:
        """Map (E, S) to (E, A)."""
        return self.centre + self.half_width * self.layers((observations - self.mean) / self.std)


class _LayerModule(nn.Module):
    """One layer of a policy; see ``rayoff.inference.Layer``."""

    weight: Tensor
    bias: Tensor | None
    gain: Tensor | None
    shift: Tensor | None

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        norm = layer.normalization
        for name, array in (
            ("weight", layer.weight),
            ("bias", layer.bias),
            ("gain", None if norm is None else norm.gain),
            ("shift", None if norm is None else norm.shift),
        ):
            self.register_buffer(name, None if array is None else torch.tensor(array))
        self.activation = ACTIVATIONS[layer.activation]
        self.normalized_first = layer.normalized_first
        self.num_groups = 0 if norm is None else norm.num_groups
        self.centred = norm is not None and norm.centred
        self.eps = 0.0 if norm is None else norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (E, I) to (E, O)."""
        x = x @ self.weight
        if self.bias is not None:
            x = x + self.bias
        if self.normalized_first:
            return self.activation(self._normalize(x))
        return self._normalize(self.activation(x))

    def _normalize(self, x: Tensor) -> Tensor:
        if self.gain is None or self.shift is None:
            return x
        if self.num_groups:
            groups = x.unflatten(-1, (self.num_groups, -1))
            if self.centred:
                groups = groups - groups.mean(-1, keepdim=True)
            square = groups.square().mean(-1, keepdim=True)
            x = (groups * (square + self.eps).rsqrt()).flatten(-2)
        return x * self.gain + self.shift


def _as_rows(observations: ArrayLike | Mapping[str, Any]) -> tuple[np.ndarray, bool]:
    """Return observations as vectors (E, S), and whether they were a single one."""
    if isinstance(observations, Mapping):
        parts = {name: _as_rows(part) for name, part in observations.items()}
        rows = flatten_observations({name: part for name, (part, _) in parts.items()})
        return rows, all(is_single for _, is_single in parts.values())
    rows = np.asarray(observations, np.float32)
    return np.atleast_2d(rows), rows.ndim == 1
