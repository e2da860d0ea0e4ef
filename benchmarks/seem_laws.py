"""Measure SEEM's laws, R1 to R12, and write their table into RESULTS.md, their figures beside it.

All is measured on rayoff's own critics, readings, forecasts, agents and stopper. The exit code
is 1 where a law fails. R11 trains for 120,000 steps, a quarter of an hour on one core; the others
take two minutes together.

    python benchmarks/seem_laws.py
    python benchmarks/seem_laws.py --laws R1 R3 R9    # only these; the others keep their lines
"""

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from laws import adam, crash, kernels, layer_norm, one_step, pendulum, rewards, transition
from laws.checks import Check, Finding, table_head, table_line
from matplotlib.figure import Figure

from rayoff.plots.style import FIGURE_STYLE

FOLDER = Path(__file__).parent
HEADING = "## SEEM's laws"
EXPERIMENTS: dict[tuple[str, ...], Callable[[], Finding]] = {
    ("R1", "R3", "R9"): crash.examine,
    ("R2",): one_step.examine,
    ("R4",): adam.examine,
    ("R5", "R6", "R10"): kernels.examine,
    ("R7",): layer_norm.examine,
    ("R8",): transition.examine,
    ("R11",): pendulum.examine,
    ("R12",): rewards.examine,
}
LAWS = [f"R{number}" for number in range(1, 13)]
FIGURES = {
    "laws-crash": "R1, R3: 1/Q over steps and its lines' crash; the crash foretold early",
    "laws-layer-norm": "R7: |Q| and SEEM over training without and with LayerNorm, 5 seeds each",
    "laws-kernel": "R6: the kernel along a ray, without and with LayerNorm",
    "laws-discount": "R8: share of diverged runs, and SEEM of every run, over the discount",
}
ABOUT = """\
Expected is what an independent reproduction of the authors' code gave, with the tolerance that it
was written down with. R1 to R4 and R7 to R9 are of the toy maze without rewards, whose true Q is
zero. R11 trains TD3 (2 x 256, Adam, discount 0.99) for 20,000 steps on 10 episodes of 200 steps
of Pendulum-v1 under uniform random torques, rewards mapped to [0, 1], with readings of 256 rows
every 500 steps; the reproduction had a pendulum set of its own, of the same size.
"""


def measure(laws: Sequence[str]) -> Finding:
    """Return the checks of these laws and the figures of the experiments behind them."""
    checks: list[Check] = []
    figures: dict[str, Figure] = {}
    for covered, examine in EXPERIMENTS.items():
        if not set(covered) & set(laws):
            continue
        started = time.perf_counter()
        found = examine()
        checks += [check for check in found.checks if check.law in laws]
        figures |= found.figures
        seconds = time.perf_counter() - started
        print(f"{', '.join(covered)}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return Finding(sorted(checks, key=lambda check: LAWS.index(check.law)), figures)


def write_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Write each figure as SVG into a folder, which is made if need be."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def write_section(checks: Sequence[Check], path: Path) -> None:
    """Put the lines of these checks into the section of RESULTS.md, which is made if need be."""
    page = path.read_text(encoding="utf-8")
    before, heading, rest = page.partition(f"{HEADING}\n")
    section, next_heading, after = rest.partition("\n## ")
    measured = {check.law for check in checks}
    lines = {law: re.findall(rf"^\| {law} \|.*$", section, re.MULTILINE) for law in LAWS}
    for law in measured:
        lines[law] = [table_line(check) for check in checks if check.law == law]
    table = "\n".join([table_head(), *(line for law in LAWS for line in lines[law])])
    images = "\n\n".join(f"![{text}](figures/{name}.svg)" for name, text in FIGURES.items())
    command = "```sh\npython benchmarks/seem_laws.py\n```"
    section = f"\n{command}\n\n{hardware()}\n\n{ABOUT}\n{table}\n\n{images}\n"
    before = before if heading else f"{before}\n"
    path.write_text(f"{before}{HEADING}\n{section}{next_heading}{after}", encoding="utf-8")


def hardware() -> str:
    """Return what the laws were measured on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = model[1] if model else platform.processor()
    return f"One core of {name}, torch {torch.__version__}, no GPU."


def main() -> int:
    """Parse the command line, measure, print and write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=LAWS)
    parser.add_argument("--results", type=Path, default=FOLDER / "RESULTS.md")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with matplotlib.rc_context(FIGURE_STYLE):  # axes take the style when they are made
        checks, figures = measure(args.laws)
        write_figures(figures, args.results.parent / "figures")
    print("\n".join([table_head(), *map(table_line, checks)]))
    write_section(checks, args.results)
    return int(not all(check.holds for check in checks))


if __name__ == "__main__":
    sys.exit(main())
