"""Interleaved passes over contenders, each in a fresh process on one core.

A drift of the machine's speed meets every contender of a pass, so figures are medians over
passes, and ratios are taken within a pass.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rayoff.config import Precision
from speed.cases import Case
from speed.measuring import measure, measure_limit, measure_products
from speed.work import count_work

Figures = dict[str, Any]
"""What a contender's process printed; ``steps_per_second`` among it."""

Pass = dict[str | Case, Figures]
"""The figures of every contender, by the case or the contender's name."""

PEERS = {"d3rlpy": "d3rlpy_td3_bc.py", "jax": "jax_td3_bc.py"}


def measure_contender(described: str, seconds: float) -> Figures:
    """Return the figures of ``products``, a ``Case.limit`` or a case as JSON, in this process."""
    if described == "products":
        return {"steps_per_second": measure_products(seconds)}
    if described.startswith("limit:"):
        _, device, precision = described.split(":")
        return {"gflop_per_second": measure_limit(seconds, device, cast(Precision, precision))}
    case = Case(**json.loads(described))
    return measure(case, seconds)._asdict() | count_work(case)._asdict()


class Passes:
    """Runs contenders in processes of their own.

    Args:
        script: takes ``--worker CONTENDER --seconds SECONDS`` and prints figures as JSON.
        seconds: of each measurement [s].
        core: that every process is pinned to.
        peer_python: interpreter of the peers, which is needed for them only.
    """

    def __init__(
        self, script: Path, seconds: float, core: int, peer_python: Path | None = None
    ) -> None:
        self._script, self._seconds, self._core = script, seconds, core
        self._peer_python = peer_python

    def run(self, contenders: Sequence[str | Case], num_passes: int) -> list[Pass]:
        """Return the passes, and tell of each as it ends."""
        passes = []
        for index in range(num_passes):
            passes.append({one: self._figures(one) for one in contenders})
            print(f"pass {index + 1} of {num_passes} done", file=sys.stderr, flush=True)
        return passes

    def _figures(self, contender: str | Case) -> Figures:
        """Return what the process of one contender prints."""
        done = subprocess.run(
            self._command(contender),
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, {self._core}),
        )
        if done.returncode:
            raise SystemExit(f"{contender} failed:\n{done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def _command(self, contender: str | Case) -> list[str]:
        seconds = str(self._seconds)
        if contender in PEERS:
            peer = self._script.parent / "peers" / PEERS[str(contender)]
            return [str(self._peer_python), str(peer), seconds]
        described = contender if isinstance(contender, str) else json.dumps(asdict(contender))
        return [
            sys.executable, str(self._script), "--worker", described, "--seconds", seconds,
        ]  # fmt: skip


def as_rows(one: Pass) -> list[dict[str, Any]]:
    """Return a pass as rows, ready for JSON: what a contender is, and its figures."""
    return [
        ({"name": contender} if isinstance(contender, str) else asdict(contender)) | figures
        for contender, figures in one.items()
    ]


def median(passes: Sequence[Pass], figure: Callable[[Pass], float]) -> float:
    """Return the median over passes of a figure, or of a ratio within a pass."""
    return statistics.median(figure(one) for one in passes)
