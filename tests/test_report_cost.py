"""Tests of rayoff.report.cost on clocks that are known."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic_results import make_run_folder

from rayoff.report import write_report
from rayoff.report.cost import time_spent


def clocks(trial: str, seed: int, *seconds: float | None) -> dict[str, Any]:
    names = ("train", "probe", "evaluation")
    told: dict[str, Any] = {
        f"time/{name}_seconds": s for name, s in zip(names, seconds, strict=True)
    }
    return {"trial": trial, "seed": seed} | told


def test_the_runs_of_a_trial_share_its_clocks_and_the_last_row_counts() -> None:
    rows = [clocks("a", seed, *told) for told in [(4, 0, 1), (80, 2, 9)] for seed in (0, 1)]
    frame = pd.DataFrame([*rows, clocks("b", 0, 80, 8, 21), clocks("c", 0, None, None, None)])
    assert time_spent(frame) == (
        "Trials took 3.3 min in all: training 80.0%, readings of the critic 5.0% and "
        "evaluations 15.0%."
    )


def test_the_time_of_a_device_is_told_where_trials_shared_one() -> None:
    frame = pd.DataFrame([clocks("a", 0, 90, 0, 30), clocks("b", 0, 60, 0, 60)])
    told = "training 62.5%, readings of the critic 0.0% and evaluations 37.5%."
    alone = frame.assign(**{"time/device_seconds": [120.0, 120.0]})
    assert time_spent(alone) == f"Trials took 4.0 min in all: {told}"
    shared = frame.assign(**{"time/device_seconds": [30.0, 60.0]})
    assert time_spent(shared) == f"Trials took 4.0 min in all, 1.5 min of device time: {told}"
    none = pd.DataFrame([clocks("c", 0, None, None, None)])
    begun = pd.concat([shared, none.assign(**{"time/device_seconds": [None]})])
    assert time_spent(begun) == time_spent(shared)
    assert time_spent(none.assign(**{"time/device_seconds": [None]})) is None


def test_what_was_not_measured_is_not_told() -> None:
    assert time_spent(pd.DataFrame({"trial": ["a"], "seed": [0]})) is None
    assert time_spent(pd.DataFrame([clocks("a", 0, None, None, None)])) is None


def test_the_page_tells_the_time_where_it_is_known(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", fractions=(1.0,))
    assert "Trials took" not in write_report(folder).read_text(encoding="utf-8")
    for path in folder.glob("trials/*/metrics.parquet"):
        rows = pq.read_table(path)
        for name, seconds in (("train", 54.0), ("evaluation", 6.0)):
            rows = rows.append_column(
                f"time/{name}_seconds", pa.array([seconds] * len(rows), pa.float64())
            )
        pq.write_table(rows, path)
    told = "Trials took 2.0 min in all: training 90.0% and evaluations 10.0%."
    assert told in write_report(folder).read_text(encoding="utf-8")
