"""Tests of rayoff.draws against integers of Python's own and published vectors of splitmix64.

Statistical tests run on several fixed seeds each; a level of 0.1% is shared out among all
p-values of a test (Bonferroni).
"""

import math
import sys
import zlib
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rayoff.draws import AheadDraws, Draws, HeldDraws, share_kept

LEVEL = 1e-3
MASK = (1 << 64) - 1
GOLDEN, MULTIPLIER_1, MULTIPLIER_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
SEEDS = [0, 1, 2, 3, 12345, 2**31, 2**62 + 1, -1]
SHAPES = [(1,), (7,), (3, 5), (33, 19), (129, 67)]
"""The last is larger than what is drawn ahead; no size is a multiple of a vector register."""


KINDS = ["uniform", "normal", "integers", "kept"]


def finalise(state: int) -> int:
    state = ((state ^ (state >> 30)) * MULTIPLIER_1) & MASK
    state = ((state ^ (state >> 27)) * MULTIPLIER_2) & MASK
    return state ^ (state >> 31)


def splitmix64(state: int) -> Iterator[int]:
    while True:
        state = (state + GOLDEN) & MASK
        yield finalise(state)


def expected_bits(seed: int, stream: str, step: int, count: int) -> list[int]:
    key = finalise((seed * GOLDEN + zlib.crc32(stream.encode())) & MASK)
    key = finalise((key + step * MULTIPLIER_1) & MASK)
    return list(islice(splitmix64(key), count))


def draws(*seeds: int, step: int = 0, num_ahead: int = 1) -> Draws:
    return Draws(torch.tensor(seeds), torch.tensor(step), num_ahead)


def numbers(source: Draws, kind: str, stream: str, shape: tuple[int, ...]) -> Tensor:
    if kind == "integers":
        return source.integers(stream, shape, 1000)
    if kind == "kept":
        return source.kept(stream, shape, 0.3)
    return getattr(source, kind)(stream, shape)


def assert_plausible(p_values: list[float]) -> None:
    assert min(p_values) > LEVEL / len(p_values), sorted(p_values)[:3]


@pytest.mark.parametrize(
    ("state", "published"),
    [
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]),
    ],
)
def test_the_generator_compared_with_is_the_published_one(
    state: int, published: list[int]
) -> None:
    # of java.util.SplittableRandom(0), and of Rosetta Code, "Pseudo-random numbers/Splitmix64"
    assert list(islice(splitmix64(state), 3)) == published


@pytest.mark.parametrize("step", [0, 1, 999_999])
@pytest.mark.parametrize("stream", ["batch", "critic/0/dropout/train"])
def test_numbers_are_those_of_splitmix64_keyed_by_seed_stream_and_step(
    stream: str, step: int
) -> None:
    source = draws(*SEEDS, step=step)
    bits = [expected_bits(seed, stream, step, 6) for seed in SEEDS]

    integers = source.integers(stream, (2, 3), 2**31)
    uniform = source.uniform(stream, (2, 3))
    normal = source.normal(stream, (2, 3))

    assert integers.flatten(1).tolist() == [[b >> 33 for b in row] for row in bits]
    middle = [[((b >> 41) + 0.5) / 2**23 for b in row] for row in bits]
    assert uniform.flatten(1).tolist() == middle  # all 24 digits of a float32
    angles = [[((b >> 8) & 0xFFFFFF) / 2**24 * 2 * math.pi for b in row] for row in bits]
    expected = np.sqrt(-2 * np.log(middle)) * np.cos(angles)
    np.testing.assert_allclose(normal.flatten(1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rate", [0.01, 0.5, 0.9])
def test_what_is_kept_is_decided_by_a_quarter_of_the_bits_for_each(rate: float) -> None:
    kept = draws(*SEEDS, step=7).kept("x", (3, 7), rate)
    assert kept.dtype == torch.bool
    for row, seed in zip(kept.flatten(1).tolist(), SEEDS, strict=True):
        bits = expected_bits(seed, "x", 7, 6)
        quarters = b"".join(number.to_bytes(8, sys.byteorder) for number in bits)
        values = np.frombuffer(quarters, np.int16)[:21].astype(int) + 2**15
        assert row == (values >= round(rate * 2**16)).tolist()


@pytest.mark.parametrize("rate", [0.0, 1e-6, 0.3, 0.99999, 1 - 1e-7])
def test_a_rate_is_rounded_to_16_bits_but_never_to_one(rate: float) -> None:
    assert abs(share_kept(rate) - (1 - rate)) <= (2**-17 if rate < 0.9999 else 2**-16)
    kept = draws(0).kept("x", (1000, 1000), rate)
    assert stats.binomtest(int(kept.sum()), kept.numel(), share_kept(rate)).pvalue > LEVEL


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.9])
def test_the_share_that_is_dropped_is_the_rate(rate: float) -> None:
    tests = []
    for seed in range(5):
        dropped = ~draws(seed).kept("x", (400, 501), rate)
        tests.append(stats.binomtest(int(dropped.sum()), dropped.numel(), rate).pvalue)
    assert_plausible(tests)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_draws_the_same_bits_alone_and_stacked(kind: str, shape: tuple[int, ...]) -> None:
    stacked = numbers(draws(*SEEDS, step=3), kind, "x", shape)
    assert stacked.shape == (len(SEEDS), *shape)
    for position, seed in enumerate(SEEDS):
        alone = numbers(draws(seed, step=3), kind, "x", shape)
        assert torch.equal(stacked[position], alone[0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_made_ahead_are_those_of_each_step(kind: str, shape: tuple[int, ...]) -> None:
    ahead = draws(0, 1, step=5, num_ahead=4)
    for step in range(5, 15):
        expected = numbers(draws(0, 1, step=step), kind, "x", shape)
        assert torch.equal(numbers(ahead, kind, "x", shape), expected)
        assert torch.equal(numbers(ahead, kind, "x", shape), expected)  # asked for twice
        ahead.advance()


@pytest.mark.parametrize("first_asked", [0, 1, 2, 3])
def test_a_stream_first_asked_for_between_refills_is_in_step(first_asked: int) -> None:
    ahead = draws(0, 1, num_ahead=4)
    for step in range(10):
        if step >= first_asked:
            expected = draws(0, 1, step=step).normal("late", (5,))
            assert torch.equal(ahead.normal("late", (5,)), expected)
        ahead.advance()


def test_seeking_forgets_what_was_made_ahead() -> None:
    ahead = draws(0, 1, num_ahead=8)
    for target in (100, 3, 3, 7):
        ahead.uniform("x", (5,))
        ahead.advance()
        ahead.seek(target)
        assert ahead.step.item() == target
        assert torch.equal(ahead.uniform("x", (5,)), draws(0, 1, step=target).uniform("x", (5,)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_held_numbers_are_those_of_each_step_in_one_tensor(
    kind: str, shape: tuple[int, ...]
) -> None:
    held = HeldDraws(torch.tensor([0, 1]), torch.tensor(5), num_ahead=4)
    place = numbers(held, kind, "x", shape)
    for step in range(5, 15):
        expected = numbers(draws(0, 1, step=step), kind, "x", shape)
        assert numbers(held, kind, "x", shape) is place
        assert torch.equal(place, expected)
        held.advance()
    held.seek(2)
    numbers(held, kind, "x", shape)
    assert torch.equal(place, numbers(draws(0, 1, step=2), kind, "x", shape))


def test_held_numbers_can_be_filled_without_being_asked_for() -> None:
    held = HeldDraws(torch.tensor([0, 1]), torch.tensor(0), num_ahead=4)
    asked = [held.uniform("x", (3,)), held.normal("y", (2, 2))]
    keys = list(held.asked)
    for step in range(1, 9):
        held.advance()
        assert not held.asked
        held.fill(keys)
        expected = draws(0, 1, step=step)
        assert torch.equal(asked[0], expected.uniform("x", (3,)))
        assert torch.equal(asked[1], expected.normal("y", (2, 2)))
        assert list(held.asked) == keys


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1,), (3, 5), (300, 129), (600, 300)])
def test_numbers_made_ahead_for_captured_steps_are_those_of_each_step(
    kind: str, shape: tuple[int, ...]
) -> None:
    ahead = AheadDraws(torch.tensor([0, 1]), torch.tensor(5), num_ahead=4)
    for step in (*range(6, 17), *range(3, 9)):
        if step == 3:
            ahead.seek(2)
        ahead.prepare()
        ahead.advance()
        assert torch.equal(
            numbers(ahead, kind, "x", shape), numbers(draws(0, 1, step=step), kind, "x", shape)
        )


def test_numbers_asked_for_late_are_those_of_their_step() -> None:
    ahead = AheadDraws(torch.tensor([0, 1]), torch.tensor(0), num_ahead=4)
    for step in range(1, 12):
        ahead.prepare()
        ahead.advance()
        if step > 2:
            assert torch.equal(ahead.normal("x", (3,)), draws(0, 1, step=step).normal("x", (3,)))


def test_torch_keeps_its_own_generator_untouched() -> None:
    before = torch.get_rng_state()
    source = draws(0)
    first = source.normal("x", (100,))
    torch.manual_seed(torch.initial_seed() + 1)
    assert torch.equal(source.normal("x", (100,)), first)
    torch.set_rng_state(before)
    source.uniform("x", (100,))
    source.integers("x", (100,), 9)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("high", [1, 2, 3, 10, 1000, 2**31])
def test_integers_stay_in_range_and_favour_none(high: int) -> None:
    p_values = []
    for seed in range(5):
        drawn = draws(seed).integers("batch", (20_000,), high).numpy()[0]
        assert drawn.min() >= 0
        assert drawn.max() < high
        cells = min(high, 100)
        counts = np.bincount(drawn * cells // high, minlength=cells)
        if cells > 1:
            p_values.append(float(stats.chisquare(counts).pvalue))
    if high > 1:
        assert_plausible(p_values)


def test_uniform_numbers_are_uniform() -> None:
    drawn = draws(*SEEDS, step=7).uniform("x", (50_000,)).double().numpy()
    assert_plausible([float(stats.kstest(row, "uniform").pvalue) for row in drawn])


@pytest.mark.parametrize(
    ("seed", "upper_bits"), [(205721, 0xFFFFFF), (29206709, 0xFFFFFF), (624922, 0)]
)
def test_uniform_numbers_never_touch_the_ends_of_their_interval(
    seed: int, upper_bits: int
) -> None:
    (bits,) = expected_bits(seed, "edge", 0, 1)
    assert bits >> 40 == upper_bits  # found by search: the outermost of 2**24 cells
    source = draws(seed)
    assert 0 < source.uniform("edge", (1,)).item() < 1
    assert math.isfinite(source.normal("edge", (1,)).item())


def test_normal_numbers_are_normal() -> None:
    drawn = draws(*SEEDS, step=7).normal("x", (50_000,)).double().numpy()
    p_values = []
    for row in drawn:
        mean, square = row.mean() * math.sqrt(row.size), (row**2).sum()
        p_values += [
            float(stats.kstest(row, "norm").pvalue),
            2 * float(stats.norm.sf(abs(mean))),
            2
            * min(float(stats.chi2.cdf(square, row.size)), float(stats.chi2.sf(square, row.size))),
            float(stats.skewtest(row).pvalue),
            float(stats.kurtosistest(row).pvalue),
        ]
    assert_plausible(p_values)


def cells(source: Draws, stream: str = "noise", count: int = 20_000) -> np.ndarray:
    """Return integers in [0, 16), (K, count)."""
    return source.integers(stream, (count,), 16).numpy()


def assert_independent(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Fail where the 256 cells of a pair of sequences are not equally full."""
    assert_plausible(
        [float(stats.chisquare(np.bincount(16 * a + b, minlength=256)).pvalue) for a, b in pairs]
    )


def test_the_check_of_independence_rejects_a_twentieth_of_copies() -> None:
    first, second = cells(draws(0, 1))
    second[::20] = first[::20]
    with pytest.raises(AssertionError):
        assert_independent([(first, second)])


def test_seeds_are_independent() -> None:
    rows = cells(draws(*SEEDS, step=11))
    assert_independent([(rows[i], rows[j]) for i in range(8) for j in range(i)])


def test_steps_are_independent() -> None:
    starts = [0, 1, 2, 500, 999_999]
    assert_independent(
        [
            (cells(draws(seed, step=step))[0], cells(draws(seed, step=step + lag))[0])
            for seed in (0, 1, 2)
            for step in starts
            for lag in (1, 2, 64)
        ]
    )


def test_streams_are_independent() -> None:
    streams = ["batch", "target_noise", "critic/0/weight", "critic/1/weight", "actor/0/weight"]
    drawn = [cells(draws(0, 1, 2), stream) for stream in streams]
    assert_independent(
        [(drawn[i][run], drawn[j][run]) for run in range(3) for i in range(5) for j in range(i)]
    )


def test_positions_are_independent() -> None:
    rows = cells(draws(*SEEDS), count=20_064)
    assert_independent(
        [(row[:20_000], row[lag : 20_000 + lag]) for row in rows for lag in (1, 2, 64)]
    )


def test_one_position_is_uniform_over_seeds_and_over_steps() -> None:
    over_seeds = Draws(torch.arange(20_000), torch.tensor(0)).uniform("x", (3,)).double().numpy()
    p_values = [float(stats.kstest(column, "uniform").pvalue) for column in over_seeds.T]
    for seed in range(3):
        source = draws(seed, num_ahead=500)
        over_steps = []
        for _ in range(5_000):
            over_steps.append(source.uniform("x", (1,)).item())
            source.advance()
        p_values.append(float(stats.kstest(over_steps, "uniform").pvalue))
    assert_plausible(p_values)
