"""Tests of how trials share machines, on machines of all sizes that need not exist."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayoff.errors import StudyError
from rayoff.search import Resources
from rayoff.search.packing import (
    CONTEXT_BYTES,
    CUDA_PROCESS_BYTES,
    GIB,
    MIB,
    PROCESS_BYTES,
    Demand,
    describe_packing,
    gpu_share,
    is_roomy,
    pack,
)

H200 = 140 * GIB


def demand(num_runs: int = 5, of_run: int = 20 * MIB, data: int = 0) -> Demand:
    own = {"state": of_run, "step": 0, "arena": 0, "probe": 0}
    return Demand(num_runs=num_runs, data=data, own_data=0, **own)


def machine(cpus: float, gib: float, gpus: float = 0.0) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus, "memory": gib * GIB}


@pytest.mark.parametrize(
    ("resources", "expected", "limit"),
    [
        (Resources(), 8, "2 GPUs at 0.25 a trial"),
        (Resources(cpus_per_trial=4), 4, "16 CPUs at 4 a trial"),
        (Resources(gpu_per_trial=0.1), 16, "16 CPUs at 1 a trial"),
        (Resources(gpu_per_trial=0.4), 4, "2 GPUs at 0.4 a trial"),
        (Resources(gpu_per_trial=2), 1, "2 GPUs at 2 a trial"),
        (Resources(gpu_per_trial=0.0), 16, "16 CPUs at 1 a trial"),
        (Resources(max_concurrent=3), 3, "--max-concurrent 3"),
        (Resources(cpus_per_trial=17), 0, "16 CPUs at 17 a trial"),
    ],
)
def test_trials_that_fit_are_counted_by_what_there_is_least_of(
    resources: Resources, expected: int, limit: str
) -> None:
    packing = pack(resources, {"CPU": 16.0, "GPU": 2.0}, None, None)
    assert (packing.num_at_once, packing.limit) == (expected, limit)


def test_many_cores_with_little_memory_start_as_many_trials_as_have_room() -> None:
    large = demand(of_run=(GIB - PROCESS_BYTES) // 5)  # 1 GiB a trial
    packing = pack(Resources(), machine(64, 16), large, None)
    assert packing.num_at_once == 16
    assert packing.limit == "16 GiB of memory at 1 GiB a trial"
    assert packing.request == {"cpu": 1.0, "gpu": 0.0, "memory": pytest.approx(GIB, abs=8)}
    assert pack(Resources(), machine(64, 0.9), large, None).num_at_once == 0


def test_who_says_how_many_train_at_once_is_obeyed_and_told_what_may_lack() -> None:
    packing = pack(Resources(max_concurrent=20), machine(64, 4), demand(), None)
    assert packing.num_at_once == 20
    assert "memory" not in packing.request
    assert packing.lacking == 20 * (PROCESS_BYTES + 100 * MIB) - 4 * GIB
    assert "may lack 7.72 GiB of memory" in describe_packing(packing, demand())


@pytest.mark.parametrize(
    ("of_run", "expected"),
    [
        (MIB, 0.25),  # a quarter of the time, though it has room 200 times
        (8 * GIB, 0.3333),  # 40.6 GiB: three have room
        (13 * GIB, 0.5),
        (15 * GIB, 1.0),
        (27 * GIB, 1.0),
    ],
)
def test_a_share_of_a_gpu_is_of_its_memory_or_of_its_time(of_run: int, expected: float) -> None:
    packing = pack(Resources(), machine(16, 128, gpus=1), demand(of_run=of_run), H200)
    assert packing.request["gpu"] == expected
    assert packing.num_at_once == int(1 / expected)


def test_runs_that_have_no_room_on_a_gpu_are_refused_unless_a_share_is_given() -> None:
    large = demand(of_run=28 * GIB)
    with pytest.raises(StudyError, match=r"5 runs .* of 140 GiB .* to take 141 GiB"):
        pack(Resources(), machine(16, 128, gpus=1), large, H200)
    asked = pack(Resources(gpu_per_trial=1), machine(16, 128, gpus=1), large, H200)
    assert asked.request["gpu"] == 1.0


def test_a_gpu_of_unknown_size_is_shared_by_four() -> None:
    assert pack(Resources(), machine(16, 128, gpus=1), demand(), None).request["gpu"] == 0.25


def test_beside_a_gpu_a_trial_takes_its_process_and_its_rows_of_the_host() -> None:
    packing = pack(Resources(), machine(64, 16, gpus=8), demand(data=GIB), H200)
    assert packing.request["memory"] == CUDA_PROCESS_BYTES + GIB
    assert packing.num_at_once == 4
    assert "4 at once: 16 GiB of memory at 4 GiB a trial; the largest trial takes 1.68 GiB of" in (
        describe_packing(packing, demand(data=GIB))
    )


def test_rows_that_trials_share_take_nothing_of_any_of_them_on_the_cpu() -> None:
    shared = demand(data=GIB)
    assert shared.on_host(on_gpu=False) == demand().on_host(on_gpu=False)
    assert "data 0 MiB" in describe_packing(
        pack(Resources(), machine(4, 16), shared, None), shared
    )
    cut = replace(shared, own_data=GIB)
    assert cut.on_host(on_gpu=False) == GIB + shared.on_host(on_gpu=False)
    assert cut.on_gpu == shared.on_gpu == GIB + demand().on_gpu


def test_one_reading_is_counted_beside_the_steps_of_all_runs() -> None:
    small = replace(demand(num_runs=4), step=3 * MIB, probe=12 * MIB)
    large = replace(small, probe=40 * MIB)
    assert small.on_host(on_gpu=False) == PROCESS_BYTES + 4 * 23 * MIB
    assert large.on_host(on_gpu=False) == small.on_host(on_gpu=False) + 28 * MIB
    told = [
        describe_packing(pack(Resources(), machine(4, 16), one, None), one)
        for one in (small, large)
    ]
    assert "[estimated: 4 runs of 23 MiB, data 0 MiB]" in told[0]
    assert "4 runs of 23 MiB, data 0 MiB, a reading of SEEM 28 MiB more]" in told[1]


sizes = st.integers(min_value=MIB, max_value=60 * GIB)


@given(of_run=sizes, gpu_memory=st.integers(min_value=GIB, max_value=200 * GIB))
def test_trials_that_share_a_gpu_have_room_on_it_together(of_run: int, gpu_memory: int) -> None:
    one = demand(num_runs=1, of_run=of_run)
    if one.on_gpu > gpu_memory:
        with pytest.raises(StudyError):
            gpu_share(one, gpu_memory)
        return
    share = gpu_share(one, gpu_memory)
    num_sharing = int(1 / share)
    assert num_sharing * one.on_gpu <= gpu_memory
    assert num_sharing * share <= 1
    assert num_sharing == 4 or (num_sharing + 1) * one.on_gpu > gpu_memory
    assert one.on_gpu >= CONTEXT_BYTES + of_run


@given(
    of_run=sizes,
    cpus=st.integers(min_value=1, max_value=256),
    gib=st.integers(min_value=1, max_value=2000),
    gpus=st.integers(min_value=0, max_value=8),
    wish=st.sampled_from([{}, {"max_concurrent": 3}, {"cpus_per_trial": 4}, {"gpu_per_trial": 1}]),
)
def test_where_a_machine_is_roomy_a_demand_within_the_bound_changes_nothing(
    of_run: int, cpus: int, gib: int, gpus: int, wish: dict[str, Any]
) -> None:
    bound, resources = demand(of_run=of_run), Resources(**wish)
    there = machine(cpus, gib, gpus)
    if is_roomy(bound, resources, there, H200):
        free, known = (pack(resources, there, need, H200) for need in (None, bound))
        assert free.num_at_once == known.num_at_once
        assert free.request["gpu"] == known.request["gpu"]


def test_small_trials_find_a_machine_roomy_and_large_ones_do_not() -> None:
    assert is_roomy(demand(), Resources(), machine(16, 16), None)
    assert not is_roomy(demand(), Resources(), machine(64, 16), None)
    assert is_roomy(demand(), Resources(max_concurrent=64), machine(64, 16), None)
    assert not is_roomy(demand(of_run=8 * GIB), Resources(), machine(4, 64, gpus=1), H200)
