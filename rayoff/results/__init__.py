"""Results of a run folder: the only reader and writer of Parquet files of metrics.

A trial writes ``trials/<trial>/metrics.parquet``; the driver merges them with ``study.json``
into ``results.parquet``, whose columns are ``RESULT_COLUMNS``; reports read nothing else, but
the points of a search: ``read_points`` has a row for each of them.
"""

from rayoff.results.comparison import write_comparison
from rayoff.results.folder import (
    collect,
    divergence_reasons,
    read_results,
    write_results,
)
from rayoff.results.json_files import read_json
from rayoff.results.measure import measure_trial
from rayoff.results.points import (
    OBJECTIVES,
    best_so_far,
    confirmations,
    pareto_front,
    read_dimensions,
    read_points,
    winner,
)
from rayoff.results.runs import (
    ENDED_STATUSES,
    STATUSES,
    arm_order,
    baseline_point,
    count_runs,
    run_table,
)
from rayoff.results.schema import NUM_LAST_EVALUATIONS, RESULT_COLUMNS, write_metrics
from rayoff.results.states import StateReader, TrialState
from rayoff.study.records import is_over

__all__ = [
    "ENDED_STATUSES",
    "NUM_LAST_EVALUATIONS",
    "OBJECTIVES",
    "RESULT_COLUMNS",
    "STATUSES",
    "StateReader",
    "TrialState",
    "arm_order",
    "baseline_point",
    "best_so_far",
    "collect",
    "confirmations",
    "count_runs",
    "divergence_reasons",
    "is_over",
    "measure_trial",
    "pareto_front",
    "read_dimensions",
    "read_json",
    "read_points",
    "read_results",
    "run_table",
    "winner",
    "write_comparison",
    "write_metrics",
    "write_results",
]
