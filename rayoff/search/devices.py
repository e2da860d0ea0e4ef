"""The memory of the GPUs on the nodes of a cluster."""

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rayoff.search.machine import gpu_memory

_TIMEOUT = 60.0
"""Time that the nodes of a cluster have to answer [s]."""


def cluster_gpu_memory() -> int | None:
    """Return the memory of the smallest GPU of the cluster [byte]; None where none is known."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    asked = [_on_node(node["NodeID"]) for node in nodes]
    try:
        found = ray.get(asked, timeout=_TIMEOUT)
    except RayError:  # a node is lost, or does not answer: its GPUs are not known
        return None
    return min((size for size in found if size is not None), default=None)


def _on_node(node_id: str) -> ray.ObjectRef:
    """Ask a node for its smallest GPU."""
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(gpu_memory).options(num_cpus=0, scheduling_strategy=there).remote()
