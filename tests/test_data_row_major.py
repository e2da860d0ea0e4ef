"""Tests of rayoff.data.row_major: rows side by side hold what the columns held."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from data_fixtures import flat_rows, write_parquet

from rayoff.config import DataConfig
from rayoff.data import column_view, load_table, read_metadata, subset_rows, to_row_major
from rayoff.data.row_major import FIELDS, field_view, is_row_major, widths_of


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    return load_table(write_parquet(tmp_path / "data.parquet", flat_rows([30, 20], [True, False])))


def test_each_field_is_found_in_the_rows(table: pa.Table) -> None:
    row_major = to_row_major(table)
    for name in FIELDS:
        view = field_view(row_major, name)
        assert view.dtype == np.float32
        assert (view == column_view(table, name)).all()


def test_what_a_trial_asks_of_a_table_is_the_same_of_a_row_major_one(table: pa.Table) -> None:
    row_major = to_row_major(table)
    assert read_metadata(row_major) == read_metadata(table)
    for unit in ("transition", "episode"):
        config = DataConfig(fraction=0.5, unit=unit)
        assert (subset_rows(row_major, config, 8) == subset_rows(table, config, 8)).all()


def test_a_row_major_table_takes_the_memory_of_its_rows_and_episodes(table: pa.Table) -> None:
    row_major = to_row_major(table)
    assert row_major.nbytes == row_major.num_rows * 4 * (sum(widths_of(row_major)) + 1)


def test_what_is_row_major_stays_as_it_is(table: pa.Table) -> None:
    row_major = to_row_major(table)
    assert not is_row_major(table)
    assert to_row_major(row_major) is row_major
