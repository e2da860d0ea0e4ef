"""Tests of the files of a table: exact for programs, as shown for readers."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from rayoff.report.exports import ReportTable, write_table

DATA = pd.DataFrame({"arm": ["none", "a_b&c"], "score": [1 / 3, 50.25], "reason": [None, "50%"]})
TABLE = ReportTable(
    name="small",
    about="two arms",
    data=DATA,
    titles=["arm", "score | bound"],
    rows=[["none", "0.3"], ["a_b&c", "50.2 [48.1, 52.0]"]],
    text=frozenset({"arm"}),
    bold=frozenset({(1, "score | bound")}),
)


def test_markdown_aligns_numbers_and_escapes_bars() -> None:
    assert TABLE.to_markdown().splitlines() == [
        "| arm | score \\| bound |",
        "|---|--:|",
        "| none | 0.3 |",
        "| a_b&c | **50.2 [48.1, 52.0]** |",
    ]


def test_latex_has_the_rules_of_booktabs_and_escapes_what_tex_would_read() -> None:
    assert TABLE.to_latex().splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"arm & score \textbar{} bound \\",
        r"\midrule",
        r"none & 0.3 \\",
        r"a\_b\&c & \textbf{50.2 [48.1, 52.0]} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_programs_get_every_digit(tmp_path: Path) -> None:
    paths = write_table(tmp_path / "tables", TABLE)
    assert [path.suffix for path in paths] == [".csv", ".parquet", ".md", ".tex"]
    read = pd.read_csv(paths[0])
    assert read["score"].tolist() == DATA["score"].tolist()
    assert pq.read_table(paths[1]).to_pylist()[0] == {
        "arm": "none",
        "score": 1 / 3,
        "reason": None,
    }


def test_a_table_that_is_not_shown_has_data_only(tmp_path: Path) -> None:
    paths = write_table(tmp_path, ReportTable(name="runs", about="runs", data=DATA))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs.csv", "runs.parquet"]
    assert sorted(paths) == sorted(tmp_path.iterdir())


def test_a_cell_that_begins_with_a_bracket_does_not_break_a_row_of_latex() -> None:
    table = ReportTable(name="a", about="a", data=DATA, titles=["x"], rows=[["[1, 2]"], ["b"]])
    assert "{[}1, 2]" in table.to_latex()


def test_choices_of_several_types_become_text(tmp_path: Path) -> None:
    data = pd.DataFrame({"param.norm": ["layer", 0, True, None], "score": [1.0, 2.0, 3.0, 4.0]})
    write_table(tmp_path, ReportTable(name="points", about="points", data=data))
    table = pq.read_table(tmp_path / "points.parquet").to_pydict()
    assert table == {"param.norm": ["layer", "0", "True", None], "score": [1.0, 2.0, 3.0, 4.0]}
