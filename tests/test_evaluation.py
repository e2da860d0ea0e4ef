"""Tests of rayoff.evaluation against plain loops over single environments."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

from rayoff.errors import StudyError
from rayoff.evaluation import Environment, Evaluator, Policy, check_environment
from rayoff.observations import flatten_observations

PENDULUM = ("Pendulum-v1", 3, 1, 2.0)  # id, S, A, bound of the actions; needs no simulator
HOPPER = ("Hopper-v5", 11, 3, 1.0)


class Countdown(gymnasium.Env):
    """Ends after 1 to 20 steps, by its seed; earns 100 times its first action.

    Observes how often it was reset and stepped.
    """

    observation_space = Box(0, np.inf, (2,), np.float64)
    action_space = Box(np.array([0, -1], np.float32), np.array([10, 1], np.float32))
    actions: ClassVar[list[np.ndarray]] = []

    def __init__(self) -> None:
        self.num_resets = self.num_steps = self.remaining = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.num_resets += 1
        self.remaining = int(self.np_random.integers(1, 21))
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.num_steps += 1
        self.remaining -= 1
        assert self.remaining >= 0, "stepped after its end"
        return self._observation(), 100.0 * action[0], self.remaining == 0, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([self.num_resets, self.num_steps], np.float64)


class Goal(Countdown):
    """Observes its two counts twice, under the names of a goal-conditioned task."""

    observation_space = Dict(
        {
            "observation": Box(0, np.inf, (1,)),
            "desired_goal": Dict({"b": Box(0, np.inf, (1,)), "a": Box(0, np.inf, (1,))}),
            "achieved_goal": Box(0, np.inf, (1,)),
        }
    )

    def _observation(self) -> Any:  # noqa: ANN401 - a dictionary, nested
        first, second = super()._observation()[:, None]
        goal = {"a": 10 * first, "b": 20 * second}
        return {"observation": 3 + second, "desired_goal": goal, "achieved_goal": first}


class Pictures(Goal):
    observation_space = Dict({"observation": Box(0, 1, (2, 2))})


@pytest.fixture
def countdown() -> Iterator[str]:
    Countdown.actions.clear()
    gymnasium.register("Countdown-v0", lambda **_: Countdown())
    yield "Countdown-v0"
    gymnasium.registry.pop("Countdown-v0")


@pytest.fixture
def goal() -> Iterator[str]:
    gymnasium.register("Goal-v0", lambda **_: Goal())
    yield "Goal-v0"
    gymnasium.registry.pop("Goal-v0")


@pytest.fixture(params=[PENDULUM, HOPPER], ids=["pendulum", "hopper"])
def task(request: pytest.FixtureRequest) -> tuple[str, int, int, float]:
    if request.param is HOPPER:
        pytest.importorskip("mujoco", reason="needs the MuJoCo simulator")
    return request.param


def linear_policy(seed: int, num_inputs: int, num_outputs: int) -> Policy:
    """A policy whose rounding does not depend on how many rows it sees."""
    drawn = np.random.default_rng(seed).standard_normal((num_inputs, num_outputs))
    weight = drawn.astype(np.float32)
    return lambda rows: np.tanh((rows[:, :, None] * weight).sum(1))


def constant_policy(*action: float) -> Policy:
    """The same action everywhere."""
    return lambda rows: np.full((len(rows), len(action)), action, np.float32)


def plain_episode(environment: str, seed: int, policy: Policy, bound: float) -> tuple[float, int]:
    """One episode of one environment, as anyone would write it."""
    env = gymnasium.make(environment)
    observation, _ = env.reset(seed=seed)
    total, length, over = 0.0, 0, False
    while not over:
        action = policy(observation.astype(np.float32)[None])[0] * bound
        observation, reward, terminated, truncated, _ = env.step(action)
        total, length, over = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length


def test_returns_equal_a_plain_loop_over_single_environments(
    task: tuple[str, int, int, float],
) -> None:
    environment, num_inputs, num_outputs, bound = task
    seeds = (3, 8)
    evaluator = Evaluator(environment, seeds, 3, -bound, [bound] * num_outputs)

    policies = [linear_policy(seed, num_inputs, num_outputs) for seed in seeds]

    returns, lengths = evaluator.rollout(policies, step=50)

    for k, (seed, policy) in enumerate(zip(seeds, policies, strict=True)):
        for episode in range(3):
            reset_seed = int(np.random.SeedSequence((seed, 50, episode)).generate_state(1)[0])
            total, length = plain_episode(environment, reset_seed, policy, bound)
            assert returns[k, episode] == pytest.approx(total, rel=1e-9)
            assert lengths[k, episode] == length
    assert returns.dtype == np.float64


def test_a_run_alone_meets_what_it_meets_stacked(task: tuple[str, int, int, float]) -> None:
    environment, *sizes, bound = task
    seeds = (0, 5, 2)
    stacked = Evaluator(environment, seeds, 3, -bound, bound)
    alone = Evaluator(environment, (5,), 3, -bound, bound)

    expected = stacked.rollout([linear_policy(seed, *sizes) for seed in seeds], step=10)
    actual = alone.rollout([linear_policy(5, *sizes)], step=10)

    np.testing.assert_array_equal(actual.returns[0], expected.returns[1])
    np.testing.assert_array_equal(actual.lengths[0], expected.lengths[1])


def test_episodes_depend_on_seed_step_and_episode_and_on_nothing_before() -> None:
    policies = [linear_policy(0, 3, 1)] * 2
    evaluator = Evaluator("Pendulum-v1", (0, 1), 2, -2, 2)
    first = evaluator.rollout(policies, step=100).returns
    second = evaluator.rollout(policies, step=200).returns
    resumed = Evaluator("Pendulum-v1", (0, 1), 2, -2, 2)

    np.testing.assert_array_equal(resumed.rollout(policies, step=200).returns, second)
    np.testing.assert_array_equal(evaluator.rollout(policies, step=100).returns, first)
    assert len(np.unique([first, second])) == 8


def test_a_policy_is_called_once_per_step_with_all_episodes_of_its_run() -> None:
    inputs: list[list[np.ndarray]] = [[], []]

    def policy_of(run: int) -> Policy:
        def act(observations: np.ndarray) -> np.ndarray:
            inputs[run].append(observations.copy())
            return np.zeros((4, 1), np.float32)

        return act

    evaluator = Evaluator("Pendulum-v1", (0, 1), 4, -2, 2)
    lengths = evaluator.rollout([policy_of(0), policy_of(1)], step=0).lengths

    for run in inputs:
        assert [rows.shape for rows in run] == [(4, 3)] * 200  # Pendulum's time limit
        assert {rows.dtype for rows in run} == {np.dtype(np.float32)}
    assert not np.array_equal(inputs[0][0], inputs[1][0])
    assert (lengths == 200).all()


def test_every_environment_runs_one_episode_and_then_idles(countdown: str) -> None:
    evaluator = Evaluator(countdown, (0, 1), 10, [0, -1], [10, 1])
    for num_rollouts in (1, 2):
        Countdown.actions.clear()
        last = np.zeros(0)

        def act(observations: np.ndarray) -> np.ndarray:
            nonlocal last
            last = observations.copy()
            return np.ones((10, 2), np.float32)

        returns, lengths = evaluator.rollout([act, act], step=num_rollouts)

        assert len(np.unique(lengths)) > 3
        assert lengths.sum() == len(Countdown.actions)
        np.testing.assert_array_equal(returns, 1000.0 * lengths)
        num_resets = 2 * num_rollouts  # both runs meet the same environments
        np.testing.assert_array_equal(last[..., 0], np.full(10, num_resets))


def test_actions_are_scaled_from_minus_one_and_one_and_kept_inside_the_box(
    countdown: str,
) -> None:
    evaluator = Evaluator(countdown, (0, 1), 1, [2, -3], [6, 3])

    evaluator.rollout([constant_policy(0.5, 0.1), constant_policy(9.0, -1.0)], step=0)

    received = {tuple(action.tolist()) for action in Countdown.actions}
    assert received == {(5.0, float(np.float32(0.3))), (6.0, -1.0)}
    assert {action.dtype for action in Countdown.actions} == {np.dtype(np.float32)}


def test_a_diverged_policy_earns_nan_and_disturbs_no_other_run(countdown: str) -> None:
    evaluator = Evaluator(countdown, (0, 1), 5, [0, -1], [10, 1])

    policies = [constant_policy(np.nan, 0.0), constant_policy(1.0, 0.0)]

    returns, lengths = evaluator.rollout(policies, step=0)

    assert np.isnan(returns[0]).all()
    assert (lengths[0] == 1).all()
    np.testing.assert_array_equal(returns[1], 1000.0 * lengths[1])
    assert np.isfinite(Countdown.actions).all()


def test_an_environment_that_suits_has_no_objection(countdown: str) -> None:
    assert check_environment("Pendulum-v1") is None
    assert check_environment(countdown, observation_size=2, action_size=2) is None


def test_an_outdated_version_is_used_without_a_warning() -> None:
    pytest.importorskip("mujoco", reason="needs the MuJoCo simulator")
    assert check_environment("Hopper-v4") is None


@pytest.mark.parametrize(
    ("environment", "sizes", "reason"),
    [
        ("Hoper-v5", {}, r"^Hoper-v5 cannot be made .*Did you mean: `Hopper`.*evaluation\.per"),
        ("no_such_package:Thing-v0", {}, r"cannot be made \(ModuleNotFoundError: .*evaluation\."),
        ("CartPole-v1", {}, r"^CartPole-v1 acts by Discrete, but a policy maps"),
        ("Pendulum-v1", {"observation_size": 11}, r"observes 3 numbers, but the dataset has 11;"),
        ("Pendulum-v1", {"action_size": 3}, r"acts by 1 numbers, but the dataset has 3;"),
    ],
)
def test_an_environment_that_does_not_suit_is_said_in_a_sentence(
    environment: str, sizes: dict[str, int], reason: str
) -> None:
    sentence = check_environment(environment, **sizes)

    assert sentence is not None
    assert re.search(reason, sentence)
    assert sentence.endswith(".")


def test_dictionary_observations_are_flattened_as_those_of_the_data(goal: str) -> None:
    met: list[np.ndarray] = []

    def act(observations: np.ndarray) -> np.ndarray:
        met.append(observations.copy())
        return np.zeros((3, 2), np.float32)

    assert check_environment(goal, observation_size=4) is None
    Evaluator(goal, (0,), 3, [0, -1], [10, 1]).rollout([act], step=0)

    raw = {
        "achieved_goal": np.array([[1.0]]),
        "desired_goal": {"b": np.array([[20.0]]), "a": np.array([[10.0]])},
        "observation": np.array([[4.0]]),
    }
    assert met[1].shape == (3, 4)
    np.testing.assert_array_equal(met[1][0], flatten_observations(raw)[0])


def test_dictionaries_of_other_things_than_vectors_are_refused() -> None:
    gymnasium.register("Pictures-v0", lambda **_: Pictures())
    try:
        assert "observes Dict, but a policy" in str(check_environment("Pictures-v0"))
    finally:
        gymnasium.registry.pop("Pictures-v0")


def test_a_spec_gives_arguments_and_time_limit() -> None:
    spec = json.dumps({"id": "Pendulum-v1", "kwargs": {"g": 0.0}, "max_episode_steps": 7})
    environment = Environment.from_spec(spec)

    evaluator = Evaluator(environment, (0,), 2, -2, 2)
    returns, lengths = evaluator.rollout([constant_policy(0.0)], step=0)

    assert (lengths == 7).all()
    for episode in range(2):
        env = gymnasium.make("Pendulum-v1", g=0.0, max_episode_steps=7)
        env.reset(seed=int(np.random.SeedSequence((0, 0, episode)).generate_state(1)[0]))
        rewards = [float(env.step(np.zeros(1))[1]) for _ in range(7)]
        assert returns[0, episode] == pytest.approx(sum(rewards), rel=1e-9)


def test_a_spec_names_no_code_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "planted.py").write_text("raise SystemExit('planted code was run')")
    wrapper = {"name": "Planted", "entry_point": "planted:Wrapper", "kwargs": {}}
    spec = json.dumps(
        {"id": "Pendulum-v1", "entry_point": "planted:Env", "additional_wrappers": [wrapper]}
    )
    assert check_environment(Environment.from_spec(spec), 3, 1) is None


def test_arguments_that_an_environment_does_not_take_are_said() -> None:
    sentence = check_environment(Environment("Pendulum-v1", arguments={"wind": 3.0}))
    assert re.search(r"^Pendulum-v1 cannot be made \(.*wind", str(sentence))


def test_an_evaluator_of_the_wrong_task_is_refused() -> None:
    with pytest.raises(StudyError, match="acts by 1 numbers, but the dataset has 3"):
        Evaluator("Pendulum-v1", (0,), 1, [-1, -1, -1], [1, 1, 1])


def test_a_missing_simulator_is_named_with_what_installs_it() -> None:
    program = (
        "import sys; sys.modules['mujoco'] = None\n"
        "from rayoff.evaluation import check_environment\n"
        "print(check_environment('Hopper-v5'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Hopper-v5 needs a simulator that is not installed")
    assert "pip install 'rayoff[mujoco]'" in done.stdout


def test_what_mujoco_finds_in_a_model_is_neither_printed_nor_written(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="needs the MuJoCo simulator")
    program = (
        "from rayoff.evaluation import Evaluator\n"
        "import mujoco, numpy as np\n"
        "still = lambda rows: np.zeros((2, 6), np.float32)\n"
        "print(Evaluator('HalfCheetah-v5', (0,), 2, -1, 1).rollout([still], 0).lengths)\n"
        "print(mujoco.get_mju_user_warning())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("[[1000 1000]]\nNone\n", "")
    assert not list(tmp_path.iterdir())


def test_importing_the_module_loads_no_simulator_and_no_torch() -> None:
    program = (
        "import sys, rayoff.evaluation\n"
        "print([name for name in ('gymnasium', 'mujoco', 'ray', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
