"""A dataset as rows: what a batch is made of, side by side, so that drawing one is one gather.

Laid out so once, on the driver, a dataset is in memory once for all trials of a node: those that
train on all of it gather from there.

Shapes: M rows, S observation, A action, C values of a row.
"""

import json

import numpy as np
import pyarrow as pa

from rayoff.data.table import column_view, to_arrow

ROWS = "transitions"
"""The column of a row-major table that holds the rows, fixed_size_list<float32>, (M, C)."""

FIELDS = (
    "observations",
    "next_observations",
    "actions",
    "next_actions",
    "rewards",
    "terminations",
)
"""What a row holds, in its order."""

_WIDTHS_KEY = b"widths"


def to_row_major(table: pa.Table) -> pa.Table:
    """Return a table of the same transitions whose rows lie side by side.

    It has the columns ``transitions`` and ``episode`` and the metadata of the table: all that a
    trial needs. ``field_view`` finds the rest in it.

    Args:
        table: of ``load_table``, or one that is row-major already.
    """
    if is_row_major(table):
        return table
    columns = {name: column_view(table, name) for name in FIELDS}
    widths = [1 if column.ndim == 1 else column.shape[1] for column in columns.values()]
    rows = np.empty((table.num_rows, sum(widths)), np.float32)
    for (start, stop), column in zip(_bounds(widths), columns.values(), strict=True):
        rows[:, start:stop] = column.reshape(len(rows), -1)
    row_major = to_arrow({ROWS: rows, "episode": column_view(table, "episode")})
    known = table.schema.metadata or {}
    return row_major.replace_schema_metadata({**known, _WIDTHS_KEY: json.dumps(widths)})


def is_row_major(table: pa.Table) -> bool:
    """Return whether a table is one of ``to_row_major``."""
    return ROWS in table.column_names


def widths_of(table: pa.Table) -> list[int]:
    """Return the number of values of each of ``FIELDS`` in a row-major table."""
    return json.loads(table.schema.metadata[_WIDTHS_KEY])


def field_view(table: pa.Table, name: str) -> np.ndarray:
    """Return a field as an array (M,) or (M, W) over the memory of a row-major table."""
    place = FIELDS.index(name)
    start, stop = _bounds(widths_of(table))[place]
    values = column_view(table, ROWS)[:, start:stop]
    return values[:, 0] if name in ("rewards", "terminations") else values


def _bounds(widths: list[int]) -> list[tuple[int, int]]:
    """Return where each field begins and ends in a row."""
    ends = np.cumsum(widths).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))
