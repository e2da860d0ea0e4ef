"""What the largest trial of a study takes of memory: a bound, or found out on one of its runs.

All that a run makes has an axis of runs, so that K runs take K times as much. What SEEM's readings
take follows from the rows of the probe.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nlargest

import pyarrow as pa

from rayoff.config import NetworkConfig, TrialConfig
from rayoff.data import column_view
from rayoff.data.row_major import FIELDS
from rayoff.search.packing import Demand
from rayoff.study import PlannedTrial

_NUM_KERNELS = 15
"""Matrices of the size of a kernel that a reading makes of one critic: 13 to 15 were measured."""

_MAX_MEASURED = 24
"""Kinds of arms that are measured, in a few seconds: in wider studies those left out rank below
all of them."""

_BOUND_FACTOR = 16
"""What a run may take of memory at most, as a multiple of what ``_rank`` says: algorithms that
ask their critics about many actions at each observation take that much."""


def measure_demand(planned: Sequence[PlannedTrial], tables: Mapping[str, pa.Table]) -> Demand:
    """Return what the largest trial of a study takes: an upper bound for each of them.

    One run of the largest arm of every kind takes a few steps, some 0.1 s for 2 x 256; a kind is
    what arms have in common but for sizes and amounts.

    Args:
        planned: trials whose datasets are among ``tables``.
        tables: by source.
    """
    from rayoff.search.run_memory import measure_run  # torch, which a bound does without

    sizes = _sizes(tables)
    measured = _largest([trial.config for trial in planned], sizes)
    runs = [measure_run(config, *sizes) for config in measured]
    # an arm may be the largest in one and another in the next
    state, step, arena = (max(field) for field in zip(*runs, strict=True))
    return replace(bound_demand(planned, tables), state=state, step=step, arena=arena)


def bound_demand(planned: Sequence[PlannedTrial], tables: Mapping[str, pa.Table]) -> Demand:
    """Return more than any trial of a study takes, without measuring.

    Args:
        planned: trials whose datasets are among ``tables``.
        tables: by source.
    """
    sizes = _sizes(tables)
    data = [_data_bytes(trial.config, tables[trial.dataset]) for trial in planned]
    cut = [trial.config.data.fraction < 1 for trial in planned]
    return Demand(
        num_runs=max(len(trial.config.seeds) for trial in planned),
        data=max(data),
        own_data=max(is_cut * num_bytes for is_cut, num_bytes in zip(cut, data, strict=True)),
        state=0,
        step=int(_BOUND_FACTOR * 4 * max(_rank(trial.config, *sizes) for trial in planned)),
        arena=0,
        probe=max(_probe_bytes(trial.config) for trial in planned),
    )


def _largest(configs: Iterable[TrialConfig], sizes: tuple[int, int]) -> list[TrialConfig]:
    """Return the largest arm of each kind, at most ``_MAX_MEASURED`` of the largest.

    Args:
        configs: of trials.
        sizes: S and A.
    """
    largest: dict[tuple[object, ...], TrialConfig] = {}
    for config in configs:
        # no CPU has tf32, which takes as much as float32
        one = replace(config, precision="float32") if config.precision == "tf32" else config
        kind = _kind(one)
        largest[kind] = max(largest.get(kind, one), one, key=lambda c: _rank(c, *sizes))
    return nlargest(_MAX_MEASURED, largest.values(), key=lambda config: _rank(config, *sizes))


def _kind(config: TrialConfig) -> tuple[object, ...]:
    """Return what decides which operations a step has; of an amount, whether there is any."""
    parts = (config.agent, config.actor, config.critic, config.regularizer)
    values = (value for part in parts for value in vars(part).values())
    amounts = (value if isinstance(value, str) else value != 0 for value in values)
    return config.algorithm, config.precision, *amounts


def _sizes(tables: Mapping[str, pa.Table]) -> tuple[int, int]:
    """Return S and A, each of the dataset where it is largest."""
    num_observations, num_actions = (
        max(column_view(table, name).shape[1] for table in tables.values())
        for name in ("observations", "actions")
    )
    return num_observations, num_actions


def _rank(config: TrialConfig, num_observations: int, num_actions: int) -> float:
    """Return about how many numbers a run of td3_bc takes: an order of trials by memory.

    Args:
        config: of a trial.
        num_observations: S.
        num_actions: A.
    """
    num_inputs, batch_size = num_observations + num_actions, config.batch_size
    critic = _network_rank(config.critic, batch_size, num_inputs)
    actor = _network_rank(config.actor, batch_size, num_observations)
    penalties = config.regularizer
    passes = 1.0 + (penalties.dr3_weight > 0)
    if penalties.rd_weight > 0:
        passes += 1 + (penalties.rd_stage != "1")
    batch = 2 * batch_size * num_inputs
    return passes * (config.critic.num_critics * critic + actor) + batch


def _network_rank(network: NetworkConfig, batch_size: int, num_inputs: int) -> float:
    """Return about how many numbers a network has in weights and in activations."""
    # Measured on td3_bc: a step makes some 8 tensors of each activation, more with a norm.
    kinds = {"none": 8, "batch": 20, "batch_joint": 40}.get(network.norm, 14)
    kinds += 4 * (network.dropout > 0)
    blocks = network.depth * network.width * (5 * network.width + kinds * batch_size)
    return blocks + num_inputs * (5 * network.width + 2 * batch_size)


def _data_bytes(config: TrialConfig, table: pa.Table) -> int:
    """Return what a trial's rows take at most: those it samples from, and on the way to them."""
    sizes = {name: column_view(table, name)[:1].size for name in FIELDS}
    num_rows = int(config.data.fraction * table.num_rows) + 1
    return 2 * 4 * num_rows * sum(sizes.values())


def _probe_bytes(config: TrialConfig) -> int:
    """Return what a reading of SEEM makes for one run: kernels of all rows with all rows."""
    num_critics = config.critic.num_critics if config.seem.critics == "all" else 1
    is_read = config.seem.period > 0 and hasattr(config.agent, "discount")
    return is_read * _NUM_KERNELS * 4 * config.seem.num_rows**2 * num_critics
