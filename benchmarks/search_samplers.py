"""What Optuna's sampler is worth beside chance: the same search with both, on several seeds.

Runs ``architecture_search`` once for each sampler and seed, goes on with what was interrupted, and
compares the best score of a feasible point after each number of points, and what the winners are
worth on fresh seeds. Six searches of 40 points take some hours on two cores; ``--num-points`` and
``--set`` make them smaller.

    python benchmarks/search_samplers.py --runs-dir runs/samplers
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rayoff.plots import save_figure
from rayoff.results import best_so_far, confirmations, is_over, read_json, read_points
from rayoff.search.run_folder import RunFolder
from rayoff.study import load_study, override

STUDY = "architecture_search"
SAMPLERS = ("tpe", "random")


class Course(NamedTuple):
    """How one search went."""

    sampler: str
    seed: int
    best: NDArray[np.float64]
    """Best score of a feasible point after each point that ended; nan before the first."""
    fresh: float
    """Score of the winner on fresh seeds; nan without a confirmation."""


def main() -> None:
    """Run what is missing, then print the table and draw the curves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num-points", type=int, default=40)
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    given = parser.parse_args()
    budget = f"search.num_points={given.num_points}"
    for seed, sampler in itertools.product(given.seeds, SAMPLERS):
        asked = [f"search.sampler={sampler}", f"search.seed={seed}", budget]
        run(given.runs_dir, [*asked, *given.assignments])
    folders = [path.parent for path in given.runs_dir.glob("*/study.json")]
    courses = [read_course(folder) for folder in folders if is_over(folder)]
    print(table(courses, given.num_points))
    for path in save_figure(curves(courses), given.runs_dir / "samplers"):
        print(path)


def run(runs_dir: Path, assignments: Sequence[str]) -> None:
    """Run the search, or go on with it; one that is finished is left as it is."""
    begun = RunFolder.begun(runs_dir, override(load_study(STUDY), assignments))
    if begun is None:
        options = [option for text in assignments for option in ("--set", text)]
        command = ["run", STUDY, *options, "--runs-dir", str(runs_dir)]
    elif begun.is_complete():
        return
    else:
        command = ["resume", str(begun.path)]
    subprocess.run([sys.executable, "-m", "rayoff.tune", *command], check=True)


def read_course(folder: Path) -> Course:
    """Return how the search of a run folder went."""
    search = read_json(folder / "study.json")["search"]
    points = read_points(folder)
    fresh = confirmations(points)
    best = best_so_far(points)["best"].to_numpy(dtype=float)
    worth = float(fresh["fresh_score"].iloc[-1]) if len(fresh) else float("nan")
    return Course(search["sampler"], search["seed"], best, worth)


def table(courses: Sequence[Course], num_points: int) -> str:
    """Return a row for each search, and one for each sampler's mean."""
    marks = [num_points // 4, num_points // 2, num_points]
    lines = [f"| sampler | seed | {' | '.join(f'best of {m}' for m in marks)} | on fresh seeds |"]
    lines.append("|---" * (3 + len(marks)) + "|")
    for sampler in SAMPLERS:
        own = sorted((one for one in courses if one.sampler == sampler), key=lambda c: c.seed)
        rows = [[*(one.best[min(m, len(one.best)) - 1] for m in marks), one.fresh] for one in own]
        for one, values in zip(own, rows, strict=True):
            lines.append(_row(sampler, str(one.seed), values))
        if rows:
            lines.append(_row(sampler, "mean", np.mean(rows, axis=0).tolist()))
    return "\n".join(lines)


def curves(courses: Sequence[Course]) -> Figure:
    """Return the best score against the points that had ended: of each search, and the mean."""
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.0, 3.4), layout="constrained")
        axes = figure.subplots()
        for sampler, color in zip(SAMPLERS, ("#0072B2", "#777777"), strict=True):
            own = [one.best for one in courses if one.sampler == sampler]
            if not own:
                continue
            length = min(map(len, own))
            for best in own:
                axes.step(np.arange(1, len(best) + 1), best, where="post", color=color, lw=0.7)
            mean = np.mean([best[:length] for best in own], axis=0)
            label = f"{sampler}, mean of {len(own)}"
            axes.step(np.arange(1, length + 1), mean, where="post", color=color, lw=2, label=label)
        axes.set_xlabel("points that have ended")
        axes.set_ylabel("best score of a feasible point")
        axes.legend(frameon=False)
    return figure


def _row(sampler: str, seed: str, values: Sequence[float]) -> str:
    return f"| {sampler} | {seed} | {' | '.join(f'{value:.1f}' for value in values)} |"


if __name__ == "__main__":
    main()
