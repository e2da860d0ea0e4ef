"""Tests of rayoff.study.values: the values of fields, in a study and on the command line."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from norm_studies import make, message_of, one_axis

from rayoff.config import AGENT_CONFIGS, StopperConfig, TrialConfig
from rayoff.divergence import check_stopper
from rayoff.errors import StudyError
from rayoff.study import Axis, Scalar, flatten, trials
from rayoff.study.paths import field_types
from rayoff.study.rules import conflict
from rayoff.study.values import RANGES, check_value, parse_value


def test_every_default_is_a_value_of_its_field() -> None:
    for algorithm, agent in AGENT_CONFIGS.items():
        for path, value in flatten(TrialConfig(algorithm=algorithm, agent=agent())).items():
            assert check_value(path, value) == value
            assert parse_value(path, str(value)) == value


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


def test_choices_are_reachable_from_the_command_line() -> None:
    for path, annotation in field_types().items():
        if get_origin(annotation) and type(None) not in get_args(annotation):
            assert [parse_value(path, str(v)) for v in get_args(annotation)] == list(
                get_args(annotation)
            )
