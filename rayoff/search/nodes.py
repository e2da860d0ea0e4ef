"""The nodes of a cluster: what each has for trials, and whether more of them may join.

Functions of what ``ray.nodes`` tells, without Ray.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rayoff.errors import StudyError
from rayoff.search.packing import Packing

_NODE_GROUP = "ray.io/node-group"
"""Ray's label of nodes that ``ray up`` or KubeRay has started, which may start more."""

_BOOTSTRAP = "ray_bootstrap_config.yaml"
"""Where ``ray up`` leaves its configuration; Ray's older autoscaler sets no labels."""


def resources_of(nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, float]]:
    """Return the resources of each node that is alive, in Ray's words."""
    return [node["Resources"] for node in nodes if node["Alive"]]


def may_grow(nodes: Sequence[Mapping[str, Any]], home: Path) -> bool:
    """Return whether a cluster may get more nodes by itself.

    Args:
        nodes: as Ray tells of them.
        home: of the user, on the head node.
    """
    labelled = any(_NODE_GROUP in node.get("Labels", {}) for node in nodes)
    return labelled or (home / _BOOTSTRAP).exists()


def check_room(packing: Packing, *, here: bool, grows: bool) -> str | None:
    """Return what to warn of where trials wait for nodes to come, None where one has room.

    Args:
        packing: of the trials, counted node by node.
        here: whether Ray was started on this machine alone.
        grows: whether more nodes may join.

    Raises:
        StudyError: no node has room for a trial, and none will come: Ray would wait for ever.
    """
    if packing.num_at_once:
        return None
    if grows and not here:
        return (
            f"Warning: no node of the cluster has room for a trial yet: there are {packing.limit}."
            " Trials wait until a node joins that has."
        )
    where = "this machine" if here else "a node of the cluster, to which none is added by itself,"
    raise StudyError(
        f"A trial must fit on {where} but there are {packing.limit}. "
        "Lower --cpus-per-trial or --gpu-per-trial, take fewer seeds or smaller networks, or "
        "give --max-concurrent to train whether memory suffices or not."
    )
