"""Everything that is asked of a GPU, measured in one command; no Ray, simulator or data file.

Speed and memory of every agent by the number of stacked seeds, replayed from a CUDA graph, beside
an eager loop; how far the loss curves of captured steps are from eager ones; the cost of a
reading of SEEM; a verdict on each bar. Passes over the cases are interleaved in one process,
figures are medians.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py --device cpu --smoke    # every line, in small, where there is no GPU
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from speed.bars import Bar, bars_table
from speed.cases import BATCH_SIZE, Case
from speed.passes import as_rows, median
from speed.survey import SMOKE, Sizes, Survey, survey
from speed.tables import agents_table

from rayoff.provenance import gather

ROUNDINGS = 10
"""How much further captured curves may be from eager ones than a rounding leads."""


def main() -> None:
    """Measure, and print the tables and the verdicts in Markdown."""
    arguments = _parse()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "gpu.py needs a GPU that torch can use but found none. Try --device cpu --smoke."
        )
    sizes = SMOKE if arguments.smoke else Sizes()
    provenance = gather()
    print(describe(provenance))
    found = survey(sizes, device, arguments.seconds, arguments.passes)
    judged = device == "cuda" and not arguments.smoke
    print(as_markdown(found, bars(found, sizes, device), judged=judged))
    if arguments.json:
        values = {"provenance": provenance, "sizes": asdict(sizes)} | as_json(found)
        arguments.json.write_text(json.dumps(values, indent=1) + "\n")


def bars(found: Survey, sizes: Sizes, device: str) -> list[Bar]:
    """Return every bar with its figure."""
    return [
        *speed_bars(found, sizes, device),
        *loss_curve_bars(found, sizes),
        *seem_bars(found, sizes),
    ]


def speed_bars(found: Survey, sizes: Sizes, device: str) -> list[Bar]:
    """Return what is asked of the speed of td3_bc, alone, stacked and beside an eager loop."""
    loop = Case(width=sizes.width, device=device, eager=True)
    single = Case(width=sizes.width, device=device)
    stacked = Case(width=sizes.width, device=device, num_seeds=sizes.num_stacked)

    def rate(case: Case) -> float:
        return median(found.passes, lambda one: one[case]["steps_per_second"])

    def over_loop(case: Case) -> float:
        return median(
            found.passes,
            lambda one: one[case]["steps_per_second"] / one[loop]["steps_per_second"],
        )

    many = stacked.seeds_in_words
    return [
        Bar("td3_bc, 1 seed", rate(single), 4000, "steps/s"),
        Bar(f"td3_bc, {many}", rate(stacked), 50_000, "run-steps/s"),
        Bar("td3_bc, 1 seed, over the eager loop", over_loop(single), 1, "times"),
        Bar(f"td3_bc, {many}, over the eager loop", over_loop(stacked), 1, "times"),
    ]


def loss_curve_bars(found: Survey, sizes: Sizes) -> list[Bar]:
    """Return how far the losses of captured steps may be from eager ones, agent by agent."""
    return [
        Bar(
            f"{algorithm}, losses of {sizes.num_steps} captured steps off eager ones",
            one.replayed,
            ROUNDINGS * one.rounding,
            "of their size",
            at_most=True,
        )
        for algorithm, one in found.agreements.items()
    ]


def seem_bars(found: Survey, sizes: Sizes) -> list[Bar]:
    """Return how long a reading of SEEM may take."""
    return [
        Bar(
            f"SEEM of {sizes.num_stacked} {name} runs at {sizes.num_rows} rows",
            milliseconds,
            50,
            "ms",
            at_most=True,
        )
        for name, milliseconds in found.seem_milliseconds.items()
    ]


def as_markdown(found: Survey, judgement: list[Bar], *, judged: bool) -> str:
    """Return limits, the table of cases, the verdicts and what was not replayed."""
    limits = (name for name in found.passes[0] if isinstance(name, str))
    rates = (
        f"{name.split(':')[-1]} "
        f"{median(found.passes, lambda one, name=name: one[name]['gflop_per_second']) / 1e3:.2f}"
        for name in limits
    )
    first = found.passes[0]
    operations = {
        case.algorithm: first[case]["num_operations"]
        for case in found.cases
        if case.precision == "float32"  # bfloat16 takes more, to convert
    }
    obstacles = [
        f"\nNot replayed: {case.algorithm}, {case.network}, {case.seeds_in_words}: {obstacle}."
        for case in found.cases
        if (obstacle := first[case]["obstacle"]) is not None
    ]
    return "\n".join(
        [
            f"Rates of a plain product [TFLOP/s]: {', '.join(rates)}. Batch {BATCH_SIZE}; medians "
            f"of {len(found.passes)} passes.\n",
            agents_table(found.passes, found.cases),
            *obstacles,
            "\nOperations of a step, about as many kernels on a GPU: "
            + ", ".join(f"{name} {number:.0f}" for name, number in operations.items())
            + ".\n",
            bars_table(judgement, judged=judged),
            f"\nLosses may differ by {ROUNDINGS} times what a rounding of the initial weights "
            "makes of them.",
        ]
    )


def describe(provenance: Mapping[str, Any]) -> str:
    """Return hardware, driver, versions and commit."""
    gpus = [
        f"{one['name']}, {one['memory']}, driver {one['driver']}" for one in provenance["gpus"]
    ]
    git = provenance["git"] or {}
    changed = " with changes" if git.get("diff") else ""
    return (
        f"{'; '.join(gpus) or 'No GPU'}; {provenance['cpu']['model']}, "
        f"{provenance['cpu']['usable']} cores.\n"
        f"torch {provenance['packages']['torch']}, CUDA {torch.version.cuda}, "
        f"Python {provenance['python']}, commit {git.get('commit')}{changed}.\n"
    )


def as_json(found: Survey) -> dict[str, Any]:
    """Return the measurements, ready for JSON."""
    return {
        "passes": [as_rows(one) for one in found.passes],
        "agreements": {name: one._asdict() for name, one in found.agreements.items()},
        "seem_milliseconds": found.seem_milliseconds,
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, which are not judged")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure of every pass")
    return parser.parse_args()


if __name__ == "__main__":
    main()
