"""Tests of the course of a search, with trials that are not trained: points and their states."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from search_courses import SECONDS, Course, width

from rayoff.errors import ResultsError
from rayoff.results import collect, confirmations, read_points
from rayoff.search import exploration
from rayoff.search.exploration import Exploration
from rayoff.study import PlannedTrial, Point


def test_a_search_begins_with_the_baseline_and_the_known_points(tmp_path: Path) -> None:
    course = Course(tmp_path, num_points=5, known_points=[{"critic.norm": "layer"}])
    course.run()
    searched = [one for one in course.records if one.phase == "search"]
    assert [one.origin for one in searched] == ["baseline", "known", *["sampled"] * 3]
    assert [one.number for one in searched] == list(range(5))
    assert dict(searched[1].params) == {"critic.norm": "layer", "critic.width": 32}
    assert course.folder.is_complete()
    assert course.begin() is None


def test_the_journal_has_the_points_with_their_values(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run()
    assert {one.state for one in course.told} == {TrialState.COMPLETE}
    searched = [one for one in course.records if one.phase == "search"]
    assert [one.params for one in course.told] == [dict(one.params) for one in searched]
    assert [one.value for one in course.told] == [one.values["score"] for one in searched]
    assert course.told[0].user_attrs["origin"] == "baseline"
    assert course.told[0].user_attrs["device_seconds"] == SECONDS / 2


def test_the_winner_and_the_baseline_are_trained_again_on_fresh_seeds(tmp_path: Path) -> None:
    course = Course(tmp_path, lambda trial: width(trial) - 10 * len(trial.config.seeds), seeds=[1])
    course.run()
    points = read_points(course.folder.path)
    baseline, winner = confirmations(points).to_dict("records")
    best = max(one.values["score"] for one in course.records if one.phase == "search")
    assert baseline["point"] == 0
    assert winner["search_score"] == best
    assert winner["shrinkage"] == 10.0  # one seed against two
    fresh = [one for one in course.records if one.phase == "confirm"]
    assert {trial.config.seeds for one in fresh for trial in one.trials} == {(0, 2)}
    assert len(course.told) == 4  # Optuna is not told of them


def test_a_baseline_that_wins_is_confirmed_once(tmp_path: Path) -> None:
    course = Course(tmp_path, lambda trial: 1.0 if width(trial) == 32 else 0.0)
    course.run()
    assert [one.number for one in course.records if one.phase == "confirm"] == [0]
    assert course.folder.is_complete()


def test_no_confirmation_is_a_choice(tmp_path: Path) -> None:
    course = Course(tmp_path, num_confirm_seeds=0)
    course.run()
    assert {one.phase for one in course.records} == {"search"}
    assert course.folder.is_complete()


def lost_without_norm(trial: PlannedTrial) -> float:
    return math.inf if trial.config.critic.norm == "none" else width(trial)


def test_a_point_that_diverged_is_complete_at_its_floor_and_infeasible(tmp_path: Path) -> None:
    course = Course(tmp_path, lost_without_norm, num_points=8)
    course.run()
    lost = [one for one in course.records if one.params["critic.norm"] == "none"]
    kept = [one for one in course.records if one.params["critic.norm"] != "none"]
    assert lost
    assert kept
    assert all((one.state, one.feasible) == ("complete", False) for one in lost)
    assert all(one.feasible for one in kept)
    assert lost[0].reason == "2 of 2 runs diverged"
    assert lost[0].values == {"score": 0.0, "device_seconds": 15.0, "divergence_rate": 1.0}
    by_number = {one.number: one for one in course.told}
    assert all(by_number[one.number].constraints == {"divergence_rate": 1.0} for one in lost)
    searched = [one for one in kept if one.phase == "search"]
    assert all(by_number[one.number].constraints == {"divergence_rate": 0.0} for one in searched)
    assert all(by_number[one.number].state == TrialState.COMPLETE for one in lost)
    confirmed = {one.number for one in course.records if one.phase == "confirm"}
    assert confirmed - {0} <= {one.number for one in kept}


def test_a_tolerated_share_of_diverged_runs_leaves_a_point_feasible(tmp_path: Path) -> None:
    course = Course(tmp_path, lost_without_norm, max_divergence_rate=1.0)
    course.run()
    assert all(one.feasible for one in course.records)


def test_where_no_point_is_feasible_the_baseline_alone_is_confirmed(tmp_path: Path) -> None:
    course = Course(tmp_path, lambda trial: math.inf)
    course.run()
    assert [one.number for one in course.records if one.phase == "confirm"] == [0]
    assert course.folder.is_complete()


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_point_without_a_finite_value_has_failed(value: float, tmp_path: Path) -> None:
    course = Course(tmp_path)
    measure = course.measure

    def without_value(folder: Path, seeds: Sequence[int]) -> Mapping[str, float]:
        found = dict(measure(folder, seeds))
        return found | ({"score": value} if "p001" in folder.name else {})

    course.exploration = Exploration(course.folder, without_value)
    course.run()
    failed = course.records[1]
    assert (failed.state, failed.feasible) == ("failed", None)
    assert f"its values must be finite but are score {value:g}" in (failed.reason or "")
    assert course.told[1].state == TrialState.FAIL


def test_a_trial_that_fails_takes_its_point_with_it(tmp_path: Path) -> None:
    course = Course(tmp_path, fractions=[1.0, 0.5])
    course.run(most=2)
    first = course.begin()
    assert first is not None
    course.exploration.trial_failed(first.trial_id)
    course.run()
    assert course.records[1].state == "failed"
    assert course.told[1].state == TrialState.FAIL
    assert course.exploration.failed == [first.trial_id]
    assert not any(name.startswith("p001") for name in course.trained)
    assert {one.state for one in course.told} == {TrialState.COMPLETE, TrialState.FAIL}


def test_a_point_is_worth_its_mean_over_fractions(tmp_path: Path) -> None:
    course = Course(tmp_path, lambda trial: 100 * trial.fraction, fractions=[1.0, 0.5])
    course.run()
    assert course.records[0].values["score"] == 75.0
    assert course.records[0].values["device_seconds"] == SECONDS
    assert course.trained[:2] == ["p000_pendulum_1", "p000_pendulum_0.5"]


def test_a_known_configuration_is_not_trained_again(tmp_path: Path) -> None:
    course = Course(tmp_path, num_points=25, sampler="random", num_startup_points=10)
    course.run()
    searched = [one for one in course.records if one.phase == "search"]
    repeated = [one for one in searched if one.same_as is not None]
    # a norm without groups or with one of two, and three widths
    assert len(searched) - len(repeated) <= 12
    assert len(set(course.trained)) == len(course.trained)
    by_number = {one.number: one for one in searched}
    for one in repeated:
        first = by_number[one.same_as or 0]
        assert one.trials == []
        assert (one.state, one.values) == (first.state, first.values)
        assert course.told[one.number].value == first.values["score"]


def test_a_point_waits_for_the_one_with_its_configuration(tmp_path: Path) -> None:
    def one_point(point: Point) -> None:
        point.suggest_categorical("critic.norm", ["layer"])

    baseline = {"critic.norm": "layer"}
    course = Course(tmp_path, space=one_point, baseline=baseline, num_points=3)
    first = course.begin()
    assert first is not None
    assert course.begin() is None  # all other points are the same
    assert [one.state for one in course.records] == ["running"] * 3
    course.end(first)
    assert [one.state for one in course.records] == ["complete"] * 3
    assert {one.value for one in course.told} == {course.told[0].value}


def test_a_space_that_is_exhausted_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exploration, "_MAX_REPEATS", 10)

    def two_points(point: Point) -> None:
        point.suggest_categorical("critic.norm", ["none", "layer"])

    course = Course(
        tmp_path, space=two_points, baseline={}, num_points=None, hours=100.0, num_confirm_seeds=0
    )
    course.run()
    assert len(course.trained) == 2
    assert "10 points in a row were known already" in (course.exploration.why_spent() or "")
    assert course.folder.is_complete()


def test_points_that_failed_are_replaced_by_a_resume(tmp_path: Path) -> None:
    course = Course(tmp_path, space="rates", num_points=3)
    course.run(most=1)
    second = course.begin()
    assert second is not None
    course.exploration.trial_failed(second.trial_id)
    third = course.begin()
    assert third is not None
    course.again()
    course.run()
    states = [one.state for one in course.records if one.phase == "search"]
    assert states == ["complete", "failed", "complete", "complete"]


def test_a_baseline_that_failed_is_tried_again_by_a_resume(tmp_path: Path) -> None:
    course = Course(tmp_path)
    first = course.begin()
    assert first is not None
    course.exploration.trial_failed(first.trial_id)
    course.run()
    assert not course.folder.is_complete()
    course.again()
    course.run()
    again = course.records[4]
    assert (again.origin, again.state) == ("baseline", "complete")
    assert again.params == course.records[0].params
    rows: list[dict[str, Any]] = collect(course.folder.path).to_pylist()
    assert {row["arm"] for row in rows if row["baseline"]} == {"p004"}
    assert course.folder.is_complete()


def test_a_confirmation_that_failed_is_tried_again_by_a_resume(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run(most=4)
    fresh = course.begin()
    assert fresh is not None
    assert "fresh" in fresh.trial_id
    course.exploration.trial_failed(fresh.trial_id)
    course.run()
    assert not course.folder.is_complete()
    course.again()
    course.run()
    assert {one.state for one in course.records} == {"complete"}
    assert course.folder.is_complete()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run(most=1)
    (course.folder.path / "points" / "0000.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"points/0000\.json must be the record of a point"):
        course.again()


def test_a_point_that_turns_out_to_be_no_valid_trial_has_failed(tmp_path: Path) -> None:
    course = Course(tmp_path)

    def rarely_wrong(point: Point) -> None:
        point.suggest_int("critic.width", 16, 48, step=16)
        if course.trained:
            raise ValueError("never before")

    study = course.folder.study
    assert study.search is not None
    course.folder.study = replace(study, search=replace(study.search, space=rarely_wrong))
    course.again()
    course.run()
    assert [one.state for one in course.records[:4]] == ["complete", *["failed"] * 3]
    assert "ValueError: never before" in (course.records[1].reason or "")
    assert [one.state for one in course.told[1:]] == [TrialState.FAIL] * 3
