"""Tests of rayoff.networks: members of a stack against torch.nn's own modules, in float64."""

from typing import Any, get_args

import pytest
import torch
from tiny_critics import (
    BATCH_SIZE,
    NUM_ACTIONS,
    NUM_CRITICS,
    NUM_OBSERVATIONS,
    NUM_RUNS,
    draws,
    make_batch,
    make_critic,
    members_of,
    pairs,
)
from torch import Tensor
from torch.func import functional_call
from torch_members import Member, assert_same, perturb, state, unchanged

from rayoff.config import Activation, ActorConfig, CriticConfig, Norm
from rayoff.networks import (
    Actor,
    Critic,
    Mode,
    SpectralNormLinear,
    StackedLinear,
    TargetUpdate,
    WeightNormLinear,
)
from rayoff.networks.narrow import NARROW

NORMS = get_args(Norm)
SHAPES = [
    {"depth": 1},
    {"depth": 2},
    {"depth": 3},
    {"depth": 3, "norm_layers": "first"},
    {"depth": 3, "norm_layers": "last"},
]
STATISTICS_FREE: tuple[Mode, ...] = ("target", "policy")


pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("norm", NORMS)
def test_a_member_equals_plain_modules_in_values_gradients_and_statistics(
    norm: str, position: str, shape: dict[str, Any]
) -> None:
    critic, config = make_critic(norm=norm, norm_position=position, **shape)
    members = members_of(critic, config)
    batch, weights = make_batch(), torch.randn(NUM_RUNS, NUM_CRITICS, BATCH_SIZE)

    for _ in range(2):  # the second pass has the statistics of the first
        critic.zero_grad()
        q = critic(batch.observations, batch.actions, "train", batch.draws)
        (q * weights).sum().backward()
        for (run, n), member in members.items():
            member.train().zero_grad()
            ours = member(pairs(batch)[run]).squeeze(-1)
            (ours * weights[run, n]).sum().backward()
            assert_same([(ours, q[run, n]), *member.gradients_of_stack()])
            assert_same(member.buffers_of_stack())

    q = critic(batch.observations, batch.actions)
    for (run, n), member in members.items():
        assert_same([(member.eval()(pairs(batch)[run]).squeeze(-1), q[run, n])])


@pytest.mark.parametrize("mode", STATISTICS_FREE)
@pytest.mark.parametrize("norm", NORMS)
def test_target_and_policy_passes_use_their_own_batch_and_leave_no_trace(
    norm: str, mode: Mode
) -> None:
    critic, config = make_critic(norm=norm)
    batch, before = make_batch(), state(critic)

    q = critic(batch.observations, batch.actions, mode, batch.draws)

    for (run, n), member in members_of(critic, config).items():
        assert_same([(member.in_own_batch(pairs(batch)[run]).squeeze(-1), q[run, n])])
    critic(batch.observations, batch.actions)
    assert unchanged(critic, before)


@pytest.mark.parametrize(("num_inputs", "num_outputs"), [(4, 1), (4, 2), (2 * NARROW, 2)])
def test_a_linear_layer_can_be_differentiated_twice(num_inputs: int, num_outputs: int) -> None:
    weight = torch.randn(NUM_RUNS, num_inputs, num_outputs)
    layer = StackedLinear(weight, torch.randn(NUM_RUNS, num_outputs))
    x = torch.randn(NUM_RUNS, 5, num_inputs, requires_grad=True)

    def output(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    inputs = (x, *layer.parameters())
    torch.testing.assert_close(output(*inputs), x @ weight + layer.get_parameter("bias")[:, None])
    assert torch.autograd.gradcheck(output, inputs)
    assert torch.autograd.gradgradcheck(output, inputs)


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm != "batch_joint"])
def test_an_actor_equals_plain_modules_with_every_activation(
    norm: Norm, activation: Activation
) -> None:
    config = ActorConfig(width=6, num_groups=3, norm=norm, activation=activation)
    actor = Actor(config, NUM_OBSERVATIONS, NUM_ACTIONS, draws())
    perturb(actor)
    members = [Member(actor, config, (run,)) for run in range(NUM_RUNS)]
    observations = make_batch().observations

    actions = actor(observations, "train")
    actions.square().sum().backward()

    assert actions.abs().max() < 1
    for run, member in enumerate(members):
        ours = torch.tanh(member.train()(observations[run]))
        ours.square().sum().backward()
        assert_same([(ours, actions[run]), *member.gradients_of_stack()])


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("norm", NORMS)
def test_only_a_batch_norm_right_behind_it_takes_a_linear_layers_bias_away(
    norm: str, position: str
) -> None:
    critic, _ = make_critic(norm=norm, norm_position=position, norm_layers="last")
    names = dict(critic.named_parameters())
    assert "blocks.0.linear.bias" in names
    assert "head.bias" in names
    needless = norm in ("batch", "batch_joint") and position == "before"
    assert ("blocks.1.linear.bias" in names) is not needless


def test_weight_norm_starts_as_the_plain_layer_and_holds_the_gains() -> None:
    plain = Critic(CriticConfig(width=6), NUM_OBSERVATIONS, NUM_ACTIONS, draws())
    normed = Critic(CriticConfig(width=6, norm="weight"), NUM_OBSERVATIONS, NUM_ACTIONS, draws())
    batch = make_batch()
    torch.testing.assert_close(
        plain(batch.observations, batch.actions), normed(batch.observations, batch.actions)
    )
    perturb(normed)
    for block in normed.blocks:
        assert isinstance(block.linear, WeightNormLinear)
        columns = block.linear.effective_weight().norm(dim=1)
        torch.testing.assert_close(columns, block.linear.gain.flatten(0, 1).abs())


def spectral_layers(critic: Critic) -> list[SpectralNormLinear]:
    layers = [block.linear for block in critic.blocks]
    assert all(isinstance(layer, SpectralNormLinear) for layer in layers)
    return layers  # pyright: ignore[reportReturnType]: asserted above


def test_power_iteration_advances_in_training_passes_only() -> None:
    critic, _ = make_critic(norm="spectral")
    batch = make_batch()
    for mode in (*STATISTICS_FREE, "eval"):
        before = state(critic)
        critic(batch.observations, batch.actions, mode, batch.draws)
        assert unchanged(critic, before)
    before = [layer.right.clone() for layer in spectral_layers(critic)]
    critic(batch.observations, batch.actions, "train", batch.draws)
    for layer, old in zip(spectral_layers(critic), before, strict=True):
        assert (layer.right != old).flatten(0, 1).any(-1).all()


def test_power_iteration_finds_the_spectral_norm_of_every_member() -> None:
    critic, _ = make_critic(norm="spectral")
    batch = make_batch()
    for _ in range(300):
        critic(batch.observations, batch.actions, "train", batch.draws)
    for layer in spectral_layers(critic):
        exact = torch.linalg.matrix_norm(layer.weight, ord=2).flatten()
        torch.testing.assert_close(layer.sigma().flatten(), exact)
        ones = torch.linalg.matrix_norm(layer.effective_weight(), ord=2)
        torch.testing.assert_close(ones, torch.ones_like(ones))


@pytest.mark.parametrize("norm", NORMS)
def test_the_first_member_follows_its_ensemble_and_asks_for_no_weight_gradient(norm: str) -> None:
    critic, _ = make_critic(norm=norm)
    first, batch = critic.first(), make_batch()
    actions = batch.actions.requires_grad_()

    def assert_follows() -> None:
        q, all_q = first(batch.observations, actions), critic(batch.observations, actions)
        assert q.shape == (NUM_RUNS, 1, BATCH_SIZE)
        (ours,) = torch.autograd.grad(q.sum(), actions)
        (theirs,) = torch.autograd.grad(all_q[:, 0].sum(), actions)
        assert_same([(q[:, 0], all_q[:, 0]), (ours, theirs)])

    assert_follows()
    assert not any(parameter.requires_grad for parameter in first.parameters())
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        critic(batch.observations, batch.actions, "train", batch.draws).square().sum().backward()
        optimizer.step()
        assert_follows()
    other, _ = make_critic(norm=norm)
    critic.load_state_dict(other.state_dict())
    assert_follows()
    perturb(other)
    TargetUpdate(other, critic, 0.5).step()
    assert_follows()
