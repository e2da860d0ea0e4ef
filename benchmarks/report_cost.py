"""What a report of a large study costs: time, and size of its page.

The study is invented: 200 trials of 5 seeds, once as a factorial of 10 arms on four datasets at
five fractions, once as 200 arms of one dataset.

    PYTHONPATH=tests python benchmarks/report_cost.py
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from synthetic_results import make_run_folder

from rayoff.report import write_report

NORMS = ("none", "layer", "weight", "batch", "spectral", "rms", "group", "batch_joint")
STUDIES: dict[str, dict[str, Any]] = {
    "10 arms x 4 datasets x 5 fractions": {
        "norms": NORMS[:5],
        "widths": (256, 64),
        "datasets": ("hopper", "ant", "walker2d", "halfcheetah"),
        "fractions": (1.0, 0.3, 0.1, 0.03, 0.01),
    },
    "200 arms": {"norms": NORMS, "widths": tuple(range(16, 416, 16)), "fractions": (0.1,)},
}


def measure(options: dict[str, Any], num_seeds: int) -> tuple[int, float, float, float]:
    """Return trials, wall time [s] and processor time [s] of a report, and its size [MB]."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_run_folder(Path(folder) / "study", seeds=range(num_seeds), **options)
        num_trials = len(list((path / "trials").iterdir()))
        started, worked = time.perf_counter(), time.process_time()
        page = write_report(path)
        seconds, work = time.perf_counter() - started, time.process_time() - worked
        return num_trials, seconds, work, page.stat().st_size / 1e6


def main() -> None:
    """Print time and size for each study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="of each trial")
    given = parser.parse_args()
    print(
        "| study | trials | wall time [s] | processor time [s] | page [MB] |\n" + "|---" * 5 + "|"
    )
    for name, options in STUDIES.items():
        num_trials, seconds, work, size = measure(options, given.seeds)
        print(
            f"| {name} | {num_trials} x {given.seeds} | {seconds:.1f} | {work:.1f} | {size:.2f} |"
        )


if __name__ == "__main__":
    main()
