"""Tests of the largest real part of eigenvalues, against matrices whose spectrum is known."""

import pytest
import torch
from torch import Tensor

from rayoff.config import CriticConfig, Norm
from rayoff.draws import Draws
from rayoff.networks import Critic
from rayoff.seem import eigenvalues, kernel, td_matrix
from rayoff.seem.eigenvalues import NUM_STEPS, TOLERANCE, by_krylov_space, largest_real_part

NUM_ROWS = 128


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_eigenvalues(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return a matrix whose eigenvalues are the pairs real +- i imaginary."""
    blocks = [torch.tensor([[r, i], [-i, r]]) for r, i in zip(real, imaginary, strict=True)]
    normal = torch.block_diag(*blocks)
    change = torch.eye(len(normal)) + 0.02 * random(len(normal), len(normal))
    return change @ normal @ torch.linalg.inv(change)


@pytest.fixture
def in_full(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the matrices whose eigenvalues are all computed."""
    counted: list[int] = []
    compute = eigenvalues._in_full

    def count(a: Tensor) -> Tensor:
        counted.append(len(a))
        return compute(a)

    monkeypatch.setattr(eigenvalues, "_in_full", count)
    return counted


@pytest.mark.parametrize("imaginary", [0.0, 0.3])
@pytest.mark.parametrize("edge", [0.5, -0.5])
def test_an_eigenvalue_at_the_edge_is_found_by_few_products(
    edge: float, imaginary: float, in_full: list[int]
) -> None:
    real = -1 + 0.05 * torch.rand(NUM_ROWS // 2, generator=torch.Generator().manual_seed(1))
    real[0] = edge
    turns = torch.zeros_like(real)
    turns[0] = imaginary
    found = by_krylov_space(with_eigenvalues(real, turns)[None])
    assert found.item() == pytest.approx(edge, abs=1e-5)
    assert not in_full


def test_spectra_without_an_edge_are_computed_in_full(in_full: list[int]) -> None:
    a = random(2, 3, NUM_ROWS, NUM_ROWS) / NUM_ROWS**0.5  # eigenvalues fill a disc
    expected = torch.linalg.eigvals(a.double()).real.amax(-1)
    found = by_krylov_space(a.flatten(0, 1)).view(2, 3)
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert sum(in_full) == 6


def test_on_a_cpu_every_matrix_is_computed_in_full(in_full: list[int]) -> None:
    a = random(2, 3, NUM_ROWS, NUM_ROWS) / NUM_ROWS**0.5
    expected = torch.linalg.eigvals(a.double()).real.amax(-1)
    assert torch.allclose(largest_real_part(a).double(), expected, atol=1e-5)
    assert in_full == [6]


@pytest.mark.parametrize("rank", [0, 1, 3, NUM_STEPS - 1])
def test_matrices_of_low_rank_end_the_iteration_early_and_are_right(rank: int) -> None:
    left, right = random(NUM_ROWS, rank), random(rank, NUM_ROWS, seed=1)
    a = left @ right / NUM_ROWS
    expected = torch.linalg.eigvals(a.double()).real.amax()
    found = by_krylov_space(a[None])
    assert found.item() == pytest.approx(expected.item(), abs=1e-6 * max(1, rank))


def test_a_repeated_and_a_defective_eigenvalue_are_right_within_float32() -> None:
    a = -torch.eye(NUM_ROWS)
    assert by_krylov_space(a[None]).item() == pytest.approx(-1)
    a[0, 0] = a[1, 1] = 0.5
    a[0, 1] = 1.0
    # a perturbation of e moves a defective pair by the root of e
    assert by_krylov_space(a[None]).item() == pytest.approx(0.5, abs=2e-3)


def test_small_matrices_are_computed_in_full(in_full: list[int]) -> None:
    a = random(4, 2 * NUM_STEPS, 2 * NUM_STEPS)
    expected = torch.linalg.eigvals(a.double()).real.amax(-1)
    assert torch.allclose(by_krylov_space(a).double(), expected, atol=1e-4)
    assert in_full == [4]


def test_each_matrix_has_the_same_bits_alone_and_beside_others() -> None:
    a = torch.stack([random(NUM_ROWS, NUM_ROWS, seed=s) + 30 * s * torch.eye(1) for s in range(4)])
    together = largest_real_part(a)
    assert all(torch.equal(together[i], largest_real_part(a[i])) for i in range(4))


def test_a_matrix_of_a_batch_is_iterated_on_as_alone() -> None:
    a = torch.stack([random(NUM_ROWS, NUM_ROWS, seed=s) + 30 * s * torch.eye(1) for s in range(4)])
    alone = torch.cat([by_krylov_space(one[None]) for one in a])
    assert torch.allclose(by_krylov_space(a), alone, rtol=1e-5)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_matrices_of_critics_are_right_within_the_tolerance(norm: Norm) -> None:
    critic = Critic(
        CriticConfig(norm=norm, width=64), 3, 1, Draws(torch.arange(2), torch.tensor(0))
    )
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(3.0)  # large enough to be unstable without a norm
    pairs = random(2, 2 * NUM_ROWS, 4)
    gram, next_gram = kernel(critic, pairs, NUM_ROWS).split(NUM_ROWS, dim=2)
    a = td_matrix(gram, next_gram, 0.99)
    a = a / a.abs().amax((-2, -1), keepdim=True)
    expected = torch.linalg.eigvals(a.double()).real.amax(-1)
    limit = 2 * TOLERANCE * torch.linalg.matrix_norm(a.double())
    found = by_krylov_space(a.flatten(0, -3)).view(expected.shape)
    assert ((found.double() - expected).abs() <= limit).all()
