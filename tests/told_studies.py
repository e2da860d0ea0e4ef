"""Studies that are told to callbacks, without Ray and without training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tiny_studies import make_study

from rayoff.callbacks.observer import Observer
from rayoff.study import Axis, PlannedTrial, trials

REASON = "|Q| 5.0e+03 above the bound"
FLOORS = {"eval/score": 0.0, "eval/return": -20.0}


def plan() -> list[PlannedTrial]:
    """Return three arms at two fractions, one of them of an algorithm without a critic."""
    axes = [Axis("algorithm", ["td3", "td3_bc", "bc"]), Axis("data.fraction", [1.0, 0.5])]
    return trials(make_study("parquet:p", axes=axes, baseline={"algorithm": "td3"}))


def row(seed: int, step: int, **metrics: object) -> dict[str, Any]:
    about = {"seed": seed, "step": step, "seconds": 0.1, "status": "training", "reason": None}
    return about | {"stop_step": None, "evaluated": False, "critic/q_abs": 1.0 * step} | metrics


def report(rows: list[dict[str, Any]], **changes: object) -> dict[str, Any]:
    step = max((r["step"] for r in rows), default=0)
    return {
        "timesteps_total": step,
        "restored_step": 0,
        "score": 0.0,
        "evaluated": False,
        "num_runs": 2,
        "num_training": 2,
        "num_diverged": 0,
        "reasons": {},
        "floors": FLOORS,
        "rows": rows,
    } | changes


class Study:
    """A study whose trials report what they are told to, to the given callback."""

    def __init__(self, callback: Observer) -> None:
        self.callback = callback
        callback.setup()

    def tell(
        self, event: str, trial_id: str, *, error_file: Path | None = None, **info: object
    ) -> None:
        trial = SimpleNamespace(config={"trial": trial_id}, error_file=error_file)
        method = getattr(self.callback, f"on_trial_{event}")
        method(iteration=0, trials=[], trial=trial, **info)
