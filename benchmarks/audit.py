"""The audit of the stopper: every rule judged on runs that were trained to their end.

    MINARI_DATASETS_PATH=../shared/data/minari python benchmarks/audit.py collect --folder corpus
    python benchmarks/audit.py judge

``collect`` trains the corpus on all cores, goes on where it was ended, and writes audit.parquet.
``judge`` needs that file alone: it chooses the thresholds of every rule on one environment, judges
them on the other, and writes the section of RESULTS.md, its figures into ``figures`` beside it.
"""

import argparse
import os
import sys
from pathlib import Path

import matplotlib
from stopping.collection import collect, merge
from stopping.report import examine
from stopping.runs import load_runs

from rayoff.plots.style import FIGURE_STYLE

FOLDER = Path(__file__).parent
HEADING = "## The audit of the stopper"


def write_section(text: str, page: Path) -> None:
    """Replace the audit's section of RESULTS.md, or add it."""
    before, _, rest = page.read_text(encoding="utf-8").partition(HEADING)
    _, next_heading, after = rest.partition("\n## ")
    section = f"{HEADING}\n\n{text}\n"
    page.write_text(f"{before.rstrip()}\n\n{section}{next_heading}{after}", encoding="utf-8")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["collect", "judge"])
    parser.add_argument("--folder", type=Path, default=Path("audit"), help="of the trials' files")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--corpus", type=Path, default=FOLDER / "audit.parquet")
    parser.add_argument("--results", type=Path, default=FOLDER / "RESULTS.md")
    arguments = parser.parse_args()
    if arguments.command == "collect":
        collect(arguments.folder, arguments.workers)
        merge(arguments.folder, arguments.corpus)
        return
    with matplotlib.rc_context(FIGURE_STYLE):  # axes take the style when they are made
        text, figures = examine(load_runs(arguments.corpus))
        folder = arguments.results.parent / "figures"
        folder.mkdir(exist_ok=True)
        for name, figure in figures.items():
            path = folder / f"audit-{name}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None})
    write_section(text, arguments.results)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
