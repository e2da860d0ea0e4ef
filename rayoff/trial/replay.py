"""Taking training steps by replaying a recorded one, without Python's and autograd's share.

An update is a fixed sequence of tensor operations (``tests/test_agents_capture.py``) that change
weights, moments and targets in place, so the sequence can be recorded once and run again on the
same tensors: the results are equal bit by bit, since every kernel sees the operands that it would
have seen. Which sequence is due, Python decides at every step: one with or without a step of the
actor. What else Python might change is looked for by recording twice.

On the CPU a step is recorded by a dispatch mode (``recording``) and laid out as a list of calls
(``program``); its random numbers are made outside and read from tensors that stay. On a GPU it is
captured as a CUDA graph, the step's counter in it.
"""

import logging
from functools import cache
from typing import Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from rayoff.agents import Agent
from rayoff.config import Precision
from rayoff.draws import AheadDraws, DrawKey, Draws, HeldDraws
from rayoff.networks import products_in
from rayoff.trial.agent_state import agent_state
from rayoff.trial.program import Memory, Program
from rayoff.trial.recording import Recording, Signature
from rayoff.trial.sampling import Sampler

Info = dict[str, Tensor]

_LOGGER = logging.getLogger(__name__)


def make_draws(seeds: Tensor, step: Tensor) -> Draws:
    """Return draws that suit the replay of steps on the device of ``seeds``.

    Args:
        seeds: seeds of the runs, int64, (K,).
        step: gradient step, int64, (); advanced in place.
    """
    return (HeldDraws if seeds.device.type == "cpu" else AheadDraws)(seeds, step, num_ahead=64)


class Step(Protocol):
    """One kind of step, with or without the actor's; it is told whether its info is read."""

    obstacle: str | None

    def __call__(self, *, read: bool) -> Info:
        """Take the step on an agent that is due for it, and return its statistics, each (K,)."""
        ...


class EagerStep:
    """Samples and updates, operation by operation; what a debugger can step through."""

    def __init__(
        self,
        agent: Agent,
        sampler: Sampler,
        draws: Draws,
        precision: Precision = "float32",
        obstacle: str | None = None,
    ) -> None:
        self.agent, self.sampler, self.draws, self.obstacle = agent, sampler, draws, obstacle
        self.precision: Precision = precision

    def __call__(self, *, read: bool) -> Info:
        """Take the step."""
        self.draws.prepare()
        return self.take()

    def take(self) -> Info:
        """Take the step that the draws are prepared for: what can be captured."""
        self.draws.advance()
        return self.update()

    def update(self) -> Info:
        """Update the agent on the batch of the draws' step."""
        with products_in(self.precision):
            return self.agent.update(self.sampler.sample(self.draws))


class RecordedStep:
    """Replays a step that was recorded on the CPU.

    The first step is eager, since optimisers make their state in it; the second and the third
    are recorded, and compared.
    """

    def __init__(self, eager: EagerStep, draws: HeldDraws, memory: Memory) -> None:
        self._eager, self._draws, self._memory = eager, draws, memory
        self._asked: list[DrawKey] | None = None
        self._before: Signature | None = None
        self._programs: dict[bool, Program] = {}
        self.obstacle: str | None = None

    def __call__(self, *, read: bool) -> Info:
        """Take the step, by the fastest way that is ready."""
        if self._programs:
            return self._replay(self._programs[read])
        if self.obstacle is not None:
            return self._eager(read=read)
        if self._asked is None:
            info = self._eager(read=read)
            self._asked = list(self._draws.asked)
            return info
        return self._record(self._asked)

    def _replay(self, program: Program) -> Info:
        self._draws.advance()
        self._draws.fill(self._asked or ())
        program.run()
        self._eager.agent.num_updates += 1
        return program.info

    def _record(self, asked: list[DrawKey]) -> Info:
        """Take the step and record it; make the programs if it was recorded before."""
        self._draws.advance()
        self._draws.fill(asked)
        with Recording() as recording:
            info = self._eager.update()
        self.obstacle = recording.obstacle
        if list(self._draws.asked) != asked:
            self.obstacle = "the random numbers asked for do not recur"
        if self._before is None and self.obstacle is None:
            self._before = recording.signature()
            return info
        if self.obstacle is None and self._before is not None:
            self.obstacle = recording.difference(self._before)
        self._before = None
        if self.obstacle is None:
            operations = recording.operations
            self._programs = {
                read: Program(operations, info if read else {}, self._memory)
                for read in (False, True)
            }
        return info


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream on which every step of a process is warmed up and captured.

    One for all: freed memory and cuBLAS's workspaces (32 MiB on a Hopper, for each of two threads)
    are kept stream by stream. And one of the agent's device: what ``torch.cuda.graph`` has by
    default is of the device of its first use, and work on others would be done, not captured.
    """
    return torch.cuda.Stream(device)


class CapturedStep:
    """Replays a step that was captured as a CUDA graph.

    The first steps are eager, on a stream of their own as capturing asks for; then the step is
    captured, which runs nothing, and replayed.
    """

    _NUM_WARMUP = 3

    def __init__(self, eager: EagerStep) -> None:
        self._eager = eager
        self._device = eager.draws.step.device
        self._num_taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._info: Info = {}
        self.obstacle: str | None = None

    def __call__(self, *, read: bool) -> Info:
        """Take the step; the host does not wait for it."""
        self._num_taken += 1
        if self._num_taken <= self._NUM_WARMUP:
            return self._warm_up(read=read)
        if self._graph is None and self.obstacle is None:
            self._graph = self._capture()
        if self._graph is None:
            return self._eager(read=read)
        self._eager.draws.prepare()
        self._graph.replay()
        self._eager.agent.num_updates += 1
        return self._info

    def _warm_up(self, *, read: bool) -> Info:
        """Take the step eagerly where it is going to be captured."""
        stream = _side_stream(self._device)
        current = torch.cuda.current_stream(self._device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            info = self._eager(read=read)
        current.wait_stream(stream)
        return info

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Return the graph of the step, or None and an obstacle where CUDA refuses one."""
        graph, num_updates = torch.cuda.CUDAGraph(), self._eager.agent.num_updates
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            try:
                with torch.cuda.graph(graph, stream=_side_stream(self._device)):
                    self._info = self._eager.take()
            except RuntimeError as error:
                # ending a spoilt capture raises again, before torch restores the stream
                torch.cuda.set_stream(current)
                self.obstacle = f"CUDA cannot capture it: {error.__context__ or error}"
                return None
            finally:
                self._eager.agent.num_updates = num_updates
        return graph


_ASKED = "eager steps were asked for"


class Replay:
    """Takes training steps of an agent, by replay wherever that is possible.

    The agent is live: between two calls of ``advance`` its tensors may be read, and changed in
    place. Where one was replaced instead, as optimisers do when they load a state, or a number of
    their state has changed, the step is recorded anew.

    Attributes:
        info: the latest statistics of every name, each (K,).
    """

    def __init__(
        self,
        agent: Agent,
        sampler: Sampler,
        draws: Draws,
        *,
        precision: Precision = "float32",
        eager: bool = False,
    ) -> None:
        """Prepare; nothing is recorded before the second step of a kind.

        Args:
            agent: what is trained.
            sampler: where its batches come from.
            draws: random numbers, at the last step that was taken; on a CPU only
                ``HeldDraws`` can be replayed.
            precision: of the matrix products.
            eager: take every step operation by operation.
        """
        obstacle = _ASKED if eager else None
        if draws.step.device.type != "cuda" and not isinstance(draws, HeldDraws):
            obstacle = "the random numbers are not held in place"
        self._agent = agent
        self._eager = EagerStep(agent, sampler, draws, precision, obstacle)
        self._state: list[object] = []
        self._steps: dict[bool, Step] = {}
        self._told: str | None = None
        self.info: Info = {}

    @property
    def obstacle(self) -> str | None:
        """Why steps are taken eagerly, or None."""
        return next((step.obstacle for step in self._steps.values() if step.obstacle), None)

    def advance(self, num_steps: int) -> None:
        """Take gradient steps of every run."""
        self._forget_if_replaced()
        period, info = self._agent.actor_period, dict(self.info)
        for remaining in range(num_steps, 0, -1):
            moves_actor = (self._agent.num_updates + 1) % period == 0
            # the last steps are read, with and without the actor's
            info |= self._steps[moves_actor](read=remaining <= period)
        self.info = {name: value.clone() for name, value in info.items()}
        self._state = self._find_state()
        self._tell_obstacle()

    def _tell_obstacle(self) -> None:
        """Say once why steps are slower than they could be, unless it was asked for."""
        if self.obstacle not in (None, _ASKED, self._told):
            _LOGGER.warning("Training steps are not replayed, which is slower: %s.", self.obstacle)
            self._told = self.obstacle

    def _forget_if_replaced(self) -> None:
        """Record anew where the agent's tensors or numbers are not those that were recorded."""
        if not self._steps or _identities(self._find_state()) != _identities(self._state):
            memory = Memory()
            self._steps = {kind: self._make_step(memory) for kind in (False, True)}

    def _find_state(self) -> list[object]:
        """Return the tensors and numbers of the agent, but for its count of updates."""
        return tree_leaves(agent_state(self._agent) | {"num_updates": None})

    def _make_step(self, memory: Memory) -> Step:
        draws = self._eager.draws
        if self._eager.obstacle is not None:
            return self._eager
        if isinstance(draws, HeldDraws):
            return RecordedStep(self._eager, draws, memory)
        return CapturedStep(self._eager)


def _identities(leaves: list[object]) -> list[object]:
    """Return where tensors lie, and what everything else is."""
    return [leaf.data_ptr() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
