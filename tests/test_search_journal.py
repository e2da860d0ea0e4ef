"""Tests of rayoff.search.journal: what Optuna is told and proposes, and what a kill leaves."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from search_courses import Course

from rayoff.errors import ResultsError
from rayoff.study import PlannedTrial


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


def test_records_without_their_journal_are_refused(tmp_path: Path) -> None:
    course = Course(tmp_path)
    course.run(most=1)
    (course.folder.path / "optuna.journal").unlink()
    with pytest.raises(ResultsError, match=r"optuna\.journal must hold the course of the search"):
        course.again()


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
