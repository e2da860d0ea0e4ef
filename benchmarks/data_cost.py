"""What data costs: time and memory to load it, time to the first step, memory of further trials.

Datasets of Hopper's shape (11-d observations, 3-d actions) are made in a temporary folder, as
parquet, as an HDF5 file in D4RL's layout and as a Minari dataset, each loaded in a process of its
own. The peak is what the process holds at most beside what it held before, over the bytes of the
table. Then trials on one table in Ray's object store: what each holds of its own (USS), beside
trials on a table of 5,000 rows.

    python benchmarks/data_cost.py        # 10 million rows: 4 GB of memory, 3 GB of disk
    python benchmarks/data_cost.py --rows 1e6 --sources parquet --no-trials
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

SOURCES = ("parquet", "hdf5", "minari")
MINARI_ID = "benchmark/synthetic-v0"
EPISODE_STEPS = 1_000
BLOCK_ROWS = 250_000
FEW_ROWS = 5_000


def blocks(num_rows: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield random rows, whole episodes at a time: observations, actions, rewards, flags."""
    rng = np.random.default_rng(0)
    for start in range(0, num_rows, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, num_rows))
        yield {
            "observations": rng.random((len(rows), 11), dtype=np.float32),
            "actions": rng.random((len(rows), 3), dtype=np.float32),
            "rewards": rng.random(len(rows), dtype=np.float32),
            "terminations": np.zeros(len(rows), bool),
            "truncations": rows % EPISODE_STEPS == EPISODE_STEPS - 1,
            "episode": (rows // EPISODE_STEPS).astype(np.int32),
        }


def write_parquet(path: Path, num_rows: int) -> None:
    """Write a dataset as the columns that rayoff requires."""
    from rayoff.data.table import to_arrow

    tables = (to_arrow(block) for block in blocks(num_rows))
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, use_dictionary=False) as writer:
        for table in (first, *tables):
            writer.write_table(table, row_group_size=65_536)


def write_hdf5(path: Path, num_rows: int) -> None:
    """Write a dataset in D4RL's layout."""
    import h5py

    names = {"terminations": "terminals", "truncations": "timeouts"}
    with h5py.File(path, "w") as file:
        for number, block in enumerate(blocks(num_rows)):
            for name, values in block.items():
                if name == "episode":
                    continue
                shape = (num_rows, *values.shape[1:])
                array = file.require_dataset(names.get(name, name), shape, values.dtype)
                array[number * BLOCK_ROWS : number * BLOCK_ROWS + len(values)] = values


def write_minari(num_rows: int) -> None:
    """Write a Minari dataset where ``MINARI_DATASETS_PATH`` says."""
    import minari
    from gymnasium.spaces import Box
    from minari.data_collector import EpisodeBuffer

    def episodes() -> Iterator[EpisodeBuffer]:
        for block in blocks(num_rows):
            for start in range(0, len(block["rewards"]), EPISODE_STEPS):
                rows = slice(start, start + EPISODE_STEPS)
                observations = block["observations"][rows]
                yield EpisodeBuffer(
                    observations=np.concatenate([observations, observations[:1]]),  # pyright: ignore[reportArgumentType]
                    actions=block["actions"][rows],  # pyright: ignore[reportArgumentType]
                    rewards=block["rewards"][rows].tolist(),
                    terminations=block["terminations"][rows].tolist(),
                    truncations=block["truncations"][rows].tolist(),
                )

    pending = episodes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an author and the like, which are not needed here
        dataset = minari.create_dataset_from_buffers(
            MINARI_ID,
            [next(pending)],
            observation_space=Box(-np.inf, np.inf, (11,), np.float32),
            action_space=Box(-1, 1, (3,), np.float32),
        )
    dataset.storage.update_episodes(pending)


def make_source(kind: str, folder: Path, num_rows: int) -> str:
    """Write a dataset and return the source that rayoff loads it from."""
    if kind == "minari":
        write_minari(num_rows)
        return MINARI_ID
    path = folder / f"data.{kind}"
    (write_parquet if kind == "parquet" else write_hdf5)(path, num_rows)
    return f"{kind}:{path}"


def peak_megabytes() -> float:
    """Return the most that this process has held since it was last reset [MB]."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def trial_config() -> Any:  # noqa: ANN401 - imported where it is needed
    """Return a narrow TD3+BC trial that neither probes nor evaluates."""
    from rayoff.study import Axis, Study, trials

    study = Study(
        name="cost",
        base="td3_bc",
        axes=[Axis("critic.norm", ["none"])],
        datasets=["builtin:hopper-mixed"],
        seeds=[0],
        baseline={"critic.norm": "none"},
        settings={"num_steps": 20, "seem.period": 0, "evaluation.period": 0, "critic.width": 32},
    )
    return trials(study)[0].config


def load(source: str) -> dict[str, float]:
    """Load a source in this process, take a gradient step on it and return what that cost."""
    import h5py  # noqa: F401 - so that what it holds is held before
    import minari  # noqa: F401

    from rayoff.data import load_table, to_row_major
    from rayoff.trial import Trial

    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # begins the peak anew
    before, started = peak_megabytes(), time.perf_counter()
    table = load_table(source)
    loaded, size = time.perf_counter(), table.nbytes / 2**20
    peak = peak_megabytes() - before
    num_rows, table = table.num_rows, to_row_major(table)
    ordered = time.perf_counter()
    trial = Trial(trial_config(), table, eager=True)
    trial.advance()
    return {
        "rows": num_rows,
        "size": size,
        "peak": peak,
        "load": loaded - started,
        "order": ordered - loaded,
        "trial": time.perf_counter() - ordered - trial.rows[-1]["seconds"] * 19 / 20,
    }


def hold_trial(table: Any) -> float:  # noqa: ANN401 - an Arrow table
    """Train a trial a little in this process and return what the process holds alone [MB]."""
    from rayoff.trial import Trial

    trial = Trial(trial_config(), table)
    trial.advance()
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Private_"))


def trial_memory(source: str) -> dict[str, list[float]]:
    """Return the USS of three trials side by side on a few rows, and on a whole dataset [MB]."""
    import ray

    from rayoff.data import load_table, to_row_major

    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local"}
    table = load_table(source)
    ray.init(include_dashboard=False, log_to_driver=False)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        few = load_table(make_source("parquet", Path(folder), FEW_ROWS))
    for name, data in (("few rows", few), ("the dataset", table)):
        reference = ray.put(to_row_major(data))
        holders = [ray.remote(num_cpus=0, max_calls=1)(hold_trial) for _ in range(3)]
        found[name] = ray.get([holder.remote(reference) for holder in holders])
    ray.shutdown()
    return found


def apart(part: str, source: str, environment: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Return what a part of this script prints in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--source", source]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Parse the command line, measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--sources", nargs="+", default=SOURCES, choices=SOURCES)
    parser.add_argument("--no-trials", action="store_true")
    parser.add_argument("--part", choices=("load", "trial_memory"), help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps({"load": load, "trial_memory": trial_memory}[args.part](args.source)))
        return
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:
        folder = Path(name)
        os.environ["MINARI_DATASETS_PATH"] = str(folder / "minari")
        environment = os.environ | {"RAY_TMPDIR": name}
        print(
            "| source | rows | table [MB] | peak over it | load [s] | order [s] | first step [s] |"
        )
        print("|---|---|---|---|---|---|---|")
        for kind in args.sources:
            cost = apart("load", make_source(kind, folder, int(args.rows)), environment)
            print(
                f"| {kind} | {cost['rows']:,} | {cost['size']:.0f} "
                f"| {cost['peak'] / cost['size']:.2f} | {cost['load']:.1f} | {cost['order']:.1f} "
                f"| {cost['trial']:.2f} |",
                flush=True,
            )
        if not args.no_trials:
            source = make_source("parquet", folder, 1_000_000)
            print("\n| trials on | held by each alone [MB] |\n|---|---|")
            for what, sizes in apart("trial_memory", source, environment).items():
                print(f"| {what} | {', '.join(f'{size:.1f}' for size in sizes)} |")


if __name__ == "__main__":
    main()
