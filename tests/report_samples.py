"""Results of finished runs, and their numbers found by other means than the report's."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from synthetic_results import make_run_folder

from rayoff.results import collect

Rows = list[dict[str, Any]]


def results(folder: Path, **options: Any) -> pd.DataFrame:  # noqa: ANN401
    return collect(make_run_folder(folder, **options)).to_pandas()


def runs_by_hand(path: Path) -> dict[tuple[str, str, float], Rows]:
    """Return value and last readings of each run by arm, dataset and fraction, without pandas."""
    runs: dict[tuple[str, int], Rows] = {}
    for row in pq.read_table(path).to_pylist():
        runs.setdefault((row["trial"], row["seed"]), []).append(row)
    cells: dict[tuple[str, str, float], Rows] = {}
    for rows in runs.values():
        last = max(rows, key=lambda row: row["step"])
        scores = [row["score"] for row in rows if row["score"] is not None]
        counted = scores[-min(10, (len(scores) + 1) // 2) :]
        value = last["floor_score"] if last["status"] == "diverged" else np.mean(counted)
        key = (last["arm"], last["dataset"], last["fraction"])
        cells.setdefault(key, []).append(last | {"value": value, "best": max(scores)})
    return cells
