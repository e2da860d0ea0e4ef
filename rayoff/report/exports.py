"""A table of the report and its files: exact as CSV and Parquet, shown as Markdown and LaTeX."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rayoff.files import replace_file, replacing

Row = dict[Hashable, Any]
"""A row of a table's data, by column."""
Column = tuple[str, Callable[[Row], str]]
"""Title of a column, and what makes its cell from a row."""

_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$"},
    }
)


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """One table, exact for programs and rounded for readers."""

    name: str
    """Of its files, and of its heading in the page."""
    about: str
    """What a row is, in a few words."""
    data: pd.DataFrame
    """All numbers, unrounded."""
    titles: Sequence[str] = ()
    """Of the columns as shown; none where only the data is exported."""
    rows: Sequence[Sequence[str]] = ()
    """Cells as shown."""
    text: frozenset[str] = frozenset()
    """Titles of columns that hold words, aligned to the left."""
    baseline: frozenset[int] = frozenset()
    """Rows of the baseline arm, shown in grey."""
    bold: frozenset[tuple[int, str]] = field(default_factory=frozenset)
    """Cells, by row and title, that stand out."""

    def to_markdown(self) -> str:
        """Return the rows as a Markdown table."""
        lines = [_markdown_row(self.titles)]
        lines.append("|" + "|".join("---" if t in self.text else "--:" for t in self.titles) + "|")
        for index, row in enumerate(self.rows):
            cells = zip(self.titles, row, strict=True)
            marked = [f"**{c}**" if (index, t) in self.bold else c for t, c in cells]
            lines.append(_markdown_row(marked))
        return "\n".join(lines) + "\n"

    def to_latex(self) -> str:
        """Return the rows as a LaTeX tabular with the rules of booktabs."""
        kinds = "".join("l" if title in self.text else "r" for title in self.titles)
        lines = [
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            _latex_row(self.titles),
            r"\midrule",
        ]
        for index, row in enumerate(self.rows):
            cells = zip(self.titles, row, strict=True)
            marked = [((index, title) in self.bold, cell) for title, cell in cells]
            lines.append(
                _latex_row([cell for _, cell in marked], [is_bold for is_bold, _ in marked])
            )
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def make_table(
    name: str,
    about: str,
    data: pd.DataFrame,
    columns: list[Column],
    *,
    text: Iterable[str],
    baseline: frozenset[int] = frozenset(),
    bold: Iterable[tuple[int, str]] = (),
) -> ReportTable:
    """Return a table whose cells are made row by row; a single dataset is told above it.

    Args:
        name: of its files.
        about: what a row is.
        data: all numbers, unrounded.
        columns: the title of each, and what makes its cell from a row of the data.
        text: titles of columns that hold words.
        baseline: rows of the baseline arm.
        bold: cells, by row and title, that stand out.
    """
    if "dataset" in data and len(datasets := set(data["dataset"])) == 1:
        columns = [column for column in columns if column[0] != "dataset"]
        about = f"{about} ({datasets.pop()})"
    return ReportTable(
        name=name,
        about=about,
        data=data,
        titles=[title for title, _ in columns],
        rows=[[make(row) for _, make in columns] for row in data.to_dict(orient="records")],
        text=frozenset(text),
        baseline=baseline,
        bold=frozenset(bold),
    )


def write_table(folder: Path, table: ReportTable) -> list[Path]:
    """Write a table's files and return their paths: CSV, Parquet, and as shown .md and .tex.

    Args:
        folder: made if it does not exist.
        table: a table without titles has no rows to show, and only data.
    """
    paths = [folder / f"{table.name}{suffix}" for suffix in (".csv", ".parquet", ".md", ".tex")]
    replace_file(paths[0], table.data.to_csv(index=False))
    with replacing(paths[1]) as unfinished:
        exact = pa.Table.from_pandas(_typed(table.data), preserve_index=False)
        pq.write_table(exact, unfinished)
    if not table.titles:
        return paths[:2]
    replace_file(paths[2], table.to_markdown())
    replace_file(paths[3], table.to_latex())
    return paths


def _typed(data: pd.DataFrame) -> pd.DataFrame:
    """Return data whose columns hold one type each: choices of several types become text."""
    mixed = {
        name: values.map(str, na_action="ignore")
        for name, values in data.items()
        if len({type(value) for value in values.dropna()}) > 1
    }
    return data.assign(**{str(name): values for name, values in mixed.items()})


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _latex_row(cells: Sequence[str], bold: Sequence[bool] = ()) -> str:
    texts = [cell.translate(_LATEX) for cell in cells]
    # After \\ a bracket would be read as the height of the row.
    texts = [f"{{[}}{text[1:]}" if text.startswith("[") else text for text in texts]
    marked = zip(texts, bold or [False] * len(texts), strict=True)
    return " & ".join(rf"\textbf{{{t}}}" if is_bold else t for t, is_bold in marked) + r" \\"
