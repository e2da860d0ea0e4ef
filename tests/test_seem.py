"""Tests of rayoff.seem against per-sample Jacobians, closed forms and bad input."""

import copy
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from rayoff.config import CriticConfig, Norm
from rayoff.draws import Draws
from rayoff.networks import Critic
from rayoff.seem import kernel, read_matrix, read_seem, td_matrix

NUM_RUNS, NUM_CRITICS, NUM_OBSERVATIONS, NUM_ACTIONS = 2, 2, 3, 2
NORMS = get_args(Norm)


Rows = tuple[Tensor, Tensor, Tensor, Tensor]


def make_critic(dtype: torch.dtype = torch.float64, **config: Any) -> Critic:  # noqa: ANN401
    """Return a critic away from its initial values: statistics, gains and sigmas have moved."""
    settings: dict[str, Any] = {"width": 8, "num_groups": 2, "num_critics": NUM_CRITICS}
    draws = Draws(torch.arange(NUM_RUNS), torch.tensor(0))
    architecture = CriticConfig(**settings | config)
    critic = Critic(architecture, NUM_OBSERVATIONS, NUM_ACTIONS, draws).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
        for _ in range(3):
            critic(*probe(32, dtype)[:2], "train", draws)
    return critic


def probe(num_rows: int, dtype: torch.dtype = torch.float64) -> Rows:
    """Return observations, actions, next observations, next actions."""
    generator = torch.Generator().manual_seed(2)

    def rows(size: int) -> Tensor:
        return torch.randn(NUM_RUNS, num_rows, size, generator=generator).to(dtype)

    return rows(NUM_OBSERVATIONS), rows(NUM_ACTIONS), rows(NUM_OBSERVATIONS), rows(NUM_ACTIONS)


def probe_pairs(num_rows: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.cat(probe(num_rows, dtype)[:2], -1)


def jacobian(critic: Critic, pairs: Tensor) -> Tensor:
    """Return each network's parameter gradients of Q, one row at a time, (K, N, R, P)."""
    parameters = list(critic.parameters())
    rows = []
    for row in pairs.split(1, dim=1):
        q = critic(*row.split([NUM_OBSERVATIONS, NUM_ACTIONS], -1))
        gradients = torch.autograd.grad(q.sum(), parameters)  # networks do not mix
        rows.append(torch.cat([gradient.flatten(2) for gradient in gradients], -1))
    return torch.stack(rows, 2)


class Scale(nn.Module):
    """A layer of a kind that the kernel does not know."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale)

    def forward(self, x: Tensor, mode: str) -> Tensor:
        return x * self.scale.flatten()[:, None, None]


def relative_error(value: Tensor, expected: Tensor) -> float:
    return float((value.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("norm", NORMS)
def test_kernel_equals_the_product_of_jacobians(norm: str, position: str) -> None:
    critic = make_critic(norm=norm, norm_position=position)
    pairs = probe_pairs(6)
    phi = jacobian(critic, pairs)
    expected = phi @ phi[:, :, :4].mT

    double = kernel(critic, pairs, num_columns=4, num_critics=2)
    single = kernel(critic.float(), pairs.float(), num_columns=4, num_critics=2)

    assert double.shape == (NUM_RUNS, NUM_CRITICS, 6, 4)
    assert relative_error(double, expected) < 1e-12
    assert relative_error(single, expected) < 1e-5


@pytest.mark.parametrize(
    "config",
    [
        {"depth": 1},
        {"depth": 3, "norm": "layer", "norm_layers": "first"},
        {"depth": 3, "norm": "batch", "norm_layers": "last", "norm_position": "after"},
        {"norm": "weight", "norm_layers": "last", "activation": "tanh"},
        {"norm": "spectral", "activation": "mish", "initialization": "orthogonal"},
        {"norm": "layer", "dropout": 0.5},
    ],
    ids=str,
)
def test_kernel_holds_for_every_depth_activation_and_place_of_the_norm(
    config: dict[str, Any],
) -> None:
    critic = make_critic(**config)
    pairs = probe_pairs(5)
    phi = jacobian(critic, pairs)
    assert relative_error(kernel(critic, pairs, 5, 2), phi @ phi.mT) < 1e-12


def test_kernel_of_the_first_critic_is_the_first_of_all() -> None:
    critic = make_critic(norm="layer")
    pairs = probe_pairs(6)
    first = kernel(critic, pairs, 6)
    torch.testing.assert_close(first, kernel(critic, pairs, 6, 2)[:, :1])


def test_reading_a_critic_leaves_no_trace() -> None:
    critic = make_critic(norm="spectral")
    before = copy.deepcopy(critic.state_dict())

    with torch.no_grad():  # as a caller that only measures would have it
        readings = read_seem(critic, *probe(6), 0.99)

    assert not any(reading.requires_grad for reading in readings.values())
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert not any(module._forward_hooks for module in critic.modules())
    torch.testing.assert_close(critic.state_dict(), before, rtol=0, atol=0)


def test_a_layer_without_closed_form_is_refused() -> None:
    critic = make_critic()
    critic.blocks[0].norm = Scale(torch.randn(NUM_RUNS, NUM_CRITICS))
    with pytest.raises(TypeError, match="closed form of each layer but got Scale"):
        kernel(critic, probe_pairs(3), 3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_readings_equal_those_of_explicit_jacobians(masked: bool, weighted: bool) -> None:
    critic = make_critic(norm="layer")
    rows = probe(7)
    terminations = torch.tensor([0.0, 1, 0, 0, 1, 0, 0], dtype=torch.float64)
    weights = torch.linspace(0.5, 2, 7, dtype=torch.float64)
    phi = jacobian(critic, torch.cat(rows[:2], -1))[:, 0]  # (K, M, P)
    next_phi = jacobian(critic, torch.cat(rows[2:], -1))[:, 0]
    difference = 0.9 * (1 - terminations * masked)[:, None] * next_phi - phi
    a = difference @ (phi * weights[:, None] if weighted else phi).mT
    unit = phi.norm(dim=-1)
    row_a = a / unit[:, :, None] / unit[:, None, :]

    readings = read_seem(
        critic,
        *rows,
        discount=0.9,
        terminations=terminations.expand(NUM_RUNS, 7) if masked else None,
        weights=weights.expand(NUM_RUNS, 7) if weighted else None,
    )

    largest = torch.linalg.eigvals(a).real.amax(-1)
    torch.testing.assert_close(readings["seem/value"], largest)
    torch.testing.assert_close(readings["seem/rate"], largest / 7)
    torch.testing.assert_close(readings["seem/normalized"], largest / a.norm(dim=(-2, -1)))
    largest = torch.linalg.eigvals(row_a).real.amax(-1)
    torch.testing.assert_close(readings["seem/row_normalized"], largest / 7)


def test_all_critics_report_the_largest_reading() -> None:
    critic = make_critic()
    twin = copy.deepcopy(critic)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter.flip(1))  # the second member first
    first, second = (read_seem(c, *probe(6), 0.99) for c in (critic, twin))
    largest = read_seem(critic, *probe(6), 0.99, critics="all")
    for name in largest:
        torch.testing.assert_close(largest[name], torch.maximum(first[name], second[name]))


def test_nonzero_spectrum_is_that_of_the_td_matrix_over_parameters() -> None:
    critic = make_critic(depth=1, width=2)
    rows = probe(20)
    phi = jacobian(critic, torch.cat(rows[:2], -1))[:, 0]
    next_phi = jacobian(critic, torch.cat(rows[2:], -1))[:, 0]
    over_parameters = phi.mT @ (0.99 * next_phi - phi)  # (K, P, P), P = 15 < M = 20
    expected = torch.linalg.eigvals(over_parameters).real.amax(-1)

    readings = read_seem(critic, *rows, 0.99)

    assert over_parameters.shape[-1] == 15
    torch.testing.assert_close(readings["seem/value"], expected.clamp_min(0), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(("scale", "expected"), [(3.0, 1.0), (1.0, -1.0)])
def test_one_row_has_the_sign_of_its_scalar(scale: float, expected: float) -> None:
    gram = torch.full((1, 1, 1, 1), 5.0)
    a = td_matrix(gram, scale * gram, discount=0.5)  # (0.5 * scale - 1) * 5
    readings = read_matrix(a, gram[..., 0].sqrt())
    assert readings["seem/normalized"].item() == expected
    assert readings["seem/value"].item() == pytest.approx(5 * (0.5 * scale - 1))
    assert readings["seem/row_normalized"].item() == pytest.approx(0.5 * scale - 1)


def test_a_few_heavy_rows_carry_the_published_value_and_not_the_row_normalised_one() -> None:
    phi = torch.eye(10)[None, None]
    phi[..., 0, 0] = 50.0
    next_phi = phi.clone()
    next_phi[..., 1:, :] = 0  # light rows decay; the heavy one excites itself by 1.5 - 1
    a = td_matrix(phi @ phi.mT, next_phi @ phi.mT, discount=1.5)
    readings = read_matrix(a, phi.norm(dim=-1))
    assert readings["seem/normalized"].item() == pytest.approx(1.0, rel=1e-4)
    assert readings["seem/row_normalized"].item() == pytest.approx(0.5 / 10)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_give_nan_for_that_run_only(bad: float) -> None:
    critic = make_critic()
    with torch.no_grad():
        critic.head.weight[1, 0, 0] = bad
    readings = read_seem(critic, *probe(6), 0.99)
    for reading in readings.values():
        assert reading[0].isfinite()
        assert reading[1].isnan()


@pytest.mark.parametrize("exponent", [-30, 30])
def test_readings_survive_kernels_near_the_ends_of_float32(exponent: int) -> None:
    a = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(3))
    plain, scaled = (read_matrix(m, torch.ones(1, 5)) for m in (a, a * 10.0**exponent))
    torch.testing.assert_close(scaled["seem/normalized"], plain["seem/normalized"])
    torch.testing.assert_close(scaled["seem/value"], plain["seem/value"] * 10.0**exponent)


def test_a_matrix_of_zeros_reads_zero() -> None:
    readings = read_matrix(torch.zeros(1, 4, 4), torch.ones(1, 4))
    assert [reading.item() for reading in readings.values()] == [0.0] * 4


def test_runs_are_read_alone_and_stacked_alike() -> None:
    critic = make_critic(norm="batch")
    stacked = read_seem(critic, *probe(6), 0.99)
    alone = copy.deepcopy(critic)
    with torch.no_grad():
        for parameter in [*alone.parameters(), *alone.buffers()]:
            parameter.set_(parameter[1:].clone())
    observations, actions, next_observations, next_actions = (rows[1:] for rows in probe(6))
    single = read_seem(alone, observations, actions, next_observations, next_actions, 0.99)
    for name, reading in single.items():
        torch.testing.assert_close(reading, stacked[name][1:], rtol=1e-5, atol=1e-7)


def test_some_runs_of_a_critic_are_read_as_among_all() -> None:
    critic = make_critic(norm="spectral")
    everything = read_seem(critic, *probe(6), 0.99)
    runs = [NUM_RUNS - 1, 0]
    observations, actions, next_observations, next_actions = (rows[runs] for rows in probe(6))
    some = read_seem(
        critic, observations, actions, next_observations, next_actions, 0.99, runs=runs
    )
    for name, reading in some.items():
        torch.testing.assert_close(reading, everything[name][runs], rtol=1e-5, atol=1e-7)
        assert reading[0] != reading[1]


def test_rows_shared_by_runs_come_as_an_expanded_view() -> None:
    critic = make_critic()
    observations, actions, next_observations, next_actions = (
        rows[:1].expand(NUM_RUNS, -1, -1) for rows in probe(6)
    )
    shared = read_seem(critic, observations, actions, next_observations, next_actions, 0.99)
    expected = read_seem(
        critic,
        observations.contiguous(),
        actions.contiguous(),
        next_observations.contiguous(),
        next_actions.contiguous(),
        0.99,
    )
    torch.testing.assert_close(shared, expected)
