"""Tests of what a plan says of a search, and of what keeps one from starting."""

from pathlib import Path

import pytest
from tiny_searches import make_search
from toy_pendulum import write_pendulum

from rayoff.data import load_table
from rayoff.errors import StudyError
from rayoff.search import Resources
from rayoff.search.planning import measure_cost
from rayoff.search.search_planning import NUM_MEASURED_POINTS, describe_search_plan
from rayoff.search.tables import check_scores, load_study_tables
from rayoff.study import foreseen_trials


def test_a_plan_has_space_data_sampler_budget_confirmation_and_cost(source: str) -> None:
    study = make_search(source, num_points=12, hours=2.0, known_points=[{"critic.norm": "layer"}])
    cost = measure_cost(foreseen_trials(study), Resources(), NUM_MEASURED_POINTS)
    assert cost is not None
    assert cost.trial_seconds > 0
    text = describe_search_plan(study, cost)
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "search of 12 points or 2 hours, each 1 trial of 2 seeds" in lines["study"]
    assert "critic.num_groups          4 or 8  where critic.norm is group" in text
    assert lines["data"].split() == ["data", source, "at", "1"]
    assert lines["begin"].split() == "begin the baseline, then 1 known point".split()
    assert "maximize score; infeasible where more than 0% of the runs diverge" in lines["seek"]
    assert "tpe with seed 0, of which the first 2 points at random" in lines["seek"]
    assert "2 fresh seeds, beyond the budget" in lines["then"]
    assert "a point [measured: 20 steps of 5 points here, without evaluations]" in lines["cost"]
    assert "12 points," in lines["cost"]
    assert "at once:" in lines["pack"]


def test_a_plan_counts_the_points_that_start_before_others_have_ended(source: str) -> None:
    study = make_search(source)
    cost = measure_cost(foreseen_trials(study), Resources(max_concurrent=4))
    text = describe_search_plan(study, cost)
    assert cost is not None
    more = cost.packing.num_at_once - 1
    assert (f"and up to {more} more" in text) == (more > 0)
    assert "at random and" not in describe_search_plan(
        make_search(source, sampler="random", num_startup_points=10), cost
    )


def test_a_plan_without_a_measurement_or_a_confirmation_says_so(source: str) -> None:
    text = describe_search_plan(make_search(source, num_confirm_seeds=0), None)
    assert "num_confirm_seeds is 0, and the winner's score is optimistic" in text
    assert "not measured" in text


def test_a_plan_warns_of_a_search_that_never_models_its_points(source: str) -> None:
    text = describe_search_plan(make_search(source, num_startup_points=4), None)
    assert "warn   search.num_startup_points is 4 of 4 points: all of them are random" in text
    assert "are random; lower it" not in describe_search_plan(make_search(source), None)


def test_a_search_without_evaluations_does_not_start(source: str) -> None:
    study = make_search(source, settings={"evaluation.period": 0})
    with pytest.raises(StudyError, match=r"must have scores to compare points by, but evaluation"):
        load_study_tables(study)


def test_a_search_without_a_simulator_does_not_start(source: str) -> None:
    study = make_search(source, settings={"evaluation.environment": "NoSuchPlace-v0"})
    with pytest.raises(StudyError, match=r"must have scores .* NoSuchPlace-v0"):
        load_study_tables(study)


def test_scores_of_several_datasets_need_references(source: str, tmp_path: Path) -> None:
    bare = write_pendulum(tmp_path / "bare.parquet", references=False)
    planned = foreseen_trials(make_search(source)) + foreseen_trials(make_search(bare))
    tables = {source: load_table(source), bare: load_table(bare)}
    with pytest.raises(StudyError, match=r"bare\.parquet has no reference scores"):
        check_scores(planned, tables)
    for alone in tables:
        check_scores(planned, {alone: tables[alone]})
