"""Tests of rayoff.search.presence: who trains in a folder, told without disturbing them."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

from rayoff.search.presence import find_driver


def sign(folder: Path, pid: int, host: str) -> str:
    name = f"process {pid} on {host}, since 2026-01-31 12:00:00+00:00"
    (folder / ".lock").write_text(name)
    return name


def test_a_folder_in_which_nobody_trained_has_no_driver(tmp_path: Path) -> None:
    assert find_driver(tmp_path) is None
    (tmp_path / ".lock").touch()  # taken, and not signed yet
    assert find_driver(tmp_path) is None


def test_the_driver_of_another_machine_is_named_but_not_known_to_live(tmp_path: Path) -> None:
    name = sign(tmp_path, os.getpid(), "elsewhere")
    assert find_driver(tmp_path) == (name, None)


def test_a_process_that_holds_the_lock_is_alive(tmp_path: Path) -> None:
    name = sign(tmp_path, os.getpid(), socket.gethostname())
    with (tmp_path / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert find_driver(tmp_path) == (name, True)


def test_a_process_that_ended_or_whose_number_was_given_again_is_not_alive(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (ended.pid, os.getpid()):
        name = sign(tmp_path, pid, socket.gethostname())
        assert find_driver(tmp_path) == (name, False)
