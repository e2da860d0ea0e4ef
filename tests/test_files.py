"""Tests of rayoff.files: a reader sees the old file or the new one, never a part."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rayoff.files import replace_file, replacing

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from rayoff.files import replacing

with replacing(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text("old")
    return path


def test_the_old_file_is_there_until_the_new_one_is_whole(path: Path) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == path.parent  # on one file system, so that a rename does
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_alone(path: Path) -> None:
    def break_off() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        break_off()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(path: Path) -> None:
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = set(path.parent.iterdir()) - {path}
    assert left.name.startswith(".page.html.")
    assert left.suffix == ".tmp"


def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "page.html"
    replace_file(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("content", ["Müller", "Müller".encode()])
def test_text_is_written_as_utf_8(path: Path, content: str | bytes) -> None:
    replace_file(path, content)
    assert path.read_bytes() == b"M\xc3\xbcller"
    assert list(path.parent.iterdir()) == [path]
