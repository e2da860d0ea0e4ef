"""From a table to what a trial trains on: the cut, the scaling, tensors.

Shapes: M rows that are left after the cut, S observation, A action, C values of a row.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from rayoff.config import DataConfig
from rayoff.data.facts import DatasetFacts, TableMetadata, read_metadata
from rayoff.data.references import with_chosen_references
from rayoff.data.row_major import FIELDS, ROWS, field_view, to_row_major, widths_of
from rayoff.data.scaling import moments, reward_transform
from rayoff.data.subsets import subset_rows
from rayoff.data.table import flat_values

_STD_FLOOR = 1e-3  # added to the standard deviation of observations, as TD3+BC does


class Transitions(NamedTuple):
    """What batches consist of, scaled."""

    observations: Tensor
    """(M, S)."""
    actions: Tensor
    """In [-1, 1], (M, A)."""
    rewards: Tensor
    """(M,)."""
    next_observations: Tensor
    """(M, S)."""
    next_actions: Tensor
    """(M, A); 0 where an episode ends."""
    terminations: Tensor
    """1 where the episode ended by itself, else 0, float32, (M,)."""


@dataclass(frozen=True)
class Normalizer:
    """Scaling of observations, the same in training and at evaluation."""

    mean: Tensor
    """(S,), 0 without normalisation."""
    std: Tensor
    """What divides, (S,): standard deviation + 1e-3, 1 without normalisation."""

    def apply(self, observations: Tensor) -> Tensor:
        """Return raw observations (..., S) as the agent sees them."""
        return (observations - self.mean) / self.std


@dataclass(frozen=True)
class Scaling:
    """How raw rows become those that a trial trains on."""

    mean: Tensor
    """Subtracted from an observation and its successor, (2 S,)."""
    std: Tensor
    """What both are divided by after that, (2 S,)."""
    factor: float
    """Of the reward."""
    shift: float
    """Added to the reward after that."""
    observations: bool
    """Whether observations change at all."""

    def apply(self, rows: Tensor) -> None:
        """Scale raw rows (..., C) in place."""
        size = len(self.mean)
        if self.observations:
            rows[..., :size].sub_(self.mean).div_(self.std)
        if (self.factor, self.shift) != (1.0, 0.0):
            rows[..., -2].mul_(self.factor).add_(self.shift)


class Rows:
    """Transitions row by row, of which batches are taken by one gather.

    They are the trial's own, scaled, or shared with others in memory that may be read-only, raw;
    then what is taken is scaled. The numbers are the same, bit by bit.

    Attributes:
        values: (M, C), to be read only.
    """

    def __init__(self, values: Tensor, widths: list[int], scaling: Scaling | None = None) -> None:
        """Take over rows in the order of ``FIELDS``.

        Args:
            values: (M, C).
            widths: values of each field, C in all.
            scaling: what is to be done to the rows that are taken; None: they are scaled.
        """
        self.values, self._widths, self._scaling = values, widths, scaling

    @classmethod
    def of(cls, transitions: Transitions) -> "Rows":
        """Return the rows of transitions."""
        columns = [getattr(transitions, name) for name in FIELDS]
        columns = [c if c.dim() == 2 else c[:, None] for c in columns]
        return cls(torch.cat(columns, dim=1), [c.shape[1] for c in columns])

    def __len__(self) -> int:
        """Return M."""
        return len(self.values)

    def take(self, index: Tensor) -> Transitions:
        """Return the transitions at rows (...), int64, each field (..., W) or (...)."""
        rows = self.values.index_select(0, index.flatten()).view(*index.shape, -1)
        return self._scaled(rows)

    def all(self) -> Transitions:
        """Return all of them."""
        return self._scaled(self.values.clone())

    def _scaled(self, rows: Tensor) -> Transitions:
        if self._scaling is not None:
            self._scaling.apply(rows)
        parts = dict(zip(FIELDS, rows.split(self._widths, dim=-1), strict=True))
        for name in ("rewards", "terminations"):
            parts[name] = parts[name].squeeze(-1)
        return Transitions(**parts)


@dataclass(frozen=True)
class Prepared:
    """A dataset, ready to train on."""

    rows: Rows
    normalizer: Normalizer
    facts: DatasetFacts

    @property
    def transitions(self) -> Transitions:
        """All that is trained on, as tensors of its own."""
        return self.rows.all()


def prepare(
    table: pa.Table,
    config: DataConfig,
    batch_size: int,
    device: torch.device | str = "cpu",
) -> Prepared:
    """Return the rows of a fraction as tensors, scaled, with their facts.

    Statistics of observations are of the rows that are left, those of rewards and returns of
    the whole dataset. On the CPU, the whole of a row-major table is not copied: the rows lie over
    its memory, which other trials may share and which may be read-only.

    Args:
        table: of ``load_table``, or of ``to_row_major``.
        config: fraction, scaling and reference returns.
        batch_size: B, the rows that must be left at least.
        device: where the tensors go.

    Raises:
        DatasetError: the fraction leaves less than a batch, the rewards or returns are all
            equal where they are to be normalised, or the reference returns are not two that
            ascend. ``check_preparation`` tells so at less cost.
    """
    metadata = read_metadata(table)
    # Not even numbers of rows are listed where all are taken: they would be 8 bytes for each.
    whole = config.fraction == 1 and batch_size <= metadata.num_rows
    chosen = None if whole else subset_rows(table, config, batch_size)
    table = to_row_major(table)
    normalizer = _normalizer(field_view(table, "observations"), chosen, config)
    factor, shift = reward_transform(field_view(table, "rewards"), config, metadata)
    scaling = Scaling(
        normalizer.mean.repeat(2),
        normalizer.std.repeat(2),
        factor,
        shift,
        config.observation_normalization != "none",
    )
    return Prepared(
        rows=_rows(table, chosen, scaling, torch.device(device)),
        normalizer=Normalizer(normalizer.mean.to(device), normalizer.std.to(device)),
        facts=_facts(table, config, metadata, chosen, (factor, shift)),
    )


def _rows(
    table: pa.Table, chosen: np.ndarray | None, scaling: Scaling, device: torch.device
) -> Rows:
    """Return the chosen rows of a row-major table; all of them lie over its memory on the CPU."""
    widths = widths_of(table)
    # Through DLPack, which has no read-only flag: from_numpy would warn of one.
    shared = torch.from_dlpack(flat_values(table, ROWS)).view(-1, sum(widths))
    if chosen is None and device.type == "cpu":
        return Rows(shared, widths, scaling)
    own = shared.clone() if chosen is None else shared.index_select(0, torch.from_numpy(chosen))
    scaling.apply(own)
    return Rows(own.to(device), widths)


def _normalizer(
    observations: np.ndarray, rows: np.ndarray | None, config: DataConfig
) -> Normalizer:
    """Return the scaling of observations (all rows, S) by the rows that are left (M,)."""
    size = observations.shape[1]
    if config.observation_normalization == "none":
        return Normalizer(torch.zeros(size), torch.ones(size))
    mean, std = moments(observations, rows)
    return Normalizer(torch.from_numpy(mean).float(), torch.from_numpy(std + _STD_FLOOR).float())


def _facts(
    table: pa.Table,
    config: DataConfig,
    metadata: TableMetadata,
    rows: np.ndarray | None,
    transform: tuple[float, float],
) -> DatasetFacts:
    """Return the facts of a trial's data; all rows are left where there is no list of them."""
    rewards = field_view(table, "rewards")
    trained = rewards if rows is None else rewards[rows]
    factor, shift = transform
    extremes = (float(rewards.min()), float(rewards.max()))
    widths = dict(zip(FIELDS, widths_of(table), strict=True))
    return DatasetFacts(
        **asdict(with_chosen_references(metadata, config)),
        num_trained_rows=len(trained),
        num_positive_rewards=int((trained > 0).sum()),
        reward_max_abs=max(abs(reward * factor + shift) for reward in extremes),
        observation_size=widths["observations"],
        action_size=widths["actions"],
    )
