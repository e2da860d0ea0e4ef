"""Training speed on one pinned core: every agent, and td3_bc beside d3rlpy and JAX.

The work of a step is counted from the matrix products that it makes, and held against the rate of
a plain product in the same pass. Passes are interleaved, each contender in a fresh process:
figures are medians over passes, and ratios are taken within a pass.

    python benchmarks/throughput.py --peer-python .venv-peers/bin/python
    python benchmarks/throughput.py --tables agents --agents td3_bc --widths 64 256 1024
    python benchmarks/throughput.py --tables agents --devices cuda --seeds 1 8 64 256
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import get_args

from speed.cases import Case
from speed.passes import PEERS, Passes, as_rows, measure_contender
from speed.tables import PEER_TABLE_CASES, agents_table, peers_table

from rayoff.agents import AGENTS
from rayoff.config import Norm, Precision
from rayoff.provenance import gather

TABLES = ("agents", "peers")


def main() -> None:
    """Run the passes and print the tables in Markdown."""
    arguments = _parse()
    if arguments.worker:
        print(json.dumps(measure_contender(arguments.worker, arguments.seconds)))
        return
    cases = chosen_cases(arguments) if "agents" in arguments.tables else []
    contenders = list(dict.fromkeys([*cases, *_beside_peers(arguments)]))
    limits = dict.fromkeys(one.limit for one in contenders if isinstance(one, Case))
    run = Passes(Path(__file__), arguments.seconds, arguments.core, arguments.peer_python).run
    passes = run([*limits, *contenders], arguments.passes)
    if "agents" in arguments.tables:
        print(agents_table(passes, cases))
    if "peers" in arguments.tables:
        print(peers_table(passes))
    if arguments.json:
        values = {"provenance": gather(), "passes": [as_rows(one) for one in passes]}
        arguments.json.write_text(json.dumps(values, indent=1) + "\n")


def chosen_cases(arguments: argparse.Namespace) -> list[Case]:
    """Return the cases of the table of agents, those of an agent together."""
    return [
        Case(
            algorithm=algorithm,
            num_seeds=num_seeds,
            width=width,
            norm=norm,
            precision=precision,
            device=device,
        )
        for algorithm, device, precision, norm, width, num_seeds in product(
            arguments.agents,
            arguments.devices,
            arguments.precisions,
            arguments.norms,
            arguments.widths,
            arguments.seeds,
        )
    ]


def _beside_peers(arguments: argparse.Namespace) -> list[str | Case]:
    """Return the contenders of the table of peers."""
    if "peers" not in arguments.tables:
        return []
    peers = PEERS if arguments.peer_python else ()
    return ["products", *PEER_TABLE_CASES, *peers]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--agents", nargs="+", choices=list(AGENTS), default=list(AGENTS))
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--norms", nargs="+", choices=get_args(Norm), default=["none"])
    parser.add_argument(
        "--precisions", nargs="+", choices=get_args(Precision), default=["float32"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 8], help="stacked seeds")
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), default=["cpu"])
    parser.add_argument("--peer-python", type=Path, help="interpreter that has d3rlpy and jax")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure of every pass")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
