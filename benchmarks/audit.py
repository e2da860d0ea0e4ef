"""The audit of the stopper: every rule judged on runs that were trained to their end.

    MINARI_DATASETS_PATH=../shared/data/minari python benchmarks/audit.py collect --folder corpus

``collect`` trains the corpus (300 runs on real data, 136 on the toy maze) and goes on where it
was ended.
"""

import argparse
import os
from pathlib import Path

from stopping.collection import collect, merge


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["collect", "merge"])
    parser.add_argument("--folder", type=Path, default=Path("audit"), help="of the parts")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--readings", type=Path, default=Path(__file__).parent / "audit.parquet")
    arguments = parser.parse_args()
    if arguments.command == "collect":
        collect(arguments.folder, arguments.workers)
    merge(arguments.folder, arguments.readings)


if __name__ == "__main__":
    main()
