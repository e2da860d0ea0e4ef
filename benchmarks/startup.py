"""How long a user waits: for the command, for the first gradient step, for each further trial.

The command itself is run, in a folder of its own, on a Ray of its own; what it has done is seen
by the files that it writes. Ray Tune by hand stands beside it. Medians of several passes, in
which all of them take turns.

    python benchmarks/startup.py
    MINARI_DATASETS_PATH=../shared/data/minari python benchmarks/startup.py \
        --dataset mixed/hopper/medium-v0
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
RAYOFF = (sys.executable, "-m", "rayoff.tune")
NUM_SHORT_TRIALS = 20
MARKS = {
    "command and data read": "*/study.json",
    "first trial made": "*/trials/*/config.json",
    "first gradient step taken, read and reported": "*/trials/*/metrics.parquet",
}
"""Files by what is done when the first of them lies in the folder of runs."""

IMPORTS = ("torch", "ray", "ray.tune", "rayoff.tune", "rayoff.search.driver", "rayoff.trial")


@contextmanager
def own_ray() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield a folder and an environment in which commands start a Ray of their own."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # sockets' paths must be short
    apart = {"RAY_TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local"}
    try:
        yield folder, os.environ | apart
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seconds_of(command: tuple[str, ...]) -> float:
    """Return how long a command takes [s]."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def run_study(*settings: str) -> tuple[dict[str, float], list[float]]:
    """Run the quickstart with other settings, as a user does.

    Returns:
        When each mark was reached, and the end; when each trial was done: since the start [s].
    """
    assigned = [part for setting in settings for part in ("--set", setting)]
    marks: dict[str, float] = {}
    with own_ray() as (folder, environment):
        runs = folder / "runs"
        started = time.time()
        with subprocess.Popen(
            [*RAYOFF, "run", "quickstart", "--runs-dir", str(runs), *assigned],
            env=environment,
            stdout=subprocess.DEVNULL,
        ) as process:
            while process.poll() is None:
                for name, pattern in MARKS.items():
                    if name not in marks and any(runs.glob(pattern)):
                        marks[name] = time.time() - started
                time.sleep(0.01)
        if process.returncode:
            raise SystemExit(f"rayoff run ended with exit code {process.returncode}.")
        marks["end of the command"] = time.time() - started
        done = [file.stat().st_mtime - started for file in runs.glob("*/trials/*/done")]
    return marks, sorted(done)


def tune_by_hand(num_trials: int) -> list[float]:
    """Return when trials of Ray Tune took their first step, since the start [s]."""
    with own_ray() as (folder, environment):
        script = str(HERE / "peers" / "ray_tune_by_hand.py")
        finished = subprocess.run(
            [sys.executable, script, str(time.time()), str(num_trials)],
            env=environment | {"HOME": str(folder)},  # Ray Tune keeps its results there
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(finished.stdout.splitlines()[-1])


def per_further_trial(times: list[float]) -> float:
    """Return the seconds between trials that follow each other, of all CPUs together."""
    return (times[-1] - times[0]) / (len(times) - 1)


def measures(datasets: list[str]) -> dict[str, Callable[[], dict[str, float]]]:
    """Return what a pass measures: calls that return seconds by what took them."""

    def command(*arguments: str) -> Callable[[], dict[str, float]]:
        return lambda: {f"rayoff {' '.join(arguments)}": seconds_of((*RAYOFF, *arguments))}

    def imported(module: str) -> Callable[[], dict[str, float]]:
        statement = (sys.executable, "-c", f"import {module}")
        return lambda: {f"import {module}": seconds_of(statement)}

    def first_step(dataset: str) -> dict[str, float]:
        marks, _ = run_study(f"datasets={dataset}", "num_steps=2", "seem.period=1")
        return {f"{dataset}: {name}": seconds for name, seconds in marks.items()}

    def short_trials() -> dict[str, float]:
        fractions = ",".join(str(1 - i / 20) for i in range(NUM_SHORT_TRIALS // 2))
        settings = ("num_steps=2", "seem.period=1", "evaluation.period=0")
        _, done = run_study(f"data.fraction={fractions}", *settings)
        return {"each further trial of 2 steps": per_further_trial(done)}

    def peer() -> dict[str, float]:
        times = tune_by_hand(NUM_SHORT_TRIALS)
        return {
            "Ray Tune by hand: first gradient step": times[0],
            "Ray Tune by hand: each further trial": per_further_trial(times),
        }

    commands = [("--help",), ("list", "studies"), ("list", "datasets"), ("list", "agents")]
    return {
        **{" ".join(arguments): command(*arguments) for arguments in commands},
        **{module: imported(module) for module in IMPORTS},
        **{dataset: (lambda dataset=dataset: first_step(dataset)) for dataset in datasets},
        "short trials": short_trials,
        "peer": peer,
    }


def main() -> None:
    """Parse the command line, measure in passes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--dataset", action="append", default=[], help="beside the built-in one")
    args = parser.parse_args()
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(args.passes):
        for measure in measures(["builtin:hopper-mixed", *args.dataset]).values():
            for name, seconds in measure().items():
                taken[name].append(seconds)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[2]
    print(f"{cores} cores, load of the last 15 minutes {load:.1f}, {args.passes} passes.\n")
    print("| | median [s] | least [s] | most [s] |\n|---|---|---|---|")
    for name, times in taken.items():
        print(f"| {name} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} |")


if __name__ == "__main__":
    main()
