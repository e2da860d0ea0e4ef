"""Tests of rayoff.study.paths: configurations, nested and flat, and fields that are none."""

import json
from dataclasses import asdict

import pytest
from norm_studies import make, message_of

from rayoff.config import AGENT_CONFIGS, TD3Config, TrialConfig
from rayoff.errors import StudyError
from rayoff.study import config_from_dict, flatten
from rayoff.study.paths import field_types


@pytest.mark.parametrize("algorithm", AGENT_CONFIGS)
def test_a_configuration_survives_json(algorithm: str) -> None:
    config = TrialConfig(algorithm=algorithm, agent=AGENT_CONFIGS[algorithm](), seeds=(4, 5))
    assert config_from_dict(json.loads(json.dumps(asdict(config)))) == config


def test_a_configuration_of_its_algorithm_alone_has_that_algorithms_defaults() -> None:
    assert config_from_dict({"algorithm": "td3"}).agent == TD3Config()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algorithm": "td3bc"}, "got 'td3bc'. Did you mean 'td3_bc'?"),
        ({"critic": {"nrom": "layer"}}, "'critic.nrom' is not a field .* mean 'critic.norm'?"),
        ({"crtic": {}}, "'crtic' is not a field .* Did you mean 'critic'?"),
        ({"algorithm": "td3", "agent": {"bc_weight": 1.0}}, "'agent.bc_weight' is not a field"),
    ],
)
def test_a_configuration_with_an_unknown_key_names_the_nearest(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        config_from_dict(values)


def test_flatten_names_every_scalar_by_the_path_that_studies_use() -> None:
    for algorithm, agent in AGENT_CONFIGS.items():
        flat = flatten(TrialConfig(algorithm=algorithm, agent=agent()))
        assert set(flat) <= set(field_types())
        assert flat["critic.norm"] == "none"
        assert all(isinstance(value, str | int | float | None) for value in flat.values())


def test_a_hyperparameter_has_one_type_in_all_algorithms() -> None:
    for path, annotation in field_types().items():
        owner, _, name = path.partition(".")
        if owner == "agent":
            configs = [c for c in AGENT_CONFIGS.values() if name in c.__dataclass_fields__]
            assert {config.__dataclass_fields__[name].type for config in configs} == {annotation}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("critic.nrom", "Did you mean 'critic.norm'?"),
        ("critc.norm", "Did you mean 'critic.norm'?"),
        ("norm", "Did you mean 'actor.norm' or 'critic.norm'?"),
        ("num_critic", "Did you mean 'critic.num_critics'?"),
        ("critic.fraction", "Did you mean 'data.fraction'?"),
        ("agent.lr", "The fields of agent are learning_rate, optimizer, discount, tau, "),
        ("dataset", "Did you mean 'datasets'?"),
        ("zzz", "See them with: rayoff list axes"),
    ],
)
def test_an_unknown_path_names_the_nearest(path: str, hint: str) -> None:
    message = message_of(make(settings={path: 1}))
    assert message.startswith(f"{path!r} is not a field of a trial. {hint}")
    assert message.endswith(f"\n  tune_spaces/norms.py, setting {path}")
