"""Whether a process trains in a run folder, as far as another one can tell, on any machine."""

import fcntl
import os
import re
import socket
from pathlib import Path
from typing import NamedTuple


class Driver(NamedTuple):
    """The process that trains in a run folder, or was the last to do so."""

    name: str
    """``process 123 on host, since 2026-01-31 12:00:00+00:00``."""
    is_alive: bool | None
    """Whether it trains; None where it is, or was, on another machine."""


def find_driver(run_folder: Path) -> Driver | None:
    """Return the driver that signed the lock of a run folder, None if nobody trained in it yet."""
    path = run_folder / ".lock"
    try:
        name = path.read_text(encoding="utf-8")
    except OSError:
        return None
    signed = re.match(r"process (\d+) on (\S+), since ", name)
    if signed is None:
        return None
    if signed[2] != socket.gethostname():
        return Driver(name, None)
    return Driver(name, _runs(int(signed[1])) and _is_locked(path))


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else _answers(pid)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_locked(path: Path) -> bool:
    """Whether a lock is held; asked only where its holder seems to run, so as to disturb none."""
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
