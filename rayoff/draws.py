"""Counter-based random numbers: pure functions of (run seed, stream, step, position).

A run draws the same numbers alone and stacked, interrupted and resumed, and no generator's
state is in a checkpoint or hides from a captured CUDA graph: the step is a tensor that advances
on the device. Integers are equal on every device; floats differ by rounding only.

Shapes: K runs, T steps.

Source: the finaliser is splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom
number generators"); keyed hashing of counters as in Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3".
"""

import math
import zlib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """Return the 64-bit pattern ``value`` as the signed integer that torch holds."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = _signed(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = _signed(0x94D049BB133111EB)
_MASK_34, _MASK_37, _MASK_33 = (1 << 34) - 1, (1 << 37) - 1, (1 << 33) - 1


def _mix(x: Tensor) -> Tensor:
    """Return splitmix64's finaliser of int64 ``x``; right shifts are made logical by a mask."""
    x = (x ^ ((x >> 30) & _MASK_34)) * _MULTIPLIER_1
    x = (x ^ ((x >> 27) & _MASK_37)) * _MULTIPLIER_2
    return x ^ ((x >> 31) & _MASK_33)


_SMALL = 4096

DrawKey = tuple[object, ...]
"""Kind, stream, shape of the random bits, and what else the numbers depend on."""


def share_kept(rate: float) -> float:
    """Return the probability to be kept by a dropout of ``rate``, for which 16 bits decide.

    It is within 2**-17 of 1 - rate, but not 0.
    """
    return 1 - min(round(rate * 2**16), 2**16 - 1) / 2**16


class Draws:
    """Random numbers of K runs at the current step.

    Small draws are made for several steps at once and handed out one step at a time: the
    numbers are the same, and a CPU pays the price of many tiny operations once.

    Args:
        seeds: seeds of the runs, int64, (K,).
        step: gradient step, int64, (); owned by the draws, which advance it in place.
        num_ahead: steps made at once; 1 inside a CUDA graph, where only tensors advance.
    """

    def __init__(self, seeds: Tensor, step: Tensor, num_ahead: int = 1) -> None:
        self.seeds, self.step = seeds, step
        self._num_ahead = num_ahead
        self._offset = 0
        self._blocks: dict[DrawKey, Tensor] = {}

    def prepare(self) -> None:
        """Do what the next step needs and a captured graph cannot repeat; nothing here."""

    def advance(self) -> None:
        """Go on to the next step."""
        self.step.add_(1)
        self._offset += 1
        if self._offset == self._num_ahead:
            self._restart()

    def seek(self, step: int) -> None:
        """Go to ``step``."""
        self.step.fill_(step)
        self._restart()

    def _restart(self) -> None:
        """Forget the numbers that were made ahead."""
        self._offset = 0
        self._blocks.clear()

    def uniform(self, stream: str, shape: tuple[int, ...]) -> Tensor:
        """Return numbers in the open interval (0, 1), float32, (K, *shape)."""
        return self._take(("uniform", stream, shape), _to_uniform)

    def normal(self, stream: str, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers by Box and Muller, float32, (K, *shape)."""
        return self._take(("normal", stream, shape), _to_normal)

    def integers(self, stream: str, shape: tuple[int, ...], high: int) -> Tensor:
        """Return integers in [0, high), int64, (K, *shape); ``high`` is at most 2**31.

        The bias of scaling 32 bits is below high / 2**32 per value.
        """
        key = ("integers", stream, shape, high)
        return self._take(key, lambda bits: (((bits >> 32) & 0xFFFFFFFF) * high) >> 32)

    def kept(self, stream: str, shape: tuple[int, ...], rate: float) -> Tensor:
        """Return which values a dropout of ``rate`` keeps, bool, (K, *shape).

        Each is kept with the probability ``share_kept(rate)``.
        """
        num_values = math.prod(shape)
        first_kept = round((1 - share_kept(rate)) * 2**16) - 2**15

        def compare(bits: Tensor) -> Tensor:
            return (bits.view(torch.int16)[..., :num_values] >= first_kept).unflatten(-1, shape)

        return self._take(("kept", stream, (-(-num_values // 4),), shape, rate), compare)

    def _take(self, key: DrawKey, convert: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the numbers of this step from the block of ``key``, made where it is missing."""
        if key not in self._blocks:
            _, stream, shape, *_ = key
            assert isinstance(stream, str)
            assert isinstance(shape, tuple)
            small = math.prod(shape) * len(self.seeds) <= _SMALL
            num_steps = self._num_ahead - self._offset if small else 1
            block = convert(self._bits(stream, tuple(shape), self.step, num_steps))
            if num_steps == 1:
                return block[0]
            padding = block[:1].expand(self._offset, *block.shape[1:])  # steps already past
            self._blocks[key] = torch.cat([padding, block]) if self._offset else block
        return self._blocks[key][self._offset]

    def _bits(self, stream: str, shape: tuple[int, ...], first: Tensor, num_steps: int) -> Tensor:
        """Return 64 random bits per position as int64, (T, K, *shape), from step ``first`` on."""
        device = self.seeds.device
        steps = first + torch.arange(num_steps, device=device)  # (T,)
        key = _mix(self.seeds * _GOLDEN + zlib.crc32(stream.encode()))
        key = _mix(key + steps[:, None] * _MULTIPLIER_1)  # (T, K)
        position = torch.arange(1, math.prod(shape) + 1, device=device) * _GOLDEN
        return _mix(key[..., None] + position).view(*key.shape, *shape)


class HeldDraws(Draws):
    """Draws whose numbers are found in the same tensors at every step.

    A recorded step reads those tensors; they are filled before each replay of it.
    """

    def __init__(self, seeds: Tensor, step: Tensor, num_ahead: int = 1) -> None:
        super().__init__(seeds, step, num_ahead)
        self._held: dict[DrawKey, tuple[Tensor, Callable[[Tensor], Tensor]]] = {}
        self.asked: dict[DrawKey, None] = {}
        """What was asked for at this step, in order."""

    def advance(self) -> None:
        """Go on to the next step."""
        super().advance()
        self.asked.clear()

    def seek(self, step: int) -> None:
        """Go to ``step``."""
        super().seek(step)
        self.asked.clear()

    def fill(self, keys: Iterable[DrawKey]) -> None:
        """Put this step's numbers of ``keys``, which were asked for before, in their tensors."""
        for key in keys:
            numbers, convert = self._held[key]
            numbers.copy_(super()._take(key, convert))
            self.asked[key] = None

    def _take(self, key: DrawKey, convert: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the tensor that holds the numbers of ``key``, filled for this step."""
        if key not in self._held:
            self._held[key] = super()._take(key, convert).clone(), convert
            self.asked[key] = None
        elif key not in self.asked:
            self.fill([key])
        return self._held[key][0]


_MANY = 1 << 16
"""Numbers of a step [1] from which kernels are worth their launch."""


class AheadDraws(Draws):
    """Draws for steps that are captured as CUDA graphs, made for many steps at once.

    Numbers cost some 50 kernels a stream, more than all else that a step of few runs does. So a
    captured step only takes them from blocks that stay where they are, at a position that
    advances on the device; ``prepare`` fills the blocks anew when they are used up. Where a step
    has so many numbers that kernels are busy, they are made in the graph.

    Args:
        seeds: seeds of the runs, int64, (K,).
        step: gradient step, int64, (); advanced in place.
        num_ahead: T, steps of a block.
    """

    def __init__(self, seeds: Tensor, step: Tensor, num_ahead: int = 64) -> None:
        super().__init__(seeds, step)
        self._num_steps = num_ahead
        self._num_left = 0
        self._position = torch.full_like(step, -1).reshape(1)
        self._held: dict[DrawKey, tuple[Tensor, Callable[[Tensor], Tensor]]] = {}

    def prepare(self) -> None:
        """Fill the blocks from the next step on where they are used up; before every step."""
        if self._num_left == 0:
            self._position.fill_(-1)
            for key, (block, convert) in self._held.items():
                block.copy_(self._make_block(key, convert))
            self._num_left = self._num_steps
        self._num_left -= 1

    def advance(self) -> None:
        """Go on to the next step, which was prepared."""
        super().advance()
        self._position.add_(1)

    def seek(self, step: int) -> None:
        """Go to ``step``."""
        super().seek(step)
        self._num_left = 0

    def _make_block(self, key: DrawKey, convert: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the numbers of ``key`` such that those of this step are at the position."""
        _, stream, shape, *_ = key
        assert isinstance(stream, str)
        assert isinstance(shape, tuple)
        return convert(self._bits(stream, shape, self.step - self._position, self._num_steps))

    def _take(self, key: DrawKey, convert: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the numbers of this step, (K, *shape)."""
        shape = key[2]
        assert isinstance(shape, tuple)
        if math.prod(shape) * len(self.seeds) > _MANY:
            return super()._take(key, convert)
        if key not in self._held:
            self._held[key] = self._make_block(key, convert), convert
        return self._held[key][0].index_select(0, self._position)[0]


def _to_uniform(bits: Tensor) -> Tensor:
    """Return the upper 23 bits as the middle of their cell in (0, 1).

    With a 24th bit the half would not fit a float32, and the last cell would round up to 1.
    """
    return (((bits >> 41) & 0x7FFFFF).float() + 0.5) * 2.0**-23


def _to_normal(bits: Tensor) -> Tensor:
    """Return Box and Muller's cosine branch, radius and angle from bits of their own."""
    angle = ((bits >> 8) & 0xFFFFFF).float() * (2.0**-24 * math.tau)
    return (-2 * _to_uniform(bits).log()).sqrt() * angle.cos()
