"""A run folder as one table: the study's trials joined with the metrics that they wrote."""

from collections.abc import Sequence
from dataclasses import asdict
from operator import ne
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rayoff.errors import ResultsError
from rayoff.results.json_files import read_json
from rayoff.results.schema import METRIC_ALIASES, RESULT_COLUMNS, replace_table
from rayoff.results.settings import config_columns
from rayoff.study.paths import flatten_values
from rayoff.study.records import read_records


def collect(run_folder: Path) -> pa.Table:
    """Return every run of a folder, begun or not, with the columns of ``RESULT_COLUMNS``.

    Rows are ordered as the study's trials, then by seed and step; the trials of a search by their
    point. A run that failed or never began has at least one row, so that the table alone tells
    what is missing.

    Raises:
        ResultsError: ``study.json`` is missing or damaged, or a metrics file cannot be read.
    """
    study = read_json(run_folder / "study.json")
    trials = _trials(run_folder, study)
    configs = [flatten_values(trial["config"]) for trial in trials]
    baseline = _baseline_arm(study, trials, configs)
    references = study.get("references", {})
    columns = config_columns(configs)
    parts = []
    for index, trial in enumerate(trials):
        folder = run_folder / "trials" / trial["trial_id"]
        identity = {
            "study": study.get("name", run_folder.name),
            "trial": trial["trial_id"],
            "arm": trial["arm"],
            "point": trial.get("point"),
            "phase": trial.get("phase"),
            "baseline": trial["arm"] == baseline,
            "reference": references.get(trial["arm"]),
            "algorithm": configs[index].get("algorithm"),
            "dataset": trial["dataset"],
            "fraction": trial["fraction"],
        }
        settings = {name: pa.scalar(values[index], kind) for name, kind, values in columns}
        metrics = _trial_metrics(folder, configs[index].get("seeds", ()), trial.get("pruned"))
        parts.append(_join(metrics, identity, settings, _facts(folder)))
    return _ordered(pa.concat_tables(parts, promote_options="default"))


def planned_trials(run_folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the trials of a run folder as its study lists them, and the baseline arm.

    Those of a search say by ``point_ended`` whether their point has ended.

    Raises:
        ResultsError: ``study.json`` is missing or damaged.
    """
    study = read_json(run_folder / "study.json")
    trials = _trials(run_folder, study)
    configs = [flatten_values(trial["config"]) for trial in trials]
    return trials, _baseline_arm(study, trials, configs)


def trial_table(folder: Path, seeds: Sequence[int]) -> pa.Table:
    """Return the rows of one trial as ``collect`` does, without its settings.

    Args:
        folder: the trial's folder in a run folder.
        seeds: of its runs.

    Raises:
        ResultsError: its metrics cannot be read.
    """
    metrics = _trial_metrics(folder, list(seeds))
    return _ordered(_join(metrics, {"trial": folder.name}, {}, _facts(folder)))


def write_results(run_folder: Path) -> Path:
    """Merge all trials' metrics into ``results.parquet``, replaced at once; return its path.

    Raises:
        ResultsError: as ``collect``.
    """
    path = run_folder / "results.parquet"
    replace_table(collect(run_folder), path)
    return path


def read_results(path: Path) -> pd.DataFrame:
    """Return the results of a run folder, or of a ``results.parquet``, as they were written.

    Raises:
        ResultsError: there is no such file, or it is not a table of results.
    """
    path = path / "results.parquet" if path.is_dir() else path
    frame = _read_table(path).to_pandas()
    missing = [name for name in RESULT_COLUMNS if name not in frame]
    if missing:
        raise ResultsError(f"{path} must be written by rayoff but got no column {missing[0]!r}.")
    return frame


def divergence_reasons(trial_folder: Path) -> dict[int, str]:
    """Return why runs of a trial diverged, by seed; runs that did not are left out.

    Args:
        trial_folder: of a trial that has reported.

    Raises:
        ResultsError: its metrics cannot be read.
    """
    rows = _read_table(trial_folder / "metrics.parquet")
    rows = rows.select(["seed", "step", "status", "reason"]).sort_by("step")
    last = {row["seed"]: row for row in rows.to_pylist()}
    return {seed: row["reason"] for seed, row in last.items() if row["status"] == "diverged"}


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        hint = "Run `rayoff report` on the folder, or wait for the first trial to report."
        raise ResultsError(f"{path} was expected but got no such file. {hint}") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultsError(f"{path} must be a Parquet file but got: {error}.") from error


def _trials(run_folder: Path, study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trials of a study, and those that a search has added since it began."""
    listed = study.get("trials")
    if not listed:
        path = run_folder / "study.json"
        raise ResultsError(f"{path} must list its trials under 'trials' but got {sorted(study)}.")
    if "search" not in study:
        return listed
    # The study lists the baseline's, which is point 0.
    trials = {trial["trial_id"]: trial | {"point": 0, "phase": "search"} for trial in listed}
    for record in read_records(run_folder):
        about = {
            "point": record.number,
            "phase": record.phase,
            "point_ended": record.ended is not None,
            "is_baseline": record.is_baseline,
        }
        if record.state == "pruned":
            about["pruned"] = record.reason
        trials |= {trial.trial_id: asdict(trial) | about for trial in record.trials}
    return list(trials.values())


def _trial_metrics(folder: Path, seeds: list[int], pruned: str | None = None) -> pa.Table:
    """Return a trial's rows, with one at step 0 for each seed that has none.

    Args:
        folder: of the trial.
        seeds: of its runs.
        pruned: why a search cut it; None: it did not.
    """
    path = folder / "metrics.parquet"
    names = ("seed", "step", "status", "reason", "evaluated")
    schema = pa.schema([(name, RESULT_COLUMNS[name][0]) for name in names])
    metrics = _read_table(path) if path.exists() else schema.empty_table()
    known = set(metrics["seed"].to_pylist())
    absent = [
        {"seed": seed, "step": 0, "status": "missing", "evaluated": False}
        for seed in seeds
        if seed not in known
    ]
    rows = pa.Table.from_pylist(absent, schema=schema)
    metrics = pa.concat_tables([metrics, rows], promote_options="default")
    metrics = metrics.sort_by([("seed", "ascending"), ("step", "ascending")])
    if pruned is not None:
        return _mark_ended(metrics, "pruned", pruned)
    path = folder / "error.txt"
    if not path.exists():
        return metrics
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return _mark_ended(metrics, "failed", lines[-1] if lines else "no message")


def _mark_ended(metrics: pa.Table, status: str, reason: str) -> pa.Table:
    """Say on the last row of each run that had not ended how its trial was ended.

    Args:
        metrics: rows in order of seed and step.
        status: of the run.
        reason: for it.
    """
    seeds, statuses = metrics["seed"].to_pylist(), metrics["status"].to_pylist()
    unfinished = [
        is_last and status in ("training", "missing")
        for is_last, status in zip(map(ne, seeds, [*seeds[1:], None]), statuses, strict=True)
    ]
    for name, value in (("status", status), ("reason", reason)):
        old = zip(unfinished, metrics[name].to_pylist(), strict=True)
        column = pa.array([value if ended else other for ended, other in old], pa.string())
        metrics = metrics.set_column(metrics.schema.get_field_index(name), name, column)
    return metrics


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json(path).get("facts", {}) if path.exists() else {}


def _join(
    metrics: pa.Table,
    identity: dict[str, object],
    settings: dict[str, pa.Scalar],
    facts: dict[str, Any],
) -> pa.Table:
    """Return a trial's rows with its identity, its settings and what its data says of scores."""
    scored = facts.get("ref_min") is not None and facts.get("ref_max") is not None
    constants = identity | {
        "score_source": facts.get("score_source"),
        "ref_min": facts.get("ref_min"),
        "ref_max": facts.get("ref_max"),
        "floor_return": facts.get("ref_min") if scored else facts.get("worst_return"),
        "floor_score": 0.0 if scored else None,
    }
    table = metrics.rename_columns([METRIC_ALIASES.get(n, n) for n in metrics.column_names])
    for name, value in constants.items():
        scalar = pa.scalar(value, RESULT_COLUMNS[name][0])
        table = table.append_column(name, pa.repeat(scalar, table.num_rows))
    for name, scalar in settings.items():
        table = table.append_column(name, pa.repeat(scalar, table.num_rows))
    if "critic/q_bound" not in table.column_names:
        bound = pa.scalar(facts.get("q_bound"), pa.float64())
        table = table.append_column("critic/q_bound", pa.repeat(bound, table.num_rows))
    return table


def _ordered(table: pa.Table) -> pa.Table:
    """Return the table with identity columns first, then settings, then metrics by name."""
    for name, (kind, _) in RESULT_COLUMNS.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    settings = [name for name in table.column_names if name.startswith("config.")]
    metrics = sorted(set(table.column_names) - set(RESULT_COLUMNS) - set(settings))
    return table.select([*RESULT_COLUMNS, *settings, *metrics])


def _baseline_arm(
    study: dict[str, Any], trials: list[dict[str, Any]], configs: list[dict[str, Any]]
) -> str:
    """Return the arm that is the baseline.

    Of a search it is the point that says so; else the first arm with all of the study's baseline
    settings, or its first arm.
    """
    settings = study.get("baseline") or {}
    for trial, config in zip(trials, configs, strict=True):
        of_settings = all(config.get(path) == value for path, value in settings.items())
        if trial.get("is_baseline", of_settings):
            return trial["arm"]
    return trials[0]["arm"]
