"""Tests of the speed benchmarks: what is counted and compared, and that the commands run."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import gpu
import pytest
import throughput
import torch
from speed import clocks
from speed.agreement import loss_curves, measure_agreement, relative_difference
from speed.bars import Bar, bars_table
from speed.cases import BATCH_SIZE, NUM_ACTIONS, NUM_OBSERVATIONS, Case, start
from speed.passes import Pass, as_rows, median
from speed.profiling import RANDOM_NUMBERS, profile_step, profile_table
from speed.survey import NEXT_ROWS
from speed.tables import PEER_TABLE_CASES, agents_table, peers_table
from speed.work import count_work

from rayoff.networks import keep_freed_memory
from rayoff.seem import read_seem


@pytest.fixture
def without_fast_products_later() -> Iterator[None]:
    """Leave other tests the products and the threads that they find."""
    matmul = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]: untyped
    before = matmul.fp32_precision, torch.get_num_threads()
    yield
    matmul.fp32_precision = before[0]
    torch.set_num_threads(before[1])


def product(*sizes: int) -> float:
    """Return the work of a matrix product [MFLOP]."""
    return 2 * math.prod(sizes) / 1e6


def layer_products(num_inputs: int, width: int, num_outputs: int) -> list[float]:
    """Return the work of each layer's product of a batch [MFLOP]."""
    sizes = [num_inputs, width, width, num_outputs]
    return [product(BATCH_SIZE, *pair) for pair in pairwise(sizes)]


def td3_bc_mflop(width: int) -> float:
    """Return the work of a td3_bc step of one run; critics' heads are sums, and not counted."""
    actor = layer_products(NUM_OBSERVATIONS, width, NUM_ACTIONS)
    critic = layer_products(NUM_OBSERVATIONS + NUM_ACTIONS, width, 1)[:-1]
    head_gradient = product(BATCH_SIZE, width, 1)  # of weights, which is a product
    values = sum(actor) + 2 * sum(critic) + 2 * sum(critic)  # targets, critics
    critic_gradients = 2 * (sum(critic) + critic[1] + head_gradient)  # weights, hidden units
    actor_values = sum(actor) + sum(critic)
    actor_gradients = sum(critic) + sum(actor) + sum(actor[1:])
    return values + critic_gradients + (actor_values + actor_gradients) / 2


@pytest.mark.parametrize("width", [64, 256])
def test_the_counted_work_of_td3_bc_is_that_of_its_products(width: int) -> None:
    assert count_work(Case(width=width)).mflop == pytest.approx(td3_bc_mflop(width), rel=1e-12)


def test_the_work_of_td3_bc_is_near_what_an_estimate_by_hand_gave() -> None:
    # 407 counts the critics' heads and the gradient of their inputs too, which nobody needs
    heads = product(BATCH_SIZE, 256, 1) * (4.5 + 2.5)
    inputs = product(BATCH_SIZE, 14, 256) * 2
    assert count_work(Case()).mflop + heads + inputs == pytest.approx(407, abs=1)


def test_the_work_of_a_run_does_not_depend_on_what_a_trial_stacks() -> None:
    assert count_work(Case(width=16, num_seeds=8)) == count_work(Case(width=16))


def test_a_step_of_an_agent_with_a_critic_is_more_operations_than_cloning() -> None:
    cloning, td3 = (count_work(Case(algorithm=name, width=16)) for name in ("bc", "td3"))
    assert 30 < cloning.num_operations < td3.num_operations < 400


def test_calls_are_timed_without_those_of_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    lasting = iter([100.0, 100.0, *[0.25] * 20])

    def call() -> None:
        nonlocal now
        now += next(lasting)

    monkeypatch.setattr(clocks.time, "process_time", lambda: now)
    assert clocks.calls_per_second(call, 2.0, num_warmup=2) == 4.0


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_the_peak_of_memory_is_seen_after_it_was_freed() -> None:
    keep_freed_memory()  # as trials do: what is freed stays with the process
    held = [torch.zeros(1 << 22) for _ in range(16)]  # an earlier and higher peak of 256 MiB
    del held
    with clocks.PeakMemory("cpu") as peak:
        torch.zeros(1 << 24).sum()
    assert 60 < peak.mebibytes < 100


@pytest.mark.parametrize("algorithm", ["bc", "td3_bc"])
def test_replayed_loss_curves_are_eager_ones_and_a_rounding_is_seen(algorithm: str) -> None:
    agreement = measure_agreement(Case(algorithm=algorithm, width=16, num_seeds=2), 30)
    assert agreement.replayed == 0
    assert 1e-9 < agreement.rounding < 1e-3


def test_a_loss_curve_has_every_step_from_which_the_loss_is_known() -> None:
    curves = loss_curves(Case(width=16, num_seeds=3), 9)
    assert {name: tuple(curve.shape) for name, curve in curves.items()} == {
        "critic/loss": (9, 3),
        "actor/loss": (8, 3),
    }


def test_a_difference_is_relative_to_the_mean_where_a_curve_crosses_zero() -> None:
    expected = torch.tensor([[2.0], [0.0], [-4.0]])
    ours = expected + torch.tensor([[0.02], [0.02], [0.02]])
    assert relative_difference({"a": ours}, {"a": expected}) == pytest.approx(0.01)
    ours[1] = torch.nan
    assert relative_difference({"a": ours}, {"a": expected}) == math.inf


@pytest.mark.parametrize(
    ("measured", "at_most", "holds"),
    [
        (4.0, False, True),
        (3.9, False, False),
        (math.nan, False, False),
        (4.0, True, True),
        (4.1, True, False),
        (math.nan, True, False),
    ],
)
def test_a_bar_holds_on_its_side(measured: float, at_most: bool, holds: bool) -> None:
    bar = Bar("speed", measured, 4.0, "1/s", at_most)
    assert bar.holds == holds
    assert ("holds" if holds else "FAILS") in bars_table([bar], judged=True)
    assert "not judged" in bars_table([bar], judged=False)


@pytest.mark.parametrize("algorithm", ["bc", "td3_bc"])
def test_a_profile_has_all_products_and_adds_up_to_a_step(
    algorithm: str, without_fast_products_later: None
) -> None:
    case = Case(algorithm=algorithm, width=16, num_seeds=2)
    parts = profile_step(case, num_steps=20, seconds=0.02)
    products = [part for part in parts if not math.isnan(part.gflop_per_second)]
    mflop = sum(part.gflop_per_second * part.milliseconds for part in products)
    assert mflop == pytest.approx(case.num_seeds * count_work(case).mflop)
    assert RANDOM_NUMBERS in {part.name for part in parts}
    whole = sum(part.milliseconds for part in parts)
    assert profile_table(parts).endswith(f"| a step | | {whole:.3f} | | |")


def test_what_is_not_replayed_cannot_be_profiled(without_fast_products_later: None) -> None:
    with pytest.raises(ValueError, match="must be replayed to be profiled"):
        profile_step(Case(algorithm="bc", width=16, eager=True))


def make_pass(rates: dict[Case, float], limit: float, **others: float) -> Pass:
    of_each: dict[str, Any] = {"mflop": 100.0, "mebibytes": 5.0, "obstacle": None}
    figures: Pass = {case: of_each | {"steps_per_second": rate} for case, rate in rates.items()}
    figures |= {name: {"steps_per_second": rate} for name, rate in others.items()}
    return figures | {Case().limit: {"gflop_per_second": limit}}


def test_shares_and_ratios_are_medians_within_a_pass() -> None:
    # the core's speed halves from pass to pass: medians of rates would give a share of 1
    rates = [{case: speed for case in PEER_TABLE_CASES} for speed in (400.0, 200.0, 100.0)]
    rates[0][Case(num_seeds=8)] = 800.0
    rates[1][Case(num_seeds=8)] = 600.0
    rates[2][Case(num_seeds=8)] = 100.0
    limits = (80.0, 40.0, 20.0)
    passes = [
        make_pass(one, limit, products=2 * one[Case()], d3rlpy=one[Case()] / 4)
        for one, limit in zip(rates, limits, strict=True)
    ]
    assert median(passes, lambda one: one[Case()]["steps_per_second"]) == 200
    table = peers_table(passes)
    assert "| rayoff, 1 seed | 200 run-steps/s, 50% of the product's rate |" in table
    assert "| the products of a step alone | 400 run-steps/s, 100% of" in table
    assert "| d3rlpy | 50 run-steps/s, 12% of the product's rate |" in table
    assert "| 8 seeds over 1, per seed | 2.00 |" in table
    assert "| 1 seed over d3rlpy | 4.00 |" in table
    row = "| td3_bc | 2 x 256 | 1 | cpu | 200 | 100.0 | 50% | 5 |"
    assert row in agents_table(passes, [Case()])


def test_a_row_says_what_is_not_replayed() -> None:
    case = Case(algorithm="bc", width=64, norm="layer", precision="bfloat16")
    one = make_pass({case: 10.0}, 1.0)
    one[case.limit] = {"gflop_per_second": 2.0}
    one[case]["obstacle"] = "it reads a value"
    assert "| bc, eager | 2 x 64, layer, bfloat16 | 1 |" in agents_table([one], [case])
    assert as_rows(one)[0] | {"algorithm": "bc", "norm": "layer"} == as_rows(one)[0]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    without_fast_products_later: None,
) -> Callable[..., str]:
    """Return what runs a command in this process, and gives its output."""

    def run_command(module: ModuleType, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [str(module.__file__), *arguments])
        module.main()
        return capsys.readouterr().out

    return run_command


@pytest.mark.skipif(sys.platform != "linux", reason="processes are pinned to a core")
def test_the_command_measures_the_agents_that_are_chosen(
    run: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    core = min(os.sched_getaffinity(0))
    out = run(
        throughput,
        *("--tables", "agents", "--agents", "bc", "--widths", "16", "--seeds", "2"),
        *("--passes", "1", "--seconds", "0.02", "--core", str(core), "--json", str(file)),
    )
    *_, row = out.splitlines()
    assert row.startswith("| bc | 2 x 16 | 2 | cpu | ")
    (rows,) = json.loads(file.read_text())["passes"]
    limit, figures = (with_defaults(one) for one in rows)
    assert (limit["name"], figures["algorithm"], figures["num_seeds"]) == (Case().limit, "bc", 2)
    assert limit["gflop_per_second"] > 1
    assert figures["steps_per_second"] > 10
    assert figures["mflop"] == count_work(Case(algorithm="bc", width=16)).mflop
    assert 0 <= figures["mebibytes"] < 200
    assert figures["obstacle"] is None


def with_defaults(row: dict[str, Any]) -> dict[str, Any]:
    return {"name": None, "algorithm": None, "num_seeds": None} | row


def test_the_gpu_command_runs_every_line_in_small_on_a_cpu(
    run: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    out = run(
        gpu,
        *("--device", "cpu", "--smoke", "--seconds", "0.01", "--passes", "1"),
        *("--json", str(file)),
    )
    assert out.count("not judged") >= 6
    assert "Not replayed" not in out
    found = json.loads(file.read_text())
    assert {one["replayed"] for one in found["agreements"].values()} == {0.0}
    assert min(found["seem_milliseconds"].values()) > 0


def test_the_probes_make_stable_and_unstable_critics() -> None:
    critic = start(Case()).agent.critic
    assert critic is not None
    generator = torch.Generator().manual_seed(0)
    s, a, noise_s, noise_a = (
        torch.rand(1, 64, size, generator=generator) * 2 - 1
        for size in (NUM_OBSERVATIONS, NUM_ACTIONS) * 2
    )
    found = {}
    for name, follow in NEXT_ROWS.items():
        next_s, next_a = follow(s, noise_s), follow(a, noise_a)
        found[name] = read_seem(critic, s, a, next_s, next_a, 0.99)["seem/normalized"].item()
    assert found["stable"] < 0.1
    assert found["unstable"] > 0.9


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_gpu_command_says_what_to_do(run: Callable[..., str]) -> None:
    with pytest.raises(SystemExit, match="Try --device cpu --smoke"):
        run(gpu)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_gpu_command_captures_every_case(run: Callable[..., str]) -> None:
    out = run(gpu, "--smoke", "--seconds", "0.05", "--passes", "1")
    assert "Not replayed" not in out
    assert "| td3_bc, eager | 2 x 16 | 1 | cuda |" in out
