"""The report's tables of what happened: runs, rates of divergence, stops and costs."""

from collections.abc import Iterable

import pandas as pd

from rayoff.report.cost import costs_table
from rayoff.report.exports import Column, ReportTable, Row, make_table
from rayoff.report.rates import rates_table
from rayoff.report.stops import stops_table
from rayoff.report.tables import (
    format_fraction,
    format_number,
    format_rate,
    format_share,
)
from rayoff.results import STATUSES, arm_order, count_runs, run_table


def coverage(frame: pd.DataFrame) -> ReportTable:
    """Return what became of the runs of each arm, dataset and fraction.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    arms = {arm: place for place, arm in enumerate(arm_order(frame))}
    datasets = {name: place for place, name in enumerate(frame["dataset"].unique())}
    cells = count_runs(frame).to_dict(orient="records")
    cells.sort(key=lambda c: (datasets[c["dataset"]], arms[c["arm"]], -c["fraction"]))
    data = pd.DataFrame(cells)
    fractions = sorted(set(data["fraction"]), reverse=True)
    titles = ["dataset", "arm", *map(format_fraction, fractions)]
    first = 0 if len(datasets) > 1 else 1
    rows = []
    for dataset, arm in data[["dataset", "arm"]].drop_duplicates().itertuples(index=False):
        found = {c["fraction"]: c for c in cells if (c["dataset"], c["arm"]) == (dataset, arm)}
        texts = [
            ", ".join(f"{cell[s]} {s}" for s in STATUSES if cell[s]) if cell else "-"
            for cell in (found.get(fraction) for fraction in fractions)
        ]
        rows.append([str(dataset), str(arm), *texts][first:])
    where = "each dataset" if len(datasets) > 1 else next(iter(datasets))
    return ReportTable(
        name="coverage",
        about=f"what became of the runs of each arm on {where} at each share of the data",
        data=data,
        titles=titles[first:],
        rows=rows,
        text=frozenset(titles),
        baseline=_baseline_rows(frame, [row[1 - first] for row in rows]),
    )


def rates(frame: pd.DataFrame) -> ReportTable:
    """Return how often arms diverged, at each share of the data."""
    columns: list[Column] = [
        ("arm", lambda r: r["arm"]),
        ("data", lambda r: format_fraction(r["fraction"])),
        ("diverged", lambda r: f"{r['num_diverged']} of {r['num_runs']}"),
        ("rate [95% interval]", lambda r: format_rate(r["rate"], r["low"], r["high"])),
        ("median stop step", lambda r: format_number(r["stop_step"], 0)),
    ]
    data = rates_table(frame)
    baseline = _baseline_rows(frame, data["arm"])
    about = "share of runs that diverged, by arm and share of the data"
    return make_table("divergence", about, data, columns, text=("arm",), baseline=baseline)


def stops(frame: pd.DataFrame) -> ReportTable:
    """Return what the stopper found, run by run."""
    columns: list[Column] = [
        ("dataset", lambda r: r["dataset"]),
        ("data", lambda r: format_fraction(r["fraction"])),
        ("arm", lambda r: r["arm"]),
        ("seed", lambda r: str(r["seed"])),
        ("suspect at", lambda r: format_number(r["suspected_step"], 0)),
        ("stop at", lambda r: format_number(r["stop_step"], 0)),
        ("crash foretold at step [interval]", _foretold),
        ("crash seen at step", lambda r: format_number(r["passed_step"], 0)),
        ("right", lambda r: {1.0: "yes", 0.0: "no"}.get(r["right"], "-")),
    ]
    about = "what the stopper found, run by run"
    return make_table("stops", about, stops_table(frame), columns, text=("dataset", "arm"))


def costs(frame: pd.DataFrame) -> ReportTable:
    """Return what each arm took, on the page in minutes where all took less than two hours."""
    data = costs_table(frame)
    unit, per_hour, digits = ("min", 60, 1) if sum(data["hours"]) < 2 else ("h", 1, 2)
    columns: list[Column] = [
        ("arm", lambda r: r["arm"]),
        ("trials", lambda r: str(r["num_trials"])),
        (f"wall time [{unit}]", lambda r: format_number(per_hour * r["hours"], digits)),
        (f"device [{unit}]", lambda r: format_number(per_hour * r["device_hours"], digits)),
        ("run-steps / s", lambda r: format_number(r["steps_per_second"], 0)),
        ("evaluation", lambda r: format_share(r["evaluation_share"])),
        ("SEEM", lambda r: format_share(r["probe_share"])),
        ("runs stopped", lambda r: str(r["num_stopped"])),
        (f"saved [{unit}]", lambda r: format_number(per_hour * r["saved_hours"], digits)),
    ]
    baseline = _baseline_rows(frame, data["arm"])
    about = "what each arm took, and what stopping saved"
    return make_table("costs", about, data, columns, text=("arm",), baseline=baseline)


def runs(frame: pd.DataFrame) -> ReportTable:
    """Return one row for each run, which is what all statistics are made of."""
    data = run_table(frame)
    data = data.assign(diverged=data["status"] == "diverged")
    about = "one row for each run, with its result as value: what all statistics are made of"
    return ReportTable(name="runs", about=about, data=data)


def _baseline_rows(frame: pd.DataFrame, arms: Iterable[str]) -> frozenset[int]:
    baseline = arm_order(frame)[0]
    return frozenset(index for index, arm in enumerate(arms) if arm == baseline)


def _foretold(row: Row) -> str:
    if pd.isna(row["forecast_step"]):
        return "-"
    ends = format_number(row["forecast_low"], 0), format_number(row["forecast_high"], 0)
    return f"{format_number(row['forecast_step'], 0)} [{ends[0]}, {ends[1]}]"
