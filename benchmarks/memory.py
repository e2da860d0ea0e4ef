"""What processes take that train td3_bc on the built-in data, beside the plan's estimate.

Each trial runs in a process of its own, for as many steps as record and replay both kinds of step
and one reading of SEEM.

    python benchmarks/memory.py
"""

import argparse
import resource
import subprocess
import sys
from dataclasses import replace

from rayoff.config import ActorConfig, CriticConfig, EvaluationConfig, SeemConfig, TrialConfig

CASES = [
    *[(num_seeds, width, 256, "none") for width in (256, 1024) for num_seeds in (1, 8, 32)],
    (8, 256, 256, "batch_joint"),
    (8, 256, 1024, "none"),
]
"""Stacked seeds, width of all networks, rows of the probe, and the critics' norm."""


def make_config(num_seeds: int, width: int, num_rows: int, norm: str) -> TrialConfig:
    """Return the trial of one case."""
    plain = TrialConfig()
    return replace(
        plain,
        actor=ActorConfig(width=width),
        critic=replace(CriticConfig(width=width), norm=norm),
        seem=SeemConfig(period=8, num_rows=num_rows),
        evaluation=EvaluationConfig(period=0),
        num_steps=8,
        seeds=tuple(range(num_seeds)),
    )


def train(config: TrialConfig) -> None:
    """Train a trial with what a process of a study has loaded, and print its peak [byte]."""
    import torch

    from rayoff.data import load_table
    from rayoff.search import trainable  # noqa: F401 - loads Ray
    from rayoff.trial import Trial

    torch.set_num_threads(1)
    trial = Trial(config, load_table(config.data.source))
    while not trial.done:
        trial.advance()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def estimate(config: TrialConfig) -> int:
    """Return what the plan says that a trial takes [byte]."""
    from rayoff.data import load_table
    from rayoff.search.demand import measure_demand
    from rayoff.study import PlannedTrial

    source = config.data.source
    planned = PlannedTrial("one", "one", source, config.data.fraction, config)
    return measure_demand([planned], {source: load_table(source)}).on_host(on_gpu=False)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    case = parser.parse_args().case
    if case is not None:
        train(make_config(*CASES[case]))
        return
    print("| seeds | width | probe rows | norm | estimated | measured | ratio |")
    print("|---|---|---|---|---|---|---|")
    for index, values in enumerate(CASES):
        command = [sys.executable, __file__, "--case", str(index)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        told, found = estimate(make_config(*values)) / 2**20, int(done.stdout) / 2**20
        columns = [*map(str, values), f"{told:,.0f} MiB", f"{found:,.0f} MiB"]
        print(f"| {' | '.join(columns)} | {told / found:.2f} |", flush=True)


if __name__ == "__main__":
    main()
