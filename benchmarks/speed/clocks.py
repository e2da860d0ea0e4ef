"""Time and memory of a process, on a CPU core and on a GPU."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def calls_per_second(
    call: Callable[[], object], seconds: float, num_warmup: int = 20, device: str = "cpu"
) -> float:
    """Return calls per second.

    On the CPU seconds are those of the process on its core: what else runs there costs no one's
    figure but by the caches it fills. On a GPU they are of the wall, and each call is waited for.

    Args:
        call: what is timed.
        seconds: of the measurement, at least [s].
        num_warmup: calls before it.
        device: ``cpu`` or ``cuda``.
    """
    now = time.process_time if device == "cpu" else time.perf_counter
    finish = _nothing if device == "cpu" else torch.cuda.synchronize
    for _ in range(num_warmup):
        call()
    finish()
    count, started = 0, now()
    while now() - started < seconds:
        call()
        finish()
        count += 1
    return count / (now() - started)


def _nothing() -> None:
    """Wait for nothing: a call on the CPU has ended when it returns."""


class PeakMemory:
    """The most memory that is taken inside it, beyond what was taken before.

    Attributes:
        mebibytes: resident memory of the process on the CPU, which needs Linux; tensors of
            torch's allocator on a GPU [MiB].
    """

    def __init__(self, device: str) -> None:
        self._on_gpu = device != "cpu"
        self.mebibytes = float("nan")

    def __enter__(self) -> "PeakMemory":
        """Note what is taken already."""
        if self._on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        elif _CLEAR_REFS.exists():
            _give_freed_memory_back()
            _CLEAR_REFS.write_text("5")  # the peak so far, of the imports, is forgotten
        self._before = self._taken("VmRSS")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the peak."""
        self.mebibytes = (self._taken("VmHWM") - self._before) / 2**20

    def _taken(self, field: str) -> float:
        """Return memory by a field of /proc/self/status, or its like on a GPU [byte]."""
        if self._on_gpu:
            is_peak = field == "VmHWM"
            return torch.cuda.max_memory_allocated() if is_peak else torch.cuda.memory_allocated()
        if not _STATUS.exists():
            return float("nan")
        lines = _STATUS.read_text().splitlines()
        (line,) = (one for one in lines if one.startswith(f"{field}:"))
        return 1024 * float(line.split()[1])  # in kB, which are of 1024 bytes


def _give_freed_memory_back() -> None:
    """Let the C library keep nothing of freed tensors, which later ones would else hide in."""
    with contextlib.suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
