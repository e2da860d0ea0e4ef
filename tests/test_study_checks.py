"""Tests of rayoff.study.checks: what is wrong with a part of a study, and where."""

import re

import pytest
from norm_studies import make, message_of, one_axis

from rayoff.study import Axis, Scalar


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
