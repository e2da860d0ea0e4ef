"""The columns of ``results.parquet``, and the file of metrics that a trial writes itself."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rayoff.files import replacing

NUM_LAST_EVALUATIONS = 10
"""Evaluations at the end of a run whose mean is the run's score, at most its later half."""

RESULT_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "study": (pa.string(), "Name of the study."),
    "trial": (pa.string(), "Folder of the trial under trials/: one arm, dataset and fraction."),
    "arm": (pa.string(), "Point of the architecture and algorithm space."),
    "point": (pa.int64(), "Number of the point of a search, 0 the baseline; null in factorials."),
    "phase": (
        pa.string(),
        "search, or confirm: the winner or the baseline on fresh seeds; null in factorials.",
    ),
    "baseline": (pa.bool_(), "Whether this is the arm that the others are compared with."),
    "reference": (
        pa.string(),
        "Arm that this one is compared with: in a ladder the step before, in one-at-a-time the "
        "baseline; null where any two arms that differ in one choice are compared.",
    ),
    "algorithm": (pa.string(), "Learning algorithm, a key of rayoff.agents."),
    "dataset": (pa.string(), "Source of the data, as written in the study."),
    "fraction": (pa.float64(), "Share of the dataset that is trained on, in (0, 1]."),
    "seed": (pa.int64(), "Seed of the run."),
    "step": (pa.int64(), "Gradient steps taken at this row [step]; 0 where nothing ran."),
    "seconds": (pa.float64(), "Wall time that the trial had trained [s]."),
    "status": (
        pa.string(),
        "State of the run as it was at this row; on its last row, what became of it: training, "
        "done, diverged (a result: it was stopped, or its |Q| ended far beyond its bound), "
        "pruned (cut by a search that stops early), failed (an error) or missing (not begun; one "
        "row at step 0). A run that trains on after its stop, observed or audited, is diverged "
        "from there and judged anew at its end.",
    ),
    "reason": (pa.string(), "Why the run diverged, failed or was pruned; else null."),
    "stop_step": (
        pa.int64(),
        "Step at which it was, or would have been, stopped [step]; null on rows before.",
    ),
    "evaluated": (pa.bool_(), "Whether the policy was evaluated at this row."),
    "eval_skipped": (pa.string(), "Why there is no evaluation at all, e.g. no simulator."),
    "return": (pa.float64(), "Mean undiscounted return of the evaluation [reward]."),
    "score": (pa.float64(), "The return on a scale where ref_min is 0 and ref_max is 100."),
    "score_source": (pa.string(), "Where the reference returns come from."),
    "ref_min": (pa.float64(), "Return that scores 0 [reward]; null without a reference."),
    "ref_max": (pa.float64(), "Return that scores 100 [reward]; null without a reference."),
    "floor_return": (
        pa.float64(),
        "Return that a diverged run enters averages with [reward]: ref_min, or without a "
        "reference the worst return in the dataset.",
    ),
    "floor_score": (pa.float64(), "Score of a diverged run: 0; null without a reference."),
}
"""Type and meaning of each identity column: one row is one run (seed) at one report step.

Two groups of columns follow. ``config.<path>`` is a choice that varies between the trials or
differs from its default, as text where its types differ. All others are metrics (float64)
under the names they have in TensorBoard, e.g. ``critic/q_abs``, ``critic/q_bound``,
``seem/row_normalized``; null where one was not measured at that step. Those under ``stopper/``
are what the stopper knew at that step: whether the run was suspect, and since when; when |Q|
would pass the ceiling, with its interval, and when it was first seen above; on the last row of
a run that trained on after its stop, whether that was right.
"""

METRIC_ALIASES = {"eval/return": "return", "eval/score": "score"}
"""Metrics of a trial that ``results.parquet`` holds under a shorter name."""

_ROW_COLUMNS = (
    *("seed", "step", "seconds", "status", "reason", "stop_step"),
    *("evaluated", "eval_skipped"),
)
_REQUIRED = ("seed", "step", "seconds", "status", "evaluated")
_STATUSES = ("training", "done", "diverged")


def write_metrics(folder: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write all rows of a trial to ``folder/metrics.parquet``, replacing the file at once.

    Args:
        folder: the trial's folder; made if it does not exist.
        rows: one for each run and report step. Keys are ``seed``, ``step`` [step], ``seconds``
            [s], ``status`` (training, done or diverged), ``evaluated``, optionally ``reason``,
            ``stop_step`` [step] and ``eval_skipped``, and metrics by names with a slash, all as
            they were at that step.

    Raises:
        ValueError: a row lacks a key, has an unknown one or an unknown status, or there is none.
    """
    if not rows:
        raise ValueError("At least one row of metrics is needed but got none.")
    for index, row in enumerate(rows):
        _check_row(index, row)
    metrics = sorted({name for row in rows for name in row if "/" in name})
    fields = [(name, RESULT_COLUMNS[name][0]) for name in _ROW_COLUMNS]
    fields += [(name, pa.float64()) for name in metrics]
    columns = [pa.array([row.get(name) for row in rows], type=kind) for name, kind in fields]
    replace_table(pa.table(columns, schema=pa.schema(fields)), folder / "metrics.parquet")


def replace_table(table: pa.Table, path: Path) -> None:
    """Write a table so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as unfinished:
        pq.write_table(table, unfinished)


def _check_row(index: int, row: dict[str, object]) -> None:
    for name in _REQUIRED:
        if row.get(name) is None:
            raise ValueError(f"Row {index} of metrics must have '{name}' but got {sorted(row)}.")
    if row["status"] not in _STATUSES:
        expected = ", ".join(_STATUSES)
        raise ValueError(f"Row {index}: status must be {expected} but got {row['status']!r}.")
    for name in row:
        if "/" not in name and name not in _ROW_COLUMNS:
            message = f"Row {index}: a metric needs a namespace, as in 'critic/{name}'"
            raise ValueError(f"{message}, but got {name!r}.")
