"""What one run takes of memory.

It is built and takes a few steps, of which the last are recorded as a trial records them.
"""

from collections.abc import Sequence

import torch

from rayoff.agents import Agent, make_agent
from rayoff.checkpoint import flatten_state
from rayoff.config import TrialConfig
from rayoff.data import Rows, Transitions
from rayoff.draws import Draws, HeldDraws
from rayoff.trial.agent_state import agent_state
from rayoff.trial.program import Memory, Program
from rayoff.trial.recording import Operation, Recording, storage_of
from rayoff.trial.replay import EagerStep
from rayoff.trial.sampling import Sampler


def measure_run(
    config: TrialConfig, num_observations: int, num_actions: int
) -> tuple[int, int, int]:
    """Return what one run takes: its state, its largest step, its replay's arena [byte].

    Args:
        config: of its trial.
        num_observations: S.
        num_actions: A.
    """
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
    transitions = Transitions(**columns, rewards=of_each, terminations=of_each)
    return Sampler(Rows.of(transitions), batch_size)


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
