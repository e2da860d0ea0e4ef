"""Tests of rollouts in other processes: the same numbers, and no process is left behind."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from rayoff.evaluation import Evaluator, NormalizedPolicy
from rayoff.inference import Layer, Perceptron

PENDULUM = ("Pendulum-v1", 3, 1, 2.0)
HOPPER = ("Hopper-v5", 11, 3, 1.0)


def make_policy(seed: int, num_inputs: int, num_outputs: int) -> NormalizedPolicy:
    """Return a policy of the size that trials have."""
    rng = np.random.default_rng(seed)

    def layer(num_inputs: int, num_outputs: int, activation: str) -> Layer:
        weight = rng.standard_normal((num_inputs, num_outputs)) / np.sqrt(num_inputs)
        bias = 0.1 * rng.standard_normal(num_outputs)
        return Layer(weight.astype(np.float32), bias.astype(np.float32), activation)

    mean, std = np.zeros(num_inputs, np.float32), np.ones(num_inputs, np.float32)
    sizes = [(num_inputs, 256, "relu"), (256, 256, "relu"), (256, num_outputs, "tanh")]
    return NormalizedPolicy(mean, std, Perceptron(tuple(layer(*size) for size in sizes)))


def processes_of(evaluator: Evaluator) -> list[subprocess.Popen[bytes]]:
    assert evaluator._workers is not None
    return [worker.process for worker in evaluator._workers._workers if worker is not None]


@pytest.mark.parametrize("task", [PENDULUM, HOPPER], ids=["pendulum", "hopper"])
def test_the_numbers_are_the_same_in_other_processes(task: tuple[str, int, int, float]) -> None:
    if task is HOPPER:
        pytest.importorskip("mujoco", reason="needs the MuJoCo simulator")
    environment, *sizes, bound = task
    seeds = (4, 0, 7)
    policies = [make_policy(seed, *sizes) for seed in seeds]
    here = Evaluator(environment, seeds, 3, -bound, bound)
    elsewhere = Evaluator(environment, seeds, 3, -bound, bound, num_workers=2)

    for step in (10, 20):
        expected, actual = here.rollout(policies, step), elsewhere.rollout(policies, step)
        np.testing.assert_array_equal(actual.returns, expected.returns)
        np.testing.assert_array_equal(actual.lengths, expected.lengths)
    assert len(processes_of(elsewhere)) == 2
    elsewhere.close()


def test_a_rollout_goes_on_while_its_caller_does_other_things() -> None:
    policy = make_policy(0, 3, 1)
    evaluator = Evaluator("Pendulum-v1", (0,), 2, -2, 2, num_workers=1)
    evaluator.start([policy], 5)
    others = Evaluator("Pendulum-v1", (0,), 2, -2, 2).rollout([policy], 5)
    np.testing.assert_array_equal(evaluator.finish().returns, others.returns)
    evaluator.close()


def test_there_are_no_more_processes_than_runs_and_none_after_the_end() -> None:
    evaluator = Evaluator("Pendulum-v1", (0, 1), 1, -2, 2, num_workers=5)
    processes = processes_of(evaluator)
    assert len(processes) == 2
    del evaluator
    assert all(process.returncode is not None for process in processes)


def test_what_a_lost_process_was_asked_for_is_done_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policies = [make_policy(seed, 3, 1) for seed in (0, 1)]
    expected = Evaluator("Pendulum-v1", (0, 1), 2, -2, 2).rollout(policies, 5)
    evaluator = Evaluator("Pendulum-v1", (0, 1), 2, -2, 2, num_workers=2)
    evaluator.rollout(policies, 5)

    with caplog.at_level(logging.WARNING):
        processes_of(evaluator)[0].kill()
        for _ in range(2):
            actual = evaluator.rollout(policies, 5)
            np.testing.assert_array_equal(actual.returns, expected.returns)

    assert len(caplog.records) == 1
    assert "the trial does its rollouts itself" in caplog.text
    evaluator.close()


def test_an_environment_that_only_the_caller_knows_is_stepped_here() -> None:
    make = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    gymnasium.register("Here-v0", make, max_episode_steps=5)
    try:
        evaluator = Evaluator("Here-v0", (0,), 2, -2, 2, num_workers=1)
        lengths = evaluator.rollout([make_policy(0, 3, 1)], 5).lengths
        evaluator.close()
    finally:
        gymnasium.registry.pop("Here-v0")
    np.testing.assert_array_equal(lengths, [[5, 5]])


PROGRAM = """
import sys, time
from rayoff.evaluation import Evaluator
evaluator = Evaluator("Pendulum-v1", (0,), 1, -2, 2, num_workers=1)
print(evaluator._workers._workers[0].process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_ends_with_its_trial_however_that_ended(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trial:
        assert trial.stdout is not None
        worker = int(trial.stdout.readline())
        os.kill(trial.pid, number)
    given_up = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < given_up:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
