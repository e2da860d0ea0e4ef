"""Tests of trials on the nodes of clusters that need not exist."""

from pathlib import Path
from typing import Any

import pytest

from rayoff.errors import StudyError
from rayoff.search import Resources
from rayoff.search.nodes import check_room, may_grow, resources_of
from rayoff.search.packing import GIB, PROCESS_BYTES, Demand, Packing, pack

AUTOSCALED = {"ray.io/node-group": "head"}


def node(cpus: float, gib: float, gpus: float = 0.0, **told: Any) -> dict[str, Any]:  # noqa: ANN401 - as Ray tells them
    """Return a node as Ray tells of it, which leaves out what there is none of."""
    found = {"CPU": cpus, "GPU": gpus, "memory": gib * GIB, "node:10.0.0.1": 1.0}
    there = {name: amount for name, amount in found.items() if amount}
    return {"NodeID": "a", "Alive": True, "Resources": there, "Labels": {}, **told}


def trial_of(gib: float) -> Demand:
    own_data = int(gib * GIB) - PROCESS_BYTES
    return Demand(num_runs=1, data=0, own_data=own_data, state=0, step=0, arena=0, probe=0)


def pack_on(
    nodes: list[dict[str, Any]], demand: Demand | None, resources: Resources | None = None
) -> Packing:
    each, cluster = resources_of(nodes), dict[str, float]()
    for name in ("CPU", "GPU", "memory"):
        cluster[name] = sum(one.get(name, 0.0) for one in each)
    return pack(resources or Resources(), cluster, demand, None, each)


def test_trials_are_counted_node_by_node() -> None:
    nodes = [node(8, 10), node(8, 10), node(2, 40)]
    packing = pack_on(nodes, trial_of(6))
    assert packing.num_at_once == 1 + 1 + 2  # of 60 GiB, which is room for ten
    assert packing.limit == "4 places on 3 nodes for 1 CPU and 6 GiB of memory each"


def test_nodes_that_fill_up_are_told_of_as_one_cluster() -> None:
    packing = pack_on([node(8, 64), node(8, 64)], trial_of(1))
    assert (packing.num_at_once, packing.limit) == (16, "16 CPUs at 1 a trial")


def test_whole_gpus_of_two_nodes_serve_no_trial_together() -> None:
    nodes = [node(8, 64, gpus=2), node(8, 64, gpus=2)]
    packing = pack_on(nodes, None, Resources(gpu_per_trial=4))
    assert packing.num_at_once == 0
    assert packing.limit == "0 places on 2 nodes for 1 CPU and 4 GPU each"


def test_nodes_that_are_lost_and_a_head_without_cores_have_no_room() -> None:
    nodes = [node(0, 64), node(8, 64, Alive=False), node(8, 16)]
    assert pack_on(nodes, trial_of(4)).num_at_once == 4


def test_who_says_how_many_train_at_once_is_not_asked_for_memory() -> None:
    nodes = [node(8, 4), node(8, 4)]
    packing = pack_on(nodes, trial_of(6), Resources(max_concurrent=3))
    assert (packing.num_at_once, packing.limit) == (3, "--max-concurrent 3")
    assert pack_on(nodes, trial_of(6)).num_at_once == 0


def test_a_trial_without_room_on_any_node_is_refused_where_none_will_come(
    tmp_path: Path,
) -> None:
    nodes = [node(8, 4), node(8, 4)]
    packing = pack_on(nodes, trial_of(6))
    assert not may_grow(nodes, tmp_path)
    expected = r"node of the cluster.* 0 places on 2 nodes for 1 CPU and 6 GiB of memory each\."
    with pytest.raises(StudyError, match=expected):
        check_room(packing, here=False, grows=False)
    with pytest.raises(StudyError, match="must fit on this machine but there are"):
        check_room(packing, here=True, grows=False)


def test_a_cluster_that_grows_is_waited_for_with_a_warning(tmp_path: Path) -> None:
    nodes = [node(0, 4, Labels=AUTOSCALED)]
    packing = pack_on(nodes, None, Resources(gpu_per_trial=0.25))
    assert may_grow(nodes, tmp_path)
    warning = check_room(packing, here=False, grows=True)
    assert warning is not None
    assert "no node of the cluster has room for a trial yet: there are 0 CPUs at 1" in warning
    roomy = pack_on([node(4, 16)], trial_of(1))
    assert check_room(roomy, here=False, grows=False) is None


def test_a_head_that_ray_up_has_set_up_may_grow(tmp_path: Path) -> None:
    (tmp_path / "ray_bootstrap_config.yaml").touch()
    assert may_grow([node(4, 16)], tmp_path)
