"""How many trials train side by side, and what limits them: cores, memory, GPUs or the user.

Bin packing of equal items, in pure arithmetic; what a trial takes is found out by
``rayoff.search.demand``.

Memory is asked of Ray like cores, so that each node of a cluster takes as many trials as it has
room for. Shares of a GPU are bookkeeping to Ray, and limit neither memory nor time on it: so they
are chosen such that the trials of one GPU have room on it together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rayoff.errors import StudyError
from rayoff.search.resources import MAX_SHARING, Resources

MIB, GIB = 2**20, 2**30

PROCESS_BYTES = 500 * MIB
"""What a trial's process takes before its data and its runs, with torch for CPUs, Ray and a
simulator; a third of it is libraries that all processes of a node share."""

CUDA_PROCESS_BYTES = 3 * GIB
"""The same on the host of a GPU, where CUDA's libraries are loaded too: an assumption, not
measured. It decides how many trials share the memory of a GPU's host."""

CONTEXT_BYTES = 600 * MIB
"""What a process takes of a GPU for its CUDA context: an assumption, not measured. It decides how
many trials share a GPU, and whether small runs are found to have room on one."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Memory that a trial takes at its peak: as its steps are recorded, or SEEM is read [byte]."""

    num_runs: int
    """K, runs that are trained side by side."""
    data: int
    """The rows that are trained on, while they are laid out for sampling on a GPU."""
    own_data: int
    """Of them, those that a trial on the CPU has for itself: all of a dataset is shared, in Ray's
    object store, whose memory is not among what trials are given."""
    state: int
    """Weights, targets and moments of one run."""
    step: int
    """What the operations of one run's step make, all of it kept while it is recorded."""
    arena: int
    """What one run's replayed steps write to."""
    probe: int
    """What a reading of one run's SEEM makes."""

    @property
    def of_run(self) -> int:
        """What each run takes in the memory of a process, but for its reading of SEEM."""
        return self.state + self.arena + self.step

    @property
    def over_steps(self) -> int:
        """What a reading takes beyond the steps on a CPU, which reads one run after the other."""
        return max(0, self.probe - self.num_runs * self.step)

    def on_host(self, *, on_gpu: bool) -> int:
        """Return what the trial takes of a node's memory."""
        if on_gpu:
            return CUDA_PROCESS_BYTES + self.data
        return PROCESS_BYTES + self.own_data + self.num_runs * self.of_run + self.over_steps

    @property
    def on_gpu(self) -> int:
        """What the trial takes of a GPU's memory."""
        # the two kinds of step, with the actor's and without, are graphs with memory of their own
        of_run = self.state + self.arena + 2 * self.step + self.probe
        return CONTEXT_BYTES + self.data + self.num_runs * of_run


class Packing(NamedTuple):
    """How trials share a cluster."""

    request: dict[str, float]
    """What each trial asks for, in Ray's words."""
    num_at_once: int
    """Trials that train side by side; 0: not one has room."""
    limit: str
    """What keeps more of them from it, in words."""
    lacking: int
    """Memory that they may lack together, where the user wants more at once than have room
    [byte]."""


def pack(
    resources: Resources,
    cluster: Mapping[str, float],
    demand: Demand | None,
    gpu_memory: int | None,
    nodes: Sequence[Mapping[str, float]] = (),
) -> Packing:
    """Return how trials share a cluster; what the user asks for wins over what is estimated.

    Args:
        resources: what the user asks for.
        cluster: all resources, in Ray's words: ``CPU``, ``GPU`` and ``memory`` [byte].
        demand: of the largest trial; None: unknown, so that memory limits nothing.
        gpu_memory: of the smallest GPU [byte]; None: unknown.
        nodes: the resources of each node, of which a trial takes one; (): there is but one.

    Raises:
        StudyError: the runs of a trial have no room together on a whole GPU.
    """
    request = resources.on(cluster)
    on_gpu = request["gpu"] > 0
    if on_gpu and resources.gpu_per_trial is None and demand and gpu_memory:
        request["gpu"] = gpu_share(demand, gpu_memory)
    if resources.max_concurrent is None and demand:
        request["memory"] = float(demand.on_host(on_gpu=on_gpu))
    fits = {
        _in_words(name, amount, cluster): _num_fitting(cluster.get(_RAY_NAMES[name], 0.0), amount)
        for name, amount in _limited(request, cluster).items()
    }
    if nodes:
        places = sum(_num_on_node(request, node) for node in nodes)
        there = f"{_count(places, 'place')} on {_count(len(nodes), 'node')}"
        fits[f"{there} for {_all(request)}"] = places
    if resources.max_concurrent is not None:
        fits[f"--max-concurrent {resources.max_concurrent}"] = resources.max_concurrent
    limit = min(fits, key=lambda name: fits[name])
    taken = fits[limit] * demand.on_host(on_gpu=on_gpu) if demand else 0
    lacking = max(0, taken - cluster.get("memory", math.inf))
    return Packing(request, fits[limit], limit, int(lacking))


def is_roomy(
    bound: Demand, resources: Resources, machine: Mapping[str, float], gpu_memory: int | None
) -> bool:
    """Return whether memory limits nothing, so that what a trial takes need not be measured.

    Args:
        bound: more than any trial takes.
        resources: what the user asks for.
        machine: its resources, in Ray's words.
        gpu_memory: of its smallest GPU [byte]; None: unknown.
    """
    free = pack(resources, {**machine, "memory": math.inf}, None, None)
    on_gpu = free.request["gpu"] > 0
    if on_gpu and resources.gpu_per_trial is None and gpu_memory:
        if bound.on_gpu * MAX_SHARING > gpu_memory:
            return False
    taken = free.num_at_once * bound.on_host(on_gpu=on_gpu)
    return resources.max_concurrent is not None or taken <= machine.get("memory", math.inf)


def gpu_share(demand: Demand, gpu_memory: int) -> float:
    """Return the share of a GPU that a trial takes: of its memory, or of its time if that is more.

    It is a whole fraction, so that shares fill a GPU, and cut to the four decimals that Ray counts
    in.

    Args:
        demand: of the largest trial.
        gpu_memory: of the GPU [byte].

    Raises:
        StudyError: the runs of a trial have no room on it together.
    """
    num_sharing = min(MAX_SHARING, gpu_memory // demand.on_gpu)
    if not num_sharing:
        raise StudyError(
            f"The {demand.num_runs} runs of a trial must have room on a GPU of "
            f"{in_gib(gpu_memory)} but are estimated to take {in_gib(demand.on_gpu)}. Take fewer "
            "seeds or smaller networks, or give --gpu-per-trial 1 to try it all the same."
        )
    return math.floor(1e4 / num_sharing) / 1e4


def describe_packing(packing: Packing, demand: Demand) -> str:
    """Return how trials share a machine and why, in one line."""
    on_gpu = packing.request["gpu"] > 0
    host = in_gib(demand.on_host(on_gpu=on_gpu))
    places = f"{in_gib(demand.on_gpu)} of a GPU and {host} beside it" if on_gpu else host
    runs = f"{demand.num_runs} run{'s' * (demand.num_runs != 1)}"
    data = demand.data if on_gpu else demand.own_data
    over = f", a reading of SEEM {demand.over_steps / MIB:.0f} MiB more"
    is_over = not on_gpu and demand.over_steps >= MIB
    lacking = f"; together they may lack {in_gib(packing.lacking)} of memory"
    return (
        f"{packing.num_at_once} at once: {packing.limit}; the largest trial takes {places} "
        f"[estimated: {runs} of {demand.of_run / MIB:.0f} MiB, data "
        f"{data / MIB:.0f} MiB{over if is_over else ''}]{lacking if packing.lacking else ''}"
    )


def in_gib(num_bytes: float) -> str:
    """Return an amount of memory in words."""
    return f"{num_bytes / GIB:.3g} GiB"


_RAY_NAMES = {"cpu": "CPU", "gpu": "GPU", "memory": "memory"}


def _num_fitting(there: float, amount: float) -> int:
    """Return how many trials an amount of a resource serves; shares of a GPU never span two."""
    if amount < 1:
        return int(there) * int(1 / amount + 1e-9)
    return int(there // amount)


def _num_on_node(request: Mapping[str, float], node: Mapping[str, float]) -> int:
    """Return how many trials have room on a node."""
    limited = _limited(request, node).items()
    return min(_num_fitting(node.get(_RAY_NAMES[name], 0.0), amount) for name, amount in limited)


def _limited(request: Mapping[str, float], there: Mapping[str, float]) -> dict[str, float]:
    """Return what a trial asks for, but for memory where it is not known what there is of it."""
    return {
        name: amount
        for name, amount in request.items()
        if amount and (name != "memory" or "memory" in there)
    }


def _in_words(name: str, amount: float, cluster: Mapping[str, float]) -> str:
    """Return a resource as what limits: what there is of it, and what a trial takes."""
    there = cluster.get(_RAY_NAMES[name], 0.0)
    if name == "memory":
        return f"{in_gib(there)} of memory at {in_gib(amount)} a trial"
    return f"{_count(there, _RAY_NAMES[name])} at {amount:g} a trial"


def _all(request: Mapping[str, float]) -> str:
    """Return all that a trial takes, in words."""
    parts = [f"{request['cpu']:g} CPU"]
    if request["gpu"]:
        parts.append(f"{request['gpu']:g} GPU")
    if "memory" in request:
        parts.append(f"{in_gib(request['memory'])} of memory")
    return " and ".join(parts) + " each"


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'s' * (number != 1)}"
