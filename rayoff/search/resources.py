"""What each trial asks of the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass

from rayoff.errors import StudyError

MAX_SHARING = 4
"""Trials that share a GPU without a wish: their kernels take turns on it, so that more of them
only fill the gaps in which a trial waits for its probes' and its policies' part on the host."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Resources of each trial, and how many trials train at once.

    Raises:
        StudyError: Ray could not grant them.
    """

    cpus_per_trial: int = 1
    """CPU cores, at least 1; also the threads that torch uses."""
    gpu_per_trial: float | None = None
    """A share of one GPU in (0, 1), whole GPUs, or 0; None: a quarter of a GPU where the
    cluster has any, or more where the memory of a quarter is too little. Shares are bookkeeping:
    they limit neither memory nor time on the device."""
    max_concurrent: int | None = None
    """Trials that train at once, at least 1, whether memory suffices or not; None: as many as
    fit by cores, GPUs and memory."""

    def __post_init__(self) -> None:
        """Refuse what Ray cannot grant."""
        if self.cpus_per_trial < 1:
            raise StudyError(f"--cpus-per-trial must be at least 1 but got {self.cpus_per_trial}.")
        gpus = self.gpu_per_trial
        # Ray accepts 1.5 GPUs at first, and then breaks off the whole experiment.
        if gpus is not None and not (0 <= gpus <= 1 or (gpus > 1 and gpus == int(gpus))):
            raise StudyError(
                "--gpu-per-trial must be a share of one GPU in (0, 1], or a whole number, "
                f"but got {gpus:g}. Did you mean {max(1, int(gpus))}?"
            )
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise StudyError(f"--max-concurrent must be at least 1 but got {self.max_concurrent}.")

    def on(self, cluster: Mapping[str, float]) -> dict[str, float]:
        """Return what a trial asks for on a cluster with these resources, in Ray's words."""
        gpus = self.gpu_per_trial
        if gpus is None:
            gpus = 1 / MAX_SHARING if cluster.get("GPU") else 0.0
        return {"cpu": float(self.cpus_per_trial), "gpu": float(gpus)}
