"""Ray's processes, where Ray is started for a study on this machine: fewer, and ready earlier.

They run in the driver's environment and interpreter, so that the package need not be shipped to
them: what is shipped is compiled anew by every worker.
"""

import functools
import os
import site
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import rayoff
from rayoff.search.machine import usable_cores

ARCHIVE_ENVIRONMENT = {"RAYOFF_WORKER": "archive"}
"""Variables of the archive's worker. Ray starts one of its own for them, which imports nothing
ahead, and leaves those that are ready to trials."""


@contextmanager
def local_daemons(num_trials: int) -> Iterator[None]:
    """Let ``ray.init`` start Ray's processes as suits one study on one machine.

    All of it rests on Ray's private names; a version without one of them keeps its own way
    there.

    Args:
        num_trials: of the study.
    """
    with ExitStack() as stack:
        stack.enter_context(_environment(_worker_environment(num_trials)))
        stack.enter_context(_process_groups_apart())
        stack.enter_context(_without_services())
        yield


def let_trials_use_ready_workers() -> None:
    """Have Ray Tune ask for workers as they are, without variables of its own.

    A worker serves only those who ask for the environment that it was started with. On this
    machine workers have the driver's variables anyway, and what Ray Tune adds serves Lightning.
    """
    from ray.tune.execution import class_cache

    for name in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"):
        if hasattr(class_cache, name):
            setattr(class_cache, name, {})


def _worker_environment(num_trials: int) -> dict[str, str]:
    """Return the variables by which workers import the driver's package, ahead if it pays.

    Ray starts a worker for each core. Where most would train nothing, each trial's worker
    imports what it needs when it is there: ahead, the others would hold 0.2 GB of it each.
    """
    num_cores = usable_cores()
    variables = {"PYTHONPATH": os.pathsep.join(_search_path())}
    if 2 * num_trials >= num_cores:
        variables["RAY_preload_python_modules"] = "rayoff.search.readiness"
        # One more than cores, or an idle one would have to end for the archive's.
        variables["RAY_num_workers_soft_limit"] = str(num_cores + 1)
    return variables


def _search_path() -> list[str]:
    """Return where workers look for modules first.

    The folder of the package comes before all else, as the driver may have found it by other
    means than they do; not so where it lies among all installed packages, which belong last.
    """
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    own = str(Path(rayoff.__file__).parent.parent)
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    return given if own in installed else [own, *given]


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while; those of Ray that are given stay as they are."""
    before = {name: os.environ.get(name) for name in variables}
    for name, value in variables.items():
        if not (name.startswith("RAY_") and before[name] is not None):
            os.environ[name] = value
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _process_groups_apart() -> Iterator[None]:
    """Let Ray start its daemons in process groups of their own.

    A signal to the group, as ``timeout`` and shells send it, would end them before the driver,
    which then could neither save nor leave for a minute. On Linux the kernel ends them with the
    driver, however it ends; elsewhere Ray needs the common group for that.
    """
    from ray._private import services

    if sys.platform != "linux":
        yield
        return
    with _replaced(services, "ConsolePopen", functools.partial, process_group=0):
        yield


@contextmanager
def _without_services() -> Iterator[None]:
    """Let Ray leave out what no study on one machine uses, which takes 2 s of a core.

    The server of the dashboard runs even without a dashboard, and Ray's node waits for it; the
    monitor serves autoscaling, the log monitor sends workers' output to drivers.
    """
    from ray._private import parameter, services

    def absent(starter: Callable[..., object]) -> Callable[..., tuple[None, None]]:
        """Return what tells Ray that there is no server, with which it goes on."""
        del starter
        return lambda *_, **__: (None, None)

    with (
        _replaced(services, "start_api_server", absent),
        _replaced(
            parameter, "RayParams", functools.partial, no_monitor=True, include_log_monitor=False
        ),
    ):
        yield


@contextmanager
def _replaced(
    module: object, name: str, replace: Callable[..., Any], **arguments: object
) -> Iterator[None]:
    """Put what ``replace`` makes of a module's name in its place for a while, if it is there."""
    before = getattr(module, name, None)
    if before is None:
        yield
        return
    setattr(module, name, replace(before, **arguments))
    try:
        yield
    finally:
        setattr(module, name, before)
