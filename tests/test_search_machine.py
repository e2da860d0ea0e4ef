"""Tests of what a machine has for trials."""

import os
from pathlib import Path
from typing import Any

import pytest

from rayoff.search import machine, session


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of that of control groups, which sets no limits yet."""
    monkeypatch.setattr(machine, "_CGROUPS", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("groups")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_a_plan_and_a_ray_started_here_count_the_same_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setattr(session.ray, "init", lambda **given: asked.append(given))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with session.session():
            counted = machine.machine_resources()["CPU"]
    finally:
        os.sched_setaffinity(0, before)
    assert [given["num_cpus"] for given in asked] == [counted] == [1]


@pytest.mark.usefixtures("groups")
def test_cores_are_counted_where_a_process_cannot_be_bound_to_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.machine_resources()["CPU"] == 6


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 8),
        ({}, 8),
    ],
)
def test_a_quota_of_a_container_limits_its_cores(
    files: dict[str, str], expected: int, groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "num_usable_cpus", lambda: 8)
    for name, content in files.items():
        path = groups / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert machine.usable_cores() == expected
