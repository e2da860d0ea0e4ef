"""Tests of rayoff.provenance against git itself, and on machines that lack what it asks."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from rayoff import provenance
from rayoff.provenance import describe_command, gather


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    done = subprocess.run(
        ("git", *identity, *arguments), cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder under git with one commit, and the package outside of any repository."""
    folder = tmp_path / "project"
    (folder / "inner").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "study.py").write_text("seeds = 1\n")
    git(folder, "add", "study.py")
    git(folder, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(folder / "inner")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "installed" / "provenance.py"))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    """An executable in a folder that is to be the PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_commit_and_diff_restore_the_code_that_ran(repository: Path, tmp_path: Path) -> None:
    (repository / "study.py").write_text("seeds = 5  # größer\n")
    (repository / "new.py").touch()

    state = gather()["git"]

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    git(clone, "checkout", "--quiet", state["commit"])
    subprocess.run(("git", "apply"), cwd=clone, input=state["diff"].encode(), check=True)
    assert (clone / "study.py").read_text() == "seeds = 5  # größer\n"
    assert state["untracked"] == ["new.py"]
    assert Path(state["repository"]) == repository.resolve()


def test_a_clean_repository_has_an_empty_diff(repository: Path) -> None:
    state = gather()["git"]
    assert state["commit"] == git(repository, "rev-parse", "HEAD")
    assert (state["diff"], state["untracked"]) == ("", [])


def test_the_package_s_own_repository_goes_before_the_working_folder_s(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "--quiet")
    (source / "provenance.py").touch()
    monkeypatch.setattr(provenance, "__file__", str(source / "provenance.py"))

    untracked = gather()["git"]  # as an environment's packages are, inside a project's folder
    git(source, "add", "provenance.py")
    tracked = gather()["git"]

    assert Path(untracked["repository"]) == repository.resolve()
    assert Path(tracked["repository"]) == source.resolve()
    assert (tracked["commit"], tracked["diff"]) == (None, None)  # nothing is committed yet


def test_a_huge_diff_is_cut_and_says_so(repository: Path) -> None:
    (repository / "study.py").write_text("x" * 1_200_000)
    diff = gather()["git"]["diff"]
    assert len(diff) < 1_000_100
    assert "[cut after 1,000,000 of 1,200," in diff


def test_outside_a_repository_there_is_no_git_state(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert gather()["git"] is None


def test_a_machine_without_git_and_gpus_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    gathered = gather()
    assert (gathered["git"], gathered["gpus"]) == (None, [])


def test_versions_equal_what_the_packages_say_of_themselves() -> None:
    packages = gather()["packages"]
    assert packages["torch"] == torch.__version__
    assert packages["numpy"] == np.__version__


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("torch", "no-such-distribution"))
    assert gather()["packages"] == {"torch": torch.__version__, "no-such-distribution": None}


def test_the_environment_is_told_apart_by_every_package_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gather()["environment"]
    added = tmp_path / "Extra_thing-1.2.dist-info"
    added.mkdir()
    (added / "METADATA").write_text("Metadata-Version: 2.1\nName: Extra-thing\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    after = gather()["environment"]

    assert f"torch=={metadata.version('torch')}" in before["installed"]
    assert before["installed"] == sorted(before["installed"])
    assert sorted({*before["installed"], "extra-thing==1.2"}) == after["installed"]
    assert after["sha256"] != before["sha256"]
    monkeypatch.undo()
    assert gather()["environment"] == before


def test_damaged_metadata_of_a_package_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gather()["environment"]
    added = tmp_path / "foreign-1.0.dist-info"
    added.mkdir()
    (added / "METADATA").write_bytes(b"Name: foreign\nVersion: 1.0\nAuthor: Ren\xe9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert gather()["environment"] == before


def test_machine_and_time_are_recorded_as_json() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    gathered = gather()

    assert json.loads(json.dumps(gathered)) == gathered
    assert before <= datetime.fromisoformat(gathered["started"]) <= datetime.now(UTC)
    assert gathered["host"] == platform.node()
    assert gathered["python"] == ".".join(map(str, sys.version_info[:3]))
    assert gathered["cpu"]["count"] == os.cpu_count()
    assert 1 <= gathered["cpu"]["usable"] <= gathered["cpu"]["count"]
    assert gathered["cpu"]["model"]


@pytest.mark.skipif(os.name != "posix", reason="needs shell scripts")
def test_gpus_are_those_that_the_driver_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA H200, 143771 MiB, 570.86.15'\n" * 2)
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = {"name": "NVIDIA H200", "memory": "143771 MiB", "driver": "570.86.15"}
    assert gather()["gpus"] == [expected, expected]


@pytest.mark.skipif(os.name != "posix", reason="needs shell scripts")
@pytest.mark.parametrize("script", ["echo 'NVIDIA-SMI has failed'; exit 9", "exec sleep 60"])
def test_a_broken_driver_lists_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    program(tmp_path, "nvidia-smi", f"PATH={os.environ['PATH']}\n{script}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(provenance, "_TIMEOUT", 0.2)
    assert gather()["gpus"] == []


@pytest.mark.gpu
def test_gpus_are_those_that_torch_sees() -> None:
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    assert [gpu["name"] for gpu in gather()["gpus"]] == names


def test_the_command_is_that_of_the_study_else_that_of_the_process() -> None:
    argv = ["rayoff", "run", "my study.py", "--set", "a='$HOME'"]
    assert shlex.split(gather(argv)["command"]) == argv
    assert shlex.split(gather()["command"]) == sys.orig_argv


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_shell_splits_the_described_command_as_it_was() -> None:
    argv = ["two words", "", "it's", '"$HOME"', "a\\b", "*", "ü;&|"]
    command = f"printf '%s\\n' {describe_command(argv)}"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.splitlines() == argv


def test_gathering_is_quick_and_imports_no_heavy_package() -> None:
    code = (
        "import sys, time\n"
        "from rayoff.provenance import gather\n"
        "def seconds():\n"
        "    start = time.perf_counter(); gather(); return time.perf_counter() - start\n"
        "print(min(seconds() for _ in range(3)))\n"
        "print([name for name in ('torch', 'numpy', 'ray', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.splitlines()
    assert float(seconds) < 0.5
    assert heavy == "[]"
