"""Tests of spaces that are defined as they run: what a point may be asked for and gets."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from rayoff.errors import StudyError
from rayoff.study import Point
from rayoff.study.space import (
    Choices,
    Dimension,
    Interval,
    contains,
    describe,
    dimension_from_dict,
)


def first(path: str, dimension: Dimension) -> Any:  # noqa: ANN401 - a scalar
    """Draw the first value of every dimension."""
    return dimension.choices[0] if isinstance(dimension, Choices) else dimension.low


def test_a_point_gives_what_is_drawn_and_remembers_it() -> None:
    point = Point(first)
    assert point.suggest_categorical("critic.norm", ["layer", "none"]) == "layer"
    assert point.suggest_int("critic.width", 64, 512, step=64) == 64
    assert point.suggest_float("agent.learning_rate", 1e-4, 1e-2, log=True) == 1e-4
    assert point.params == {
        "critic.norm": "layer",
        "critic.width": 64,
        "agent.learning_rate": 1e-4,
    }
    assert point.dimensions == {
        "critic.norm": Choices(("layer", "none")),
        "critic.width": Interval(64, 512, step=64),
        "agent.learning_rate": Interval(1e-4, 1e-2, log=True),
    }


def test_asking_twice_gives_the_same_value() -> None:
    values = iter([32, 64])
    point = Point(lambda path, dimension: next(values))
    assert point.suggest_int("critic.width", 16, 64, step=16) == 32
    assert point.suggest_int("critic.width", 16, 64, step=16) == 32


def test_a_fixed_value_is_taken_without_asking() -> None:
    point = Point(first, fixed={"critic.width": 128}, taken=["critic.width"])
    assert point.suggest_int("critic.width", 64, 512, step=64) == 128
    assert point.params == {}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda p: p.suggest_categorical("critic.nrom", ["none"]),
            "'critic.nrom' is not a field of a trial. Did you mean 'critic.norm'?",
        ),
        (
            lambda p: p.suggest_categorical("critic.norm", ["none", "leyer"]),
            "but got 'leyer'. Did you mean 'layer'?",
        ),
        (
            lambda p: p.suggest_categorical("critic.norm", "none"),
            "Choices of critic.norm must be a list of values but got 'none'",
        ),
        (lambda p: p.suggest_categorical("critic.norm", []), "must be a list of values"),
        (
            lambda p: p.suggest_int("critic.width", 0, 64),
            "critic.width must be greater than or equal to 1 but got 0",
        ),
        (
            lambda p: p.suggest_int("critic.width", 64, 32),
            "critic.width must have low <= high but got 64 and 32",
        ),
        (
            lambda p: p.suggest_int("critic.width", 64, 100, step=16),
            "high must be low plus steps of 16 but got 100. Did you mean 96?",
        ),
        (lambda p: p.suggest_int("critic.width", 64, 100.0), "takes integers but got 100.0"),
        (
            lambda p: p.suggest_float("critic.width", 64, 128),
            "critic.width must be a valid integer but got 64.0",
        ),
        (lambda p: p.suggest_float("critic.dropout", 0, "1"), "takes numbers but got '1'"),
        (
            lambda p: p.suggest_float("critic.dropout", 0.0, 0.5, step=0.0),
            "step must be more than 0",
        ),
        (
            lambda p: p.suggest_float("critic.dropout", 0.0, 0.5, log=True),
            "log=True needs low > 0 and no step, but got low=0",
        ),
        (
            lambda p: p.suggest_float("data.fraction", 0.1, 1.0),
            "data.fraction must not be searched",
        ),
        (
            lambda p: p.suggest_categorical("data.source", ["builtin:hopper-mixed"]),
            "data.source must be given by the study's datasets",
        ),
    ],
)
def test_a_space_that_asks_for_what_cannot_be_is_refused(
    ask: Callable[[Point], object], message: str
) -> None:
    with pytest.raises(StudyError) as error:
        ask(Point(first))
    assert message in str(error.value)


def test_a_path_has_one_dimension_in_a_point() -> None:
    point = Point(first)
    point.suggest_int("critic.width", 16, 64, step=16)
    with pytest.raises(StudyError, match=r"critic\.width must have one dimension in a point"):
        point.suggest_int("critic.width", 16, 32, step=16)


def test_what_is_a_setting_is_not_asked_for_as_well() -> None:
    with pytest.raises(StudyError, match=r"a setting or asked for by the space but is both"):
        Point(first, taken=["critic.width"]).suggest_int("critic.width", 16, 64)


def test_a_fixed_value_outside_of_the_space_is_refused() -> None:
    with pytest.raises(StudyError, match=r"--set critic\.width .* 16 to 64 by 16, but got 20"):
        Point(first, fixed={"critic.width": 20}).suggest_int("critic.width", 16, 64, step=16)


@pytest.mark.parametrize(
    "interval",
    [
        Interval(2, 9),
        Interval(1, 1000, log=True),
        Interval(16, 64, step=16),
        Interval(0.5, 2.0),
        Interval(1e-4, 1e-1, log=True),
        Interval(0.0, 0.5, step=0.1),
    ],
)
def test_quantiles_of_an_interval_are_its_values_and_reach_both_ends(interval: Interval) -> None:
    generator = random.Random(0)
    values = [interval.at(generator.random()) for _ in range(2000)]
    assert all(contains(interval, value) for value in values)
    assert all(isinstance(value, int) == interval.is_integer for value in values)
    share_of_low_half = sum(
        (value * value < interval.low * interval.high)
        if interval.log
        else 2 * value < interval.low + interval.high
        for value in values
    ) / len(values)
    assert 0.4 < share_of_low_half < 0.6
    if interval.step is not None:
        assert [min(values), max(values)] == pytest.approx([interval.low, interval.high])


@pytest.mark.parametrize(
    ("dimension", "value", "inside"),
    [
        (Choices(("none", None, 1)), None, True),
        (Choices(("none", "layer")), "group", False),
        (Interval(0.0, 0.5, step=0.1), 0.3, True),
        (Interval(0.0, 0.5, step=0.1), 0.25, False),
        (Interval(16, 64, step=16), 48, True),
        (Interval(16, 64, step=16), 80, False),
        (Interval(1, 3), True, False),
        (Interval(0.0, 1.0), "0.5", False),
    ],
)
def test_a_dimension_knows_its_values(dimension: Dimension, value: Any, inside: bool) -> None:  # noqa: ANN401
    assert contains(dimension, value) == inside


def test_dimensions_are_described_in_words() -> None:
    assert describe(Choices(("none", "layer", "group"))) == "none, layer or group"
    assert describe(Choices((2,))) == "2"
    assert describe(Interval(16, 64, step=16)) == "16 to 64 by 16"
    assert describe(Interval(1, 4, step=1)) == "1 to 4"
    assert describe(Interval(1e-4, 0.01, log=True)) == "0.0001 to 0.01, log"


def test_dimensions_come_back_from_what_json_keeps_of_them() -> None:
    assert dimension_from_dict({"choices": ["a", None]}) == Choices(("a", None))
    about = {"low": 1, "high": 4, "log": False, "step": 1}
    assert dimension_from_dict(about) == Interval(1, 4, step=1)
