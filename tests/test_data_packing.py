"""Tests of rayoff.data.packing: rows side by side hold what the columns held."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from data_fixtures import flat_rows, write_parquet

from rayoff.config import DataConfig
from rayoff.data import column_view, load_table, pack_rows, read_metadata, subset_rows
from rayoff.data.packing import FIELDS, is_packed, packed_view, widths_of


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    return load_table(write_parquet(tmp_path / "data.parquet", flat_rows([30, 20], [True, False])))


def test_each_field_is_found_in_the_rows(table: pa.Table) -> None:
    packed = pack_rows(table)
    for name in FIELDS:
        view = packed_view(packed, name)
        assert view.dtype == np.float32
        assert (view == column_view(table, name)).all()


def test_what_a_trial_asks_of_a_table_is_the_same_of_a_packed_one(table: pa.Table) -> None:
    packed = pack_rows(table)
    assert read_metadata(packed) == read_metadata(table)
    for unit in ("transition", "episode"):
        config = DataConfig(fraction=0.5, unit=unit)
        assert (subset_rows(packed, config, 8) == subset_rows(table, config, 8)).all()


def test_a_packed_table_takes_no_more_memory_than_its_rows_and_episodes(table: pa.Table) -> None:
    packed = pack_rows(table)
    assert packed.nbytes == packed.num_rows * 4 * (sum(widths_of(packed)) + 1)


def test_what_is_packed_stays_as_it_is(table: pa.Table) -> None:
    packed = pack_rows(table)
    assert not is_packed(table)
    assert pack_rows(packed) is packed
