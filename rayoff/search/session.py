"""A connection to Ray that is right for studies: authentication, code, signals, memory."""

import functools
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.exceptions import OutOfMemoryError, RayActorError

import rayoff
from rayoff.errors import RayoffError

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
def session() -> Iterator[Session]:
    """Connect to a running cluster, else start Ray on this machine.

    A connection that exists already is used as it is, and left open. The package is shipped to
    all nodes, so that they run the code that the driver runs. SIGTERM and SIGHUP end a study as
    SIGINT does, also where they are sent to the whole process group: trials keep their progress.

    Raises:
        RayoffError: the cluster that the environment names cannot be reached.
        KeyboardInterrupt: a signal came while Ray Tune did not run; its argument is the number.
    """
    for name, value in _TUNE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It prints every attempt of a failing trial; error.txt has them, and we say where it is.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    _retry_after_out_of_memory()
    opened = not ray.is_initialized()
    started = opened and not _cluster_address_known()
    if started:
        _protect_local_ray()
        # A batch system may end Ray's daemons together with the driver: those of this machine
        # do not come back, and all processes would look out for them for a minute.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    if opened:
        with _daemons_apart():
            _connect()
    current = Session(started)
    with _ends_as_interrupts(current):
        try:
            yield current
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(current.ended_by) from interrupt
        finally:
            if opened:
                ray.shutdown()


def _connect() -> None:
    package = Path(rayoff.__file__).parent
    try:
        ray.init(
            runtime_env={"py_modules": [str(package)], "excludes": ["**/__pycache__"]},
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
def _daemons_apart() -> Iterator[None]:
    """Let Ray start its daemons in process groups of their own.

    A signal to the group, as ``timeout`` and shells send it, would end them before the driver,
    which then could neither save nor leave for a minute. On Linux the kernel ends them with the
    driver, however it ends; elsewhere Ray needs the common group for that.
    """
    from ray._private import services

    starter = getattr(services, "ConsolePopen", None)
    if starter is None or sys.platform != "linux":
        yield
        return
    setattr(services, "ConsolePopen", functools.partial(starter, process_group=0))  # noqa: B010
    try:
        yield
    finally:
        setattr(services, "ConsolePopen", starter)  # noqa: B010


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


def _retry_after_out_of_memory() -> None:
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
