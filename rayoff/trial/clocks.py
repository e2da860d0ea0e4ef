"""What a trial spends its time on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

Activity = Literal["train", "probe", "evaluation"]


class Clocks:
    """Wall time of a trial by activity, and what it is of the device.

    Args:
        device_share: what the trial has of a GPU, or without one its CPU cores.
    """

    def __init__(self, device_share: float = 1.0) -> None:
        self._device_share = device_share
        self._device_seconds = 0.0
        self._seconds: dict[str, float] = {"train": 0.0, "probe": 0.0, "evaluation": 0.0}

    @contextmanager
    def running(self, activity: Activity) -> Iterator[None]:
        """Count what happens inside as time of an activity."""
        started = time.perf_counter()
        yield
        elapsed = time.perf_counter() - started
        self._seconds[activity] += elapsed
        self._device_seconds += self._device_share * elapsed

    def metrics(self, num_steps: int) -> dict[str, float]:
        """Return the columns of a row about time.

        Args:
            num_steps: gradient steps that the trial has taken.
        """
        return {
            "seconds": sum(self._seconds.values()),
            **{f"time/{name}_seconds": value for name, value in self._seconds.items()},
            "time/device_seconds": self._device_seconds,
            "time/steps_per_second": num_steps / max(self._seconds["train"], 1e-9),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: a trial may go on with another share of a device."""
        return {"seconds": self._seconds, "device_seconds": self._device_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self._seconds, self._device_seconds = state["seconds"], state["device_seconds"]
