"""What the largest trial of a study takes of memory: a bound, or found out on one of its runs.

All that a run makes has an axis of runs, so that K runs take K times as much. What SEEM's readings
take follows from the rows of the probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from rayoff.config import NetworkConfig, TrialConfig
from rayoff.data import column_view
from rayoff.data.packing import FIELDS
from rayoff.search.packing import Demand
from rayoff.study import PlannedTrial

_NUM_KERNELS = 15
"""Matrices of the size of a kernel that a reading makes of one critic: 13 to 15 were measured."""

_BOUND_FACTOR = 16
"""What a run may take of memory at most, as a multiple of what ``_rank`` says: algorithms that
ask their critics about many actions at each observation take that much."""


def measure_demand(planned: Sequence[PlannedTrial], tables: Mapping[str, pa.Table]) -> Demand:
    """Return what the largest trial of a study takes: an upper bound for each of them.

    One run of the largest arm of every algorithm takes a few steps, some 0.1 s for 2 x 256.

    Args:
        planned: trials whose datasets are among ``tables``.
        tables: by source.
    """
    from rayoff.search.run_memory import measure_run  # torch, which a bound does without

    largest: dict[str, TrialConfig] = {}
    for config in (trial.config for trial in planned):
        known = largest.setdefault(config.algorithm, config)
        largest[config.algorithm] = max(known, config, key=_rank)
    widths = {
        name: max(column_view(table, name).shape[1] for table in tables.values())
        for name in ("observations", "actions")
    }
    runs = [measure_run(config, *widths.values()) for config in largest.values()]
    state, step, arena = max(runs, key=sum)
    return replace(bound_demand(planned, tables), state=state, step=step, arena=arena)


def bound_demand(planned: Sequence[PlannedTrial], tables: Mapping[str, pa.Table]) -> Demand:
    """Return more than any trial of a study takes, without measuring.

    Args:
        planned: trials whose datasets are among ``tables``.
        tables: by source.
    """
    data = [_data_bytes(trial.config, tables[trial.dataset]) for trial in planned]
    cut = [trial.config.data.fraction < 1 for trial in planned]
    return Demand(
        num_runs=max(len(trial.config.seeds) for trial in planned),
        data=max(data),
        own_data=max(is_cut * num_bytes for is_cut, num_bytes in zip(cut, data, strict=True)),
        state=0,
        step=int(_BOUND_FACTOR * 4 * max(_rank(trial.config) for trial in planned)),
        arena=0,
        probe=max(_probe_bytes(trial.config) for trial in planned),
    )


def _rank(config: TrialConfig) -> float:
    """Return about how many numbers a run of td3_bc takes: an order of trials by memory."""
    critics = config.critic.num_critics * _network_rank(config.critic, config.batch_size)
    return critics + _network_rank(config.actor, config.batch_size)


def _network_rank(network: NetworkConfig, batch_size: int) -> float:
    """Return about how many numbers a network's blocks have in weights and in activations."""
    # Measured on td3_bc: a step makes some 8 tensors of each activation, more with a norm.
    kinds = {"none": 8, "batch": 20, "batch_joint": 40}.get(network.norm, 14)
    return network.depth * network.width * (5 * network.width + kinds * batch_size)


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
