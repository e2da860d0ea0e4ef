"""Who made a result: code, versions, machine, time and command, as JSON.

Nothing here may fail a study: what cannot be found out is None. No heavy package is imported.
"""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "rayoff", "torch", "numpy", "scipy", "pandas", "pyarrow", "h5py", "minari", "gymnasium",
    "mujoco", "ray", "optuna", "safetensors",
)  # fmt: skip
_MAX_DIFF = 1_000_000
_MAX_UNTRACKED = 100
_TIMEOUT = 5.0


def gather(command: Sequence[str] | None = None) -> dict[str, Any]:
    """Return what must be known to repeat a result, ready for JSON.

    Takes some 0.15 s, and as long as ``nvidia-smi`` does where there are GPUs.

    Args:
        command: the command line of the study; None: that of this process.

    Returns:
        ``command`` (quoted for a shell), ``started`` (UTC, ISO 8601), ``git`` (None outside a
        repository; else ``repository``, ``commit``, ``diff`` of the tracked files against it
        and names of ``untracked`` ones), ``packages`` (version by name, None where absent),
        ``environment`` (``installed``, name and version of every distribution, and ``sha256`` of
        that list), ``python``, ``platform``, ``host``, ``cpu`` (``model``, ``count``, and
        ``usable`` by this process) and ``gpus`` (``name``, ``memory``, ``driver`` of each).
    """
    return {
        "command": describe_command(sys.orig_argv if command is None else command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": _git_state(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "environment": _environment(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count(), "usable": num_usable_cpus()},
        "gpus": list_gpus(),
    }


def describe_command(argv: Sequence[str]) -> str:
    """Return a command line that a POSIX shell splits into ``argv`` again."""
    return shlex.join(argv)


def list_gpus() -> list[dict[str, str]]:
    """Return the NVIDIA GPUs of this machine; [] without a driver."""
    keys = ("name", "memory", "driver")
    query = "--query-gpu=name,memory.total,driver_version"
    lines = (_output("nvidia-smi", query, "--format=csv,noheader") or "").splitlines()
    return [dict(zip(keys, line.split(", "), strict=False)) for line in lines]


def num_usable_cpus() -> int | None:
    """Return the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _git_state() -> dict[str, Any] | None:
    """Return the state of the repository that tracks this file, else of the working folder's."""
    here = Path(__file__)
    # An environment may lie inside a repository that knows nothing of the packages in it.
    tracked = _output("git", "-C", str(here.parent), "ls-files", "--error-unmatch", here.name)
    folder = str(here.parent) if tracked else "."
    root = _output("git", "-C", folder, "rev-parse", "--show-toplevel")
    if root is None:
        return None
    git = ("git", "-C", root.strip())
    commit = _output(*git, "rev-parse", "--verify", "HEAD")
    diff = _output(*git, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD")
    if diff is not None and len(diff) > _MAX_DIFF:
        diff = f"{diff[:_MAX_DIFF]}\n[cut after {_MAX_DIFF:,} of {len(diff):,} characters]\n"
    others = ("--others", "--exclude-standard", "--directory", "--no-empty-directory")
    untracked = _output(*git, "ls-files", "-z", *others)
    return {
        "repository": root.strip(),
        "commit": commit.strip() if commit else None,
        "diff": diff,
        "untracked": [name for name in (untracked or "").split("\0") if name][:_MAX_UNTRACKED],
    }


def _version(package: str) -> str | None:
    """Return the installed version of a distribution."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _environment() -> dict[str, Any]:
    """Return what is installed, and what tells such a list from another."""
    installed = set()
    for distribution in metadata.distributions():
        with suppress(Exception):  # damaged metadata of a stranger
            installed.add(f"{distribution.name.lower()}=={distribution.version}")
    listed = sorted(installed)
    return {
        "sha256": hashlib.sha256("\n".join(listed).encode()).hexdigest(),
        "installed": listed,
    }


def _cpu_model() -> str | None:
    """Return the processor's marketing name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        brand = _output("sysctl", "-n", "machdep.cpu.brand_string")
        return brand.strip() if brand else platform.processor() or None
    return platform.processor() or platform.machine() or None


def _output(*command: str) -> str | None:
    """Return what a program prints; None if it is absent, fails, or takes over 5 s."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
