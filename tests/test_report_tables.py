"""Tests of rayoff.report.tables: the final table in each of its dresses."""

import io
import re
from pathlib import Path

import pytest
from report_samples import results
from rich.console import Console

from rayoff.report import render_markdown, render_table, rich_tables, summarize
from rayoff.report.tables import format_number


def test_plain_text_is_aligned_and_narrow(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", datasets=("hopper", "ant"))
    frame["arm"] = frame["arm"].replace("layer", "layer" + "-with-many-words" * 5)
    text = render_table(summarize(frame))
    assert max(map(len, text.splitlines())) <= 140
    hopper, ant = text.split("\n\n")
    assert (hopper.splitlines()[0], ant.splitlines()[0]) == ("hopper", "ant")
    header, rule, *rows = hopper.splitlines()[1:9]
    ends = [match.end() for match in re.finditer("-+", rule)]
    for title in ("diverged", "score [95% interval]", "stop step"):
        assert header.index(title) + len(title) in ends
    assert [row.split()[0] for row in rows] == ["100%", "100%", "10%", "10%", "1%", "1%"]
    assert "0.0 (floor)" in rows[0]
    assert "none at 100%: critic self-excites: SEEM 0.13 > 0.05" in hopper


def test_what_still_trains_is_marked(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    assert "so far" not in render_table(summarize(frame))
    frame.loc[(frame["arm"] == "layer") & (frame["seed"] == 0), "status"] = "training"
    none, layer = render_table(summarize(frame)).splitlines()[3:5]
    assert "2 of 2  " in none
    assert "0 of 2 so far" in layer


def test_without_a_simulator_the_table_says_why(tmp_path: Path) -> None:
    text = render_table(summarize(results(tmp_path / "a", simulator=False)))
    assert "No score: gymnasium has no Hopper-v5 here." in text
    assert "95% interval" not in text
    assert "6" in text


def test_a_terminal_shows_the_same_cells(tmp_path: Path) -> None:
    summary = summarize(results(tmp_path / "a", fractions=(0.1,)))
    console = Console(width=140, record=True, file=io.StringIO())
    for table in rich_tables(summary):
        console.print(table)
    words = re.findall(r"[^\s│┃]+", console.export_text())
    for row in render_table(summary).splitlines()[3:5]:
        assert set(row.split()) <= set(words)


def test_markdown_has_a_cell_for_every_column(tmp_path: Path) -> None:
    lines = render_markdown(summarize(results(tmp_path / "a"))).splitlines()
    assert len(lines) == 2 + 6
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0004, "0.000"), (-0.0006, "-0.001"), (1234.5678, "1,234.568")]
)
def test_numbers_are_rounded_and_zero_has_no_sign(value: float, text: str) -> None:
    assert format_number(value, 3) == text
