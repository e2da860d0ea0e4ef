"""Offline datasets: any source becomes one Arrow table, a fraction of it becomes tensors.

``load_table`` reads a source once; ``prepare`` cuts and scales it for a trial. Names that need
torch are imported when first asked for, since a study is checked against its sources without it.
"""

from typing import TYPE_CHECKING

from rayoff.data.checks import check_preparation
from rayoff.data.facts import DatasetFacts, TableMetadata, read_metadata, score
from rayoff.data.row_major import to_row_major
from rayoff.data.sources import check_source, list_datasets, load_table
from rayoff.data.subsets import subset_rows
from rayoff.data.table import column_view, save_table

if TYPE_CHECKING:
    from rayoff.data.preparation import Normalizer, Prepared, Rows, Transitions, prepare

__all__ = [
    "DatasetFacts",
    "Normalizer",
    "Prepared",
    "Rows",
    "TableMetadata",
    "Transitions",
    "check_preparation",
    "check_source",
    "column_view",
    "list_datasets",
    "load_table",
    "prepare",
    "read_metadata",
    "save_table",
    "score",
    "subset_rows",
    "to_row_major",
]


def __getattr__(name: str) -> object:
    """Return a name of ``rayoff.data.preparation``, importing torch with it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rayoff.data import preparation

    return getattr(preparation, name)
