"""What it brings to evaluate in other processes, and to train on meanwhile.

Wall times of a trial of which evaluation is a large part: narrow policies without a critic. They
mean something on a machine with nothing else to do.

    python benchmarks/evaluation_placement.py
"""

import argparse
import os
import statistics
import time

import torch

from rayoff.config import AGENT_CONFIGS, ActorConfig, DataConfig, EvaluationConfig, TrialConfig
from rayoff.data import load_table
from rayoff.trial import Trial

PLACEMENTS = {
    "one core, by the trial": (1, 0, False),
    "one core, overlapped with a process": (1, 1, True),
    "two cores, by the trial": (2, 0, False),
    "two cores, by two processes": (2, 2, False),
    "two cores, overlapped with a process": (2, 1, True),
}
"""How a trial evaluates: cores, processes, and whether training goes on meanwhile."""


def trial_seconds(
    config: TrialConfig, num_cores: int, num_workers: int, *, overlap: bool
) -> float:
    """Return the wall time of a trial from its first step to its last row [s]."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:num_cores])  # processes that are started inherit it
    try:
        table = load_table(config.data.source)
        trial = Trial(config, table, num_workers=num_workers, overlap=overlap)
        started = time.perf_counter()
        while not trial.done:
            trial.advance()
        return time.perf_counter() - started
    finally:
        os.sched_setaffinity(0, cores)


def make_config(source: str) -> TrialConfig:
    """Return a trial of 8 runs with 4 evaluations."""
    return TrialConfig(
        algorithm="bc",
        agent=AGENT_CONFIGS["bc"](),
        data=DataConfig(source=source),
        actor=ActorConfig(width=64),
        evaluation=EvaluationConfig(period=1000),
        num_steps=4000,
        seeds=tuple(range(8)),
    )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="builtin:hopper-mixed")
    parser.add_argument("--passes", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = make_config(args.source)
    passes = [
        [trial_seconds(config, *where, overlap=overlap) for *where, overlap in PLACEMENTS.values()]
        for _ in range(args.passes)
    ]
    print("| evaluation | trial [s] |\n|---|---|")
    for name, seconds in zip(PLACEMENTS, zip(*passes, strict=True), strict=True):
        print(f"| {name} | {statistics.median(seconds):.1f} |")


if __name__ == "__main__":
    main()
