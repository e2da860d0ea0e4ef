"""Tests of gradient steps on stacks, and of the fast float32 products of the CPU."""

import copy
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from rayoff.networks import enable_fast_products, make_optimizer, step

MATMUL = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]: untyped


@pytest.fixture
def products() -> Iterator[None]:
    before = MATMUL.fp32_precision
    yield
    MATMUL.fp32_precision = before


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(3, 4, 5, generator=generator)) for _ in range(2)]


def losses(weights: list[nn.Parameter]) -> torch.Tensor:
    scale = torch.tensor([1.0, 10.0, 100.0])  # (K,)
    return scale * torch.stack([weight.square().sum((1, 2)) for weight in weights]).sum(0)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_steps_are_those_of_torchs_optimizer_on_each_run_alone(name: str) -> None:
    stacked = parameters()
    optimizer = make_optimizer(name, stacked, learning_rate=1e-3)
    for _ in range(5):
        step(optimizer, losses(stacked))
    for run, scale in enumerate([1.0, 10.0, 100.0]):
        alone = [nn.Parameter(weight[run].detach().clone()) for weight in parameters()]
        plain = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name](alone, lr=1e-3)
        for _ in range(5):
            plain.zero_grad()
            (scale * torch.stack([weight.square().sum() for weight in alone]).sum()).backward()
            plain.step()
        for ours, theirs in zip(stacked, alone, strict=True):
            torch.testing.assert_close(ours[run], theirs, rtol=1e-6, atol=1e-7)


def test_a_step_leaves_networks_that_the_loss_looks_through_alone() -> None:
    moved, looked_through = parameters()
    before, start = looked_through.detach().clone(), moved.detach().clone()
    optimizer = make_optimizer("adam", [moved], learning_rate=1e-3)
    step(optimizer, (moved * looked_through).sum((1, 2)))
    assert looked_through.grad is None
    assert torch.equal(looked_through, before)
    assert (moved != start).all()


def test_steps_are_the_bits_of_torchs_fused_adam_before_and_after_a_checkpoint() -> None:
    ours, theirs = parameters(), parameters()
    optimizer = make_optimizer("adam", ours, learning_rate=1e-3)
    plain = torch.optim.Adam(theirs, lr=1e-3, fused=True)
    for _ in range(2):
        for _ in range(3):
            step(optimizer, losses(ours))
            plain.zero_grad()
            losses(theirs).sum().backward()
            plain.step()
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert all(map(torch.equal, ours, theirs))
    saved, expected = optimizer.state_dict()["state"], plain.state_dict()["state"]
    assert saved.keys() == expected.keys()
    for index, state in expected.items():
        assert saved[index].keys() == state.keys()
        assert all(torch.equal(saved[index][name], state[name]) for name in state)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_weight_decay_shrinks_weights_beside_their_step(name: str) -> None:
    """Decoupled, Adam's step does not depend on the decay: the two are added."""
    with_decay, without = parameters(), parameters()
    starts = [weight.detach().clone() for weight in with_decay]
    step(make_optimizer(name, with_decay, 1e-2, weight_decay=0.5), losses(with_decay))
    step(make_optimizer(name, without, 1e-2), losses(without))
    for start, decayed, plain in zip(starts, with_decay, without, strict=True):
        torch.testing.assert_close(decayed, plain - 1e-2 * 0.5 * start, rtol=1e-5, atol=1e-7)


def test_steps_with_decay_are_the_bits_of_torchs_fused_adamw() -> None:
    ours, theirs = parameters(), parameters()
    optimizer = make_optimizer("adam", ours, 1e-3, weight_decay=0.1)
    plain = torch.optim.AdamW(theirs, lr=1e-3, weight_decay=0.1, fused=True)
    for _ in range(3):
        step(optimizer, losses(ours))
        plain.zero_grad()
        losses(theirs).sum().backward()
        plain.step()
    assert all(map(torch.equal, ours, theirs))


_COUNT_FAULTS = """
import resource, sys, torch
from rayoff.networks import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
torch.set_num_threads(1)
def work():
    held = [torch.empty(1 << 20).fill_(1.0) for _ in range(8)]  # 4 MiB each
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    def num_faults(how: str) -> tuple[str, int]:
        command = [sys.executable, "-c", _COUNT_FAULTS, how]
        # glibc's default, which else rises by itself, or does not, as small allocations fall
        env = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(128 << 10)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        kept, count = done.stdout.split()
        return kept, int(count)

    assert num_faults("leave")[1] > 10_000
    kept, count = num_faults("keep")
    assert kept == "True"
    assert count < 100


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    exact = a.double() @ b.double()
    return ((a @ b - exact).norm() / exact.norm()).item()


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("shape", [(256, 14, 256), (256, 256, 256), (256, 256, 1), (64, 1024, 64)])
def test_fast_products_round_no_more_than_float32(shape: tuple[int, int, int]) -> None:
    enable_fast_products()
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(4, rows, inner, generator=generator)
    b = torch.randn(4, inner, columns, generator=generator)
    assert relative_error(a, b) < 1e-6  # inputs rounded to bfloat16 would leave 2e-3
    assert relative_error(a.mT.contiguous().mT, b) < 1e-6
    assert relative_error(a, b.mT.contiguous().mT) < 1e-6


@pytest.mark.usefixtures("products")
def test_fast_products_are_switched_back_where_they_miss_the_tolerance() -> None:
    for before in ("ieee", "none"):
        MATMUL.fp32_precision = before
        assert not enable_fast_products(tolerance=0.0)
        assert MATMUL.fp32_precision == before


@pytest.mark.usefixtures("products")
def test_a_processor_that_rounds_to_bfloat16_keeps_its_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = torch.Tensor.__matmul__

    def rounded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if a.dtype == torch.float32 and MATMUL.fp32_precision == "bf16":
            a, b = a.bfloat16().float(), b.bfloat16().float()
        return exact(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    before = MATMUL.fp32_precision
    assert not enable_fast_products()
    assert MATMUL.fp32_precision == before
