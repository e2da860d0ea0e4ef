"""Tests of searches as studies: what is checked before they start, and what they are made of."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tiny_searches import make_search, space

from rayoff.errors import StudyError
from rayoff.study import (
    Axis,
    Point,
    Study,
    foreseen_trials,
    from_json,
    load_study,
    override,
    smoke,
    study_hash,
    to_json,
    trials,
)
from rayoff.study.points import given_points, on_fresh_seeds, plan_point
from rayoff.study.search_checks import many_points

SOURCE = "parquet:pendulum"

FILE = '''
"""Which norm?"""

from rayoff.study import Point, Search, Study


def space(point: Point) -> None:
    {line}


def study() -> Study:
    return Study(
        name="norms",
        base="td3",
        axes=[],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={baseline},
        search=Search(space=space, {fields}),
        settings={{"num_steps": 200}},
    )
'''


def write(folder: Path, line: str, baseline: str = "{}", fields: str = "num_points=5") -> Path:
    """Write a study file whose space is one line, the tenth of the file."""
    path = folder / "norms.py"
    path.write_text(FILE.format(line=line, baseline=baseline, fields=fields).lstrip())
    return path


def values_of(values: Mapping[str, Any]) -> Callable[..., Any]:
    return lambda path, dimension: values[path]


KNOWN = ({"critic.norm": "layer", "critic.width": 16},)


# What a search is made of


def test_the_trials_of_a_search_are_those_of_its_baseline() -> None:
    (trial,) = trials(make_search(SOURCE))
    assert trial.trial_id == "p000_pendulum_1"
    assert (trial.config.critic.norm, trial.config.critic.width) == ("none", 32)
    assert trial.config.seeds == (0, 1)


def test_what_the_baseline_leaves_out_has_its_default() -> None:
    (trial,) = trials(make_search(SOURCE, baseline={"critic.width": 16}))
    assert (trial.config.critic.norm, trial.config.critic.width) == ("none", 16)
    with pytest.raises(
        StudyError, match=r"critic\.width is 256, by default, and the space has 16"
    ):
        trials(make_search(SOURCE, baseline={}))


def test_a_point_has_a_trial_for_each_fraction() -> None:
    study = make_search(SOURCE, fractions=[1.0, 0.5])
    values = {"critic.norm": "group", "critic.num_groups": 8, "critic.width": 48}
    point = plan_point(study, 7, values_of(values))
    assert [trial.trial_id for trial in point.trials] == ["p007_pendulum_1", "p007_pendulum_0.5"]
    assert {trial.config.data.fraction for trial in point.trials} == {1.0, 0.5}
    assert all(trial.config.critic.num_groups == 8 for trial in point.trials)
    assert dict(point.params) == values


def test_only_what_a_point_is_asked_for_is_part_of_it() -> None:
    point = plan_point(
        make_search(SOURCE), 1, values_of({"critic.norm": "layer", "critic.width": 16})
    )
    assert list(point.params) == ["critic.norm", "critic.width"]


def test_points_with_the_same_configuration_are_the_same_and_others_are_not() -> None:
    study = make_search(SOURCE)
    plain = values_of({"critic.norm": "none", "critic.width": 16})
    layer = values_of({"critic.norm": "layer", "critic.width": 16})
    assert plan_point(study, 3, plain).identity == plan_point(study, 8, plain).identity
    assert plan_point(study, 3, plain).identity != plan_point(study, 3, layer).identity


def test_fresh_seeds_are_none_of_the_search_and_the_same_for_all_points() -> None:
    study = make_search(SOURCE, seeds=[1, 4], num_confirm_seeds=3)
    again = on_fresh_seeds(study, trials(study))
    assert [trial.config.seeds for trial in again] == [(0, 2, 3)]
    assert again[0].trial_id == "p000-fresh_pendulum_1"
    assert again[0].arm == "p000-fresh"


def test_known_points_come_after_the_baseline() -> None:
    known = [{"critic.norm": "layer"}, {"critic.width": 48}]
    points = given_points(make_search(SOURCE, known_points=known))
    assert [dict(point.params) for point in points] == [
        {"critic.norm": "none", "critic.width": 32},
        {"critic.norm": "layer", "critic.width": 32},
        {"critic.norm": "none", "critic.width": 48},
    ]


# Mistakes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'point.suggest_categorical("critic.nrom", ["none"])',
            "'critic.nrom' is not a field of a trial. Did you mean 'critic.norm'?",
        ),
        (
            'point.suggest_categorical("critic.norm", ["none", "leyer"])',
            "Did you mean 'layer'?",
        ),
        ("point.sugest_int('critic.width', 1, 2)", "Did you mean 'suggest_int'?"),
        ("{}['x']", "The space raised KeyError: 'x'. It had no values."),
        ('point.suggest_int("num_steps", 100, 300)', "is both. Remove one."),
    ],
)
def test_a_mistake_in_a_space_is_told_with_its_line(
    line: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError) as error:
        trials(load_study(write(tmp_path, line)))
    assert message in str(error.value)
    assert str(error.value).endswith("norms.py, line 7")


def test_a_mistake_that_few_points_make_is_found_before_the_first_trial(tmp_path: Path) -> None:
    line = 'point.suggest_int("critic.depth", 1, 20) == 17 and {}["x"]'
    with pytest.raises(StudyError, match=r"KeyError: 'x'. It had critic\.depth=17"):
        trials(load_study(write(tmp_path, line)))


def test_what_has_no_effect_at_a_point_is_not_asked_for_there(tmp_path: Path) -> None:
    line = (
        'point.suggest_categorical("critic.norm", ["none", "layer"]); '
        'point.suggest_categorical("critic.norm_position", ["before", "after"])'
    )
    message = (
        "critic.norm_position has no effect while critic.norm is 'none'. "
        "Ask for it only where critic.norm is layer, batch, group or rms"
    )
    with pytest.raises(StudyError) as error:
        trials(load_study(write(tmp_path, line)))
    assert message in str(error.value)


def test_points_that_contradict_themselves_are_told_with_their_values(tmp_path: Path) -> None:
    line = (
        'point.suggest_categorical("critic.norm", ["none", "group"]) == "group" '
        'and point.suggest_categorical("critic.num_groups", [16, 48])'
    )
    with pytest.raises(StudyError) as error:
        trials(load_study(write(tmp_path, line)))
    assert "critic.num_groups must divide critic.width, 256, but got 48" in str(error.value)
    assert "at critic.norm=group, critic.num_groups=48" in str(error.value)


def test_a_path_has_one_dimension_at_all_points(tmp_path: Path) -> None:
    line = (
        'point.suggest_int("critic.width", 64, 256, step=64) if '
        'point.suggest_categorical("critic.norm", ["none", "layer"]) == "none" else '
        'point.suggest_int("critic.width", 128, 256, step=64)'
    )
    with pytest.raises(StudyError, match=r"critic\.width must have the same dimension at every"):
        trials(load_study(write(tmp_path, line)))


NORMS = 'point.suggest_categorical("critic.norm", ["layer", "group"])'


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (
            "{}",
            "baseline must be in the space but critic.norm is 'none', by default, and the space "
            "has layer or group",
        ),
        (
            '{"critic.norm": "rms"}',
            "baseline must be in the space but critic.norm is 'rms', and",
        ),
        ('{"critic.norm": "leyer"}', "but got 'leyer'. Did you mean 'layer'?"),
        (
            '{"critic.norm": "layer", "critic.width": 64}',
            "baseline has a value of critic.width, for which the space does not ask",
        ),
        ('{"data.fraction": 0.1}', "The baseline must not fix data.fraction"),
    ],
)
def test_a_baseline_that_is_no_point_of_the_space_is_refused(
    baseline: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError) as error:
        trials(load_study(write(tmp_path, NORMS, baseline)))
    assert message in str(error.value)
    assert "norms.py" in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("num_points=0", "search.num_points must be greater than or equal to 1 or none but got 0"),
        ("num_points=None", "A search must have a budget: num_points, hours or device_hours"),
        (
            'num_points=1, known_points=[{"critic.norm": "group"}]',
            "search.num_points must be at least 2, the baseline with the known points",
        ),
        ('sampler="tpo"', "search.sampler must be one of tpe, random but got 'tpo'"),
        ("hours=-1.0", "search.hours must be greater than 0 or none but got -1.0"),
        (
            'objectives=["score", "scores"]',
            "objectives must be of score, device_seconds, divergence_rate but got 'scores'",
        ),
        ("objectives=[]", "objectives must have at least one value but got none"),
        (
            'objectives=["score", "divergence_rate"]',
            "search.max_divergence_rate must be more than 0 but got 0",
        ),
        (
            'sampler="random", num_startup_points=3',
            "search.num_startup_points has no effect while search.sampler is 'random'",
        ),
        (
            "reduction_factor=4",
            "search.reduction_factor has no effect while search.early_stopping is 'none'",
        ),
        (
            'early_stopping="asha", objectives=["score", "device_seconds"]',
            "With early_stopping 'asha' the one objective must be score",
        ),
        ("num_pionts=3", "Search has no field 'num_pionts'. Did you mean 'num_points'?"),
    ],
)
def test_a_mistake_in_the_fields_of_a_search_is_told(
    fields: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, NORMS, '{"critic.norm": "layer"}', fields)
    with pytest.raises(StudyError) as error:
        trials(load_study(path))
    assert message in str(error.value)


def test_a_search_has_no_axes_but_the_fraction() -> None:
    study = replace(make_search(SOURCE), axes=[Axis("critic.depth", [1, 2])])
    with pytest.raises(StudyError, match=r"A search has no axes but data.fraction"):
        trials(study)


def test_early_stopping_compares_points_of_one_trial() -> None:
    study = make_search(SOURCE, early_stopping="asha", fractions=[1.0, 0.5])
    with pytest.raises(StudyError, match="a point must be one trial"):
        trials(study)


def test_a_space_that_is_no_function_is_refused() -> None:
    with pytest.raises(StudyError, match=r"space must be a function"):
        trials(make_search(SOURCE, space="critic.norm"))


def test_a_setting_without_effect_at_any_point_is_refused() -> None:
    study = make_search(SOURCE)
    settings = {**study.settings, "critic.lcb_weight": 1.0}
    with pytest.raises(StudyError, match=r"critic\.lcb_weight has no effect"):
        trials(replace(study, settings=settings))


# Overrides


def test_fields_of_a_search_are_set_from_the_command_line() -> None:
    assignments = ["search.num_points=7", "search.sampler=random", "search.seed=3"]
    changed = override(make_search(SOURCE, num_startup_points=10), assignments).search
    assert changed is not None
    assert (changed.num_points, changed.sampler, changed.seed) == (7, "random", 3)
    budget = [
        "search.num_points=none",
        "search.hours=0.5",
        "search.objectives=score,device_seconds",
    ]
    changed = override(make_search(SOURCE), budget).search
    assert changed is not None
    assert (changed.num_points, changed.hours) == (None, 0.5)
    assert changed.objectives == ("score", "device_seconds")


def test_fields_that_an_override_leaves_without_effect_get_their_default() -> None:
    study = override(make_search(SOURCE, num_startup_points=3), ["search.sampler=random"])
    assert study.search is not None
    assert study.search.num_startup_points == 10
    study = override(study, ["search.sampler=tpe", "search.num_startup_points=4"])
    assert study.search is not None
    assert study.search.num_startup_points == 4


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("search.num_point=7", "Did you mean 'search.num_points'?"),
        ("search.num_points=many", "search.num_points must be a valid integer or none"),
        ("search.space=x", "'search.space' is not a field of a search that can be set"),
        ("critic.norm=layer,group", "A search has no axes but data.fraction"),
    ],
)
def test_a_mistake_in_an_override_of_a_search_is_told(assignment: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        trials(override(make_search(SOURCE), [assignment]))
    assert message in str(error.value)
    assert f"--set {assignment}" in str(error.value)


def test_a_factorial_has_no_search_to_set() -> None:
    with pytest.raises(StudyError, match=r"must be of a search but .* is a factorial"):
        override(load_study("quickstart"), ["search.num_points=7"])


def test_what_the_command_line_fixes_is_not_asked_for() -> None:
    known = [{"critic.norm": "layer", "critic.width": 16}, {"critic.norm": "none"}]
    study = make_search(SOURCE, known_points=known)
    study = override(study, ["critic.norm=layer", "critic.width=48"])
    norms = {trial.config.critic.norm for trial in foreseen_trials(study)}
    assert norms == {"layer"}
    assert study.search is not None
    assert study.search.known_points == ()
    with pytest.raises(StudyError, match=r"none, layer or group, but got 'rms'"):
        trials(override(make_search(SOURCE), ["critic.norm=rms"]))


def test_a_small_search_is_the_baseline_and_one_other_point() -> None:
    small = smoke(load_study_of_norms())
    assert small.search is not None
    assert (small.search.num_points, small.search.num_confirm_seeds) == (2, 1)
    assert trials(small)[0].config.num_steps == 200


def load_study_of_norms() -> Study:
    study = make_search(SOURCE)
    settings = {"num_steps": 4000, "agent.tau": 1.0}
    return replace(study, settings=settings)


# The resolved study


def test_a_search_comes_back_from_its_resolved_form_with_its_space() -> None:
    study = make_search(
        SOURCE,
        num_points=9,
        known_points=[{"critic.norm": "layer"}],
        baseline={"critic.width": 16},
    )
    again = from_json(to_json(study))
    assert trials(again) == trials(study)
    assert again.search == study.search
    assert study_hash(again) == study_hash(study)


def test_a_resolved_search_can_be_read_without_rayoff() -> None:
    values = json.loads(to_json(make_search(SOURCE)))
    assert values["search"]["objectives"] == ["score"]
    assert "space" not in values["search"]
    assert [trial["trial_id"] for trial in values["trials"]] == ["p000_pendulum_1"]


def test_a_search_without_the_text_of_a_file_cannot_be_resumed_and_is_refused() -> None:
    with pytest.raises(StudyError, match="must come from a file"):
        to_json(replace(make_search(SOURCE), text=""))


def narrow_space(point: Point) -> None:
    point.suggest_categorical("critic.norm", ["none", "layer"])


def other_studies() -> Iterator[Study]:
    study = make_search(SOURCE)
    yield make_search(SOURCE, num_points=5)
    yield make_search(SOURCE, seed=1)
    yield make_search(SOURCE, seeds=range(3))
    yield make_search(SOURCE, baseline={"critic.width": 16})
    yield make_search(SOURCE, space="rates")
    assert study.search is not None
    yield replace(study, search=replace(study.search, known_points=KNOWN))


@pytest.mark.parametrize("number", range(6))
def test_searches_that_differ_have_another_hash(number: int) -> None:
    other = next(islice(other_studies(), number, None))
    assert study_hash(other) != study_hash(make_search(SOURCE))


def test_equal_spaces_have_one_hash_however_they_are_written() -> None:
    def same(point: Point) -> None:
        space(point)

    assert study_hash(make_search(SOURCE, space=same)) == study_hash(make_search(SOURCE))


def test_many_points_are_drawn_the_same_each_time() -> None:
    study = make_search(SOURCE, space="rates")
    one, other = many_points(study), many_points(study)
    assert [asdict(p.trials[0]) for p in one] == [asdict(p.trials[0]) for p in other]
    assert len({p.identity for p in one}) > 190
