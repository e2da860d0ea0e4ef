"""Tests of what a search found, in sentences."""

from pathlib import Path
from typing import Any

import pytest
from synthetic_results import make_run_folder
from synthetic_search import make_search_folder

from rayoff.report import describe_search, show_answer
from rayoff.results import confirmations, read_points


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    objectives = ("score", "device_seconds")
    return make_search_folder(
        tmp_path_factory.mktemp("runs") / "search", num_points=8, objectives=objectives
    )


def test_the_winner_is_told_with_what_it_is_made_of(folder: Path) -> None:
    points: list[dict[str, Any]] = read_points(folder).to_dict("records")
    searched = [row for row in points if row["phase"] == "search"]
    best = max((row for row in searched if row["feasible"]), key=lambda row: row["score"])
    told = describe_search(folder)[1]
    assert told.startswith(
        f"Winner p{best['point']:03d}: critic.norm = {best['param.critic.norm']}"
    )
    (folder / "points" / "done").rename(folder / "points" / "not yet")
    assert describe_search(folder)[1].startswith(f"Best so far p{best['point']:03d}: ")
    (folder / "points" / "not yet").rename(folder / "points" / "done")


def test_the_shrinkage_of_winner_and_baseline_is_told(folder: Path) -> None:
    told = "\n".join(describe_search(folder))
    for row in confirmations(read_points(folder)).to_dict("records"):
        name = "Baseline" if row["point"] == 0 else "Winner"
        assert (
            f"{name} p{row['point']:03d}: score {row['search_score']:.1f} in the search, "
            f"{row['fresh_score']:.1f} on 5 fresh seeds (shrinkage {row['shrinkage']:.1f})."
            in told
        )


def test_points_are_counted_by_what_became_of_them(folder: Path, tmp_path: Path) -> None:
    points = read_points(folder)
    lost = points.loc[points["phase"] == "search", "feasible"].tolist().count(False)
    assert lost
    counts = f"Search: 8 points, 0 unfinished, 0 failed, {lost} infeasible, 1 known already."
    assert describe_search(folder)[0] == counts
    half = make_search_folder(tmp_path / "half", num_points=8, num_running=3)
    assert describe_search(half)[0].startswith("Search: 8 points, 3 unfinished, 0 failed")


def test_a_front_is_told_where_there_are_several_objectives(folder: Path, tmp_path: Path) -> None:
    assert describe_search(folder)[-1].startswith(
        "Best in score, device_seconds together, on the Pareto front: p0"
    )
    single = make_search_folder(tmp_path / "single", num_points=4)
    assert not any("Pareto" in line for line in describe_search(single))


def test_a_long_search_shows_its_best_and_what_was_trained_on_fresh_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_search_folder(tmp_path / "long", num_points=20)
    points = read_points(folder)
    show_answer(folder)
    told = capsys.readouterr().out
    shown = [line.split()[1] for line in told.splitlines() if line.startswith("100%")]
    fresh = points.loc[points["phase"] == "confirm", "arm"].tolist()
    assert len(fresh) == 2
    assert set(fresh) <= set(shown)
    assert (shown[0], len(shown)) == ("p000", 12)
    num_arms = points["arm"].nunique()
    assert f"and the best points; {num_arms - 12} more are in the report." in told


def test_a_factorial_has_no_such_answer(tmp_path: Path) -> None:
    assert describe_search(make_run_folder(tmp_path / "run")) == []
