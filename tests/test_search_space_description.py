"""Tests of spaces in words, with the conditions that are read off their points."""

from tiny_searches import make_search

from rayoff.search.space_description import describe_space
from rayoff.study import Point

SOURCE = "parquet:pendulum"


def conditional(point: Point) -> None:
    norm = point.suggest_categorical("critic.norm", ["none", "layer", "group", "rms"])
    if norm in ("layer", "group"):
        point.suggest_categorical("critic.norm_position", ["before", "after"])
    if point.suggest_int("critic.num_critics", 1, 4) > 2:
        point.suggest_categorical("critic.reducer", ["min", "mean"])
    if point.suggest_float("critic.dropout", 0.0, 0.5) < 0.2:
        point.suggest_int("critic.depth", 1, 3)
    if norm == "none" and point.suggest_categorical("actor.norm", ["none", "layer"]) == "none":
        point.suggest_int("critic.width", 16, 64, step=16)


def lines() -> dict[str, str]:
    study = make_search(SOURCE, space=conditional, baseline={"critic.width": 32})
    return {line.split()[0]: " ".join(line.split()[1:]) for line in describe_space(study)}


def test_dimensions_stand_in_the_order_of_asking_with_the_baseline() -> None:
    assert list(lines())[:2] == ["critic.norm", "critic.norm_position"]
    assert lines()["critic.norm"] == "none, layer, group or rms baseline none"
    assert lines()["critic.num_critics"] == "1 to 4 baseline 2"


def test_conditions_are_told_by_the_value_that_decides_them() -> None:
    found = lines()
    assert found["critic.norm_position"] == "before or after where critic.norm is layer or group"
    assert found["critic.reducer"] == "min or mean where critic.num_critics is 3 or more"
    assert found["critic.depth"].startswith(
        "1 to 3 baseline 2 where critic.dropout is less than 0.2"
    )
    assert found["actor.norm"] == "none or layer baseline none where critic.norm is none"


def test_a_condition_of_several_values_is_told_as_a_share() -> None:
    def mixed(point: Point) -> None:
        norm = point.suggest_categorical("critic.norm", ["none", "layer"])
        activation = point.suggest_categorical("critic.activation", ["relu", "elu"])
        if (norm == "none") == (activation == "relu"):
            point.suggest_int("critic.depth", 1, 3)

    study = make_search(SOURCE, space=mixed, baseline={}, settings={})
    (line,) = [line for line in describe_space(study) if line.startswith("critic.depth")]
    assert line.endswith("% of random points")
