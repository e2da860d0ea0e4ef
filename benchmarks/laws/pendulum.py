"""TD3 on a small set of pendulum swings: high SEEM that ends no run.

Under a slowly copied target SEEM reads high for thousands of steps while |Q| stays below what
the rewards allow; with cloning or LayerNorm it never rises. The stopper must let all of them be.

The data are 10 episodes of 200 steps of Gymnasium's Pendulum-v1 under torques drawn uniformly
from the whole range; rewards, in [-16.3, 0] there, are mapped to [0, 1].
"""

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from toy_pendulum import write_pendulum

from laws.checks import Check, Finding
from rayoff.config import (
    AgentConfig,
    CriticConfig,
    DataConfig,
    EvaluationConfig,
    Norm,
    SeemConfig,
    StopperConfig,
    TD3BCConfig,
    TD3Config,
    TrialConfig,
)
from rayoff.data import load_table
from rayoff.trial import Row, Trial

EPISODE_STEPS = 200
WORST_REWARD = -(np.pi**2 + 0.1 * 8**2 + 0.001 * 2**2)  # of Pendulum-v1
NUM_STEPS, READING_PERIOD = 20_000, 500


class Arm(NamedTuple):
    """One way to train the critic."""

    cloning: bool
    """Whether the actor also clones the data."""
    norm: Norm
    tau: float
    """Polyak rate of the targets."""

    @property
    def name(self) -> str:
        """How tables and figures call it."""
        parts = ["cloning" if self.cloning else "no cloning"]
        parts += ["LayerNorm"] if self.norm == "layer" else []
        return ", ".join([*parts, f"tau {self.tau:g}"])


SLOW_TARGET = Arm(cloning=False, norm="none", tau=0.005)
"""High SEEM, bounded |Q|."""
CALM_ARMS = (
    Arm(cloning=True, norm="none", tau=0.005),
    Arm(cloning=True, norm="none", tau=1.0),
    Arm(cloning=False, norm="layer", tau=0.005),
    Arm(cloning=False, norm="layer", tau=1.0),
)
"""SEEM near zero throughout."""


def make_table() -> pa.Table:
    """Return the transitions of random torques."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pendulum.parquet"
        return load_table(write_pendulum(path, episode_steps=EPISODE_STEPS, references=False))


def make_config(arm: Arm, num_steps: int, seeds: tuple[int, ...]) -> TrialConfig:
    """Return the configuration of an arm.

    The stopper may act on a tenth of the bound, where the default lets any |Q| below ten bounds
    be: so that it has something to let be.
    """
    agent: AgentConfig = TD3BCConfig(tau=arm.tau) if arm.cloning else TD3Config(tau=arm.tau)
    return TrialConfig(
        algorithm="td3_bc" if arm.cloning else "td3",
        agent=agent,
        data=DataConfig(reward_scale=-1 / WORST_REWARD, reward_shift=1.0),
        critic=CriticConfig(norm=arm.norm),
        seem=SeemConfig(period=READING_PERIOD),
        stopper=StopperConfig(suspect_factor=0.1, confirm_factor=0.1, probe_speedup=1),
        evaluation=EvaluationConfig(period=0),
        num_steps=num_steps,
        seeds=seeds,
    )


def train(config: TrialConfig, table: pa.Table) -> list[Row]:
    """Return the rows of all runs, one at each probe."""
    trial = Trial(config, table)
    while not trial.done:
        trial.advance()
    return trial.rows


def examine() -> Finding:
    """Return what is found of R11: two seeds of the arm with high SEEM, one of the others."""
    table = make_table()
    checks = [*_slow_target_checks(train(make_config(SLOW_TARGET, NUM_STEPS, (0, 1)), table))]
    for arm in CALM_ARMS:
        checks += _calm_checks(arm, train(make_config(arm, NUM_STEPS, (0,)), table))
    return Finding(checks, {})


def _slow_target_checks(rows: list[Row]) -> list[Check]:
    check = partial(Check, "R11")
    num_high = Counter({row["seed"]: 0 for row in rows})
    num_high.update(row["seed"] for row in rows if row["seem/normalized"] > 0.1)
    return [
        check(
            f"{SLOW_TARGET.name}: steps of normalised SEEM above 0.1, fewer of 2 seeds",
            "20,000",
            READING_PERIOD * min(num_high.values()),
            low=10_000,
        ),
        check(
            f"{SLOW_TARGET.name}: largest |Q| of a row over its bound",
            "0.54 (mean of rows, 40,000 steps)",
            _peak_over_bound(rows),
            high=1.0,
        ),
        _stop_check(SLOW_TARGET, rows),
    ]


def _calm_checks(arm: Arm, rows: list[Row]) -> list[Check]:
    published = "≤ 0.009" if arm.norm == "layer" else "≤ 0.001"
    peak = max(row["seem/normalized"] for row in rows)
    name = f"{arm.name}: largest normalised SEEM"
    return [Check("R11", name, published, peak, high=0.02), _stop_check(arm, rows)]


def _stop_check(arm: Arm, rows: list[Row]) -> Check:
    num_stopped = len({row["seed"] for row in rows if row["stop_step"] is not None})
    return Check(
        "R11",
        f"{arm.name}: runs stopped, from a tenth of the bound on",
        "0",
        num_stopped,
        low=0,
        high=0,
    )


def _peak_over_bound(rows: list[Row]) -> float:
    """Return the largest |Q| of a probe row over what the rewards allow."""
    return max(row["critic/q_max"] / row["critic/q_bound"] for row in rows)
