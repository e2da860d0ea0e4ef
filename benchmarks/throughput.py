"""Training speed of td3_bc on one pinned core, beside d3rlpy, JAX and the core's own limit.

Shapes: 2 x 256 networks, batch 256, 11-d states, 3-d actions; a step is about 407 MFLOP. Narrow
networks are 2 x 64, with about 29 MFLOP.
Passes are interleaved, so that a drift of the core's speed meets every contender; figures are
medians over passes, and ratios are taken within a pass. Seconds are those of the process on its
core: what else runs there costs no one's figure but by the caches it fills.

    python benchmarks/throughput.py --peer-python .venv-peers/bin/python
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MFLOP_PER_STEP, MFLOP_PER_NARROW_STEP = 407, 29
PEERS = {"d3rlpy": "d3rlpy_td3_bc.py", "jax": "jax_td3_bc.py"}


def time_calls(call: Callable[[], object], seconds: float, num_warmup: int = 20) -> float:
    """Return calls per second of CPU over at least ``seconds`` [s]."""
    for _ in range(num_warmup):
        call()
    count, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        call()
        count += 1
    return count / (time.process_time() - started)


def measure_ours(
    num_seeds: int, seconds: float, *, width: int = 256, eager: bool = False
) -> float:
    """Return run-steps per second of a stacked td3_bc, sampling included."""
    import numpy as np
    import torch

    from rayoff.agents import make_agent
    from rayoff.config import ActorConfig, CriticConfig, TD3BCConfig, TrialConfig
    from rayoff.data import Transitions
    from rayoff.draws import Draws
    from rayoff.networks import enable_fast_products, keep_freed_memory
    from rayoff.trial.replay import Replay, make_draws
    from rayoff.trial.sampling import Sampler

    torch.set_num_threads(1)
    enable_fast_products()
    keep_freed_memory()
    rng = np.random.default_rng(0)
    num_rows = 10_000
    widths = {"observations": 11, "actions": 3, "next_observations": 11, "next_actions": 3}
    columns = {
        name: torch.from_numpy(rng.uniform(-1, 1, (num_rows, width)).astype(np.float32))
        for name, width in widths.items()
    }
    columns["rewards"] = torch.from_numpy(rng.standard_normal(num_rows, dtype=np.float32))
    columns["terminations"] = (torch.arange(num_rows) % 500 == 499).float()
    sampler = Sampler(Transitions(**columns), batch_size=256)
    seeds = torch.arange(num_seeds)
    config = TrialConfig(
        algorithm="td3_bc",
        agent=TD3BCConfig(),
        actor=ActorConfig(width=width),
        critic=CriticConfig(width=width),
    )
    start = torch.zeros((), dtype=torch.int64)
    agent = make_agent(config, 11, 3, Draws(seeds, start))
    replay = Replay(agent, sampler, make_draws(seeds, start.clone()), eager=eager)
    num_steps = 20  # far fewer than lie between two probes of a study
    return num_seeds * num_steps * time_calls(lambda: replay.advance(num_steps), seconds, 2)


def measure_limit(seconds: float) -> float:
    """Return the best float32 rate of a 256-cubed product on this core [GFLOP/s]."""
    import torch

    from rayoff.networks import enable_fast_products

    torch.set_num_threads(1)
    enable_fast_products()
    a, b = torch.randn(256, 256), torch.randn(256, 256)
    out = torch.empty(256, 256)
    return 2 * 256**3 * time_calls(lambda: torch.mm(a, b, out=out), seconds, 100) / 1e9


def measure_products(seconds: float) -> float:
    """Return steps per second of the matrix products of a td3_bc step and nothing else."""
    import torch

    from rayoff.networks import enable_fast_products

    torch.set_num_threads(1)
    enable_fast_products()
    x, hidden = torch.randn(2, 256, 14), torch.randn(2, 256, 256)
    first, second, bias = torch.randn(2, 14, 256), torch.randn(2, 256, 256), torch.randn(2, 1, 256)

    def forward(networks: slice) -> None:
        torch.baddbmm(bias[networks], x[networks], first[networks])
        torch.baddbmm(bias[networks], hidden[networks], second[networks])

    def backward(networks: slice, *, weights: bool = True) -> None:
        torch.bmm(hidden[networks], second[networks].mT)
        if weights:
            torch.bmm(hidden[networks].mT, hidden[networks])
            torch.bmm(x[networks].mT, hidden[networks])
        else:  # down to the actions
            torch.bmm(hidden[networks], first[networks].mT)

    one, both = slice(1), slice(2)

    def two_steps() -> None:
        for _ in range(2):  # target actor, target critics, critics
            forward(one)
            forward(both)
            forward(both)
            backward(both)
        forward(one)  # actor, and the first critic under it
        forward(one)
        backward(one, weights=False)
        backward(one)

    return 2 * time_calls(two_steps, seconds)


CONTENDERS: dict[str, Callable[[float], float]] = {
    "limit": measure_limit,
    "products": measure_products,
    "ours_1": lambda seconds: measure_ours(1, seconds),
    "ours_8": lambda seconds: measure_ours(8, seconds),
    "eager_1": lambda seconds: measure_ours(1, seconds, eager=True),
    "eager_8": lambda seconds: measure_ours(8, seconds, eager=True),
    "narrow_1": lambda seconds: measure_ours(1, seconds, width=64),
    "narrow_8": lambda seconds: measure_ours(8, seconds, width=64),
    "narrow_eager_1": lambda seconds: measure_ours(1, seconds, width=64, eager=True),
    "narrow_eager_8": lambda seconds: measure_ours(8, seconds, width=64, eager=True),
}


def run_contender(name: str, seconds: float, peer_python: Path | None, core: int) -> float:
    """Return the figure of one contender, measured in a fresh process on one core."""
    if name in PEERS:
        peer = Path(__file__).parent / "peers" / PEERS[name]
        command = [str(peer_python), str(peer), str(seconds)]
    else:
        command = [sys.executable, __file__, "--worker", name, "--seconds", str(seconds)]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1])["steps_per_second"])


def main() -> None:
    """Run the passes and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", type=Path, help="interpreter that has d3rlpy and jax")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--worker", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        figure = CONTENDERS[arguments.worker](arguments.seconds)
        print(json.dumps({"steps_per_second": figure}))
        return
    names = [*CONTENDERS, *(PEERS if arguments.peer_python else [])]
    passes = []
    for index in range(arguments.passes):
        figures = {
            name: run_contender(name, arguments.seconds, arguments.peer_python, arguments.core)
            for name in names
        }
        passes.append(figures)
        print(f"pass {index + 1}: {figures}", file=sys.stderr, flush=True)
    print_table(passes)


def print_table(passes: list[dict[str, float]]) -> None:
    """Print medians and the medians of ratios within a pass."""

    def median(figure: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(figure(p) for p in passes)

    print(f"| contender | median of {len(passes)} passes |\n|---|---|")
    print(f"| 256 x 256 x 256 product | {median(lambda p: p['limit']):.0f} GFLOP/s |")
    rows = {
        "products": "the products of a step alone",
        "ours_1": "rayoff, 1 seed",
        "ours_8": "rayoff, 8 stacked seeds",
        "eager_1": "rayoff, 1 seed, eager",
        "eager_8": "rayoff, 8 stacked seeds, eager",
        "d3rlpy": "d3rlpy",
        "jax": "JAX, compiled",
        "narrow_1": "rayoff, 1 seed, 2 x 64",
        "narrow_8": "rayoff, 8 stacked seeds, 2 x 64",
        "narrow_eager_1": "rayoff, 1 seed, 2 x 64, eager",
        "narrow_eager_8": "rayoff, 8 stacked seeds, 2 x 64, eager",
    }
    for name, label in rows.items():
        if name not in passes[0]:
            continue
        rate = median(lambda p, name=name: p[name])
        narrow = name.startswith("narrow")
        mflop = MFLOP_PER_NARROW_STEP if narrow else MFLOP_PER_STEP
        share = median(lambda p, name=name, mflop=mflop: p[name] * mflop / 1e3 / p["limit"])
        print(f"| {label} | {rate:.0f} run-steps/s, {share:.0%} of the product's rate |")
    for kind in ("", "narrow_"):
        suffix = ", 2 x 64" if kind else ""
        for num_seeds in (1, 8):
            ours, eager = f"{kind}{'' if kind else 'ours_'}{num_seeds}", f"{kind}eager_{num_seeds}"
            ratio = median(lambda p, ours=ours, eager=eager: p[ours] / p[eager])
            seeds = "1 seed" if num_seeds == 1 else f"{num_seeds} seeds"
            print(f"| replayed over eager, {seeds}{suffix} | {ratio:.2f} |")
    print(f"| 8 seeds over 1, per seed | {median(lambda p: p['ours_8'] / p['ours_1']):.2f} |")
    for peer in PEERS:
        if peer in passes[0]:
            ratio = median(lambda p, peer=peer: p["ours_1"] / p[peer])
            print(f"| 1 seed over {rows[peer]} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
