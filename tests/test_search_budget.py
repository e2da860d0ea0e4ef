"""Tests of rayoff.search.budget: what ends a search, and what does not count."""

from pathlib import Path

from optuna.trial import TrialState
from search_courses import SECONDS, Course

from rayoff.results import baseline_point, best_so_far, collect, confirmations, read_points


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
