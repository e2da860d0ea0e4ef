"""Tests of rayoff.search.tables: what a trial could not prepare is refused before it starts."""

from pathlib import Path

import numpy as np
import pytest
from data_fixtures import flat_rows, write_parquet
from tiny_studies import make_study
from toy_pendulum import write_pendulum

from rayoff.errors import DatasetError
from rayoff.search.tables import load_tables
from rayoff.study import trials


def test_each_dataset_is_read_once_for_all_its_trials(tmp_path: Path) -> None:
    source = write_pendulum(tmp_path / "pendulum.parquet")
    planned = trials(make_study(source))
    assert len(planned) > 1
    assert list(load_tables(planned)) == [source]


def test_returns_that_cannot_be_normalised_are_found_before_a_trial_starts(tmp_path: Path) -> None:
    rows = flat_rows([100, 100], [True, True]) | {"rewards": np.ones(200)}
    source = write_parquet(tmp_path / "even.parquet", rows)
    study = make_study(source, settings={"data.reward_normalization": "return_range"})
    with pytest.raises(DatasetError, match=r"even\.parquet must have rewards and returns that"):
        load_tables(trials(study))
