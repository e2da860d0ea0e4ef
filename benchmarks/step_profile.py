"""Where the time of a replayed training step goes, call by call, on one pinned core.

python benchmarks/step_profile.py --agent bc --width 64 --seeds 1
"""

import argparse
import os
from typing import get_args

from speed.cases import Case
from speed.profiling import profile_step, profile_table

from rayoff.agents import AGENTS
from rayoff.config import Norm, Precision


def main() -> None:
    """Profile a step and print the table in Markdown."""
    arguments = _parse()
    os.sched_setaffinity(0, {arguments.core})
    case = Case(
        algorithm=arguments.agent,
        num_seeds=arguments.seeds,
        width=arguments.width,
        norm=arguments.norm,
        precision=arguments.precision,
    )
    print(f"{case.algorithm}, {case.network}, {case.seeds_in_words}:\n")
    print(profile_table(profile_step(case)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agent", choices=list(AGENTS), default="td3_bc")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--norm", choices=get_args(Norm), default="none")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
