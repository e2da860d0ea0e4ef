"""The arms of the audit: what is trained in full, so that rules can be judged on it.

Every choice that moves the stability of a critic is there, alone and in pairs: algorithm and
strength of cloning, norm, ensemble, representation distinction, discount, target rate, optimiser,
learning rate, width, depth, dropout, fraction of the data, scale and sign of the rewards; on two
environments, with two datasets each.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_type_hints

from rayoff.config import AGENT_CONFIGS, EvaluationConfig, SeemConfig, StopperConfig, TrialConfig

PERIOD = 100
"""Gradient steps between readings [step]."""
SEEDS = (0, 1)

REPLAY = ("mixed/hopper/replay-v0", "mixed/halfcheetah/replay-v0")
MEDIUM = ("mixed/hopper/medium-v0", "mixed/halfcheetah/medium-v0")
ALL = REPLAY + MEDIUM

_FAST = {"agent.learning_rate": 1e-3}
_NARROW = {"critic.width": 128, "actor.width": 128}
_THIN = {"critic.width": 64, "actor.width": 64}
_SLOW_TARGET = {"agent.tau": 0.005, "num_steps": 8000, **_NARROW}
_SGD = {"agent.optimizer": "sgd"}

Choice = tuple[tuple[str, ...], dict[str, Any]]

CHOICES: tuple[Choice, ...] = (
    # the plain critic
    (ALL, {"data.fraction": 1.0}),
    (ALL, {"data.fraction": 0.1}),
    (ALL, {"data.fraction": 0.01}),
    (ALL, {"data.fraction": 0.1, **_FAST}),
    (ALL, {"data.fraction": 1.0, **_FAST, **_NARROW}),
    (ALL, {"data.fraction": 0.01, **_FAST, **_THIN, "num_steps": 8000}),
    (REPLAY, {"data.fraction": 1.0, **_NARROW, "num_steps": 8000}),
    (REPLAY, {"data.fraction": 0.1, **_THIN, **_FAST, "num_steps": 8000}),
    # discount
    (ALL, {"agent.discount": 0.95, "data.fraction": 0.1, **_NARROW}),
    (ALL, {"agent.discount": 0.9, "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"agent.discount": 0.95, "data.fraction": 0.01, **_FAST, **_NARROW}),
    # slow targets
    (ALL, {"agent.tau": 0.1, "data.fraction": 0.1, **_FAST, **_NARROW}),
    (REPLAY, {"agent.tau": 0.1, "data.fraction": 0.01, "num_steps": 8000, **_NARROW}),
    (ALL, {"data.fraction": 0.1, **_SLOW_TARGET}),
    (REPLAY, {"data.fraction": 0.01, **_FAST, **_SLOW_TARGET}),
    # gradient descent
    (ALL, {**_SGD, "agent.learning_rate": 3e-3, "data.fraction": 0.1, **_NARROW}),
    (ALL, {**_SGD, "agent.learning_rate": 1e-2, "data.fraction": 1.0, **_NARROW}),
    (REPLAY, {**_SGD, "agent.learning_rate": 3e-4, "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {**_SGD, "agent.learning_rate": 1e-2, "critic.norm": "layer", **_NARROW}),
    # scale and sign of the rewards
    (REPLAY, {"data.reward_scale": 10.0, "data.fraction": 0.1, **_FAST, **_NARROW}),
    (REPLAY, {"data.reward_scale": 0.1, "data.fraction": 1.0, **_FAST, **_NARROW}),
    (REPLAY, {"data.reward_scale": -1.0, "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"data.reward_scale": 0.1, "critic.norm": "layer", **_FAST, **_NARROW}),
    # norms
    (ALL, {"critic.norm": "layer", "data.fraction": 0.1}),
    (ALL, {"critic.norm": "layer", "data.fraction": 0.01, **_FAST, **_NARROW}),
    (REPLAY, {"critic.norm": "layer", "data.fraction": 1.0, "critic.norm_position": "after"}),
    (REPLAY, {"critic.norm": "layer", "data.fraction": 0.1, **_SLOW_TARGET}),
    (ALL, {"critic.norm": "batch", "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.norm": "batch_joint", "data.fraction": 1.0, **_NARROW}),
    (ALL, {"critic.norm": "spectral", "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.norm": "spectral", "data.fraction": 0.01, **_FAST, **_NARROW}),
    (ALL, {"critic.norm": "weight", "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.norm": "weight", "data.fraction": 1.0, **_FAST, **_NARROW}),
    (REPLAY, {"critic.norm": "rms", "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.norm": "group", "data.fraction": 0.01, **_NARROW}),
    # ensembles
    (REPLAY, {"critic.num_critics": 1, "data.fraction": 0.1}),
    (REPLAY, {"critic.num_critics": 5, "critic.reducer": "mean", "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.num_critics": 5, "critic.reducer": "min", "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.num_critics": 5, "critic.reducer": "lcb", "data.fraction": 1.0, **_NARROW}),
    (REPLAY, {"critic.num_critics": 4, "critic.reducer": "independent", **_FAST, **_NARROW}),
    # representation
    (REPLAY, {"regularizer.rd_weight": 1e-2, "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"regularizer.rd_weight": 1e-4, "data.fraction": 0.01, **_FAST, **_NARROW}),
    (REPLAY, {"regularizer.dr3_weight": 1e-2, "data.fraction": 0.1, **_NARROW}),
    # cloning
    (ALL, {"algorithm": "td3_bc", "agent.tau": 1.0, "data.fraction": 0.1}),
    (ALL, {"algorithm": "td3_bc", "agent.tau": 1.0, "data.fraction": 0.01, **_FAST, **_NARROW}),
    (ALL, {"algorithm": "td3_bc", "data.fraction": 0.1, **_SLOW_TARGET}),
    (ALL, {"algorithm": "td3_bc", "agent.tau": 1.0, "agent.bc_weight": 0.1, **_NARROW}),
    (REPLAY, {"algorithm": "td3_bc", "agent.tau": 1.0, "agent.bc_weight": 0.01, **_NARROW}),
    (REPLAY, {"algorithm": "td3_bc", "agent.bc_weight": 0.1, **_FAST, **_SLOW_TARGET}),
    (
        REPLAY,
        {
            "algorithm": "td3_bc",
            "agent.tau": 1.0,
            "agent.bc_weight": 0.1,
            "data.fraction": 0.01,
            **_THIN,
        },
    ),
    # shape of the network
    (REPLAY, {"critic.depth": 3, "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.depth": 1, "data.fraction": 0.1, **_FAST, "num_steps": 8000, **_NARROW}),
    (REPLAY, {"critic.dropout": 0.1, "data.fraction": 0.1, **_NARROW}),
    (REPLAY, {"critic.activation": "tanh", "data.fraction": 0.1, **_FAST, **_NARROW}),
    # what drives halfcheetah, the milder environment, out of its bounds too
    (ALL, {"data.fraction": 0.01, **_FAST, **_NARROW, "num_steps": 6000}),
    (ALL, {"data.fraction": 0.1, "agent.learning_rate": 3e-3, **_THIN}),
    (ALL, {"data.fraction": 0.03, "agent.learning_rate": 2e-3, **_THIN, "num_steps": 8000}),
    (
        REPLAY,
        {"critic.num_critics": 1, "data.fraction": 0.01, **_FAST, **_THIN, "num_steps": 6000},
    ),
    (REPLAY, {"regularizer.rd_weight": 1e-3, "data.fraction": 0.01, **_FAST, **_THIN}),
    (
        REPLAY,
        {"critic.norm": "weight", "agent.learning_rate": 3e-3, "data.fraction": 0.01, **_THIN},
    ),
    (REPLAY, {"critic.depth": 3, "data.fraction": 0.01, **_FAST, **_THIN}),
    (
        REPLAY,
        {
            **{"algorithm": "td3_bc", "agent.tau": 1.0, "agent.bc_weight": 0.01},
            **{"data.fraction": 0.01, **_FAST, **_THIN},
        },
    ),
)


def list_trials() -> Iterator[TrialConfig]:
    """Yield every trial of the corpus."""
    for datasets, choice in CHOICES:
        for dataset in datasets:
            yield make_trial({"data.source": dataset, **choice})


def make_trial(choice: dict[str, Any]) -> TrialConfig:
    """Return the trial of a choice: TD3 as SEEM studies it, but for the fields named.

    Args:
        choice: values by dotted name of the field, e.g. ``critic.norm``.
    """
    choice = {"algorithm": "td3", "agent.tau": 1.0, "num_steps": 4000, **choice}
    algorithm = choice.pop("algorithm")
    config = TrialConfig(
        algorithm=algorithm,
        agent=AGENT_CONFIGS[algorithm](),
        seeds=SEEDS,
        num_steps=choice.pop("num_steps"),
        seem=SeemConfig(period=PERIOD),
        stopper=StopperConfig(mode="observe", probe_speedup=1),
        evaluation=EvaluationConfig(period=500, num_episodes=2),
    )
    for name, value in choice.items():
        owner, field = name.split(".")
        part = getattr(config, owner)
        if field not in get_type_hints(type(part)):
            raise KeyError(f"A choice must name a field of {owner} but got {field!r}.")
        config = replace(config, **{owner: replace(part, **{field: value})})
    return config
