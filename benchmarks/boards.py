"""How TensorBoard takes a study of 200 runs: what is written, and how soon all of it is there.

The curves are invented; they are written by the callback that writes them while a study trains.

    python benchmarks/boards.py
    python benchmarks/boards.py --keep boards    # then: tensorboard --logdir boards/tensorboard
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rayoff.callbacks import Summaries
from rayoff.study import Axis, PlannedTrial, Study, trials

FRACTIONS = (1.0, 0.3, 0.1, 0.03)
NUM_SEEDS, NUM_REPORTS, PERIOD = 5, 50, 200
BOUND = 586.0
NOISE = tuple(f"{room}/metric_{number}" for room in ("critic", "actor") for number in range(5))
"""Further metrics, as many as agents report."""


def make_study() -> list[PlannedTrial]:
    """Return the trials of 10 arms at 4 fractions, each of 5 seeds."""
    study = Study(
        name="boards",
        base="td3",
        axes=[
            Axis("critic.norm", ["none", "layer", "batch", "spectral", "weight"]),
            Axis("critic.width", [256, 64]),
            Axis("data.fraction", list(FRACTIONS)),
        ],
        datasets=["builtin:hopper-mixed"],
        seeds=range(NUM_SEEDS),
        baseline={"critic.norm": "none", "critic.width": 256},
    )
    return trials(study)


def reports_of(trial: PlannedTrial, rng: np.random.Generator) -> list[list[dict[str, Any]]]:
    """Return the rows of a trial, report by report: plain critics blow up on little data."""
    calm = {"none": 0.0, "weight": 0.4}.get(trial.config.critic.norm, 1.0)
    best = 70 * calm * trial.fraction**0.3 * (1.0 if trial.config.critic.width == 256 else 0.8)
    powers = rng.normal(3.0 * (1 - calm) * (1 - 0.3 * trial.fraction), 0.1, NUM_SEEDS).clip(0)
    lost: set[int] = set()
    reports = []
    for number in range(1, NUM_REPORTS + 1):
        score = best * (1 - np.exp(-4 * number / NUM_REPORTS))
        rows = [
            make_row(seed, number, score, number ** powers[seed], calm, rng)
            for seed in range(NUM_SEEDS)
            if seed not in lost
        ]
        lost |= {row["seed"] for row in rows if row["status"] == "diverged"}
        if rows:
            reports.append(rows)
    return reports


def make_row(
    seed: int, number: int, score: float, growth: float, calm: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Return what a run reports, with noise; one far above the bound is given up."""
    q_abs = 20 * growth * float(np.exp(rng.normal(0, 0.05)))
    diverged = q_abs > 20 * BOUND
    seen = max(0.0, score + rng.normal(0, 3))
    return {
        "seed": seed,
        "step": PERIOD * number,
        "status": "diverged" if diverged else "training",
        "stop_step": PERIOD * number if diverged else None,
        "reason": "critic self-excites" if diverged else None,
        "eval/score": seen,
        "eval/return": 32.5 * seen,
        "critic/q_abs": q_abs,
        "critic/q_bound": BOUND,
        "seem/row_normalized": 0.25 * (1 - calm) + rng.normal(0, 0.02),
        **dict(zip(NOISE, rng.normal(size=len(NOISE)), strict=True)),
    }


def write(folder: Path, planned: list[PlannedTrial]) -> float:
    """Write all event files and return how long it took [s]."""
    told = [reports_of(trial, np.random.default_rng(i)) for i, trial in enumerate(planned)]
    floors = {"eval/score": 0.0, "eval/return": -20.0}
    started = time.perf_counter()
    callback = Summaries(folder, planned)
    callback.setup()
    for trial, reports in zip(planned, told, strict=True):
        about: dict[str, Any] = {
            "iteration": 0,
            "trials": [],
            "trial": SimpleNamespace(config={"trial": trial.trial_id}),
        }
        callback.on_trial_start(**about)
        for rows in reports:
            result = {"rows": rows, "num_runs": NUM_SEEDS, "floors": floors}
            callback.on_trial_result(**about, result=result)
        callback.on_trial_complete(**about)
    callback.on_experiment_end([])
    return time.perf_counter() - started


def seconds_to_load(folder: Path, num_runs: int) -> float:
    """Return how long TensorBoard takes from its start until it shows so many runs [s]."""
    options = ["--host", "127.0.0.1", "--port", "0"]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), *options]
    started = time.perf_counter()
    server = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stderr is not None
        found = None
        while found is None:  # it says where it is, or ends with an error
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        shown = 0
        while shown < num_runs:
            time.sleep(0.1)
            with urllib.request.urlopen(f"{found[0]}/data/plugin/scalars/tags") as reply:
                shown = len(json.load(reply))
        return time.perf_counter() - started
    finally:
        server.terminate()
        server.communicate()


def main() -> None:
    """Write the study and have TensorBoard load it, with and without the single runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="write it here, and leave it there")
    arguments = parser.parse_args()
    planned = make_study()
    num_arms = len({trial.arm for trial in planned})
    num_all = num_arms + len(planned) * (1 + NUM_SEEDS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        seconds = write(folder, planned)
        num_bytes = sum(file.stat().st_size for file in folder.rglob("events.*"))
        print(
            f"{len(planned) * NUM_SEEDS} runs of {len(planned)} trials, {NUM_REPORTS} reports "
            f"each: {num_bytes / 2**20:.1f} MiB written in {seconds:.1f} s, "
            f"{1000 * seconds / (len(planned) * NUM_REPORTS):.1f} ms a report"
        )
        for place, num_runs in ((folder / "tensorboard", num_arms), (folder, num_all)):
            print(
                f"{num_runs} lines shown {seconds_to_load(place, num_runs):.1f} s after the start"
            )


if __name__ == "__main__":
    main()
