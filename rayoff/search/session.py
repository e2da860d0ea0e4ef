"""A connection to Ray that is right for studies: authentication, code, signals, memory."""

import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError

import rayoff
from rayoff.errors import RayoffError
from rayoff.search.daemons import local_daemons
from rayoff.search.machine import usable_cores

_TUNE_ENVIRONMENT = {
    # Ray Tune's loggers lag, drop NaN and rewrite everything at each sync; ours do not.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new console prints boxes even when told to be quiet
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",  # the run folder is the truth, snapshots go unused
}


@dataclass
class Session:
    """A connection to Ray."""

    started: bool
    """Whether Ray was started for it, on this machine."""
    ended_by: int = signal.SIGINT
    """The signal that ends it before its time, once one came; Ray Tune takes SIGINT itself."""


@contextmanager
def session(num_trials: int = 0) -> Iterator[Session]:
    """Connect to a running cluster, else start Ray on this machine.

    A connection that exists already is used as it is, and left open. The package is shipped to
    all nodes of a cluster, so that they run the code that the driver runs. SIGTERM and SIGHUP end
    a study as SIGINT does, also where they are sent to the whole process group: trials keep their
    progress.

    Args:
        num_trials: that are to be trained; so many workers may be made ready ahead of them.

    Raises:
        RayoffError: the cluster that the environment names cannot be reached.
        KeyboardInterrupt: a signal came while Ray Tune did not run; its argument is the number.
    """
    for name, value in _TUNE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It prints every attempt of a failing trial; error.txt has them, and we say where it is.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    opened = not ray.is_initialized()
    started = opened and not _cluster_address_known()
    if started:
        _protect_local_ray()
        # A batch system may end Ray's daemons together with the driver: those of this machine
        # do not come back, and all processes would look out for them for a minute.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    if started:
        with local_daemons(num_trials):
            _connect({}, num_cpus=usable_cores())
    elif opened:
        _connect(_shipped_package())
    current = Session(started)
    with _ends_as_interrupts(current):
        try:
            yield current
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(current.ended_by) from interrupt
        finally:
            if opened:
                ray.shutdown()


def _shipped_package() -> dict[str, Any]:
    """Return the environment that brings the driver's code to all nodes of a cluster."""
    package = Path(rayoff.__file__).parent
    return {"py_modules": [str(package)], "excludes": ["**/__pycache__"]}


def _connect(runtime_env: dict[str, Any], num_cpus: int | None = None) -> None:
    """Connect to a cluster, or start a Ray of so many cores."""
    try:
        ray.init(
            num_cpus=num_cpus,
            runtime_env=runtime_env,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError as error:
        raise RayoffError(
            "The Ray cluster named by RAY_ADDRESS, or last started here, cannot be reached "
            f"({error}). Set RAY_AUTH_MODE as the cluster has it (token or disabled), or use "
            "this machine alone: RAY_ADDRESS=local."
        ) from error


def _cluster_address_known() -> bool:
    """Return whether ``ray.init`` will connect to a cluster rather than start one."""
    address = os.environ.get("RAY_ADDRESS")
    if address:
        return address != "local"
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return (Path(folder) / "ray" / "ray_current_cluster").exists()


def _protect_local_ray() -> None:
    """Demand a token of this session from whoever connects, unless the user chose otherwise.

    A Ray listens on all interfaces, and runs what it is sent. From 2.59 on it demands the token
    that it finds by itself; without one in the environment it would write one to ~/.ray, which
    changes how other clusters of the user behave.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def _ends_as_interrupts(current: Session) -> Iterator[None]:
    """Turn the first of the signals by which a job or a connection ends into SIGINT.

    Ray Tune handles that one alone: trials keep their progress, which a second one would break
    off; ``timeout`` sends two. Signals that are ignored, as under ``nohup``, stay so. Ray Tune
    leaves its own handler behind, which takes no heed of the next interrupt; all handlers are
    put back.
    """

    def end(number: int, frame: object) -> None:
        if current.ended_by == signal.SIGINT:
            current.ended_by = number
            if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
                # so it is in the background of a script; this one is ours
                signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), signal.SIGINT)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # Only the main thread may set handlers.
    free = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if free}
    for number, handler in before.items():
        if number != signal.SIGINT and handler != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def retry_after_out_of_memory() -> None:
    """Let Ray Tune treat a trial that Ray's memory monitor ended as one whose process died.

    Ray Tune 2.60 takes that error for an unknown one and breaks off all other trials. A version
    without these private modules or names keeps its own behaviour.
    """
    try:
        from ray.air.execution._internal import actor_manager
        from ray.tune.execution import tune_controller
    except ImportError:
        return
    for module in (actor_manager, tune_controller):
        if getattr(module, "RayActorError", None) is RayActorError:
            setattr(module, "RayActorError", (RayActorError, OutOfMemoryError))  # noqa: B010
