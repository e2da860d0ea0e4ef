"""Tests of early stopping: a point that is behind others at a rung is given up."""

from collections.abc import Mapping
from pathlib import Path

from optuna.trial import TrialState
from search_courses import Course

from rayoff.study import PlannedTrial


def on_the_way(course: Course, planned: PlannedTrial, scores: Mapping[int, float]) -> bool:
    """Report scores by step; return whether the point was given up at one of them."""
    trial_id = planned.trial_id
    return any(course.exploration.is_behind(trial_id, step, s) for step, s in scores.items())


ASHA = {"space": "rates", "early_stopping": "asha", "reduction_factor": 2}
ASHA |= {"min_steps_fraction": 0.25, "num_points": 6}  # rungs at 50 and 100 of 200 steps


def test_a_point_that_is_behind_at_a_rung_is_given_up_and_told_as_pruned(tmp_path: Path) -> None:
    course = Course(tmp_path, **ASHA)
    baseline, second, third = course.begin(), course.begin(), course.begin()
    assert baseline is not None
    assert second is not None
    assert third is not None
    assert not on_the_way(course, baseline, {20: 1.0, 50: 30.0})
    assert not on_the_way(course, second, {20: 99.0, 50: 40.0})
    assert on_the_way(course, third, {20: 99.0, 50: 20.0})
    pruned = course.records[2]
    assert (pruned.state, pruned.feasible) == ("pruned", True)
    assert pruned.reason == "given up at step 50: score 20.0 is behind that of other points"
    assert course.told[2].state == TrialState.PRUNED
    assert course.told[2].intermediate_values == {20: 99.0, 50: 20.0}
    assert course.told[2].constraints == {"divergence_rate": 0.0}
    course.exploration.trial_ended(third.trial_id)  # as Ray tells in the end
    assert course.records[2] == pruned
    assert course.exploration.running == [baseline.trial_id, second.trial_id]


def test_the_baseline_and_confirmations_are_never_given_up(tmp_path: Path) -> None:
    course = Course(tmp_path, **ASHA)
    baseline, second = course.begin(), course.begin()
    assert baseline is not None
    assert second is not None
    assert not on_the_way(course, second, {50: 40.0})
    assert not on_the_way(course, baseline, {50: 1.0, 100: 1.0})
    course.end(baseline)
    course.end(second)
    course.run(most=4)
    fresh = course.begin()
    assert fresh is not None
    assert not on_the_way(course, fresh, {50: -100.0})


def test_a_point_that_was_given_up_is_neither_winner_nor_taken_up_again(tmp_path: Path) -> None:
    course = Course(tmp_path, lambda trial: 1000.0 if trial.arm == "p001" else 1.0, **ASHA)
    baseline, second = course.begin(), course.begin()
    assert baseline is not None
    assert second is not None
    assert not on_the_way(course, baseline, {50: 30.0})
    assert on_the_way(course, second, {50: 1.0})
    course.end(baseline)
    course.again()
    course.run()
    assert "p001_pendulum_1" not in course.trained
    assert course.folder.is_complete()
    assert 1 not in {one.number for one in course.records if one.phase == "confirm"}


def test_rungs_are_those_of_the_sessions_before(tmp_path: Path) -> None:
    course = Course(tmp_path, **ASHA)
    for _ in range(2):
        planned = course.begin()
        assert planned is not None
        assert not on_the_way(course, planned, {50: 30.0})
        course.end(planned)
    third = course.begin()
    assert third is not None
    assert not on_the_way(course, third, {20: 5.0})
    course.again()
    assert course.begin() == third
    assert not on_the_way(course, third, {20: 99.0})  # known already: it changes nothing
    assert on_the_way(course, third, {50: 20.0})
    assert course.told[2].intermediate_values == {20: 5.0, 50: 20.0}
