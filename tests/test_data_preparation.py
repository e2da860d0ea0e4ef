"""Tests of rayoff.data.preparation against formulas, written out in float64."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from data_fixtures import flat_rows, write_d4rl, write_parquet

from rayoff.config import DataConfig
from rayoff.data import (
    Rows,
    Transitions,
    column_view,
    load_table,
    prepare,
    save_table,
    subset_rows,
    to_row_major,
)
from rayoff.data.row_major import ROWS
from rayoff.data.table import BLOCK_ROWS
from rayoff.errors import DatasetError

Normalization = Literal["none", "return_range", "standard"]
RAW = DataConfig(observation_normalization="none")


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    rows = flat_rows([40, 30, 50], [True, False, True])
    rows["observations"] = rows["observations"] * [1, 10, 0] + [0, 5, 2]
    rows["next_observations"] = np.roll(rows["observations"], -1, axis=0)
    return load_table(write_d4rl(tmp_path / "hopper-v2.hdf5", rows))


def columns(table: pa.Table, rows: np.ndarray | slice = slice(None)) -> dict[str, np.ndarray]:
    """Return the columns that transitions are made of, in float64."""
    return {
        name: column_view(table, name)[rows].astype(np.float64) for name in Transitions._fields
    }


def test_without_scaling_transitions_are_the_columns(table: pa.Table) -> None:
    transitions = prepare(table, RAW, 8).transitions
    for name, expected in columns(table).items():
        tensor = getattr(transitions, name)
        assert tensor.dtype == torch.float32
        assert (tensor.numpy() == expected).all()


@pytest.mark.parametrize("unit", ["transition", "episode"])
def test_a_fraction_keeps_the_rows_of_its_subset_together(
    table: pa.Table, unit: Literal["transition", "episode"]
) -> None:
    config = replace(RAW, fraction=0.4, unit=unit)
    rows = subset_rows(table, config, 8)
    transitions = prepare(table, config, 8).transitions
    for name, expected in columns(table, rows).items():
        assert (getattr(transitions, name).numpy() == expected).all()


def test_observations_are_standardised_by_the_rows_trained_on(table: pa.Table) -> None:
    config = DataConfig(fraction=0.3)
    raw = columns(table, subset_rows(table, config, 8))
    mean, std = raw["observations"].mean(0), raw["observations"].std(0) + 1e-3

    prepared = prepare(table, config, 8)

    for name in ("observations", "next_observations"):
        expected = (raw[name] - mean) / std
        np.testing.assert_allclose(
            getattr(prepared.transitions, name), expected, rtol=2e-5, atol=2e-5
        )
    np.testing.assert_allclose(prepared.normalizer.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(prepared.normalizer.std, std, rtol=1e-6)
    whole = columns(table)["observations"].mean(0)
    assert np.abs(prepared.normalizer.mean.numpy() - whole)[:2].min() > 1e-3


def test_evaluation_sees_observations_as_training_does(table: pa.Table) -> None:
    prepared = prepare(table, DataConfig(), 8)
    raw = torch.from_numpy(column_view(table, "observations").copy())
    assert torch.equal(prepared.normalizer.apply(raw), prepared.transitions.observations)
    unscaled = prepare(table, RAW, 8)
    assert torch.equal(unscaled.normalizer.apply(raw), unscaled.transitions.observations)


def test_a_constant_observation_becomes_zero(table: pa.Table) -> None:
    observations = prepare(table, DataConfig(), 8).transitions.observations
    assert observations[:, 2].abs().max() == 0


def test_moments_of_many_blocks_are_those_of_all_rows(tmp_path: Path) -> None:
    rows = flat_rows([BLOCK_ROWS + 1000], [True])
    rows["observations"][BLOCK_ROWS:] += 100
    table = load_table(write_d4rl(tmp_path / "long.hdf5", rows))
    normalizer = prepare(table, DataConfig(), 8).normalizer
    raw = rows["observations"].astype(np.float64)
    np.testing.assert_allclose(normalizer.mean, raw.mean(0), rtol=1e-6)
    np.testing.assert_allclose(normalizer.std, raw.std(0) + 1e-3, rtol=1e-6)


def episode_returns(table: pa.Table) -> np.ndarray:
    """Return the return of each episode by a naive sum."""
    episode = column_view(table, "episode")
    rewards = column_view(table, "rewards").astype(np.float64)
    return np.array([rewards[episode == e].sum() for e in range(episode[-1] + 1)])


def test_return_range_is_of_all_episodes_whatever_the_fraction(table: pa.Table) -> None:
    returns = episode_returns(table)
    for fraction in (1.0, 0.1):
        config = replace(RAW, reward_normalization="return_range", fraction=fraction)
        rows = subset_rows(table, config, 8)
        expected = column_view(table, "rewards")[rows] * 1000 / (returns.max() - returns.min())
        rewards = prepare(table, config, 8).transitions.rewards
        np.testing.assert_allclose(rewards, expected, rtol=1e-5)


def test_standard_rewards_are_z_scores_of_all_rewards(table: pa.Table) -> None:
    config = replace(RAW, reward_normalization="standard", fraction=0.2)
    raw = column_view(table, "rewards").astype(np.float64)
    expected = ((raw - raw.mean()) / raw.std())[subset_rows(table, config, 8)]
    rewards = prepare(table, config, 8).transitions.rewards
    np.testing.assert_allclose(rewards, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("normalization", ["none", "standard"])
def test_scale_and_then_shift_follow_normalisation(
    table: pa.Table, normalization: Normalization
) -> None:
    config = replace(RAW, reward_normalization=normalization)
    before = prepare(table, config, 8).transitions.rewards
    config = replace(config, reward_scale=10.0, reward_shift=-5.0)
    prepared = prepare(table, config, 8)
    torch.testing.assert_close(prepared.transitions.rewards, before * 10 - 5)
    assert prepared.facts.reward_max_abs == pytest.approx(
        prepared.transitions.rewards.abs().max().item(), rel=1e-6
    )


def test_facts_count_what_is_trained_on(table: pa.Table) -> None:
    config = DataConfig(fraction=0.25)
    facts = prepare(table, config, 8).facts
    rows = subset_rows(table, config, 8)
    returns = episode_returns(table)
    assert (facts.num_rows, facts.num_episodes, facts.num_trained_rows) == (120, 3, 30)
    assert facts.num_positive_rewards == (column_view(table, "rewards")[rows] > 0).sum()
    assert facts.reward_max_abs == np.abs(column_view(table, "rewards")).max()
    assert (facts.observation_size, facts.action_size) == (3, 2)
    assert facts.best_return == pytest.approx(returns.max(), rel=1e-5)
    assert facts.worst_return == pytest.approx(returns.min(), rel=1e-5)
    assert (facts.ref_max, facts.score_source) == (3234.3, "d4rl_table")


def test_references_of_the_configuration_come_first_and_are_flagged(table: pa.Table) -> None:
    facts = prepare(table, replace(RAW, ref_max=100.0), 8).facts
    assert (facts.ref_min, facts.ref_max, facts.score_source) == (-20.272305, 100.0, "config")


def test_references_that_do_not_ascend_are_refused(table: pa.Table) -> None:
    with pytest.raises(DatasetError, match=r"ref_min must be below ref_max, but got .* -30\.0"):
        prepare(table, replace(RAW, ref_max=-30.0), 8)


@pytest.mark.parametrize("normalization", ["return_range", "standard"])
def test_equal_rewards_cannot_be_normalised(tmp_path: Path, normalization: Normalization) -> None:
    rows = flat_rows([5, 5], [True, True]) | {"rewards": np.zeros(10)}
    table = load_table(write_parquet(tmp_path / "data.parquet", rows))
    with pytest.raises(DatasetError, match="but got one value for all"):
        prepare(table, replace(RAW, reward_normalization=normalization), 8)


def test_a_table_without_metadata_is_refused(table: pa.Table) -> None:
    with pytest.raises(DatasetError, match="must carry the metadata of load_table"):
        prepare(table.replace_schema_metadata(), RAW, 8)


@pytest.mark.parametrize("config", [RAW, DataConfig(reward_normalization="standard")])
def test_the_whole_of_a_row_major_table_is_not_copied(table: pa.Table, config: DataConfig) -> None:
    row_major = to_row_major(table)
    rows = prepare(row_major, config, 8).rows
    assert rows.values.data_ptr() == column_view(row_major, ROWS).ctypes.data


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_what_is_taken_is_scaled_as_all_of_it(table: pa.Table, fraction: float) -> None:
    config = DataConfig(fraction=fraction, reward_normalization="standard", reward_shift=-1.0)
    prepared = prepare(table, config, 8)
    index = torch.tensor([[3, 0, 3], [7, 2, 1]])
    taken, expected = prepared.rows.take(index), prepared.transitions
    for name in Transitions._fields:
        assert torch.equal(getattr(taken, name), getattr(expected, name)[index])


def test_rows_of_transitions_hold_them_as_they_are(table: pa.Table) -> None:
    transitions = prepare(table, DataConfig(), 8).transitions
    for one, other in zip(Rows.of(transitions).all(), transitions, strict=True):
        assert torch.equal(one, other)


def test_a_shared_trial_learns_from_the_numbers_of_one_with_rows_of_its_own(
    table: pa.Table,
) -> None:
    config = DataConfig(reward_normalization="standard")
    nearly = replace(config, fraction=1 - 1e-9)  # rounds to all rows, by the other path
    shared, own = (prepare(to_row_major(table), c, 8) for c in (config, nearly))
    assert own.rows.values.data_ptr() != shared.rows.values.data_ptr()
    for name in Transitions._fields:
        assert torch.equal(getattr(shared.transitions, name), getattr(own.transitions, name))
    assert torch.equal(shared.normalizer.mean, own.normalizer.mean)
    assert torch.equal(shared.normalizer.std, own.normalizer.std)
    assert replace(shared.facts, source="") == replace(own.facts, source="")


def test_scaling_leaves_the_table_as_it_was(table: pa.Table) -> None:
    before = columns(table)
    config = DataConfig(reward_normalization="standard", reward_shift=-1.0)
    prepare(table, config, 8)
    for name, values in columns(table).items():
        assert (values == before[name]).all()


def test_read_only_memory_is_used_without_a_warning(table: pa.Table, tmp_path: Path) -> None:
    path = str(tmp_path / "table.arrow")
    row_major = to_row_major(table)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, row_major.schema) as writer:
        writer.write_table(row_major)
    with pa.memory_map(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        mapped = pa.ipc.open_file(file).read_all()
        prepared = prepare(mapped, RAW, 8)
    assert prepared.rows.values.data_ptr() == column_view(mapped, ROWS).ctypes.data
    expected = prepare(table, RAW, 8).transitions
    for name in Transitions._fields:
        assert torch.equal(getattr(prepared.transitions, name), getattr(expected, name))


def test_tensors_outlive_their_table(tmp_path: Path) -> None:
    rows = flat_rows([4000], [True])
    source = write_parquet(tmp_path / "data.parquet", rows)
    shared = prepare(load_table(source), RAW, 8).rows
    others = [prepare(load_table(source), DataConfig(), 8) for _ in range(3)]
    assert (shared.all().observations.numpy() == rows["observations"]).all()
    assert len(others) == 3


def test_a_table_in_several_chunks_gives_the_same_transitions(
    table: pa.Table, tmp_path: Path
) -> None:
    chunked = pa.concat_tables([table.slice(0, 50), table.slice(50)])
    assert chunked.column("observations").num_chunks == 2
    for config in (RAW, DataConfig(fraction=0.5)):
        one, other = (prepare(t, config, 8).transitions for t in (table, chunked))
        for name in Transitions._fields:
            assert torch.equal(getattr(one, name), getattr(other, name))
    save_table(chunked, tmp_path / "chunked.parquet")
    assert load_table(f"parquet:{tmp_path}/chunked.parquet").equals(table)


@pytest.mark.gpu
def test_on_a_gpu_all_tensors_are_there(table: pa.Table) -> None:
    prepared = prepare(table, DataConfig(), 8, device="cuda")
    tensors = [*prepared.transitions, prepared.normalizer.mean, prepared.normalizer.std]
    assert {tensor.device.type for tensor in tensors} == {"cuda"}
