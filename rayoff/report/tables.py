"""The final table in four dresses: plain text, rich, Markdown, and rows for the HTML page."""

import math
import textwrap
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

MAX_WIDTH = 140
"""Columns of the plain text."""
_MAX_ARM = 40


Row = dict[Hashable, Any]
"""A row of the summary, by column."""


def format_number(value: float, digits: int = 1) -> str:
    """Return a number for a table, with thousands separated; ``-`` for nan."""
    return "-" if math.isnan(value) else f"{round(value, digits) + 0.0:,.{digits}f}"  # no -0.0


def format_ratio(value: float) -> str:
    """Return a number of any size with about three digits: 0.44, 15.0, 2,570, 1.2e+06."""
    if abs(value) >= 1e5:
        return f"{value:.1e}"
    return format_number(value, 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0)


def format_interval(value: float, low: float, high: float, sign: str = "") -> str:
    """Return ``46.8 [38.2, 55.4]``; without the brackets where there is no interval.

    Args:
        value: the point estimate.
        low: lower end; nan for none.
        high: upper end.
        sign: ``+`` writes the sign of positive numbers too, as befits an effect.
    """
    if math.isnan(value):
        return "-"
    texts = [f"{round(number, 1) + 0.0:{sign}.1f}" for number in (value, low, high)]  # no -0.0
    return texts[0] if math.isnan(low) else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def format_fraction(fraction: float | str) -> str:
    """Return a share of the data in percent, ``0.1%`` to ``100%``; ``all`` as it is."""
    return "all" if fraction == "all" else f"{100 * float(fraction):g}%"


def format_share(share: float | None) -> str:
    """Return a share as ``91%``; ``-`` for none."""
    return "-" if share is None or math.isnan(share) else f"{share:.0%}"


def format_rate(value: float | None, low: float | None, high: float | None) -> str:
    """Return a rate with its interval, ``40% [12%, 77%]``, each where there is one, else ``-``."""
    if value is None or math.isnan(value):
        return "-"
    if low is None or high is None or math.isnan(low):
        return f"{value:.0%}"
    return f"{value:.0%} [{low:.0%}, {high:.0%}]"


def format_p_value(p_value: float) -> str:
    """Return a p-value with three digits, or that it is smaller."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def format_estimate(row: Row) -> str:
    """Return a summary row's central value with its interval, or that it is the floor."""
    if row["num_runs"] and row["num_diverged"] == row["num_runs"] and row["measure"]:
        return f"{row['mean']:.1f} (floor)"  # an interval of equal floors would look certain
    value = row["iqm"] if row["interval"].startswith("iqm") else row["mean"]
    return format_interval(value, row["low"], row["high"])


def format_diverged(row: Row) -> str:
    """Return ``1 of 5``, and with runs that still train ``1 of 5 so far``."""
    so_far = " so far" if row["num_training"] else ""
    return f"{row['num_diverged']} of {row['num_runs']}{so_far}"


def table_columns(summary: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return titles and texts of the final table, one text for each row of the summary.

    Columns of scores are left out where nothing was evaluated.
    """
    measures = sorted(set(summary["measure"].dropna()))
    scores: list[tuple[str, Callable[[Row], str]]] = [
        (f"{' or '.join(measures)} [95% interval]", format_estimate),
        ("best", lambda row: format_number(row["best"])),
    ]
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("data", lambda row: format_fraction(row["fraction"])),
        ("arm", lambda row: _shorten(row["arm"])),
        ("diverged", format_diverged),
        *(scores if measures else []),
        ("stop step", lambda row: format_number(row["stop_step"], 0)),
        ("|Q| / bound", lambda row: format_ratio(row["q_over_bound"])),
        ("SEEM row-norm.", lambda row: format_number(row["seem_row_normalized"], 3)),
        ("SEEM published", lambda row: format_number(row["seem_normalized"], 3)),
    ]
    rows = summary.to_dict(orient="records")
    return [(title, [text(row) for row in rows]) for title, text in columns]


def render_table(summary: pd.DataFrame) -> str:
    """Return the final table as aligned plain text, at most ``MAX_WIDTH`` columns wide.

    Args:
        summary: as ``summarize`` returns it.
    """
    return "\n\n".join(_render_dataset(name, part) for name, part in _datasets(summary))


def rich_tables(summary: pd.DataFrame) -> list[Table]:
    """Return the final table for a terminal, one for each dataset, diverged runs in red."""
    tables = []
    for name, part in _datasets(summary):
        columns = table_columns(part)
        caption = escape("\n".join(notes(part)))
        table = Table(title=escape(name), title_justify="left", caption=caption)
        table.caption_justify = "left"
        for title, _ in columns:
            table.add_column(escape(title), justify="left" if title == "arm" else "right")
        for index, row in enumerate(part.to_dict(orient="records")):
            style = "red" if row["num_diverged"] else "dim" if row["baseline"] else None
            table.add_row(*(escape(texts[index]) for _, texts in columns), style=style)
        tables.append(table)
    return tables


def render_markdown(summary: pd.DataFrame) -> str:
    """Return the final table as one Markdown table, the dataset in its first column."""
    columns = [("dataset", summary["dataset"].tolist()), *table_columns(summary)]
    lines = ["| " + " | ".join(title.replace("|", "\\|") for title, _ in columns) + " |"]
    lines.append("|" + "|".join("---" if t in ("dataset", "arm") else "--:" for t, _ in columns))
    lines[-1] += "|"
    for texts in zip(*(texts for _, texts in columns), strict=True):
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines) + "\n"


def notes(summary: pd.DataFrame) -> list[str]:
    """Return what the numbers of one dataset need: how they came about, and why runs ended."""
    lines = []
    skipped = summary["eval_skipped"].dropna()
    if len(skipped):
        lines.append(f"No score: {skipped.iloc[0]}.")
    methods = [name for name in summary["interval"].unique() if name != "none"]
    if methods:
        kinds = " or ".join(f"{name.replace(', ', ' (')})" for name in methods)
        lines.append(f"Intervals: {kinds}; a diverged run counts with its floor.")
        lines.append("A run's score: mean of its last 10 evaluations, of the later half at most.")
    explained = summary.dropna(subset=["reason"]).drop_duplicates("arm")
    for row in explained.to_dict(orient="records"):
        lines.append(f"{row['arm']} at {format_fraction(row['fraction'])}: {row['reason']}")
    return lines


def _shorten(arm: str) -> str:
    return arm if len(arm) <= _MAX_ARM else f"{arm[: _MAX_ARM - 1]}…"


def _datasets(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for name in summary["dataset"].unique():
        yield name, summary.query("dataset == @name")


def _render_dataset(name: str, summary: pd.DataFrame) -> str:
    columns = table_columns(summary)
    widths = [max(map(len, [title, *texts])) for title, texts in columns]
    lines = [name, _align([title for title, _ in columns], columns, widths)]
    lines.append("  ".join("-" * width for width in widths))
    for index in range(len(summary)):
        lines.append(_align([texts[index] for _, texts in columns], columns, widths))
    for note in notes(summary):
        lines.append(textwrap.fill(note, MAX_WIDTH, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


def _align(
    texts: Sequence[str], columns: Sequence[tuple[str, list[str]]], widths: Sequence[int]
) -> str:
    cells = [
        text.ljust(width) if title == "arm" else text.rjust(width)
        for text, (title, _), width in zip(texts, columns, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()
