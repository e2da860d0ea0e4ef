"""Run folders of searches, made of invented curves as those of ``synthetic_results``."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_results import write_trial

from rayoff.config import TrialConfig
from rayoff.results import pareto_front, read_points, read_results, run_table, write_results
from rayoff.study.paths import config_from_paths
from rayoff.study.plan import PlannedTrial
from rayoff.study.records import PointRecord, write_record
from rayoff.study.space import Choices, Dimension, Interval

SOURCE = "mixed/hopper/replay-v0"
STARTED = 1.8e9
_SECONDS = 40.0


def make_search_folder(
    folder: Path,
    *,
    num_points: int = 20,
    num_confirm_seeds: int = 5,
    objectives: tuple[str, ...] = ("score",),
    num_running: int = 0,
    seed: int = 0,
) -> Path:
    """Write the folder of a search and return it; equal arguments give equal files.

    The space is conditional: a norm, its position where there is one, and a width. Point 1 has
    the configuration of point 0, whose values it has; the plain critics diverge. Without
    running points the winner and the baseline were trained again on fresh seeds.

    Args:
        folder: made by this.
        num_points: points of the search, the baseline with them.
        num_confirm_seeds: fresh seeds of the confirmation; 0: there is none.
        objectives: what the search optimises.
        num_running: points at the end that have not ended.
        seed: of the points.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    points = [_baseline(), _baseline()] + [_draw(rng) for _ in range(num_points - 2)]
    records: list[PointRecord] = []
    for number, (params, dimensions) in enumerate(points):
        record = _record(number, params, dimensions, seeds=(0, 1))
        if number == 1:
            record = replace(record, origin="sampled", same_as=0, trials=[])
        records.append(record)
    _write_study(folder, records[0], objectives, num_points)
    _write_provenance(folder)
    for record in records:
        for trial in record.trials:
            write_trial(folder, _as_json(trial), rng)
        write_record(folder, record)
    _end(folder, records[: num_points - num_running])
    if num_confirm_seeds and not num_running:
        _confirm(folder, records, num_confirm_seeds, rng)
        (folder / "points" / "done").touch()
    write_results(folder)
    return folder


def _baseline() -> tuple[dict[str, Any], dict[str, Dimension]]:
    return _point("none", "before", 256)


def _draw(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Dimension]]:
    norm = str(rng.choice(["none", "layer", "group"]))
    width = int(64 * rng.integers(1, 9))
    return _point(norm, str(rng.choice(["before", "after"])), width)


def _point(norm: str, position: str, width: int) -> tuple[dict[str, Any], dict[str, Dimension]]:
    params: dict[str, Any] = {"critic.norm": norm}
    dimensions: dict[str, Dimension] = {"critic.norm": Choices(("none", "layer", "group"))}
    if norm != "none":
        params["critic.norm_position"] = position
        dimensions["critic.norm_position"] = Choices(("before", "after"))
    params["critic.width"] = width
    dimensions["critic.width"] = Interval(64, 512, step=64)
    return params, dimensions


def _record(
    number: int,
    params: dict[str, Any],
    dimensions: dict[str, Dimension],
    seeds: tuple[int, ...],
    phase: str = "search",
) -> PointRecord:
    arm = f"p{number:03d}{'-fresh' * (phase == 'confirm')}"
    settings = {"data.source": SOURCE, "num_steps": 4000, "agent.tau": 1.0, "seeds": seeds}
    config: TrialConfig = config_from_paths({"algorithm": "td3", **settings, **params})
    trial = PlannedTrial(f"{arm}_hopper-replay-v0_1", arm, SOURCE, 1.0, config)
    return PointRecord(
        number=number,
        phase=phase,  # pyright: ignore[reportArgumentType]
        origin="sampled" if number else "baseline",
        params=params,
        dimensions=dimensions,
        started=STARTED + _SECONDS * number,
        trials=[trial],
    )


def _end(folder: Path, records: list[PointRecord]) -> None:
    """Give the records the values that the results of their trials make."""
    runs = run_table(read_results(write_results(folder))).to_dict("records")
    values: dict[int, dict[str, float]] = {}
    for record in records:
        arms = {trial.arm for trial in record.trials}
        if own := [run for run in runs if run["arm"] in arms]:
            values[record.number] = {
                "score": sum(run["value"] for run in own) / len(own),
                "device_seconds": max(run["seconds"] for run in own),
                "divergence_rate": sum(run["status"] == "diverged" for run in own) / len(own),
            }
        found = values[record.number if record.same_as is None else record.same_as]
        lost = found["divergence_rate"] > 0
        ended = replace(
            record,
            state="complete",
            values=found,
            feasible=not lost,
            reason=f"{found['divergence_rate']:.0%} of the runs diverged" if lost else None,
            ended=record.started + _SECONDS,
        )
        write_record(folder, ended)


def _confirm(
    folder: Path, records: list[PointRecord], num_seeds: int, rng: np.random.Generator
) -> None:
    (winner,) = pareto_front(read_points(folder), ["score"])["point"].tolist()
    again = []
    for number in (0, winner):
        record = records[number]
        seeds = tuple(range(100, 100 + num_seeds))
        fresh = _record(number, dict(record.params), dict(record.dimensions), seeds, "confirm")
        again.append(replace(fresh, started=STARTED + _SECONDS * len(records)))
        for trial in again[-1].trials:
            write_trial(folder, _as_json(trial), rng)
        write_record(folder, again[-1])
    _end(folder, again)


def _write_study(
    folder: Path, first: PointRecord, objectives: tuple[str, ...], num_points: int
) -> None:
    search = {
        "objectives": list(objectives),
        "sampler": "tpe",
        "seed": 0,
        "num_startup_points": 10,
        "num_points": num_points,
        "hours": None,
        "device_hours": None,
        "num_confirm_seeds": 5,
    }
    study = {
        "name": "architecture",
        "baseline": dict(first.params),
        "search": search,
        "trials": [_as_json(trial) for trial in first.trials],
    }
    (folder / "study.json").write_text(json.dumps(study))


def _write_provenance(folder: Path) -> None:
    provenance = {
        "command": "rayoff run architecture",
        "git": {"commit": "0" * 40, "diff": ""},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))


def _as_json(trial: PlannedTrial) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(trial)))
