"""Collects the corpus: trains every arm in full and writes its readings, one file a trial.

What is on disk is not trained again, so a collection that was ended goes on. The readings of all
trials become one Parquet file, a row per run and reading.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from rayoff.config import TD3Config, TrialConfig
from rayoff.data import load_table
from rayoff.networks import enable_fast_products
from rayoff.trial import Trial
from stopping import maze
from stopping.arms import list_trials
from stopping.runs import trial_name
from stopping.signals import ProbeRows, read_signals

Record = dict[str, Any]
_TRIAL_METRICS = {
    "critic/q_abs": "q_abs",
    "critic/q_max": "q_max",
    "critic/q_policy": "q_policy",
    "critic/parameter_norm": "parameter_norm",
    "critic/loss": "loss",
    "eval/score": "score",
}


def collect(folder: Path, num_workers: int) -> None:
    """Train what is missing in ``folder``; one worker a core, each pinned to its own."""
    jobs = dict(list_jobs())
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    # names are hashes: in their order, a part of the corpus already holds all kinds
    missing = [name for name in sorted(jobs) if not _part(folder, name).exists()]
    cores = multiprocessing.get_context("spawn").Queue()
    for core in sorted(os.sched_getaffinity(0))[:num_workers]:
        cores.put(core)
    started = time.monotonic()
    pool = multiprocessing.get_context("spawn").Pool(num_workers, _start_worker, (cores,))
    with pool:
        work = [(jobs[name], _part(folder, name)) for name in missing]
        for count, name in enumerate(pool.imap_unordered(_run_job, work), start=1):
            elapsed = time.monotonic() - started
            left = elapsed / count * (len(missing) - count)
            print(f"{count}/{len(missing)} {name}, {left / 60:.0f} min left", flush=True)


def list_jobs() -> Iterator[tuple[str, Callable[[], Iterator[Record]]]]:
    """Yield the name of each trial of the corpus, and what trains it."""
    for config in list_trials():
        name = trial_name(config.data.source, _differences(config), config.num_steps)
        yield name, partial(collect_trial, config)
    for arm in maze.MAZE_ARMS:
        yield trial_name(f"maze-{arm.walk}", repr(arm), arm.num_steps), partial(collect_maze, arm)


def merge(folder: Path, target: Path) -> pa.Table:
    """Write the readings of all trials on disk as one file, and return them."""
    parts = [pq.read_table(path) for path in sorted((folder / "parts").glob("*.parquet"))]
    table = pa.concat_tables(parts, promote_options="permissive")
    numbers = [field.name for field in table.schema if pa.types.is_float64(field.type)]
    for name in numbers:
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].cast(pa.float32()))
    others = [name for name in table.column_names if name not in numbers]
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=19,
        use_dictionary=others,  # pyright: ignore[reportArgumentType]: a list, says its doc
        use_byte_stream_split=numbers,  # pyright: ignore[reportArgumentType]: likewise
    )
    return table


def collect_trial(config: TrialConfig) -> Iterator[Record]:
    """Yield a record per run and reading of a trial on a dataset."""
    trial = Trial(config, _load(config.data.source))
    assert isinstance(config.agent, TD3Config)
    described = _describe(config, trial.watch.bound)
    while not trial.done:
        rows = trial.advance()
        if "critic/q_abs" not in rows[0]:
            continue
        critic, probe = trial.agent.critic, trial.watch.probe
        assert critic is not None
        with torch.no_grad():
            next_actions = trial.agent.actor(probe.next_observations)
        probe_rows = ProbeRows(
            observations=probe.observations,
            actions=probe.actions,
            next_observations=probe.next_observations,
            next_actions=next_actions,
            terminations=probe.terminations,
        )
        signals = read_signals(critic, probe_rows, config.agent.discount)
        for run, row in enumerate(rows):
            metrics = {short: row.get(name) for name, short in _TRIAL_METRICS.items()}
            read = {name: float(value[run]) for name, value in signals.items()}
            yield {**described, "seed": row["seed"], "step": row["step"], **metrics, **read}


def collect_maze(arm: maze.MazeArm) -> Iterator[Record]:
    """Yield a record per run and reading of a setting of the toy maze."""
    bound = 1 / (1 - arm.discount)  # no reward carries a scale: 1 is assumed
    described = {"environment": "maze", "dataset": f"maze-{arm.walk}", "algorithm": "q_learning"}
    described |= {name: value for name, value in asdict(arm).items() if name != "walk"}
    described |= {"fraction": 1.0, "tau": 1.0, "bound": bound, "choice": repr(arm)}
    for step, signals in maze.train(arm):
        for run in range(maze.NUM_SEEDS):
            read = {name: float(value[run]) for name, value in signals.items()}
            yield {**described, "seed": run, "step": step, **read}


def _describe(config: TrialConfig, bound: float) -> Record:
    """Return what distinguishes a trial from others."""
    agent, critic, penalty = config.agent, config.critic, config.regularizer
    assert isinstance(agent, TD3Config)
    return {
        "environment": config.data.source.split("/")[1],
        "dataset": config.data.source,
        "algorithm": config.algorithm,
        "optimizer": agent.optimizer,
        "learning_rate": agent.learning_rate,
        "discount": agent.discount,
        "tau": agent.tau,
        "bc_weight": getattr(agent, "bc_weight", 0.0),
        "depth": critic.depth,
        "width": critic.width,
        "norm": critic.norm,
        "num_critics": critic.num_critics,
        "reducer": critic.reducer,
        "rd_weight": penalty.rd_weight,
        "fraction": config.data.fraction,
        "reward_scale": config.data.reward_scale,
        "num_steps": config.num_steps,
        "bound": bound,
        "choice": _differences(config),
    }


def _differences(config: TrialConfig) -> str:
    """Return the fields of a trial that are not at their defaults, as text."""
    owners = (config.agent, config.data, config.critic, config.regularizer)
    different = [
        f"{field.name}={getattr(owner, field.name)}"
        for owner in owners
        for field in fields(owner)
        if getattr(owner, field.name) != getattr(type(owner)(), field.name)
    ]
    return f"{config.algorithm} {' '.join(different)}"


@cache
def _load(source: str) -> pa.Table:
    return load_table(source)


def _part(folder: Path, name: str) -> Path:
    return folder / "parts" / f"{name}.parquet"


def _start_worker(cores: Any) -> None:  # noqa: ANN401 - a queue of a context has no public type
    os.sched_setaffinity(0, {cores.get()})
    torch.set_num_threads(1)
    enable_fast_products()


def _run_job(job: tuple[Callable[[], Iterator[Record]], Path]) -> str:
    records, path = job
    table = pa.Table.from_pylist(list(records()))
    unfinished = path.with_suffix(".tmp")
    pq.write_table(table, unfinished)
    unfinished.rename(path)  # whole or not at all
    return path.stem
