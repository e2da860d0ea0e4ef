"""Tests of the connection to Ray: another version of it, and signals to all of its processes."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.air.execution._internal import actor_manager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller

from rayoff.search import session

PRIVATE = ("ray.air.execution._internal", "ray.tune.execution")


@pytest.mark.parametrize("module", PRIVATE)
def test_a_ray_without_the_private_modules_is_left_as_it_is(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    importlib.reload(session)
    session.retry_after_out_of_memory()


def test_a_ray_without_the_private_names_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (actor_manager, tune_controller):
        monkeypatch.delattr(module, "RayActorError")
    session.retry_after_out_of_memory()
    assert not hasattr(tune_controller, "RayActorError")


def test_memory_pressure_counts_as_a_lost_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (actor_manager, tune_controller):
        monkeypatch.setattr(module, "RayActorError", RayActorError)
    for _ in range(2):  # a second study in the same process changes nothing
        session.retry_after_out_of_memory()
    for module in (actor_manager, tune_controller):
        assert vars(module)["RayActorError"] == (RayActorError, OutOfMemoryError)


# Signals


DRIVER = """
import sys, time, ray
from rayoff.search.session import session

@ray.remote(num_cpus=0)
class Keeper:
    def keep(self):
        return "kept"

with session() as current:
    keeper = Keeper.remote()
    ray.get(keeper.keep.remote())
    print("ready", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(1)  # until whoever was signalled has ended
        ray.cluster_resources()
        print(ray.get(keeper.keep.remote()), flush=True)
sys.exit(128 + current.ended_by)
"""


@pytest.fixture
def place() -> Iterator[str]:
    """A folder that names a Ray of its own."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets' paths must be short
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def children(pid: int) -> set[int]:
    """Return the processes that a process has started."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for file in files for child in file.read_text().split()}


def family(pid: int) -> set[int]:
    """Return a process and all that descend from it."""
    return {pid}.union(*map(family, children(pid)))


def begin(place: str) -> "subprocess.Popen[str]":
    """Start a driver and its Ray in a process group, and wait for them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=own | {"RAY_TMPDIR": place, "HOME": place, "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    return driver


def alive(pid: int) -> bool:
    """Return whether a process is there, and not merely unburied."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def assert_all_end(pids: set[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := {pid for pid in pids if alive(pid)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere Ray ends its daemons by their common group"
)


@on_linux
def test_a_signal_to_the_group_ends_driver_and_ray_in_order(place: str) -> None:
    with begin(place) as driver:
        pids = family(driver.pid)
        assert len(pids) > 4
        os.killpg(driver.pid, signal.SIGTERM)
        assert driver.communicate(timeout=120) == ("kept\n", None)
        assert driver.returncode == 128 + signal.SIGTERM
    assert_all_end(pids, 10)


@pytest.mark.slow
@on_linux
def test_a_driver_that_loses_its_ray_does_not_wait_a_minute(place: str) -> None:
    with begin(place) as driver:
        pids = family(driver.pid)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        driver.wait(timeout=120)
    assert_all_end(pids, 30)


@pytest.mark.slow
@on_linux
def test_a_driver_that_is_killed_takes_the_daemons_with_it(place: str) -> None:
    with begin(place) as driver:
        daemons = children(driver.pid)
        assert len(daemons) > 1
        driver.kill()
    assert_all_end(daemons, 10)  # the raylet's agents take a minute of Ray's own


def end_twice(number: int) -> None:
    """Signal this process as ``timeout`` does: by itself, and in its group."""
    try:
        os.kill(os.getpid(), number)
    finally:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_study_that_is_told_to_end_does_so_as_on_an_interrupt(
    cluster: None, number: signal.Signals
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # not as under `nohup`, which tests may be
    try:
        with pytest.raises(KeyboardInterrupt) as interrupt, session.session():
            end_twice(number)
        assert interrupt.value.args == (number,)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_study_in_the_background_of_a_script_is_ended_by_a_signal_too(cluster: None) -> None:
    """Shells let such jobs ignore SIGINT, into which other signals are turned."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt) as interrupt, session.session():
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.value.args == (signal.SIGTERM,)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_study_that_outlives_its_terminal_by_request_is_not_ended_by_it(cluster: None) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    with session.session():
        os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
