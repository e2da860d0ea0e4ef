"""Results of a run folder: the only reader and writer of Parquet files of metrics.

A trial writes ``trials/<trial>/metrics.parquet``; the driver merges them with ``study.json``
into ``results.parquet``, whose columns are ``RESULT_COLUMNS``; reports read nothing else.
"""

from rayoff.results.folder import (
    collect,
    divergence_reasons,
    read_json,
    read_results,
    write_results,
)
from rayoff.results.runs import STATUSES, arm_order, count_runs, run_table
from rayoff.results.schema import NUM_LAST_EVALUATIONS, RESULT_COLUMNS, write_metrics

__all__ = [
    "NUM_LAST_EVALUATIONS",
    "RESULT_COLUMNS",
    "STATUSES",
    "arm_order",
    "collect",
    "count_runs",
    "divergence_reasons",
    "read_json",
    "read_results",
    "run_table",
    "write_metrics",
    "write_results",
]
