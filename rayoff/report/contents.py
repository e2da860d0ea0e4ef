"""The report's tables of results: effects, aggregates, what choices do together, all arms."""

import math
from typing import Any

import pandas as pd

from rayoff.report.aggregates import ArmScores, aggregates_table, improvement_matrix
from rayoff.report.effects import Effect, effects_table
from rayoff.report.exports import Column, ReportTable, Row, make_table
from rayoff.report.interactions import Interaction, interactions_table
from rayoff.report.tables import (
    format_fraction,
    format_interval,
    format_number,
    format_p_value,
    format_rate,
    format_share,
    table_columns,
)
from rayoff.report.waterfall import Waterfall, waterfalls_table


def effects(found: list[Effect]) -> ReportTable:
    """Return the paired effects, as ``find_effects`` returns them."""
    columns: list[Column] = [
        ("choice", lambda r: f"{r['axis']} = {r['value']} instead of {r['baseline']}"),
        ("dataset", lambda r: r["dataset"]),
        ("data", lambda r: format_fraction(r["fraction"])),
        ("pairs", lambda r: str(r["num_pairs"])),
        ("difference [95% interval]", lambda r: _interval(r, "difference", "", "+")),
        ("better", lambda r: format_share(r["share_improved"])),
        ("diverged", lambda r: f"{r['num_diverged']} instead of {r['num_diverged_baseline']}"),
        ("p by Holm", lambda r: format_p_value(r["p_holm"])),
        ("verdict", lambda r: r["verdict"]),
    ]
    data = effects_table(found)
    bold = {(index, "verdict") for index, effect in enumerate(found) if effect.survives}
    about = "differences of matched runs, for each choice, and for each part of the data"
    text = ("choice", "dataset", "verdict")
    return make_table("effects", about, data, columns, text=text, bold=bold)


def aggregates(scores: ArmScores) -> ReportTable:
    """Return each arm over all its runs."""
    columns: list[Column] = [
        ("arm", lambda r: r["arm"]),
        ("runs", lambda r: str(r["num_runs"])),
        ("diverged", lambda r: str(r["num_diverged"])),
        ("IQM [95% interval]", lambda r: _interval(r, "iqm", "iqm_")),
        ("mean [95% interval]", lambda r: _interval(r, "mean", "mean_")),
        ("median [95% interval]", lambda r: _interval(r, "median", "median_")),
        (
            "P(above the baseline) [95% interval]",
            lambda r: format_rate(r["improvement"], r["improvement_low"], r["improvement_high"]),
        ),
    ]
    about = "each arm over all datasets and shares of the data that every arm has"
    data = aggregates_table(scores)
    grey = frozenset(index for index, arm in enumerate(data["arm"]) if arm == scores.baseline)
    return make_table("aggregates", about, data, columns, text=("arm",), baseline=grey)


def improvement(scores: ArmScores, arms: list[str]) -> ReportTable:
    """Return how likely a run of each arm is above one of each other."""
    matrix = improvement_matrix(scores, arms)
    rows = [
        [arm, *("-" if arm == other else f"{matrix.loc[arm, other]:.0%}" for other in arms)]
        for arm in arms
    ]
    return ReportTable(
        name="improvement",
        about="probability that a run of the row's arm is above one of the column's",
        data=matrix.reset_index(names="arm"),
        titles=["arm", *arms],
        rows=rows,
        text=frozenset({"arm"}),
        baseline=frozenset({0}),
    )


def interactions(found: list[Interaction]) -> ReportTable:
    """Return what pairs of choices do beyond the sum of both."""
    columns: list[Column] = [
        ("choice", lambda r: r["first"]),
        ("with", lambda r: r["second"]),
        ("dataset", lambda r: r["dataset"]),
        ("matched runs", lambda r: str(r["num_runs"])),
        ("beyond the sum [95% interval]", lambda r: _interval(r, "difference", "", "+")),
    ]
    bold = {(i, "beyond the sum [95% interval]") for i, one in enumerate(found) if one.is_shown}
    about = "what two choices do together beyond the sum of both"
    text = ("choice", "with", "dataset")
    data = interactions_table(found)
    return make_table("interactions", about, data, columns, text=text, bold=bold)


def waterfall(found: list[Waterfall | str]) -> ReportTable:
    """Return what each choice adds between the baseline and the best arm."""
    columns: list[Column] = [
        ("dataset", lambda r: r["dataset"]),
        ("choice", lambda r: r["choice"]),
        ("adds [95% interval]", lambda r: _interval(r, "adds", "", "+")),
    ]
    about = "what each choice adds between the baseline and the best arm, averaged over orders"
    text = ("dataset", "choice")
    return make_table("waterfall", about, waterfalls_table(found), columns, text=text)


def summary(data: pd.DataFrame) -> ReportTable:
    """Return the final table; the best arm is bold where its interval excludes the next.

    Args:
        data: as ``summarize`` returns it.
    """
    shown = table_columns(data)
    records = data.to_dict(orient="records")
    if len(data["measure"].dropna()):
        place = next(i for i, (title, _) in enumerate(shown) if title == "best")
        spread = [_mean_and_spread(row) for row in records]
        last = [format_number(row["last"]) for row in records]
        shown[place:place] = [("mean ± std", spread), ("last", last)]
    datasets = data["dataset"].tolist()
    columns = [("dataset", datasets), *shown] if len(set(datasets)) > 1 else shown
    where = "each dataset" if len(set(datasets)) > 1 else datasets[0]
    titles = [title for title, _ in columns]
    score = next((title for title in titles if title.endswith("[95% interval]")), "")
    return ReportTable(
        name="summary",
        about=f"results of each arm on {where} at each share of the data",
        data=data,
        titles=titles,
        rows=[list(row) for row in zip(*(texts for _, texts in columns), strict=True)],
        text=frozenset({"dataset", "arm"}),
        baseline=frozenset(index for index, row in enumerate(records) if row["baseline"]),
        bold=frozenset((index, score) for index in _clear_winners(records)),
    )


def _clear_winners(rows: list[Row]) -> list[int]:
    """Return the best row of each dataset and fraction whose interval excludes the next."""
    cells: dict[tuple[Any, Any], list[tuple[float, float, int]]] = {}
    for index, row in enumerate(rows):
        value = row["iqm"] if row["interval"].startswith("iqm") else row["mean"]
        if not math.isnan(value):
            cell = cells.setdefault((row["dataset"], row["fraction"]), [])
            cell.append((value, row["low"], index))
    ranked = (sorted(cell, reverse=True) for cell in cells.values() if len(cell) > 1)
    return [best[2] for best, following, *_ in ranked if best[1] > following[0]]


def _mean_and_spread(row: Row) -> str:
    if math.isnan(row["std"]):
        return format_number(row["mean"])
    return f"{format_number(row['mean'])} ± {format_number(row['std'])}"


def _interval(row: Row, name: str, ends: str, sign: str = "") -> str:
    """Return a value of a row with its ends; ``-`` where it is null."""
    value, low, high = (row[column] for column in (name, f"{ends}low", f"{ends}high"))
    if value is None or pd.isna(value):
        return "-"
    low, high = (math.nan if end is None else end for end in (low, high))
    return format_interval(value, low, high, sign)
