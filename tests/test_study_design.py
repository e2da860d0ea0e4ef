"""Tests of rayoff.study.design: the parts of a study are of the right kind, and its own."""

import pytest
from norm_studies import make

from rayoff.errors import StudyError
from rayoff.study import Axis


def test_the_study_keeps_copies_of_what_it_was_given() -> None:
    seeds, settings = [0, 1], {"agent.tau": 1.0}
    study = make(seeds=seeds, settings=settings)
    seeds.append(2)
    settings["agent.tau"] = 0.5
    assert study == make(seeds=[0, 1], settings={"agent.tau": 1.0})


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
