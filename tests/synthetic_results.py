"""Run folders made of invented curves, shaped like those of TD3 with tau 1 on hopper data."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rayoff.config import CriticConfig, DataConfig, TD3Config, TrialConfig
from rayoff.results import write_metrics

BOUND = 586.0
PERIOD, NUM_STEPS = 200, 4000
GROWTH = {"none": 3.0, "weight": 2.2}
"""Exponent of the growth of |Q| of the norms whose critics blow up."""


def make_run_folder(
    folder: Path,
    *,
    norms: Sequence[str] = ("none", "layer"),
    widths: Sequence[int] = (256,),
    datasets: Sequence[str] = ("mixed/hopper/replay-v0",),
    fractions: Sequence[float] = (1.0, 0.1, 0.01),
    seeds: Sequence[int] = (0, 1),
    mode: str = "stop",
    simulator: bool = True,
    references: bool = True,
    baseline: dict[str, Any] | None = None,
) -> Path:
    """Write a folder of finished trials and return it; equal arguments give equal files."""
    trials = [
        _trial(norm, width, dataset, fraction, seeds, mode)
        for dataset in datasets
        for fraction in fractions
        for width in widths
        for norm in norms
    ]
    folder.mkdir(parents=True)
    study = {
        "name": "critic_norm",
        "hash": "3f9c2a1",
        "baseline": baseline or {"critic.norm": "none", "critic.width": 256},
        "trials": trials,
    }
    (folder / "study.json").write_text(json.dumps(study))
    provenance = {
        "command": "rayoff run critic_norm",
        "git": {"commit": "0" * 40, "diff": "- old\n+ new <b>\n"},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    for index, trial in enumerate(trials):
        write_trial(folder, trial, np.random.default_rng(index), simulator, references)
    return folder


def write_trial(
    folder: Path,
    trial: dict[str, Any],
    rng: np.random.Generator,
    simulator: bool = True,
    references: bool = True,
) -> None:
    """Write config and metrics of one entry of the study's trials."""
    path = folder / "trials" / trial["trial_id"]
    path.mkdir(parents=True)
    facts = {
        "ref_min": -20.0 if references else None,
        "ref_max": 3234.0 if references else None,
        "score_source": "D4RL" if references else None,
        "worst_return": 8.0,
        "best_return": 3100.0,
        "q_bound": BOUND,
    }
    (path / "config.json").write_text(json.dumps({"config": trial["config"], "facts": facts}))
    rows = [
        row
        for seed in trial["config"]["seeds"]
        for row in _run(trial, seed, rng, facts, simulator)
    ]
    write_metrics(path, rows)


def _trial(
    norm: str, width: int, dataset: str, fraction: float, seeds: Sequence[int], mode: str
) -> dict[str, Any]:
    config = TrialConfig(
        algorithm="td3",
        agent=TD3Config(tau=1.0),
        data=DataConfig(source=dataset, fraction=fraction),
        critic=CriticConfig(norm=norm, width=width),  # pyright: ignore[reportArgumentType]
        num_steps=NUM_STEPS,
        seeds=tuple(seeds),
    )
    config = replace(config, stopper=replace(config.stopper, mode=mode, confirm_factor=20.0))
    arm = norm if width == 256 else f"{norm}-w{width}"
    trial_id = f"{arm}_{dataset.replace('/', '-')}_{fraction}"
    names = {"trial_id": trial_id, "arm": arm, "dataset": dataset, "fraction": fraction}
    return names | {"config": asdict(config)}


def _run(
    trial: dict[str, Any],
    seed: int,
    rng: np.random.Generator,
    facts: dict[str, Any],
    simulator: bool,
) -> list[dict[str, object]]:
    norm, fraction = trial["config"]["critic"]["norm"], trial["fraction"]
    exponent = GROWTH.get(norm)
    pace = rng.lognormal(0.0, 0.25)
    steps = range(0, NUM_STEPS + 1, PERIOD)
    q_abs = [_q_abs(step * pace, exponent) * rng.lognormal(0.0, 0.05) for step in steps]
    stop_step = next((s for s, q in zip(steps, q_abs, strict=True) if q > 10 * BOUND), None)
    observed = trial["config"]["stopper"]["mode"] == "observe"
    passed_step = next((s for s, q in zip(steps, q_abs, strict=True) if q > 1000 * BOUND), None)
    reason = (
        "critic self-excites: SEEM 0.13 > 0.05 at 3 probes, "
        f"|Q| {10 * BOUND:.1e} growing as t^{exponent}, forecast to pass 5.9e+05"
    )
    return [
        {"seed": seed, "step": step, "seconds": step * 0.01}
        | _verdict(step, stop_step, passed_step, reason)
        | _readings(q, exponent, rng)
        | _evaluation(step, exponent, fraction, rng, facts, simulator)
        for step, q in zip(steps, q_abs, strict=True)
        if stop_step is None or observed or step <= stop_step
    ]


def _verdict(
    step: int, stop_step: int | None, passed_step: int | None, reason: str
) -> dict[str, object]:
    """Return what was known at a step of a run that is stopped, or would be, at another."""
    if stop_step is None or step < stop_step - PERIOD:
        status = "done" if step == NUM_STEPS else "training"
        return {"status": status, "stopper/suspect": 0.0}
    stopped, ended = step >= stop_step, step == NUM_STEPS
    passed = passed_step is not None and passed_step <= step
    return {
        "status": "diverged" if stopped else "training",
        "stop_step": stop_step if stopped else None,
        "reason": reason if stopped else None,
        "stopper/suspect": 1.0,
        "stopper/suspected_step": stop_step - PERIOD,
        "stopper/passed_step": passed_step if passed else None,
        "stopper/forecast_step": 4.5 * stop_step if stopped else None,
        "stopper/forecast_low": 4 * stop_step if stopped else None,
        "stopper/forecast_high": 5 * stop_step if stopped else None,
        "stopper/right": float(passed) if ended and step > stop_step else None,
    }


def _q_abs(step: float, exponent: float | None) -> float:
    if exponent is None:
        return 2.0 + 280.0 * (1.0 - math.exp(-step / 1500.0))
    return 2.0 + 2e4 * (step / 1000.0) ** exponent


def _readings(q: float, exponent: float | None, rng: np.random.Generator) -> dict[str, object]:
    low, high = (0.10, 0.15) if exponent else (0.0, 0.015)
    return {
        "critic/q_abs": q,
        "critic/q_mean": 0.9 * q,
        "critic/q_bound": BOUND,
        "seem/row_normalized": rng.uniform(low, high),
        "seem/normalized": rng.uniform(0.6, 0.63) if exponent else rng.exponential(0.1),
    }


def _evaluation(
    step: int,
    exponent: float | None,
    fraction: float,
    rng: np.random.Generator,
    facts: dict[str, Any],
    simulator: bool,
) -> dict[str, object]:
    if not simulator:
        return {"evaluated": False, "eval_skipped": "gymnasium has no Hopper-v5 here"}
    if step % (2 * PERIOD):
        return {"evaluated": False}
    level = 5.0 if exponent else 55.0 * fraction**0.15
    score = level * (1 - math.exp(-step / 800)) + rng.normal(0.0, 2.0)
    row: dict[str, object] = {"evaluated": True, "eval/return": -20.0 + 32.54 * score}
    return row | ({"eval/score": score} if facts["ref_min"] is not None else {})
