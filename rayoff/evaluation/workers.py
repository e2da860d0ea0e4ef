"""Processes that roll policies out, each in environments of its own.

Plain processes that are started anew, not forked from one that has threads of torch, of CUDA or
of Ray in it, and that end with their pipe: so none is left where a trial is killed. What a lost
process was asked for can be asked again, since a rollout depends on nothing but what is sent.

Shapes: E episodes.
"""

import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from rayoff.evaluation.policies import Policy

Job = tuple[Policy, list[int]]
"""A policy, and the seeds of its episodes, (E,)."""
Done = tuple[np.ndarray, np.ndarray]
"""Returns and lengths of the episodes, each (E,)."""

_LOGGER = logging.getLogger(__name__)


class _Worker(NamedTuple):
    process: subprocess.Popen[bytes]
    connection: Connection


class Workers:
    """A fixed number of processes among which jobs are dealt out.

    They end with this object.

    Args:
        num_workers: processes, at least 1; each takes about a second of a core to start, beside
            the caller.
        simulation: arguments of each process's ``Simulation``.
    """

    def __init__(self, num_workers: int, simulation: tuple[object, ...]) -> None:
        self._workers: list[_Worker | None] = [_start(simulation) for _ in range(num_workers)]
        self.close = weakref.finalize(self, _end, self._workers)
        self._num_jobs = 0

    def send(self, jobs: Sequence[Job]) -> None:
        """Ask for rollouts; nothing else may be under way."""
        self._num_jobs = len(jobs)
        for index, worker in enumerate(self._workers):
            if worker is not None:
                try:
                    worker.connection.send(list(jobs[index :: len(self._workers)]))
                except OSError as error:
                    self._lose(index, error)

    def collect(self) -> list[Done | None]:
        """Wait for the rollouts and return them in order; None where a process was lost."""
        done: list[Done | None] = [None] * self._num_jobs
        for index, worker in enumerate(self._workers):
            if worker is not None:
                try:
                    done[index :: len(self._workers)] = worker.connection.recv()
                except (OSError, EOFError) as error:
                    self._lose(index, error)
        return done

    def _lose(self, index: int, error: Exception) -> None:
        worker, self._workers[index] = self._workers[index], None
        _end([worker])
        _LOGGER.warning(
            "A process for evaluations was lost (%r); the trial does its rollouts itself.", error
        )


def _start(simulation: tuple[object, ...]) -> _Worker:
    """Start a process; what it is told waits in its pipe."""
    ours, theirs = Pipe()
    settings = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
    }
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rayoff.evaluation.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | settings,
        )
    ours.send(simulation)
    return _Worker(process, ours)


def _end(workers: Sequence[_Worker | None]) -> None:
    """End processes without waiting for what they do."""
    for worker in workers:
        if worker is not None:
            worker.connection.close()
            worker.process.kill()
            worker.process.wait()
