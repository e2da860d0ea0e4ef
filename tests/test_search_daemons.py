"""Tests of how Ray's processes are started on this machine."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest
from ray._private import parameter, services
from ray.tune.execution import class_cache

import rayoff
from rayoff.search import daemons

ROOT = str(Path(rayoff.__file__).parent.parent)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the environment says of Ray and of modules."""
    for name in [*os.environ]:
        if name.startswith("RAY_") or name == "PYTHONPATH":
            monkeypatch.delenv(name)


def test_workers_find_the_drivers_package_before_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    with daemons.local_daemons(1):
        assert os.environ["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"
    assert os.environ["PYTHONPATH"] == "/elsewhere"


def test_installed_packages_do_not_come_before_the_standard_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(site, "getsitepackages", lambda: [ROOT])
    with daemons.local_daemons(1):
        assert ROOT not in os.environ["PYTHONPATH"].split(os.pathsep)


def test_workers_are_made_ready_where_trials_will_use_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(daemons, "usable_cores", lambda: 8)
    with daemons.local_daemons(4):
        assert os.environ["RAY_preload_python_modules"] == "rayoff.search.readiness"
        assert os.environ["RAY_num_workers_soft_limit"] == "9"
    with daemons.local_daemons(3):
        assert "RAY_preload_python_modules" not in os.environ
    assert not any(name.startswith("RAY_") for name in os.environ)


def test_settings_of_ray_that_are_given_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_preload_python_modules", "json")
    with daemons.local_daemons(1000):
        assert os.environ["RAY_preload_python_modules"] == "json"


def test_a_study_on_one_machine_has_no_server_and_no_monitors() -> None:
    before = services.start_api_server, parameter.RayParams
    with daemons.local_daemons(1):
        assert vars(services)["start_api_server"]() == (None, None)
        started = parameter.RayParams()
        assert started.no_monitor
        assert started.include_log_monitor is False
    assert (services.start_api_server, parameter.RayParams) == before


def test_a_ray_without_the_private_names_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [(services, "ConsolePopen"), (services, "start_api_server"), (parameter, "RayParams")]
    for module, name in names:
        monkeypatch.delattr(module, name)
    with daemons.local_daemons(1):
        assert not any(hasattr(module, name) for module, name in names)


def test_a_ray_tune_without_variables_of_its_own_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"):
        monkeypatch.delattr(class_cache, name)
    daemons.let_trials_use_ready_workers()
    assert not hasattr(class_cache, "DEFAULT_ENV_VARS")


def modules_after(statement: str, **variables: str) -> set[str]:
    """Return the modules of an interpreter that has run a statement and its threads."""
    code = (
        f"import sys, threading; {statement}; "
        "[t.join() for t in threading.enumerate() if t is not threading.main_thread()]; "
        "print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": ROOT} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


def test_the_driver_needs_no_torch_and_connects_before_ray_tune_is_imported() -> None:
    assert not {"torch", "ray.tune"} & modules_after("import rayoff.search.driver")


def test_a_worker_that_starts_imports_torch_and_nothing_of_ray() -> None:
    found = modules_after("import rayoff.search.readiness")
    assert {"torch", "rayoff.search.policies"} <= found
    assert "ray" not in found


def test_the_archives_worker_imports_nothing_ahead() -> None:
    found = modules_after("import rayoff.search.readiness", **daemons.ARCHIVE_ENVIRONMENT)
    assert "torch" not in found
