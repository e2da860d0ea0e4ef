"""Tests of rayoff.trial.policy: it acts as its run does, alone, exported and in other shapes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_agents import NORMS, NUM_ACTIONS, NUM_OBSERVATIONS, make_draws, tiny, trained

from rayoff.agents import Agent
from rayoff.config import ActorConfig, Norm
from rayoff.data import Normalizer
from rayoff.evaluation import NormalizedPolicy
from rayoff.networks import ACTIVATIONS, Actor
from rayoff.trial import Policy

LOW, HIGH = np.array([-2.0, 0.0, -1.0]), np.array([2.0, 5.0, 1.0])
NORMALIZER = Normalizer(
    torch.linspace(-1, 1, NUM_OBSERVATIONS), torch.linspace(0.5, 2, NUM_OBSERVATIONS)
)


def make_policy(actor: Actor, run: int = 0) -> Policy:
    mean, std = NORMALIZER.mean.numpy(), NORMALIZER.std.numpy()
    network = NormalizedPolicy(mean, std, actor.to_numpy()[run])
    names: dict[str, Any] = {"source": "builtin:tiny", "seed": 3, "step": 50}
    return Policy(network=network, action_low=LOW, action_high=HIGH, **names)


def make_actor(**architecture: Any) -> Actor:  # noqa: ANN401 - fields of an actor
    actor = Actor(
        ActorConfig(width=18, **architecture), NUM_OBSERVATIONS, NUM_ACTIONS, make_draws((3,))
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in actor.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return actor


def raw_rows(num_rows: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (num_rows, NUM_OBSERVATIONS)).astype(np.float32)


def loaded(path: Path) -> Any:  # noqa: ANN401 - a module that torch made
    return torch.export.load(path).module()


@pytest.mark.parametrize("run", [0, 1])
def test_a_policy_acts_as_its_run_in_the_units_of_the_environment(run: int) -> None:
    agent: Agent = trained(tiny("td3_bc"), (3, 8)).agent
    rows = raw_rows()
    stacked = torch.from_numpy(rows).expand(2, -1, -1)
    inner = agent.act(NORMALIZER.apply(stacked))[run].numpy()
    actions = make_policy(agent.actor, run)(rows)
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, LOW + (inner + 1) / 2 * (HIGH - LOW), atol=3e-5)


def test_one_observation_gives_one_action() -> None:
    policy, rows = make_policy(make_actor()), raw_rows()
    single = policy(rows[2])
    assert single.shape == (NUM_ACTIONS,)
    np.testing.assert_allclose(single, policy(rows)[2], atol=1e-5)
    np.testing.assert_allclose(policy(rows[2].astype(np.float64).tolist()), single, atol=1e-6)


def test_observations_of_goals_are_joined_as_in_the_data() -> None:
    policy, rows = make_policy(make_actor()), raw_rows()
    goals = {
        "desired_goal": rows[:, 3:],
        "achieved_goal": rows[:, :1],
        "observation": rows[:, 1:3],
    }
    np.testing.assert_array_equal(policy(goals), policy(rows))
    one = {name: part[0] for name, part in goals.items()}
    assert policy(one).shape == (NUM_ACTIONS,)


def test_actions_never_leave_their_bounds() -> None:
    actor = make_actor()
    actor.head.weight.data *= 1e4
    actions = make_policy(actor)(raw_rows(50))
    assert (actions >= LOW.astype(np.float32)).all()
    assert (actions <= HIGH.astype(np.float32)).all()


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 2, 5)])
def test_observations_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(5,\) or \(E, 5\), as in builtin:tiny"):
        make_policy(make_actor())(np.zeros(shape))


@pytest.mark.parametrize("norm", NORMS)
def test_an_exported_policy_acts_as_the_policy(norm: Norm, tmp_path: Path) -> None:
    agent: Agent = trained(tiny("bc", norm), (3, 8)).agent
    policy = make_policy(agent.actor)
    exported = loaded(policy.export(tmp_path / "policy.pt2"))
    for num_rows in (1, 2, 9):
        rows = raw_rows(num_rows)
        found = exported(torch.from_numpy(rows)).detach().numpy()
        np.testing.assert_allclose(found, policy(rows), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_exported(activation: str, tmp_path: Path) -> None:
    last: dict[str, Any] = {"norm": "group", "num_groups": 3, "norm_position": "after"}
    policy = make_policy(make_actor(activation=activation, **last))
    exported = loaded(policy.export(tmp_path / "policy.pt2"))
    rows = raw_rows()
    found = exported(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, policy(rows), rtol=2e-5, atol=2e-5)


def test_an_exported_policy_needs_no_rayoff_and_says_what_it_is(tmp_path: Path) -> None:
    policy = make_policy(make_actor(norm="layer"))
    path = policy.export(str(tmp_path / "policy.pt2"))
    code = (
        "import sys, torch; sys.modules['rayoff'] = None; about = {'policy.json': ''}\n"
        f"program = torch.export.load({str(path)!r}, extra_files=about)\n"
        "print(about['policy.json'])\n"
        "print(program.module()(torch.ones(1, 5))[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    about, actions = done.stdout.splitlines()
    assert json.loads(about) == {
        "source": "builtin:tiny",
        "seed": 3,
        "step": 50,
        "observation_size": 5,
        "action_size": 3,
    }
    np.testing.assert_allclose(json.loads(actions), policy(np.ones(5)), rtol=1e-4, atol=1e-5)


def test_a_policy_that_is_no_perceptron_is_not_exported(tmp_path: Path) -> None:
    network = NormalizedPolicy(np.zeros(5), np.ones(5), lambda rows: rows[:, :3])
    policy = replace(make_policy(make_actor()), network=network)
    with pytest.raises(ValueError, match="must be a Perceptron to be exported but is a function"):
        policy.export(tmp_path / "policy.pt2")


def test_an_export_has_the_suffix_that_torch_asks_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be a \.pt2 file but got .*policy\.onnx"):
        make_policy(make_actor()).export(tmp_path / "policy.onnx")
