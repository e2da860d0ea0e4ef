"""Tests of rayoff.study: a study's trials and their names, overrides, files, and messages."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayoff.config import AGENT_CONFIGS, StopperConfig, TD3BCConfig, TD3Config, TrialConfig
from rayoff.divergence import check_stopper
from rayoff.errors import StudyError
from rayoff.study import (
    Axis,
    Scalar,
    Study,
    config_from_dict,
    flatten,
    from_json,
    load_study,
    override,
    smoke,
    study_files,
    study_hash,
    to_json,
    trials,
    varied_paths,
)
from rayoff.study.paths import field_types
from rayoff.study.rules import conflict
from rayoff.study.values import RANGES, check_value, parse_value

ROOT = Path(__file__).parent.parent


def make(**changes: object) -> Study:
    """Return 2 norms x 2 widths x 2 fractions of TD3 with some parts replaced."""
    parts: dict[str, object] = {
        "name": "norms",
        "base": "td3",
        "axes": [
            Axis("critic.norm", ["none", "layer"]),
            Axis("critic.width", [256, 1024]),
            Axis("data.fraction", [1.0, 0.1]),
        ],
        "datasets": ["builtin:hopper-mixed"],
        "seeds": range(3),
        "baseline": {"critic.norm": "none", "critic.width": 256},
        "settings": {"agent.tau": 1.0},
        "file": "tune_spaces/norms.py",
    }
    return Study(**{**parts, **changes})  # pyright: ignore[reportArgumentType]


def one_axis(path: str, *values: Scalar, **changes: object) -> Study:
    """Return a study of one axis whose first value is the baseline."""
    baseline = {} if path == "data.fraction" else {path: values[0]}
    parts = {"axes": [Axis(path, values)], "baseline": baseline, "settings": {}}
    return make(**{**parts, **changes})


def message_of(study: Study) -> str:
    with pytest.raises(StudyError) as caught:
        trials(study)
    return str(caught.value)


def test_trials_are_the_product_of_arms_datasets_and_fractions() -> None:
    study = make(datasets=["builtin:hopper-mixed", "mixed/halfcheetah/replay-v0"])
    planned = trials(study)
    points = {
        (t.config.critic.norm, t.config.critic.width, t.dataset, t.fraction) for t in planned
    }
    assert len(planned) == len(points) == 2 * 2 * 2 * 2
    for trial in planned:
        assert trial.config.data.source == trial.dataset
        assert trial.config.data.fraction == trial.fraction
        assert trial.config.seeds == (0, 1, 2)


def test_settings_reach_every_trial_and_what_is_not_stated_has_its_default() -> None:
    for trial in trials(make()):
        assert trial.config.agent == TD3Config(tau=1.0)
        assert trial.config.actor == TrialConfig().actor


def test_the_baseline_is_first_and_the_others_keep_the_order_of_the_axes() -> None:
    study = make(baseline={"critic.norm": "layer", "critic.width": 1024})
    arms = list(dict.fromkeys(trial.arm for trial in trials(study)))
    assert arms == ["layer-width1024", "none-width256", "none-width1024", "layer-width256"]
    assert trials(study) == trials(study)


def test_an_algorithm_axis_gives_each_trial_its_own_hyperparameters() -> None:
    study = one_axis("algorithm", "td3", "td3_bc", settings={"agent.bc_weight": 0.5})
    plain, cloned = trials(study)[0], trials(study)[-1]
    assert (plain.arm, cloned.arm) == ("td3", "td3_bc")
    assert plain.config.agent == TD3Config()
    assert cloned.config.agent == TD3BCConfig(bc_weight=0.5)


def test_a_study_without_axes_is_one_trial_named_after_its_algorithm() -> None:
    (trial,) = trials(make(axes=[], baseline={}))
    assert trial.trial_id == "td3_hopper-mixed_1"


def test_varied_paths_are_what_differs_between_trials() -> None:
    study = make(datasets=["a", "b"], axes=[Axis("critic.norm", ["none"]), *make().axes[1:]])
    planned = [flatten(trial.config) for trial in trials(study)]
    differing = {path for path in planned[0] if len({values[path] for values in planned}) > 1}
    assert varied_paths(study) == ["critic.width", "data.fraction", "data.source"]
    assert set(varied_paths(study)) == differing


def test_the_study_keeps_copies_of_what_it_was_given() -> None:
    seeds, settings = [0, 1], {"agent.tau": 1.0}
    study = make(seeds=seeds, settings=settings)
    seeds.append(2)
    settings["agent.tau"] = 0.5
    assert study == make(seeds=[0, 1], settings={"agent.tau": 1.0})


@pytest.mark.parametrize(
    ("axes", "last"),
    [
        ([Axis("critic.norm", ["none", "layer"])], "layer"),
        ([Axis("critic.num_critics", [2, 10])], "critics10"),
        ([Axis("regularizer.rd_weight", [0.0, 1e-5])], "rd_weight1e-05"),
        ([Axis("num_steps", [1000, 1_000_000])], "steps1000000"),
        ([Axis("seem.mask_terminations", [True, False])], "mask_terminations=false"),
        (
            [Axis("critic.norm", ["none", "layer"]), Axis("actor.norm", ["none", "layer"])],
            "critic.norm=layer-actor.norm=layer",
        ),
        (
            [Axis("critic.width", [64, 256]), Axis("actor.width", [64, 256])],
            "critic.width256-actor.width256",
        ),
    ],
)
def test_an_arm_is_named_by_its_varied_values(axes: list[Axis], last: str) -> None:
    study = make(axes=axes, baseline={axis.path: axis.values[0] for axis in axes})
    assert trials(study)[-1].arm == last


@pytest.mark.parametrize(
    ("source", "slug"),
    [
        ("builtin:hopper-mixed", "hopper-mixed"),
        ("mixed/hopper/replay-v0", "hopper-replay-v0"),
        ("D4RL/antmaze/umaze-diverse-v1", "antmaze-umaze-diverse-v1"),
        ("hdf5:/data/d4rl/hopper_medium-v2.hdf5", "hopper-medium-v2"),
        ("parquet:tables/mine.parquet", "mine"),
        ("pen", "pen"),
    ],
)
def test_a_source_has_a_short_name(source: str, slug: str) -> None:
    assert trials(make(datasets=[source]))[0].trial_id == f"none-width256_{slug}_1"


def test_sources_of_one_name_are_told_apart() -> None:
    planned = trials(make(datasets=["hdf5:a/data.hdf5", "hdf5:b/data.hdf5", "parquet:data"]))
    assert len({trial.trial_id for trial in planned}) == len(planned) == 24


@given(
    datasets=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3, unique=True),
    fractions=st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=3, unique=True),
    environments=st.lists(st.text(), min_size=1, max_size=3, unique=True),
)
def test_trial_ids_are_unique_short_and_safe_for_files(
    datasets: list[str], fractions: list[float], environments: list[str]
) -> None:
    axes = [
        Axis("evaluation.environment", environments),
        Axis("regularizer.rd_kernel", ["dot", "cosine"]),
        Axis("critic.initialization", ["small_output", "orthogonal"]),
        Axis("critic.reducer", ["independent", "min"]),
        Axis("data.fraction", fractions),
    ]
    baseline = {axis.path: axis.values[0] for axis in axes[:-1]}
    settings = {"regularizer.rd_weight": 1e-3}
    planned = trials(make(axes=axes, baseline=baseline, datasets=datasets, settings=settings))
    ids = [trial.trial_id for trial in planned]
    assert len(set(ids)) == len(ids) == 8 * len(environments) * len(datasets) * len(fractions)
    assert all(re.fullmatch(r"[A-Za-z0-9._=-]{1,60}", trial_id) for trial_id in ids)


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


def test_every_default_is_a_value_of_its_field() -> None:
    for algorithm, agent in AGENT_CONFIGS.items():
        for path, value in flatten(TrialConfig(algorithm=algorithm, agent=agent())).items():
            assert check_value(path, value) == value
            assert parse_value(path, str(value)) == value


def test_a_hyperparameter_has_one_type_in_all_algorithms() -> None:
    for path, annotation in field_types().items():
        owner, _, name = path.partition(".")
        if owner == "agent":
            configs = [c for c in AGENT_CONFIGS.values() if name in c.__dataclass_fields__]
            assert {config.__dataclass_fields__[name].type for config in configs} == {annotation}


def test_every_number_states_its_range_or_is_known_to_have_none() -> None:
    numbers = {path for path, annotation in field_types().items() if annotation in (int, float)}
    assert numbers - set(RANGES) == {"data.reward_shift"}
    assert set(RANGES) <= set(field_types())


@pytest.mark.parametrize("path", [path for path in RANGES if path.startswith("stopper.")])
def test_a_range_of_the_stopper_is_that_which_the_rule_itself_demands(path: str) -> None:
    factors = ("suspect_factor", "confirm_factor", "ceiling_factor")
    name = path.partition(".")[2]
    whole = field_types()[path] is int
    for value in (-1, 0, 1, 2, 3) if whole else (-0.5, 0.0, 0.5, 1.0, 1.5):
        changed = dict.fromkeys(factors, value) if name in factors else {name: value}
        assert is_accepted(check_value, path, value) == is_accepted(
            check_stopper, replace(StopperConfig(), **changed)
        ), value


@given(st.tuples(*[st.sampled_from([0.5, 1.0, 2.0])] * 3))
def test_factors_of_the_stopper_conflict_where_the_rule_itself_refuses_them(
    factors: tuple[float, float, float],
) -> None:
    stopper = StopperConfig(
        suspect_factor=factors[0], confirm_factor=factors[1], ceiling_factor=factors[2]
    )
    found = conflict(TrialConfig(stopper=stopper))
    assert (found is None) == is_accepted(check_stopper, stopper)


def is_accepted(check: Callable[..., object], *arguments: object) -> bool:
    try:
        check(*arguments)
    except StudyError:
        return False
    return True


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (("stopper.num_fitted", 5, 2), "greater than or equal to 3 but got 2."),
        (("stopper.seem_threshold", 0.05, 0.0), "greater than 0 but got 0.0."),
    ],
)
def test_a_stopper_that_could_not_work_is_refused_in_the_plan(
    axis: tuple[str, Scalar, Scalar], message: str
) -> None:
    found = message_of(one_axis(*axis, file="tune_spaces/norms.py"))
    assert found.startswith(f"{axis[0]} must be {message}\n  tune_spaces/norms.py, axis 1")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("critic.norm", "layernorm", "one of none, layer, .* got 'layernorm'. Did you mean 'lay"),
        ("critic.width", 256.0, "a valid integer but got 256.0"),
        ("critic.width", True, "a valid integer but got True"),
        ("critic.width", "256", "a valid integer but got '256'"),
        ("agent.tau", True, "a valid number but got True"),
        ("agent.tau", "1", "a valid number but got '1'"),
        ("agent.tau", 0.0, "greater than 0 but got 0.0"),
        ("agent.tau", 1.5, "less than or equal to 1 but got 1.5"),
        ("agent.tau", float("nan"), "a finite number but got nan"),
        ("agent.discount", 1.0, "less than 1 but got 1.0"),
        ("critic.dropout", 1.0, "less than 1 but got 1.0"),
        ("data.fraction", 0, "greater than 0 but got 0"),
        ("data.reward_shift", float("inf"), "a finite number but got inf"),
        ("data.ref_min", "low", "a valid number or none but got 'low'"),
        ("num_steps", 0, "greater than or equal to 1 but got 0"),
        ("seem.mask_terminations", 1, "a valid boolean but got 1"),
        ("regularizer.rd_stage", 1, "one of 1, 2, auto but got 1. Did you mean '1'?"),
        ("evaluation.environment", 5, "a valid string or none but got 5"),
        ("critic.norm", ["layer"], "one of none, layer"),
    ],
)
def test_a_wrong_value_says_what_was_expected(path: str, value: Scalar, expected: str) -> None:
    with pytest.raises(StudyError, match=f"^{path} must be {expected}"):
        check_value(path, value)


def test_an_integer_stands_for_a_float() -> None:
    (trial,) = trials(make(axes=[], baseline={}, settings={"agent.tau": 1}))
    assert type(flatten(trial.config)["agent.tau"]) is float


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("num_steps", "1e6", 1_000_000),
        ("num_steps", "4000", 4000),
        ("agent.tau", "1", 1.0),
        ("regularizer.rd_stage", "2", "2"),
        ("regularizer.rd_weight", "1e-3", 0.001),
        ("seem.mask_terminations", "false", False),
        ("data.ref_min", "None", None),
        ("data.ref_min", "-20", -20.0),
        ("evaluation.environment", "Hopper-v5", "Hopper-v5"),
        ("critic.norm", "none", "none"),
    ],
)
def test_the_command_line_is_read_by_the_type_of_the_field(
    path: str, text: str, value: Scalar
) -> None:
    parsed = parse_value(path, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("path", "text"), [("num_steps", "1.5"), ("num_steps", "ten"), ("num_steps", "1e-3")]
)
def test_text_that_is_no_integer_is_not_rounded(path: str, text: str) -> None:
    with pytest.raises(StudyError, match=f"num_steps must be a valid integer but got '{text}'"):
        parse_value(path, text)


def test_a_wrong_value_names_file_axis_and_the_nearest_value() -> None:
    study = make(axes=[make().axes[1], Axis("critic.norm", ["none", "layernorm"])])
    assert message_of(study) == (
        "critic.norm must be one of none, layer, batch, batch_joint, group, rms, weight, spectral "
        "but got 'layernorm'. Did you mean 'layer'?\n  tune_spaces/norms.py, axis 2"
    )


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


@pytest.mark.parametrize(
    ("changes", "message", "place"),
    [
        ({"name": "my study"}, "name must be .* got 'my study'", "name"),
        ({"name": 3}, "name must be .* got 3", "name"),
        ({"base": "td3bc"}, "algorithm must be .* got 'td3bc'. Did you mean 'td3_bc'", "base"),
        ({"datasets": []}, "datasets must have at least one value", "datasets"),
        ({"datasets": ["a", "a"]}, "datasets must have distinct values but got 'a'", "datasets"),
        ({"datasets": [" "]}, "datasets must be Minari ids.* but got ' '", "datasets"),
        ({"seeds": []}, "seeds must have at least one value", "seeds"),
        ({"seeds": [1, 1]}, "seeds must have distinct values but got 1 twice", "seeds"),
        ({"seeds": [-1]}, "seeds must be integers from 0 .* but got -1", "seeds"),
        ({"seeds": [True]}, "seeds must be integers from 0 .* but got True", "seeds"),
        ({"baseline": {"critic.norm": "none"}}, "must have a value of critic.width", "baseline"),
        (
            {"baseline": {"critic.norm": "rms", "critic.width": 256}},
            "critic.norm must be on its axis, one of none, layer, but got 'rms'",
            "baseline",
        ),
        (
            {"baseline": {"critic.norm": "none", "critic.width": 256, "agent.tau": 1.0}},
            r"point of the axes \(critic.norm, critic.width\) but got 'agent.tau'",
            "baseline",
        ),
        (
            {"baseline": {"critic.norm": "none", "critic.width": 256, "data.fraction": 1.0}},
            "The baseline must not fix data.fraction",
            "baseline",
        ),
        ({"settings": {"algorithm": "td3"}}, "must be the study's base", "setting algorithm"),
        ({"settings": {"critic.norm": "rms"}}, "an axis or a setting but got both", "axis 1"),
        ({"settings": {"data.source": "a"}}, "by the study's datasets", "setting data.source"),
        ({"settings": {"seed": 1}}, "by the study's seeds", "setting seed"),
        ({"settings": {"agent.tau": 2.0}}, "less than or equal to 1", "setting agent.tau"),
    ],
)
def test_a_wrong_part_of_a_study_is_named_with_its_place(
    changes: dict[str, object], message: str, place: str
) -> None:
    text, _, where = message_of(make(**changes)).rpartition("\n  ")
    assert re.search(message, text)
    assert where == f"tune_spaces/norms.py, {place}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "critic.norm: an axis must have at least one value but got none"),
        (["none", "none"], "critic.norm: an axis must have distinct values but got 'none' twice"),
    ],
)
def test_the_values_of_an_axis_are_some_and_distinct(values: list[Scalar], message: str) -> None:
    study = make(axes=[Axis("critic.norm", values)], baseline={"critic.norm": "none"})
    assert message in message_of(study)


def test_an_integer_and_the_equal_float_are_the_same_value() -> None:
    assert "got 1.0 twice" in message_of(one_axis("data.fraction", 1, 1.0))


def test_a_field_is_one_axis_only() -> None:
    axes = [Axis("critic.norm", ["none"]), Axis("critic.norm", ["layer"])]
    assert "critic.norm must be one axis but got two" in message_of(make(axes=axes))


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("datasets", "builtin:hopper-mixed", "datasets must be a list but got 'builtin:hopper"),
        ("seeds", 5, "seeds must be a list but got 5"),
        ("axes", ["critic.norm"], r"axes must be a list of Axis\(path, values\) but got 'critic"),
        ("settings", [("agent.tau", 1.0)], "settings must be a dict"),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused_at_once(
    part: str, value: object, message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        make(**{part: value})


def test_an_axis_of_a_bare_string_is_refused_at_once() -> None:
    with pytest.raises(StudyError, match=r"values of Axis.'critic.norm'. must be a list but got"):
        Axis("critic.norm", "layer")


@pytest.mark.parametrize(
    ("settings", "message", "place"),
    [
        (
            {"actor.norm": "group", "actor.width": 100},
            "actor.num_groups must divide actor.width, 100, but got 16. Did you mean 20?",
            "setting actor.width, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"actor.norm": "batch_joint"},
            "actor.norm must not be batch_joint: it joins data and policy actions, which only a "
            "critic sees. Did you mean 'batch'?",
            "setting actor.norm, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"data.ref_min": 3.0},
            "data.ref_min and data.ref_max must be given together but got 3.0 and None.",
            "setting data.ref_min, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"data.ref_min": 3.0, "data.ref_max": 3.0},
            "data.ref_min must be below data.ref_max, 3.0, but got 3.0.",
            "setting data.ref_min, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"stopper.confirm_factor": 0.5},
            "The stopper's suspect_factor, confirm_factor, ceiling_factor must rise but got "
            "3, 0.5, 1000.",
            "setting stopper.confirm_factor, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"stopper.suspect_factor": 20.0},
            "The stopper's suspect_factor, confirm_factor, ceiling_factor must rise but got "
            "20, 10, 1000.",
            "setting stopper.suspect_factor, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"batch_size": 1, "actor.norm": "batch"},
            "batch_size must be at least 2 while actor.norm is batch, which takes the variance "
            "over the batch, but got 1.",
            "setting batch_size, in trial none-width256_hopper-mixed_1",
        ),
    ],
)
def test_a_contradiction_is_named(settings: dict[str, Scalar], message: str, place: str) -> None:
    assert message_of(make(settings=settings)) == f"{message}\n  tune_spaces/norms.py, {place}"


def test_a_contradiction_in_one_trial_is_found() -> None:
    message = message_of(one_axis("critic.width", 256, 100, settings={"critic.norm": "group"}))
    assert message.endswith("axis 1, in trial width100_hopper-mixed_1")


@pytest.mark.parametrize(
    ("base", "settings", "path", "reason"),
    [
        ("bc", {"critic.width": 64}, "critic.width", "algorithm is 'bc'. Set algorithm to td3 or"),
        ("bc", {"stopper.mode": "off"}, "stopper.mode", "algorithm is 'bc'"),
        ("bc", {"seem.period": 10}, "seem.period", "algorithm is 'bc'"),
        ("bc", {"regularizer.rd_weight": 1.0}, "regularizer.rd_weight", "algorithm is 'bc'"),
        ("bc", {"data.reward_scale": 2.0}, "data.reward_scale", "algorithm is 'bc'"),
        ("bc", {"agent.tau": 1.0}, "agent.tau", "algorithm is 'bc'. Set algorithm to td3 or td3_"),
        ("td3", {"agent.bc_weight": 1.0}, "agent.bc_weight", "algorithm is 'td3'. Set algorithm"),
        ("td3", {"critic.num_groups": 8}, "critic.num_groups", "critic.norm is 'none'. Set crit"),
        ("td3", {"actor.norm_layers": "last"}, "actor.norm_layers", "actor.norm is 'none'"),
        (
            "td3",
            {"critic.norm": "spectral", "critic.norm_position": "after"},
            "critic.norm_position",
            "critic.norm is 'spectral'. Set critic.norm to layer, batch, group or rms, or leave",
        ),
        (
            "td3",
            {"critic.norm": "layer", "critic.norm_layers": "first", "critic.depth": 1},
            "critic.norm_layers",
            "critic.depth is 1. Set critic.depth to 2 or more",
        ),
        ("td3", {"critic.lcb_weight": 1.0}, "critic.lcb_weight", "critic.reducer is 'min'. Set"),
        (
            "td3",
            {"critic.num_critics": 1, "critic.reducer": "mean"},
            "critic.reducer",
            "critic.num_critics is 1",
        ),
        (
            "td3",
            {"regularizer.rd_kernel": "cosine"},
            "regularizer.rd_kernel",
            "regularizer.rd_weight is 0.0. Set regularizer.rd_weight to more than 0",
        ),
        (
            "td3",
            {"stopper.mode": "off", "stopper.horizon_fraction": 0.5},
            "stopper.horizon_fraction",
            "stopper.mode is 'off'",
        ),
        (
            "td3",
            {"seem.period": 0, "stopper.horizon_fraction": 0.5},
            "stopper.horizon_fraction",
            "seem.period is 0",
        ),
        (
            "td3",
            {"evaluation.period": 0, "evaluation.num_episodes": 3},
            "evaluation.num_episodes",
            "evaluation.period is 0",
        ),
        ("td3", {"data.unit": "episode"}, "data.unit", "data.fraction is 1.0"),
    ],
)
def test_a_setting_without_effect_says_why_and_what_to_do(
    base: str, settings: dict[str, Scalar], path: str, reason: str
) -> None:
    message = message_of(make(base=base, axes=[], baseline={}, settings=settings))
    assert message.startswith(f"{path} has no effect while {reason}")
    assert message.endswith(f"or leave {path} out.\n  tune_spaces/norms.py, setting {path}")


def test_a_setting_with_an_effect_in_one_trial_is_allowed() -> None:
    trials(one_axis("critic.norm", "none", "group", settings={"critic.num_groups": 8}))
    trials(one_axis("data.fraction", 1.0, 0.1, settings={"data.unit": "episode"}))
    trials(one_axis("algorithm", "bc", "td3", settings={"agent.tau": 1.0}))


def test_an_axis_without_effect_in_any_trial_names_every_value_that_stands_in_its_way() -> None:
    axes = [Axis("critic.norm", ["none", "layer"]), Axis("critic.num_groups", [8, 16])]
    message = message_of(make(axes=axes, baseline={"critic.norm": "none", "critic.num_groups": 8}))
    assert message == (
        "critic.num_groups has no effect while critic.norm is 'layer' or 'none'. "
        "Set critic.norm to group, or leave critic.num_groups out."
        "\n  tune_spaces/norms.py, axis 2"
    )


def test_two_trials_that_would_be_the_same_are_both_named() -> None:
    axes = [Axis("critic.norm", ["none", "group"]), Axis("critic.num_groups", [8, 16])]
    message = message_of(make(axes=axes, baseline={"critic.norm": "none", "critic.num_groups": 8}))
    assert message == (
        "Trials none-groups8_hopper-mixed_1 and none-groups16_hopper-mixed_1 must differ but are "
        "the same: critic.num_groups has no effect while critic.norm is 'none'. "
        "Ask about the two axes in separate studies.\n  tune_spaces/norms.py, axis 2"
    )


def test_one_value_replaces_an_axis_and_leaves_the_baseline() -> None:
    study = override(make(), ["critic.width=64", "data.fraction=0.5"])
    assert {(t.config.critic.width, t.fraction) for t in trials(study)} == {(64, 0.5)}
    assert study.baseline == {"critic.norm": "none"}


def test_one_value_replaces_a_setting_or_makes_one() -> None:
    study = override(make(), ["agent.tau=0.005", "num_steps=100"])
    config = trials(study)[0].config
    assert config.agent == TD3Config(tau=0.005)
    assert config.num_steps == 100


def test_values_with_commas_replace_an_axis_in_its_place_and_keep_the_baseline() -> None:
    study = override(make(), ["critic.norm=layer, none, batch"])
    assert [axis.path for axis in study.axes] == [axis.path for axis in make().axes]
    assert study.axes[0].values == ("layer", "none", "batch")
    assert study.baseline["critic.norm"] == "none"


def test_values_with_commas_make_an_axis_whose_first_value_is_the_baseline() -> None:
    study = override(make(), ["agent.tau=0.005,1", "critic.norm=batch,layer"])
    assert study.axes[-1] == Axis("agent.tau", (0.005, 1.0))
    assert "agent.tau" not in study.settings
    assert study.baseline == {"critic.norm": "batch", "critic.width": 256, "agent.tau": 0.005}
    assert len(trials(study)) == 16


def test_the_algorithm_is_overridden_like_any_field() -> None:
    assert {t.config.algorithm for t in trials(override(make(), ["algorithm=td3_bc"]))} == {
        "td3_bc"
    }
    arms = {t.config.algorithm for t in trials(override(make(), ["algorithm=td3,td3_bc"]))}
    assert arms == {"td3", "td3_bc"}


@pytest.mark.parametrize(
    ("text", "seeds"), [("10", tuple(range(10))), ("3,5", (3, 5)), ("7,", (7,))]
)
def test_seeds_are_a_count_or_a_list(text: str, seeds: tuple[int, ...]) -> None:
    assert trials(override(make(), [f"seeds={text}"]))[0].config.seeds == seeds


def test_datasets_are_replaced() -> None:
    study = override(make(), ["datasets=mixed/hopper/replay-v0,builtin:hopper-mixed"])
    assert list(study.datasets) == ["mixed/hopper/replay-v0", "builtin:hopper-mixed"]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("critic.nrom=layer", "'critic.nrom' is not a field of a trial. Did you mean 'critic.n"),
        ("critic.norm=layernorm", "but got 'layernorm'. Did you mean 'layer'?"),
        ("critic.norm=none,layernorm", "but got 'layernorm'. Did you mean 'layer'?"),
        ("critic.norm", "An override must be key=value but got 'critic.norm'."),
        ("dataset=a", "Did you mean 'datasets'?"),
        ("seeds=-1", "seeds must be a count, or integers with commas between them, but got '-1'."),
        ("data.source=a", "by the study's datasets, or by --set datasets=..."),
        ("data.fraction=2", "data.fraction must be less than or equal to 1 but got '2'."),
    ],
)
def test_a_wrong_override_is_quoted(assignment: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        override(make(), [assignment])
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"\n  --set {assignment}")


def test_what_is_wrong_only_in_the_whole_quotes_the_override_too() -> None:
    study = override(make(), ["critic.norm=none,group", "critic.width=100"])
    assert "\n  --set critic.width=100, in trial group_hopper-mixed_1" in message_of(study)
    study = override(make(), ["stopper.mode=off", "stopper.horizon_fraction=0.5"])
    assert message_of(study).endswith("\n  --set stopper.horizon_fraction=0.5")


def test_a_setting_of_the_file_that_an_override_leaves_without_effect_is_dropped() -> None:
    study = make(settings={"stopper.num_fitted": 6, "agent.tau": 1.0})
    quiet = override(study, ["stopper.mode=off"])
    assert quiet.settings == {"agent.tau": 1.0, "stopper.mode": "off"}
    trials(quiet)


def test_a_setting_that_never_had_an_effect_stays_an_error_under_overrides() -> None:
    study = override(make(settings={"critic.num_groups": 8}), ["num_steps=100"])
    assert message_of(study).endswith("tune_spaces/norms.py, setting critic.num_groups")


@pytest.mark.parametrize("name", study_files())
def test_every_study_has_a_smoke_version_of_two_trials(name: str) -> None:
    study = load_study(name)
    small_study = smoke(study)
    small = trials(small_study)
    if small_study.search is None:
        assert len(small) == 2
    else:  # the second one is found by its sampler
        assert (len(small), small_study.search.num_points) == (1, 2)
    for trial in small:
        config = trial.config
        assert (config.num_steps, config.seeds, trial.fraction) == (200, (0,), 1.0)
        assert trial.dataset == "builtin:hopper-mixed"
        assert 0 < config.seem.period <= 100
        assert config.evaluation.num_episodes == 1
    full = trials(study)[0].config
    kept = ("algorithm", "agent", "critic", "actor", "batch_size")
    assert all(getattr(small[0].config, part) == getattr(full, part) for part in kept)


def test_smoke_leaves_out_what_has_no_effect_in_its_two_arms() -> None:
    study = make(
        base="td3",
        axes=[Axis("critic.norm", ["none", "layer", "group"])],
        baseline={"critic.norm": "none"},
        settings={
            "critic.num_groups": 8,
            "data.fraction": 0.01,
            "data.unit": "episode",
            "evaluation.environment": "HalfCheetah-v5",
        },
    )
    assert {trial.config.critic.norm for trial in trials(smoke(study))} == {"none", "layer"}
    assert (
        smoke(study)
        .settings.keys()
        .isdisjoint({"critic.num_groups", "data.unit", "evaluation.environment"})
    )


def test_smoke_works_without_a_critic_and_without_axes() -> None:
    (trial,) = trials(smoke(make(base="bc", axes=[], baseline={}, settings={})))
    assert trial.config.algorithm == "bc"


def test_smoke_checks_the_whole_study_first() -> None:
    with pytest.raises(StudyError, match="Did you mean 'layer'"):
        smoke(one_axis("critic.norm", "none", "batch", "layerr"))


def test_a_resolved_study_gives_the_study_and_its_trials_back() -> None:
    study = override(make(question="Why?"), ["num_steps=100"])
    resolved = json.loads(to_json(study))
    assert from_json(to_json(study)) == study
    assert resolved["question"] == "Why?"
    assert [config_from_dict(t["config"]) for t in resolved["trials"]] == [
        trial.config for trial in trials(study)
    ]
    assert set(resolved["trials"][0]) == {"trial_id", "arm", "dataset", "fraction", "config"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.pop("seeds"), "must have the key 'seeds'"),
        (lambda v: v.update(axis=[]), "'axis' is not a key of a study. Did you mean 'axes'?"),
        (lambda v: v.update(axes=3), "An axis must have the keys path and values but got 3"),
        (lambda v: v.update(axes=[{"path": "critic.norm"}]), "An axis must have the keys"),
        (lambda v: v.update(seeds=[7]), "they differ: it was edited, or written by another"),
        (lambda v: v["trials"].pop(), "they differ"),
        (lambda v: v["settings"].update({"agent.tau": 2.0}), "agent.tau must be less than or"),
    ],
)
def test_a_resolved_study_that_was_edited_is_refused(edit: object, message: str) -> None:
    assert callable(edit)
    values = json.loads(to_json(make()))
    edit(values)
    with pytest.raises(StudyError, match=re.escape(message)):
        from_json(json.dumps(values))


def test_a_resolved_study_that_is_no_json_says_where() -> None:
    with pytest.raises(StudyError, match=r"must be JSON but got .* line 1 column 2"):
        from_json("{oops")
    with pytest.raises(StudyError, match="must be a JSON object but got 3"):
        from_json("3")


def test_the_hash_is_of_the_trials_and_not_of_the_words() -> None:
    hash_ = study_hash(make())
    assert re.fullmatch("[0-9a-f]{7}", hash_)
    assert hash_ == study_hash(make(question="Why?", file="elsewhere.py"))
    assert hash_ == study_hash(make(settings={"agent.tau": 1.0, "num_steps": 1_000_000}))
    assert hash_ == study_hash(from_json(to_json(make())))
    others = [
        make(seeds=range(4)),
        make(settings={}),
        make(datasets=["a"]),
        make(baseline={"critic.norm": "layer", "critic.width": 256}),
        make(name="other"),
    ]
    assert len({study_hash(study) for study in [make(), *others]}) == 6


def test_a_study_is_found_by_name_file_and_run_folder(tmp_path: Path) -> None:
    by_name = load_study("quickstart")
    by_file = load_study(ROOT / "tune_spaces" / "quickstart.py")
    (tmp_path / "study.json").write_text(to_json(by_name))
    for found in (by_file, load_study(tmp_path), load_study(tmp_path / "study.json")):
        assert trials(found) == trials(by_name)
        assert found.question == by_name.question
    assert load_study(tmp_path).file == str(tmp_path / "study.json")


def test_the_studies_of_the_working_directory_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tune_spaces").mkdir()
    text = (ROOT / "tune_spaces" / "quickstart.py").read_text()
    for name in ("quickstart", "mine"):
        path = tmp_path / "tune_spaces" / f"{name}.py"
        path.write_text(text.replace("4_000", "40"))
    monkeypatch.chdir(tmp_path)
    assert trials(load_study("quickstart"))[0].config.num_steps == 40
    assert load_study("mine").file == "tune_spaces/mine.py"
    assert {"mine", "quickstart", "ensembles"} <= set(study_files())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("quikstart", "No study is named 'quikstart'. Did you mean 'quickstart'?\n  tune_spaces/"),
        ("tune_spaces/quikstart.py", "is neither. Did you mean 'quickstart.py'?"),
        ("runs/nothing", "A study must be a file or a run folder but 'runs/nothing' is neither."),
    ],
)
def test_an_unknown_study_names_the_nearest(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(StudyError) as caught:
        load_study(name)
    assert message in str(caught.value)


STUDY_FILE = '''"""Is it a question?"""

from rayoff.study import Axis, Study


def study() -> Study:
    return Study(
        name="broken",
        base="td3",
        axes=[Axis("critic.norm", ["none", "layer"])],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"critic.norm": "none"},
    )
'''


@pytest.mark.parametrize(
    ("right", "wrong", "message", "line"),
    [
        ("axes=", "axs=", "Study has no field 'axs'. Did you mean 'axes'?", 7),
        ('Axis("critic.norm", [', 'Axis("critic.norm", vals=[', "Axis has no field 'vals'.", 10),
        ("axes=[Axis", "axes=[Axes", "'Axes' is not defined. Did you mean 'Axis'?", 10),
        ("import Axis", "import Axs", "cannot import name 'Axs' .* Did you mean 'Axis'?", 3),
        ('"td3"', '"td3', "The study file is not valid Python: unterminated string literal", 9),
        ("range(2)", "range('2')", "TypeError: 'str' object cannot be interpreted", 12),
        ("range(2)", "2", "seeds must be a list but got 2", 7),
        ("seeds=range(2),\n", "", "missing 1 required keyword-only argument: 'seeds'", 7),
        ('"broken"', '"a".uper()', "no attribute 'uper'. Did you mean 'upper'?", 8),
    ],
)
def test_a_study_file_that_raises_names_file_line_and_the_nearest_word(
    right: str,
    wrong: str,
    message: str,
    line: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert right in STUDY_FILE
    Path("broken.py").write_text(STUDY_FILE.replace(right, wrong))
    with pytest.raises(StudyError) as caught:
        load_study("broken.py")
    text, _, where = str(caught.value).rpartition("\n  ")
    assert re.search(message, text)
    assert where == f"broken.py, line {line}"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("def study()", "def stdy()", "must define study.. -> Study but got no such function"),
        ("return Study", "return dict", r"-> Study but got \{'name': 'broken'"),
    ],
)
def test_a_study_file_must_return_a_study(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(STUDY_FILE.replace(right, wrong))
    with pytest.raises(StudyError, match=message):
        load_study(path)


def test_a_mistyped_value_in_a_file_ends_with_file_and_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("typo.py").write_text(STUDY_FILE.replace('"layer"', '"layernorm"'))
    message = message_of(load_study("typo.py"))
    assert message.endswith("Did you mean 'layer'?\n  typo.py, axis 1")


@pytest.mark.parametrize("name", study_files())
def test_every_study_opens_with_its_question_and_can_be_planned(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert study.question.partition("\n")[0].endswith("?")
    assert trials(study)[0].arm == trials(replace(study, datasets=["a"]))[0].arm
    for axis in study.arm_axes:
        assert flatten(trials(study)[0].config)[axis.path] == study.baseline[axis.path]


def test_choices_are_reachable_from_the_command_line() -> None:
    for path, annotation in field_types().items():
        if get_origin(annotation) and type(None) not in get_args(annotation):
            assert [parse_value(path, str(v)) for v in get_args(annotation)] == list(
                get_args(annotation)
            )


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from rayoff.study import *; smoke(override(load_study('quickstart'), "
        "['seeds=3'])); print({'torch', 'ray', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()"
