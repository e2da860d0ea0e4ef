"""Tests of the course of a search, with trials that are not trained: points, states, resumes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from tiny_searches import make_search

from rayoff.errors import ResultsError
from rayoff.results import (
    baseline_point,
    best_so_far,
    collect,
    confirmations,
    read_points,
)
from rayoff.search import RunFolder, exploration
from rayoff.search.archive import Archive
from rayoff.search.exploration import Exploration
from rayoff.study import PlannedTrial, Point
from rayoff.study.records import PointRecord, read_records

SOURCE = "parquet:pendulum"
SECONDS = 30.0

Score = Callable[[PlannedTrial], float]


def width(trial: PlannedTrial) -> float:
    """Score a trial by its width."""
    return float(trial.config.critic.width)


class Course:
    """A search in a folder, whose trials have the scores that are invented for them.

    Args:
        parent: of the run folder.
        score: of a trial; of an infinite one all runs diverge.
        study: changes of the search.
    """

    def __init__(self, parent: Path, score: Score = width, **study: Any) -> None:  # noqa: ANN401
        self.folder = RunFolder.create(parent, make_search(SOURCE, **study), [])
        self.score, self.trained, self.now = score, [], 1000.0
        self._planned: dict[Path, PlannedTrial] = {}
        self.again()

    def again(self) -> None:
        """Go on in another process, which knows the folder alone."""
        self.exploration = Exploration(self.folder, self.measure, 0.5, clock=lambda: self.now)

    def measure(self, folder: Path, seeds: Sequence[int]) -> Mapping[str, float]:
        value = self.score(self._planned[folder])
        diverged = 1.0 if math.isinf(value) else 0.0
        return {
            "score": 0.0 if diverged else value,
            "seconds": SECONDS,
            "divergence_rate": diverged,
            "num_diverged": diverged * len(seeds),
        }

    def begin(self) -> PlannedTrial | None:
        """Return the next trial."""
        planned = self.exploration.next_trial()
        if planned is not None:
            self._planned[self.folder.trial_folder(planned.trial_id)] = planned
        return planned

    def finish(self, planned: PlannedTrial) -> None:
        """Let a trial be trained to its end."""
        self.now += SECONDS
        self.trained.append(planned.trial_id)
        Archive(self.folder.path / "trials").finish(planned.trial_id, {})

    def end(self, planned: PlannedTrial) -> None:
        self.finish(planned)
        self.exploration.trial_ended(planned.trial_id)

    def run(self, most: int = 1000) -> None:
        """Train one trial after the other until nothing is left, or so many."""
        for _ in range(most):
            if (planned := self.begin()) is None:
                return
            self.end(planned)

    @property
    def records(self) -> list[PointRecord]:
        return read_records(self.folder.path)

    @property
    def told(self) -> list[FrozenTrial]:
        """What a process without rayoff finds in the journal."""
        storage = JournalStorage(JournalFileBackend(str(self.folder.path / "optuna.journal")))
        return optuna.load_study(study_name="tiny_search", storage=storage).trials


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

    course.exploration = Exploration(course.folder, without_value, 0.5)
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


# Budgets


def test_the_first_budget_that_is_spent_ends_the_search(tmp_path: Path) -> None:
    by_hours = Course(tmp_path / "h", space="rates", num_points=99, hours=4 * SECONDS / 3600)
    by_hours.run()
    assert len(by_hours.told) == 4
    by_devices = Course(
        tmp_path / "d", space="rates", num_points=99, device_hours=2.5 * SECONDS / 3600
    )
    by_devices.run()
    assert len(by_devices.told) == 5  # half a device each
    assert by_devices.exploration.why_spent() == "0.0208333 device-hours were used"


def test_a_resume_has_what_is_left_of_the_hours(tmp_path: Path) -> None:
    course = Course(tmp_path, space="rates", num_points=99, hours=4 * SECONDS / 3600)
    course.run(most=3)
    course.now += 1e6  # nobody trains
    course.again()
    course.run()
    assert len(course.told) == 4


# Resumes


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_search_that_goes_on_does_what_an_undisturbed_one_does(
    most: int, tmp_path: Path
) -> None:
    whole = Course(tmp_path / "whole", space="rates", num_points=6)
    whole.run()
    broken = Course(tmp_path / "broken", space="rates", num_points=6)
    broken.run(most)
    interrupted = broken.begin()
    assert interrupted is not None
    broken.again()
    taken_up = broken.begin()
    assert taken_up == interrupted
    broken.end(interrupted)
    broken.run()
    assert broken.trained == whole.trained
    assert [one.params for one in broken.told] == [one.params for one in whole.told]
    assert [one.value for one in broken.told] == [one.value for one in whole.told]
    assert broken.folder.is_complete()


def test_a_point_whose_trial_was_finished_before_the_kill_is_only_told(tmp_path: Path) -> None:
    course = Course(tmp_path)
    planned = course.begin()
    assert planned is not None
    course.finish(planned)
    course.again()
    assert course.records[0].state == "complete"
    assert course.told[0].state == TrialState.COMPLETE
    course.run()
    assert course.trained.count(planned.trial_id) == 1


def test_a_kill_between_the_record_and_the_journal_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(tmp_path)
    planned = course.begin()
    assert planned is not None
    with monkeypatch.context() as patch:
        patch.setattr(course.exploration._journal, "tell", lambda *_: None)
        course.end(planned)
    assert course.told[0].state == TrialState.RUNNING
    course.exploration._journal._constrain(0, 0.0)  # it came as far as that
    course.again()
    assert course.told[0].state == TrialState.COMPLETE
    assert course.told[0].constraints == {"divergence_rate": 0.0}


def test_a_kill_between_the_journal_and_the_record_is_made_good(tmp_path: Path) -> None:
    course = Course(tmp_path, space="rates")
    course.run(most=2)
    number, _ = course.exploration._journal.ask()
    assert number == 2
    course.again()
    course.run()
    assert [one.number for one in course.records if one.phase == "search"] == [0, 1, 2, 3]
    whole = Course(tmp_path / "whole", space="rates")
    whole.run()
    assert [one.params for one in course.told] == [one.params for one in whole.told]


def test_half_a_line_and_a_lock_that_a_kill_left_are_no_obstacle(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run(most=2)
    journal = course.folder.path / "optuna.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"wor')
    (course.folder.path / "optuna.journal.lock").touch()
    course.again()
    course.run()
    assert {one.state for one in course.told} == {TrialState.COMPLETE}
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


def test_a_baseline_that_failed_is_tried_again_beyond_the_budget(tmp_path: Path) -> None:
    course = Course(tmp_path, num_points=99, hours=1.5 * SECONDS / 3600)
    first = course.begin()
    assert first is not None
    course.exploration.trial_failed(first.trial_id)
    course.run()
    assert course.exploration.why_spent() is not None
    for _ in range(2):  # a resume that is ended at once asks for no second one
        course.again()
    assert [one.state for one in course.told].count(TrialState.WAITING) == 1
    course.run()
    (again,) = [one for one in course.records if one.is_baseline]
    assert again.number > 0
    assert course.folder.is_complete()
    frame = collect(course.folder.path).to_pandas()
    assert baseline_point(frame) == again.number
    history = best_so_far(read_points(course.folder.path))
    told = history.loc[history["origin"] == "baseline", "point"].tolist()
    assert told == [again.number]
    found = confirmations(read_points(course.folder.path))
    assert found["origin"].tolist()[0] == "baseline"


def test_values_that_are_copied_cost_no_device(tmp_path: Path) -> None:
    hours = 1.9 * SECONDS / 3600  # four points of half a device each
    course = Course(tmp_path, num_startup_points=60, num_points=60, device_hours=hours)
    course.run()
    assert len([one for one in course.records if one.phase == "search" and one.trials]) == 4


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


def test_records_without_their_journal_are_refused(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run(most=1)
    (course.folder.path / "optuna.journal").unlink()
    with pytest.raises(ResultsError, match=r"optuna\.journal must hold the course of the search"):
        course.again()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run(most=1)
    (course.folder.path / "points" / "0000.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"points/0000\.json must be the record of a point"):
        course.again()


# Early stopping


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


# Samplers


def params_of(course: Course) -> list[dict[str, Any]]:
    course.run()
    return [one.params for one in course.told]


def test_equal_seeds_of_the_sampler_give_equal_points_and_others_do_not(tmp_path: Path) -> None:
    changes = {"space": "rates", "num_points": 8, "num_confirm_seeds": 0}
    one = params_of(Course(tmp_path / "1", **changes))
    same = params_of(Course(tmp_path / "2", **changes))
    other = params_of(Course(tmp_path / "3", **changes, seed=1))
    assert one == same
    assert one[0] == other[0]  # the baseline
    assert one[1:] != other[1:]


def test_tpe_finds_better_points_than_chance(tmp_path: Path) -> None:
    """A hill in the logarithm of the step size, at 3e-3, beside widths that do not matter."""

    def hill(trial: PlannedTrial) -> float:
        return -abs(math.log(trial.config.agent.learning_rate / 3e-3))

    def mean(sampler: str, **changes: int) -> float:
        bests = []
        for seed in range(2):
            course = Course(
                tmp_path / f"{sampler}{seed}",
                hill,
                space="rates",
                num_points=20,
                num_confirm_seeds=0,
                sampler=sampler,
                seed=seed,
                **changes,
            )
            course.run()
            scores = [one.values["score"] for one in course.records[6:]]
            bests.append(sum(scores) / len(scores))
        return sum(bests) / 2

    assert mean("tpe", num_startup_points=6) > mean("random", num_startup_points=10)


def test_several_objectives_make_a_front_in_the_journal(tmp_path: Path) -> None:
    course = Course(
        tmp_path,
        objectives=["score", "device_seconds", "divergence_rate"],
        max_divergence_rate=0.5,
        space="rates",
        num_points=14,
    )
    course.run()
    assert all(len(one.values) == 3 for one in course.told)
    assert course.told[0].values == [32.0, 15.0, 0.0]
    study = optuna.load_study(
        study_name="tiny_search",
        storage=JournalStorage(JournalFileBackend(str(course.folder.path / "optuna.journal"))),
    )
    assert [one.name for one in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    widest = {one.number for one in course.records if one.params["critic.width"] == 48}
    assert {one.number for one in study.best_trials} <= widest


def test_points_keep_their_numbers_under_many_at_once(tmp_path: Path) -> None:
    course = Course(tmp_path, space="rates", num_points=7)
    at_once = [course.begin() for _ in range(4)]
    for planned in reversed(at_once):
        assert planned is not None
        course.end(planned)
    course.run()
    searched = [one for one in course.records if one.phase == "search"]
    for one, told in zip(searched, course.told, strict=True):
        assert dict(one.params) == told.params
        assert one.values["score"] == told.value


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
