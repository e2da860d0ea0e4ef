"""What the largest trial of a study takes of memory: found out on one of its runs.

A run is built and takes a few steps, of which the last are recorded as a trial records them. All
that it makes has an axis of runs, so that K runs take K times as much. What SEEM's readings take
follows from the rows of the probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import torch

from rayoff.agents import Agent, make_agent
from rayoff.checkpoint import flatten_state
from rayoff.config import NetworkConfig, TrialConfig
from rayoff.data import Transitions
from rayoff.data.table import column_view
from rayoff.draws import Draws, HeldDraws
from rayoff.search.packing import Demand
from rayoff.study import PlannedTrial
from rayoff.trial.agent_state import agent_state
from rayoff.trial.program import Memory, Program
from rayoff.trial.recording import Operation, Recording, storage_of
from rayoff.trial.replay import EagerStep
from rayoff.trial.sampling import Sampler

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
    largest: dict[str, TrialConfig] = {}
    for config in (trial.config for trial in planned):
        known = largest.setdefault(config.algorithm, config)
        largest[config.algorithm] = max(known, config, key=_rank)
    widths = {
        name: max(column_view(table, name).shape[1] for table in tables.values())
        for name in ("observations", "actions")
    }
    runs = [_measure_run(config, *widths.values()) for config in largest.values()]
    state, step, arena = max(runs, key=sum)
    return replace(bound_demand(planned, tables), state=state, step=step, arena=arena)


def bound_demand(planned: Sequence[PlannedTrial], tables: Mapping[str, pa.Table]) -> Demand:
    """Return more than any trial of a study takes, without measuring.

    Args:
        planned: trials whose datasets are among ``tables``.
        tables: by source.
    """
    return Demand(
        num_runs=max(len(trial.config.seeds) for trial in planned),
        data=max(_data_bytes(trial.config, tables[trial.dataset]) for trial in planned),
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
    """Return what a trial's rows take: its columns, and the copy that is sampled from."""
    sizes = {name: column_view(table, name)[:1].size for name in Transitions._fields}
    num_rows = int(config.data.fraction * table.num_rows) + 1
    return 2 * 4 * num_rows * sum(sizes.values())


def _probe_bytes(config: TrialConfig) -> int:
    """Return what a reading of SEEM makes for one run: kernels of all rows with all rows."""
    num_critics = config.critic.num_critics if config.seem.critics == "all" else 1
    is_read = config.seem.period > 0 and hasattr(config.agent, "discount")
    return is_read * _NUM_KERNELS * 4 * config.seem.num_rows**2 * num_critics


def _measure_run(
    config: TrialConfig, num_observations: int, num_actions: int
) -> tuple[int, int, int]:
    """Return what one run takes: its state, its largest step, its replay's arena [byte]."""
    seeds = torch.zeros(1, dtype=torch.int64)
    agent = make_agent(config, num_observations, num_actions, Draws(seeds, torch.tensor(0)))
    draws = HeldDraws(seeds, torch.tensor(0))
    sampler = _sampler(config.batch_size, num_observations, num_actions)
    eager = EagerStep(agent, sampler, draws, config.precision)
    asked, memory, steps = [], Memory(), []
    for _ in range(agent.actor_period):  # optimisers make their state
        eager(read=True)
        asked.append(list(draws.asked))
    for keys in asked:
        draws.advance()
        draws.fill(keys)
        with Recording() as recording:
            info = eager.update()
        steps.append(_bytes_made(recording.operations))
        Program(recording.operations, info, memory)
    return _state_bytes(agent), max(steps), memory.num_bytes


def _sampler(batch_size: int, num_observations: int, num_actions: int) -> Sampler:
    """Return a sampler of rows of zeros."""
    widths = {"observations": num_observations, "actions": num_actions}
    widths |= {f"next_{name}": width for name, width in widths.items()}
    columns = {name: torch.zeros(batch_size, width) for name, width in widths.items()}
    of_each = torch.zeros(batch_size)
    return Sampler(Transitions(**columns, rewards=of_each, terminations=of_each), batch_size)


def _state_bytes(agent: Agent) -> int:
    tensors, _ = flatten_state(agent_state(agent))
    sizes = {storage_of(tensor): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    return sum(sizes.values())


def _bytes_made(operations: Sequence[Operation]) -> int:
    """Return the memory of all that was made by operations, none of it used twice."""
    found: set[int] = set()
    made: dict[int, int] = {}
    for operation in operations:
        found |= {storage_of(tensor) for tensor in operation.inputs} - made.keys()
        new = (tensor.untyped_storage() for tensor in operation.results)
        made |= {one._cdata: one.nbytes() for one in new if one._cdata not in found}
    return sum(made.values())
