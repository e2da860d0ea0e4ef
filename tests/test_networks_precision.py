"""Tests of the precision of training's products, alone and through trials and their report."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_trial_replay import make_replay
from tiny_agents import tiny
from tiny_studies import make_study
from torch import Tensor
from toy_pendulum import write_pendulum

from rayoff.checkpoint import flatten_state
from rayoff.config import Precision
from rayoff.data import load_table
from rayoff.errors import StudyError
from rayoff.networks import StackedLinear, check_precision, products_in
from rayoff.report.effects import find_effects
from rayoff.results import read_results, write_metrics, write_results
from rayoff.search import RunFolder
from rayoff.search.policies import describe
from rayoff.study import Axis, trials
from rayoff.trial import Trial
from rayoff.trial.agent_state import agent_state, load_agent_state

HALF_STEP = 2.0**-8
"""Largest relative error of rounding to bfloat16, whose fraction has seven bits."""


def rounded(x: Tensor) -> Tensor:
    """Return x rounded to bfloat16, as float64: by arithmetic, not by torch's conversion."""
    fraction, exponent = torch.frexp(x.double())
    return torch.ldexp((fraction * 256).round(), exponent - 8)


def make_layer(num_outputs: int = 5) -> tuple[StackedLinear, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (
        torch.randn(*shape, generator=generator)
        for shape in ((3, 4, num_outputs), (3, num_outputs), (3, 7, 4))
    )
    return StackedLinear(weight, bias), x.requires_grad_()


def assert_rounded_once(value: Tensor, exact: Tensor) -> None:
    assert value.dtype == torch.float32
    error = (value.double() - exact).abs()
    assert (error <= exact.abs() * HALF_STEP + 1e-6).all()
    assert error.max() > 1e-4  # as float32 has it: 1e-6


def test_bfloat16_rounds_factors_and_product_and_adds_the_bias_in_float32() -> None:
    layer, x = make_layer()
    with products_in("bfloat16"):
        product = layer(x) - layer.get_parameter("bias")[:, None]
    exact = rounded(x.detach()) @ rounded(layer.weight.detach())
    assert_rounded_once(product, exact)
    with torch.no_grad():
        layer.weight.zero_()
        with products_in("bfloat16"):
            assert torch.equal(layer(x)[:, 0], layer.get_parameter("bias"))


def test_gradients_of_bfloat16_products_are_products_of_rounded_factors() -> None:
    layer, x = make_layer()
    along = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
    with products_in("bfloat16"):
        of_x, of_weight, of_bias = torch.autograd.grad(
            (layer(x) * along).sum(), (x, layer.weight, layer.get_parameter("bias"))
        )
    assert_rounded_once(of_x, rounded(along) @ rounded(layer.weight.detach()).mT)
    assert_rounded_once(of_weight, rounded(x.detach()).mT @ rounded(along))
    torch.testing.assert_close(of_bias, along.sum(1))


def test_bfloat16_products_can_be_differentiated_twice() -> None:
    layer, x = make_layer()
    penalties = []
    for precision in ("float32", "bfloat16"):
        with products_in(precision):
            (slope,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
            penalties.append(torch.autograd.grad(slope.square().sum(), layer.weight)[0])
    error = (penalties[0] - penalties[1]).norm() / penalties[0].norm()
    assert 1e-4 < error < 0.05


def test_a_head_of_one_unit_is_a_float32_sum_in_every_precision() -> None:
    layer, x = make_layer(num_outputs=1)
    with products_in("bfloat16"):
        inside = layer(x)
    assert torch.equal(inside, layer(x))


def test_a_precision_ends_with_its_context_and_is_not_that_of_other_threads() -> None:
    layer, x = make_layer()
    plain = layer(x)
    elsewhere: list[Tensor] = []
    with products_in("bfloat16"):
        thread = threading.Thread(target=lambda: elsewhere.append(layer(x)))
        thread.start()
        thread.join()
        assert not torch.equal(layer(x), plain)
        with products_in("float32"):
            assert torch.equal(layer(x), plain)
        assert not torch.equal(layer(x), plain)
    assert torch.equal(layer(x), plain)
    assert torch.equal(elsewhere[0], plain)
    with pytest.raises(RuntimeError, match="Expected size"), products_in("bfloat16"):
        layer(x[:, :, :2])
    assert torch.equal(layer(x), plain)


def test_tf32_is_asked_of_cuda_within_its_context_alone() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    within: dict[Precision, object] = {"float32": before, "tf32": "tf32", "bfloat16": before}
    for precision, expected in within.items():
        with products_in(precision):
            assert matmul.fp32_precision == expected
            assert not matmul.allow_bf16_reduced_precision_reduction
        assert matmul.fp32_precision == before
        assert matmul.allow_bf16_reduced_precision_reduction


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_tf32_rounds_on_a_gpu_more_than_float32_and_less_than_bfloat16() -> None:
    a = torch.randn(2, 256, 256, device="cuda")
    layer = StackedLinear(torch.randn_like(a), torch.zeros(2, 256, device="cuda"))
    exact = a.double() @ layer.weight.detach().double()
    errors = []
    for precision in ("float32", "tf32", "bfloat16"):
        with products_in(precision):
            errors.append(((layer(a) - exact).norm() / exact.norm()).item())
    assert errors[0] < 1e-5 < errors[1] < 1e-3 < errors[2] < 1e-2


def test_a_precision_that_the_device_lacks_is_refused(tmp_path: Path) -> None:
    check_precision("tf32", "cuda")
    check_precision("bfloat16", "cpu")
    study = make_study(
        write_pendulum(tmp_path / "pendulum.parquet"), settings={"precision": "tf32"}
    )
    config = trials(study)[0].config
    with pytest.raises(StudyError, match="must be float32 or bfloat16 on a CPU but got tf32"):
        Trial(config, load_table(config.data.source))


def test_all_that_is_kept_of_an_agent_is_float32_after_steps_in_bfloat16() -> None:
    config = replace(tiny("td3_bc", "layer", "rd_auto"), precision="bfloat16")
    agent, replay = make_replay(config, eager=False)
    replay.advance(12)
    assert replay.obstacle is None
    found, _ = flatten_state(agent_state(agent))
    assert {value.dtype for value in [*found.values(), *replay.info.values()]} == {torch.float32}


def test_policy_and_probe_are_float32_while_training_is_in_bfloat16(tmp_path: Path) -> None:
    source = write_pendulum(tmp_path / "pendulum.parquet")
    configs: list[Precision] = ["float32", "bfloat16"]
    plain, coarse = (
        Trial(trials(make_study(source, settings={"precision": p}))[0].config, load_table(source))
        for p in configs
    )
    coarse.advance()
    load_agent_state(plain.agent, agent_state(coarse.agent))
    observations = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = plain.agent.act(observations)
    assert torch.equal(coarse.agent.act(observations), expected)
    with products_in("bfloat16"):
        assert not torch.equal(coarse.agent.act(observations), expected)
    readings = [trial.watch.probe.read(coarse.agent) for trial in (plain, coarse)]
    assert all(torch.equal(readings[0][name], value) for name, value in readings[1].items())
    with products_in("bfloat16"):
        within = coarse.watch.probe.read(coarse.agent)
    assert not torch.equal(within["critic/q_abs"], readings[0]["critic/q_abs"])


def test_the_effect_of_a_precision_is_paired_in_the_report_as_that_of_any_axis(
    tmp_path: Path,
) -> None:
    source = write_pendulum(tmp_path / "pendulum.parquet")
    study = make_study(
        source,
        axes=[Axis("precision", ["float32", "bfloat16"])],
        baseline={"precision": "float32"},
        settings={"num_steps": 100, "stopper.mode": "observe"},
    )
    folder = RunFolder.create(tmp_path / "runs", study, ["rayoff"])
    for planned in trials(study):
        trial = Trial(planned.config, load_table(source))
        while not trial.done:
            trial.advance()
        place = folder.trial_folder(planned.trial_id)
        write_metrics(place, trial.rows)
        (place / "config.json").write_bytes(describe(trial))
    write_results(folder.path)
    results = read_results(folder.path)
    (effect,) = [e for e in find_effects(results) if e.fraction is None]
    assert (effect.num_pairs, effect.estimate is not None) == (2, True)
    evaluated = results[results["evaluated"]]
    plain, coarse = (
        evaluated.loc[evaluated["config.precision"] == precision, "return"].tolist()
        for precision in ("float32", "bfloat16")
    )
    assert len(plain) == len(coarse) == 4
    assert plain != coarse
