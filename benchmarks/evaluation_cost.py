"""What evaluation costs: a simulator step and its parts, and the share of training's time.

Times are of processor time on one pinned core, which other work on the machine moves little;
the parts are timed in interleaved passes, and medians are given.

    python benchmarks/evaluation_cost.py
    python benchmarks/evaluation_cost.py --sources mixed/hopper/medium-v0 --runs 1 2 8
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv

from rayoff.agents import Agent, make_agent
from rayoff.config import (
    AGENT_CONFIGS,
    ActorConfig,
    CriticConfig,
    DataConfig,
    EvaluationConfig,
    TrialConfig,
)
from rayoff.data import Normalizer, load_table, prepare
from rayoff.draws import Draws
from rayoff.evaluation import Environment, Evaluator
from rayoff.evaluation.environment import make
from rayoff.networks import enable_fast_products
from rayoff.study import load_study, trials
from rayoff.trial import export_policies, make_evaluator
from rayoff.trial.replay import Replay, make_draws
from rayoff.trial.sampling import Sampler

NUM_EPISODES, NUM_TIMED = EvaluationConfig().num_episodes, 200
FULL_LENGTH = 1000
"""Steps of a locomotion episode that no fall ends [step]."""
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "Hopper-v5": {"terminate_when_unhealthy": False},
    "HalfCheetah-v5": {},
}
"""Environments with the arguments by which all episodes are of one length."""


def seconds_of(call: Callable[[], object]) -> float:
    """Return the processor time of a call [s]."""
    started = time.process_time()
    call()
    return time.process_time() - started


class Parts:
    """The parts of an evaluation of K runs in one environment, each for the same steps."""

    def __init__(self, name: str, arguments: Mapping[str, Any], num_runs: int) -> None:
        self.num_runs = num_runs
        environment = Environment(name, NUM_TIMED, arguments)
        self.one = make(environment)
        space = self.one.action_space
        assert self.one.observation_space.shape is not None
        assert space.shape is not None
        self.sizes = self.one.observation_space.shape[0], space.shape[0]
        self.actions = np.random.default_rng(0).uniform(-0.3, 0.3, (NUM_TIMED, *space.shape))
        self.agent: Agent = make_agent(
            TrialConfig(seeds=tuple(range(num_runs))),
            *self.sizes,
            Draws(torch.arange(num_runs), torch.tensor(0)),
        )
        self.evaluator = Evaluator(environment, range(num_runs), NUM_EPISODES, -1, 1)
        self.vector = SyncVectorEnv(
            [lambda: make(environment)] * (num_runs * NUM_EPISODES), copy=False
        )
        scaling = torch.zeros(self.sizes[0]), torch.ones(self.sizes[0])
        self.policies = export_policies(self.agent, Normalizer(*scaling))

    def microseconds(self) -> dict[str, float]:
        """Return what a step of one environment takes in each part [us], once."""
        num_steps = NUM_TIMED * NUM_EPISODES * self.num_runs
        return {
            name: 1e6 * seconds_of(part) / (num_steps if whole else NUM_TIMED)
            for name, part, whole in (
                ("mj_step", self.physics, False),
                ("step of one environment", self.steps, False),
                ("policy in torch", self.torch_policy, True),
                ("policy in numpy", self.numpy_policy, True),
                ("all runs side by side, torch", self.side_by_side, True),
                ("evaluation", self.evaluation, True),
            )
        }

    def physics(self) -> None:
        """Take MuJoCo's own steps alone, as many as the environment takes to one of its own."""
        inner: Any = self.one.unwrapped
        step = mujoco.mj_step  # pyright: ignore[reportAttributeAccessIssue]: untyped
        self.one.reset(seed=0)
        for action in self.actions:
            inner.data.ctrl[:] = action
            step(inner.model, inner.data, nstep=inner.frame_skip)

    def steps(self) -> None:
        """Take steps of an environment as it is made."""
        self.one.reset(seed=0)
        for action in self.actions:
            self.one.step(action)

    def torch_policy(self) -> None:
        """Ask the agent for all runs' actions."""
        rows = torch.zeros(self.num_runs, NUM_EPISODES, self.sizes[0])
        for _ in range(NUM_TIMED):
            self.agent.act(rows)

    def numpy_policy(self) -> None:
        """Ask the exported policies for their actions."""
        rows = np.zeros((NUM_EPISODES, self.sizes[0]), np.float32)
        for policy in self.policies:
            for _ in range(NUM_TIMED):
                policy(rows)

    def side_by_side(self) -> None:
        """Step the environments of all runs together, with one call of the agent for all."""
        observations, _ = self.vector.reset(seed=0)
        for _ in range(NUM_TIMED):
            rows = torch.tensor(observations, dtype=torch.float32)
            actions = self.agent.act(rows.view(self.num_runs, NUM_EPISODES, -1))
            flat = actions.numpy().reshape(self.num_runs * NUM_EPISODES, -1)
            observations, *_ = self.vector.step(flat)

    def evaluation(self) -> None:
        """Evaluate as a trial does."""
        self.evaluator.rollout(self.policies, step=0)


def measure_parts(num_runs: Sequence[int], num_passes: int) -> list[str]:
    """Return the table of what a simulator step takes."""
    parts = [
        (name, count, Parts(name, arguments, count))
        for name, arguments in ENVIRONMENTS.items()
        for count in num_runs
    ]
    for _, _, part in parts:
        part.microseconds()  # pays for what is made at first use
    passes = [[part.microseconds() for _, _, part in parts] for _ in range(num_passes)]
    lines = []
    for index, (name, count, _) in enumerate(parts):
        medians = {
            key: statistics.median(one[index][key] for one in passes) for key in passes[0][index]
        }
        if not lines:
            lines = [
                f"| environment | K | {' | '.join(medians)} |",
                f"|{'---|' * (2 + len(medians))}",
            ]
        lines.append(f"| {name} | {count} | {' | '.join(f'{v:.1f}' for v in medians.values())} |")
    return lines


def share(config: TrialConfig, num_steps: int) -> list[float]:
    """Return what evaluation is of a trial's time, from some of its steps and one evaluation.

    Args:
        config: of the trial.
        num_steps: gradient steps that are timed, without probes.

    Returns:
        Milliseconds of a gradient step of all runs; microseconds of a simulator step; simulator
        steps of an episode as the policies then are; the share of evaluation with episodes of
        that length, and at ``FULL_LENGTH``.
    """
    period, num_runs = config.evaluation.period, len(config.seeds)
    prepared = prepare(load_table(config.data.source), config.data, config.batch_size)
    seeds, start = torch.tensor(config.seeds), torch.zeros((), dtype=torch.int64)
    sizes = prepared.facts.observation_size, prepared.facts.action_size
    agent = make_agent(config, *sizes, Draws(seeds, start))
    sampler = Sampler(prepared.rows, config.batch_size)
    replay = Replay(agent, sampler, make_draws(seeds, start.clone()))
    replay.advance(10)  # records the step
    of_step = seconds_of(lambda: replay.advance(num_steps)) / num_steps
    evaluator = make_evaluator(config, prepared.facts)
    policies = export_policies(agent, prepared.normalizer)
    evaluator.rollout(policies, step=0)  # makes the environments
    started = time.process_time()
    lengths = evaluator.rollout(policies, step=1).lengths
    of_simulator_step = (time.process_time() - started) / lengths.sum()
    evaluator.close()

    def of_evaluation(length: float) -> float:
        spent = of_simulator_step * length * config.evaluation.num_episodes * num_runs
        return spent / (spent + of_step * period)

    mean = float(lengths.mean())
    return [
        1e3 * of_step,
        1e6 * of_simulator_step,
        mean,
        of_evaluation(mean),
        of_evaluation(FULL_LENGTH),
    ]


def cases(sources: Sequence[str], num_runs: Sequence[int]) -> dict[str, TrialConfig]:
    """Return trials with default periods by their description, and of two studies."""
    narrow = {"actor": ActorConfig(width=64), "critic": CriticConfig(width=64)}
    found: dict[str, TrialConfig] = {}
    for source in sources:
        for algorithm, count, sizes in [
            *(("td3_bc", count, {}) for count in num_runs),
            ("td3_bc", max(num_runs), narrow),
            ("bc", max(num_runs), {}),
        ]:
            width = sizes["actor"].width if sizes else ActorConfig().width
            found[f"{algorithm}, 2 x {width}, K = {count}, {source}"] = TrialConfig(
                algorithm=algorithm,
                agent=AGENT_CONFIGS[algorithm](),
                data=DataConfig(source=source),
                seeds=tuple(range(count)),
                **sizes,
            )
    for name in ("quickstart", "critic_norm"):
        found[name] = trials(load_study(name))[0].config
    return found


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", nargs="+", default=["builtin:hopper-mixed"])
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    enable_fast_products()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"A simulator step of one environment and its parts, E = {NUM_EPISODES} [us]:\n")
    print("\n".join(measure_parts(args.runs, args.passes)))
    print(
        "\n| trial | period | gradient step [ms] | simulator step [us] | episode [steps] "
        f"| evaluation | with episodes of {FULL_LENGTH} |\n|---|---|---|---|---|---|---|"
    )
    for name, config in cases(args.sources, args.runs).items():
        of_step, of_simulator, length, now, full = share(config, args.steps)
        print(
            f"| {name} | {config.evaluation.period:,} | {of_step:.2f} | {of_simulator:.1f} "
            f"| {length:.0f} | {now:.1%} | {full:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
