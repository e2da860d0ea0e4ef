"""What this machine has for trials."""

import os
from pathlib import Path

from rayoff.provenance import list_gpus, num_usable_cpus

_OBJECT_STORE_SHARE = 0.3
"""Of the memory that is free, what Ray keeps for its object store."""

_CGROUPS = "/sys/fs/cgroup"

_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Files with the time of cores that a group of processes may take in a period, and the period
[us]: of the two versions of control groups."""


def machine_resources() -> dict[str, float]:
    """Return cores, GPUs and memory [byte] of this machine, as a Ray started here counts them."""
    import torch

    return {
        "CPU": float(usable_cores()),
        "GPU": float(torch.cuda.device_count()),
        "memory": float(free_memory()),
    }


def usable_cores() -> int:
    """Return the cores of this machine that trials may take; a Ray started here is told as many.

    They are those that this process may run on, or fewer where a container or a job has a quota.
    """
    cores = num_usable_cpus() or 1
    for files in _QUOTAS:
        times = " ".join(_read(f"{_CGROUPS}/{name}") for name in files).split()
        if len(times) == 2 and all(time.isdigit() for time in times):  # none is "max", or -1
            cores = min(cores, max(1, int(times[0]) // int(times[1])))
    return cores


def free_memory() -> int:
    """Return the memory of this machine that trials may take, as a Ray started here would [byte].

    Where the system does not tell what is free, it is all there is.
    """
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = min(free, 1024 * int(line.split()[1]))
    limit, used = (_read(f"{_CGROUPS}/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdigit() and used.isdigit():  # a container, or a job of a batch system
        free = min(free, int(limit) - int(used))
    return int(free * (1 - _OBJECT_STORE_SHARE))


def gpu_memory() -> int | None:
    """Return the memory of this machine's smallest GPU [byte]; None where there is none."""
    # "81559 MiB"; a GPU that is cut into instances may tell "[N/A]"
    told = [gpu["memory"].partition(" ")[0] for gpu in list_gpus()]
    return min((int(mib) * 2**20 for mib in told if mib.isdigit()), default=None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
