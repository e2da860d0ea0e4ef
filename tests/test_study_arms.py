"""Tests of rayoff.study.arms: what each design consists of, and that its pairs are matched."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayoff.errors import StudyError
from rayoff.study import (
    Axis,
    Scalar,
    Study,
    from_json,
    override,
    smoke,
    study_hash,
    to_json,
    trials,
)
from rayoff.study.arms import DESIGNS, arms_of, reference_indices
from rayoff.study.plan import references

AXES = (
    Axis("critic.norm", ["none", "layer", "batch"]),
    Axis("critic.num_critics", [2, 5]),
    Axis("critic.width", [64, 256]),
)
BASELINE = {"critic.norm": "none", "critic.num_critics": 2, "critic.width": 256}


def make_study(design: Any = "full", **changes: Any) -> Study:  # noqa: ANN401 - fields of a study
    fields: dict[str, Any] = {
        "name": "designs",
        "base": "td3",
        "axes": AXES,
        "datasets": ["builtin:hopper-mixed"],
        "seeds": range(2),
        "baseline": BASELINE,
        "design": design,
    }
    return Study(**fields | changes)


def values(study: Study) -> list[tuple[Scalar, ...]]:
    return [tuple(arm.values()) for arm in arms_of(study)]


def num_differences(first: tuple[Scalar, ...], second: tuple[Scalar, ...]) -> int:
    return sum(one != other for one, other in zip(first, second, strict=True))


def test_a_full_design_has_every_point_once_and_the_baseline_first() -> None:
    found = values(make_study())
    assert found[0] == ("none", 2, 256)
    assert sorted(map(str, found)) == sorted(
        map(str, itertools.product(*(axis.values for axis in AXES)))
    )


def test_one_at_a_time_changes_one_axis_of_the_baseline() -> None:
    assert values(make_study("one_at_a_time")) == [
        ("none", 2, 256),
        ("layer", 2, 256),
        ("batch", 2, 256),
        ("none", 5, 256),
        ("none", 2, 64),
    ]


def test_a_ladder_adds_the_components_in_the_order_of_the_axes_and_keeps_them() -> None:
    assert values(make_study("ladder")) == [
        ("none", 2, 256),
        ("layer", 2, 256),
        ("batch", 2, 256),
        ("batch", 5, 256),
        ("batch", 5, 64),
    ]


def test_a_ladder_may_add_what_has_an_effect_only_after_an_earlier_step() -> None:
    axes = [Axis("regularizer.rd_weight", [0.0, 1e-3]), Axis("regularizer.rd_stage", ["1", "2"])]
    baseline = {"regularizer.rd_weight": 0.0, "regularizer.rd_stage": "1"}
    study = make_study("ladder", axes=axes, baseline=baseline)
    assert len(trials(study)) == 3
    with pytest.raises(StudyError, match="must differ but are the same"):
        trials(replace(study, design="full"))


def test_a_random_subset_is_as_large_as_asked_and_its_seed_chooses_it() -> None:
    subsets = [
        values(make_study("random_subset", num_arms=5, design_seed=seed)) for seed in range(8)
    ]
    assert all(len(set(subset)) == 5 and subset[0] == ("none", 2, 256) for subset in subsets)
    assert len({frozenset(subset) for subset in subsets}) > 1
    assert subsets[3] == values(make_study("random_subset", num_arms=5, design_seed=3))


def test_a_random_subset_of_all_points_is_the_full_design() -> None:
    whole = values(make_study("random_subset", num_arms=12))
    assert set(whole) == set(values(make_study()))


def random_axes() -> st.SearchStrategy[list[Axis]]:
    sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda n: max(n) > 1)
    paths = ("critic.width", "critic.depth", "actor.width", "critic.num_critics")
    return sizes.map(
        lambda found: [
            Axis(path, range(2, 2 + size)) for path, size in zip(paths, found, strict=False)
        ]
    )


@given(random_axes(), st.sampled_from(sorted(DESIGNS)), st.integers(0, 99), st.data())
def test_matched_pairs_hold_everywhere(
    axes: list[Axis], design: str, seed: int, data: st.DataObject
) -> None:
    baseline = {axis.path: data.draw(st.sampled_from(list(axis.values))) for axis in axes}
    fields: dict[str, Any] = {"axes": axes, "baseline": baseline}
    if design == "random_subset":
        most = len(values(make_study(**fields)))
        fields |= {"num_arms": data.draw(st.integers(2, most)), "design_seed": seed}
    study = make_study(design, **fields)
    found, named = values(study), reference_indices(study)
    start = tuple(baseline.values())
    assert found[0] == start
    assert len(set(found)) == len(found) == len(named)
    for arm, reference in list(zip(found, named, strict=True))[1:]:
        if reference is not None:
            assert num_differences(arm, found[reference]) == 1
            continue
        # Else any partner serves that has the baseline's value where the two differ.
        one_back = [
            (*arm[:i], value, *arm[i + 1 :]) for i, value in enumerate(start) if arm[i] != value
        ]
        assert set(one_back) & set(found)


def test_references_are_the_step_before_or_the_baseline() -> None:
    ladder = references(make_study("ladder"))
    assert list(ladder.items())[1:3] == [
        ("batch-critics2-width256", "layer-critics2-width256"),
        ("batch-critics5-width256", "batch-critics2-width256"),
    ]
    assert set(references(make_study("one_at_a_time")).values()) == {"none-critics2-width256"}
    assert references(make_study()) == {}
    assert references(make_study("random_subset", num_arms=4)) == {}


def test_every_arm_is_crossed_with_the_fractions_and_datasets() -> None:
    axes = [*AXES, Axis("data.fraction", [1.0, 0.1])]
    planned = trials(make_study("ladder", axes=axes, datasets=["builtin:hopper-mixed", "a/b"]))
    assert len(planned) == 5 * 2 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"design": "laddr"}, "design must be one of .*Did you mean 'ladder'"),
        ({"design": "ladder", "axes": [], "baseline": {}}, "needs an axis of at least two values"),
        ({"design": "ladder", "baseline": {}}, "must have a value of critic.norm"),
        ({"design": "random_subset"}, "from 2 to the 12 points of the axes.* got None"),
        ({"design": "random_subset", "num_arms": 13}, "from 2 to the 12 points.* got 13"),
        ({"design": "random_subset", "num_arms": 1}, "got 1"),
        ({"design": "random_subset", "num_arms": 3, "design_seed": -1}, "design_seed must be"),
        ({"num_arms": 3}, "num_arms has no effect while design is 'full'"),
        ({"design": "ladder", "design_seed": 1}, "design_seed has no effect"),
    ],
)
def test_a_design_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        trials(make_study(**changes))


def test_the_command_line_chooses_the_design() -> None:
    subset = override(make_study(), ["design=random_subset", "num_arms=4", "design_seed=2"])
    assert (subset.design, subset.num_arms, subset.design_seed) == ("random_subset", 4, 2)
    assert len(trials(subset)) == 4
    assert len(trials(override(subset, ["design=ladder"]))) == 5
    with pytest.raises(StudyError, match="--set design=laddr"):
        override(make_study(), ["design=laddr"])
    with pytest.raises(StudyError, match="num_arms must be an integer but got 'few'"):
        override(make_study(), ["design=random_subset", "num_arms=few"])


def test_a_design_survives_json_which_names_the_references() -> None:
    for study in (make_study("ladder"), make_study("random_subset", num_arms=4, design_seed=1)):
        text = to_json(study)
        assert from_json(text) == study
        assert json.loads(text)["references"] == references(study)


def test_studies_of_the_same_trials_in_another_design_are_told_apart() -> None:
    axes, baseline = AXES[:1], {"critic.norm": "none"}
    full = make_study(axes=axes, baseline=baseline)
    ladder = replace(full, design="ladder")
    assert [t.trial_id for t in trials(full)] == [t.trial_id for t in trials(ladder)]
    assert study_hash(full) != study_hash(ladder)


@pytest.mark.parametrize("design", ["ladder", "one_at_a_time", "random_subset"])
def test_every_design_has_a_smoke_version(design: str) -> None:
    num_arms = 3 if design == "random_subset" else None
    assert len(trials(smoke(make_study(design, num_arms=num_arms)))) == 2
