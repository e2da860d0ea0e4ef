"""Stacked multilayer perceptrons: the actor and the ensemble of critics of K runs.

Shapes: K runs (seeds), N critics, B batch, S observation, A action, H width; G = K or K N.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from rayoff.config import ActorConfig, CriticConfig, NetworkConfig
from rayoff.draws import Draws, share_kept
from rayoff.inference import Layer, Perceptron
from rayoff.networks.linear import StackedLinear, make_linear
from rayoff.networks.norms import BatchNorm, Mode, make_norm

ACTIVATIONS = {
    "relu": nn.functional.relu,
    "mish": nn.functional.mish,
    "silu": nn.functional.silu,
    "gelu": nn.functional.gelu,
    "elu": nn.functional.elu,
    "tanh": torch.tanh,
    "leaky_relu": nn.functional.leaky_relu,
}
"""Nonlinearities by their name in ``rayoff.config``."""


class Block(nn.Module):
    """One hidden block: linear, dropout, norm and activation, the norm before or after it."""

    def __init__(
        self,
        config: NetworkConfig,
        shape: tuple[int, ...],
        draws: Draws,
        stream: str,
        *,
        normalized: bool,
    ) -> None:
        super().__init__()
        norm = config.norm if normalized else "none"
        lead = (len(draws.seeds), *shape[:-2])
        self.norm_first = config.norm_position == "before"
        self.norm = make_norm(norm, lead, config.width, config.num_groups, draws.seeds.device)
        # A batch norm takes the bias before it away again: the bias's gradient is rounding
        # noise, which Adam scales up to full steps.
        biased = not (self.norm_first and isinstance(self.norm, BatchNorm))
        self.linear = make_linear(norm, config.initialization, shape, draws, stream, bias=biased)
        self.activation_name = config.activation
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = config.dropout
        self.stream = stream

    def forward(self, x: Tensor, mode: Mode, draws: Draws | None) -> Tensor:
        """Map (G, B, I) to (G, B, H)."""
        if mode == "train":
            self.linear.advance()
        x = self.linear(x)
        if self.dropout and mode != "eval":
            x = self._drop(x, mode, draws)
        if self.norm is not None and self.norm_first:
            x = self.norm(x, mode)
        x = self.activation(x)
        if self.norm is not None and not self.norm_first:
            x = self.norm(x, mode)
        return x

    def to_numpy(self) -> list[Layer]:
        """Return the block of each network in mode eval, (G,)."""
        linear = self.linear.to_numpy()
        norms = [None] * len(linear) if self.norm is None else self.norm.to_numpy()
        return [
            Layer(weight, bias, self.activation_name, norm, self.norm_first)
            for (weight, bias), norm in zip(linear, norms, strict=True)
        ]

    def _drop(self, x: Tensor, mode: Mode, draws: Draws | None) -> Tensor:
        """Zero a share of the units and scale the rest; before the norm, as DroQ has it."""
        if draws is None:
            raise ValueError(f"dropout in mode {mode!r} needs draws but got None.")
        num_runs = len(draws.seeds)
        shape = (x.shape[0] // num_runs, *x.shape[1:])  # (N, B, H) of each run
        kept = draws.kept(f"{self.stream}/dropout/{mode}", shape, self.dropout)
        return x * (kept.view_as(x) / share_kept(self.dropout))


class StackedMLP(nn.Module):
    """G perceptrons of equal shape, each with its own parameters."""

    def __init__(
        self,
        config: NetworkConfig,
        num_inputs: int,
        num_outputs: int,
        draws: Draws,
        stream: str,
        ensemble: tuple[int, ...] = (),
    ) -> None:
        """Build the networks with initial weights.

        Args:
            config: depth, width, norm and the other choices.
            num_inputs: units that enter.
            num_outputs: units that leave.
            draws: random numbers of the K runs.
            stream: name of the network, unique within an agent.
            ensemble: () for one network a run, (N,) for N.
        """
        super().__init__()
        sizes = [num_inputs, *[config.width] * config.depth]
        chosen = {"all": range(config.depth), "first": [0], "last": [config.depth - 1]}
        self.blocks = nn.ModuleList(
            Block(
                config,
                (*ensemble, sizes[i], sizes[i + 1]),
                draws,
                f"{stream}/{i}",
                normalized=i in chosen[config.norm_layers],
            )
            for i in range(config.depth)
        )
        scheme = "small" if config.initialization == "small_output" else config.initialization
        shape = (*ensemble, config.width, num_outputs)
        self.head: StackedLinear = make_linear("none", scheme, shape, draws, f"{stream}/head")

    def features(self, x: Tensor, mode: Mode, draws: Draws | None) -> Tensor:
        """Return the penultimate activations of x (G, B, I), shape (G, B, H)."""
        for block in self.blocks:
            x = block(x, mode, draws)
        return x


class Actor(StackedMLP):
    """Deterministic policies of K runs: (K, B, S) to actions (K, B, A) in (-1, 1)."""

    def __init__(
        self,
        config: ActorConfig,
        num_observations: int,
        num_actions: int,
        draws: Draws,
        stream: str = "actor",
    ) -> None:
        super().__init__(config, num_observations, num_actions, draws, stream)

    def forward(
        self, observations: Tensor, mode: Mode = "eval", draws: Draws | None = None
    ) -> Tensor:
        """Return the actions at ``observations``, (K, B, A)."""
        return torch.tanh(self.head(self.features(observations, mode, draws)))

    def to_numpy(self) -> list[Perceptron]:
        """Return the policy of each run as it now is, (K,); equal to mode eval within rounding."""
        layers = [block.to_numpy() for block in cast("Iterable[Block]", self.blocks)]
        layers.append([Layer(weight, bias, "tanh") for weight, bias in self.head.to_numpy()])
        return [Perceptron(run) for run in zip(*layers, strict=True)]


class Critic(StackedMLP):
    """N action-value networks for each of K runs."""

    def __init__(
        self,
        config: CriticConfig,
        num_observations: int,
        num_actions: int,
        draws: Draws,
        stream: str = "critic",
    ) -> None:
        num_inputs = num_observations + num_actions
        super().__init__(config, num_inputs, 1, draws, stream, (config.num_critics,))
        self.num_critics = config.num_critics
        self.joint = config.norm == "batch_joint"

    def pair_features(
        self,
        observations: Tensor,
        actions: Tensor,
        mode: Mode = "eval",
        draws: Draws | None = None,
    ) -> Tensor:
        """Return penultimate activations at the pairs, (K, N, B, H)."""
        features = self.features(self._pairs(observations, actions), mode, draws)
        return features.view(-1, self.num_critics, *features.shape[1:])

    def _pairs(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the input of every critic, (G, B, S + A)."""
        pairs = torch.cat([observations, actions], dim=-1)
        return pairs.repeat_interleave(self.num_critics, dim=0) if self.num_critics > 1 else pairs

    def values(self, features: Tensor) -> Tensor:
        """Return Q from penultimate activations (K, N, B, H), shape (K, N, B)."""
        return self.head(features.flatten(0, 1)).view(features.shape[:-1])

    def forward(
        self,
        observations: Tensor,
        actions: Tensor,
        mode: Mode = "eval",
        draws: Draws | None = None,
    ) -> Tensor:
        """Return Q at observations (K, B, S) and actions (K, B, A), shape (K, N, B)."""
        q = self.head(self.features(self._pairs(observations, actions), mode, draws))
        return q.view(-1, self.num_critics, q.shape[1])

    def first(self) -> "Critic":
        """Return the first member of each ensemble as a critic that shares its storage.

        It follows every in-place update, and none of its parameters asks for a gradient: what
        an actor loss that looks at one member should pay for, and no more.
        """
        view = deepcopy(self)
        view.num_critics = 1
        for ours, theirs in zip(view.modules(), self.modules(), strict=True):
            for name, parameter in theirs.named_parameters(recurse=False):
                shared = nn.Parameter(parameter.detach()[:, :1], requires_grad=False)
                setattr(ours, name, shared)
            for name, buffer in theirs.named_buffers(recurse=False):
                setattr(ours, name, buffer[:, :1])
        return view
