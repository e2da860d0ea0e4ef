"""Tests of the points of a search as a table."""

import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic_results import make_run_folder
from synthetic_search import make_search_folder

from rayoff.errors import ResultsError
from rayoff.results import (
    best_so_far,
    confirmations,
    pareto_front,
    read_dimensions,
    read_points,
    read_results,
    run_table,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_search_folder(tmp_path_factory.mktemp("runs") / "search")


@pytest.fixture(scope="module")
def points(folder: Path) -> pd.DataFrame:
    return read_points(folder)


def test_every_point_is_a_row_and_the_confirmation_comes_last(points: pd.DataFrame) -> None:
    assert points["phase"].tolist() == ["search"] * 20 + ["confirm"] * 2
    assert points["point"].tolist()[:20] == list(range(20))
    assert points["origin"].tolist()[:3] == ["baseline", "sampled", "sampled"]
    assert points["is_baseline"].tolist()[:3] == [True, False, False]
    assert set(points["state"]) == {"complete"}


def rows(points: pd.DataFrame, phase: str = "search") -> list[dict[str, Any]]:
    """Return the rows of a phase as dicts."""
    return [row for row in points.to_dict("records") if row["phase"] == phase]


def test_what_a_point_was_not_asked_for_is_missing(points: pd.DataFrame) -> None:
    plain = [row for row in rows(points) if row["param.critic.norm"] == "none"]
    others = [row for row in rows(points) if row["param.critic.norm"] != "none"]
    assert plain
    assert others
    assert all(pd.isna(row["param.critic.norm_position"]) for row in plain)
    assert all(row["param.critic.norm_position"] in ("before", "after") for row in others)


def test_values_of_points_are_the_means_of_their_runs(folder: Path, points: pd.DataFrame) -> None:
    runs = run_table(read_results(folder)).to_dict("records")
    for row in rows(points):
        own = [run["value"] for run in runs if run["arm"] == row["arm"]]
        assert len(own) == (2 if pd.isna(row["same_as"]) else 2 * (row["point"] == 1))
        assert row["score"] == pytest.approx(sum(own) / len(own), abs=1e-12)


def test_a_point_of_a_known_configuration_has_its_values_and_its_arm(points: pd.DataFrame) -> None:
    first, second, *_ = rows(points)
    assert second["same_as"] == 0
    assert second["num_runs"] == 0
    assert (second["arm"], second["score"]) == (first["arm"], first["score"])


def test_the_best_so_far_never_falls_and_is_of_feasible_points(points: pd.DataFrame) -> None:
    history: list[dict[str, Any]] = best_so_far(points).to_dict("records")
    assert [row["order"] for row in history] == list(range(20))
    assert not all(row["feasible"] for row in history)
    for number, row in enumerate(history, start=1):
        feasible = [one["score"] for one in history[:number] if one["feasible"]]
        assert row["best"] == max(feasible) if feasible else math.isnan(row["best"])


def test_no_point_of_the_front_is_beaten_and_every_other_is(points: pd.DataFrame) -> None:
    front = rows(pareto_front(points, ["score", "device_seconds"]))
    assert len(front) >= 1

    def is_beaten(one: dict[str, Any]) -> bool:
        """Whether a point of the front is as good in both objectives, and better in one."""
        pair = one["score"], -one["device_seconds"]
        others = [(other["score"], -other["device_seconds"]) for other in front]
        return any(o[0] >= pair[0] and o[1] >= pair[1] and o != pair for o in others)

    assert not any(is_beaten(row) for row in front)
    rest = {row["point"] for row in rows(points) if row["feasible"] and not is_beaten(row)}
    assert rest == {row["point"] for row in front}


def test_a_front_of_one_objective_is_its_best_feasible_point(points: pd.DataFrame) -> None:
    (best,) = rows(pareto_front(points, ["score"]))
    assert best["score"] == max(row["score"] for row in rows(points) if row["feasible"])


def test_the_shrinkage_is_what_fresh_seeds_take_from_the_score_of_the_search(
    points: pd.DataFrame,
) -> None:
    baseline, winner = confirmations(points).to_dict("records")
    assert (baseline["point"], baseline["origin"], winner["origin"]) == (0, "baseline", "sampled")
    fresh = {row["point"]: row["score"] for row in rows(points, "confirm")}
    searched = {row["point"]: row["score"] for row in rows(points)}
    for row in (baseline, winner):
        assert row["search_score"] == searched[row["point"]]
        assert row["fresh_score"] == fresh[row["point"]]
        assert row["shrinkage"] == row["search_score"] - row["fresh_score"]


def test_results_name_the_point_and_the_phase_of_every_run(folder: Path) -> None:
    results: list[dict[str, Any]] = read_results(folder).to_dict("records")
    assert {row["seed"] for row in results if row["phase"] == "confirm"} == set(range(100, 105))
    assert {row["seed"] for row in results if row["phase"] == "search"} == {0, 1}
    assert {row["arm"] for row in results if row["baseline"]} == {"p000"}
    assert {row["point"] for row in results} == {0, *range(2, 20)}


def test_a_search_that_is_under_way_has_running_points(tmp_path: Path) -> None:
    folder = make_search_folder(tmp_path / "search", num_points=6, num_running=2)
    points = read_points(folder)
    assert points["state"].tolist() == ["complete"] * 4 + ["running"] * 2
    assert points["order"].tolist()[:4] == [0, 1, 2, 3]
    assert points["order"].isna().tolist() == [False] * 4 + [True] * 2
    assert confirmations(points).empty
    assert len(best_so_far(points)) == 4


def test_dimensions_tell_what_each_parameter_could_be(folder: Path) -> None:
    dimensions = read_dimensions(folder)
    assert dimensions["critic.norm"] == {"choices": ("none", "layer", "group")}
    width = {"low": 64, "high": 512, "log": False, "step": 64}
    assert dimensions["critic.width"] == width


def test_a_factorial_study_has_no_points(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run")
    points = read_points(folder)
    assert points.empty
    assert "score" in points
    assert confirmations(points).empty


def test_a_damaged_record_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "points" / "0003.json").write_text("{")
    with pytest.raises(ResultsError, match=r"points/0003\.json must be the record of a point"):
        read_points(copy)
