"""Tests of the report on a search: its winner, its importances, and what it does not claim."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_search import make_search_folder

from rayoff.report import describe_search, searches, write_report
from rayoff.report.effects import find_effects
from rayoff.report.headline import search_headlines
from rayoff.report.page import confirmation_of
from rayoff.report.searches import (
    complete_points,
    confirmed_table,
    describe_change,
    describe_point,
    importance_table,
    online_scores,
    points_table,
    read_search,
    search_progress,
    trade_offs,
)
from rayoff.results import (
    best_so_far,
    pareto_front,
    read_dimensions,
    read_points,
    read_results,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of two objectives, with its report."""
    path = tmp_path_factory.mktemp("search") / "architecture-1a2b3c4"
    make_search_folder(path, objectives=("score", "device_seconds"))
    write_report(path)
    return path


def test_a_factorial_study_has_no_search(tmp_path: Path) -> None:
    assert read_search(tmp_path) is None


def test_the_headline_is_the_winner_on_fresh_seeds(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    fresh = confirmation_of(read_results(folder))
    effects = find_effects(fresh)
    winner, front = search_headlines(search, effects)
    best = search.front.iloc[0]
    change = f"critic.norm = {best['param.critic.norm']}, "
    assert winner.subject.startswith(f"Best of 20 points, number {best['point']}: {change}")
    assert winner.verdict == "helps"
    (overall,) = (effect for effect in effects if effect.is_overall)
    assert overall.estimate is not None
    assert f"{overall.estimate.value:+.1f}" in winner.numbers
    assert "better in 100% of 5 matched pairs" in winner.numbers
    assert f"score {best['score']:.1f} in the search" in winner.numbers
    assert str(front).startswith("No point beats these in score and device seconds")


def test_the_winner_has_the_best_score_whatever_the_objectives(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    cheapest = replace(
        search,
        objectives=["device_seconds"],
        front=pareto_front(search.points, ["device_seconds"]),
    )
    feasible = search.points.loc[
        (search.points["phase"] == "search") & search.points["feasible"].fillna(False).astype(bool)
    ]
    best = feasible.loc[feasible["score"].astype(float).idxmax(), "point"]
    assert best not in set(cheapest.front["point"])
    (headline,) = search_headlines(cheapest, [])
    assert f"number {best}:" in headline.subject
    assert "on fresh seeds." in headline.numbers


def test_an_unconfirmed_winner_is_called_optimistic(tmp_path: Path) -> None:
    search = read_search(make_search_folder(tmp_path / "a", num_running=2))
    assert search is not None
    (headline,) = search_headlines(search, [])
    assert headline.subject.startswith("Best of 18 points")
    assert headline.verdict == ""
    assert "not confirmed on fresh seeds yet" in headline.numbers
    assert search_progress(search) == "18 of 20 points have ended"


def test_without_a_confirmation_no_code_is_said_to_give_the_first_number(
    folder: Path, tmp_path: Path
) -> None:
    half = make_search_folder(tmp_path / "half", num_running=2)
    page = write_report(half)
    told = "The first number"
    assert told not in page.read_text() + (half / "README.md").read_text()
    assert told in (folder / "report.html").read_text()
    assert told in (folder / "README.md").read_text()


def test_a_search_is_finished_when_its_winner_is_confirmed(folder: Path, tmp_path: Path) -> None:
    search = read_search(make_search_folder(tmp_path / "a", num_points=5, num_confirm_seeds=0))
    assert search is not None
    told = "all points have ended, but the winner has not been confirmed on fresh seeds"
    assert search_progress(search) == told
    finished = read_search(folder)
    assert finished is not None
    assert search_progress(finished) is None
    assert "Unfinished" not in (folder / "report.html").read_text()


def test_the_tables_hold_every_point(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    table = points_table(search)
    assert len(table.rows) == 20
    scores = [float(row[3]) for row in table.rows]
    assert scores == sorted(scores, reverse=True)
    assert {row[-1] for row in table.rows if row[0] == "1"} == {"same as point 0"}
    assert [row[1] for row in confirmed_table(search).rows] == ["baseline", "sampled"]
    assert len(read_points(folder)) == len(table.data)


def test_conditional_parameters_are_told_where_they_are_asked_for(folder: Path) -> None:
    plain, *_ = read_points(folder).to_dict(orient="records")
    assert describe_point(plain) == "critic.norm = none, critic.width = 256"


def test_a_point_is_told_by_what_it_changes_of_the_baseline(folder: Path) -> None:
    points = read_points(folder)
    baseline, *_ = points.to_dict(orient="records")
    assert describe_change(baseline, points) == "the baseline itself"
    wide = baseline | {"param.critic.width": 64}
    assert describe_change(wide, points) == "critic.width = 64; else the baseline's"
    layer = wide | {"param.critic.norm": "layer", "param.critic.norm_position": "after"}
    told = "critic.norm = layer, critic.norm_position = after, critic.width = 64"
    assert sorted(describe_change(layer, points).split(", ")) == sorted(told.split(", "))
    close = baseline | {"param.critic.width": 256 + 1e-7}
    assert describe_change(close, points).startswith("critic.width = 256; ")
    unknown = points.loc[points["origin"] != "baseline"]
    assert describe_change(baseline, unknown) == describe_point(baseline)


def test_a_search_that_broke_off_between_points_is_unfinished(tmp_path: Path) -> None:
    path = make_search_folder(tmp_path / "a", num_points=5)
    study = json.loads((path / "study.json").read_text())
    study["search"]["num_points"] = 7
    (path / "points" / "done").unlink()
    (path / "study.json").write_text(json.dumps(study))
    search = read_search(path)
    assert search is not None
    assert search_progress(search) is None  # confirmed: another budget was spent
    search = replace(search, confirmed=search.confirmed.iloc[:0])
    assert search_progress(search) == "5 of 7 points have ended"
    running = read_search(make_search_folder(tmp_path / "b", num_points=6, num_running=2))
    assert running is not None
    assert search_progress(replace(running, num_points=4)) == "4 of 6 points have ended"


def test_a_score_that_is_sought_alone_is_drawn_against_what_it_took(tmp_path: Path) -> None:
    path = make_search_folder(tmp_path / "a")
    search = read_search(path)
    assert search is not None
    assert search.objectives == ["score"]
    (one,) = trade_offs(search)
    assert one.name == "device_seconds"
    feasible = search.points.query("phase == 'search' and state == 'complete' and feasible")
    values = set(feasible[["score", "device_seconds"]].itertuples(index=False, name=None))
    unbeaten = {
        (score, seconds)
        for score, seconds in values
        if not any(x >= score and y <= seconds and (x, y) != (score, seconds) for x, y in values)
    }
    assert (
        set(one.front[["score", "device_seconds"]].itertuples(index=False, name=None)) == unbeaten
    )
    assert "What a better score takes" in write_report(path).read_text()


def test_importances_stand_side_by_side(folder: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: rayoff[fanova]")
    search = read_search(folder)
    assert search is not None
    table = importance_table(search)
    assert table.titles == ["parameter", "PED-ANOVA", "fANOVA"]
    assert set(table.data["parameter"]) == {
        "critic.norm",
        "critic.norm_position",
        "critic.width",
    }
    shares = table.data.set_index("parameter").to_dict()
    assert sum(shares["PED-ANOVA"].values()) == pytest.approx(1.0)
    assert np.isnan(shares["fANOVA"]["critic.norm_position"])  # conditional
    assert shares["fANOVA"]["critic.norm"] > 0.5


def test_without_scikit_learn_the_report_says_how_to_get_fanova(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rayoff.stats.importance.find_spec", lambda _: None)
    search = read_search(folder)
    assert search is not None
    assert list(search.importances) == ["PED-ANOVA"]
    assert search.notes == ["fANOVA needs scikit-learn: pip install 'rayoff[fanova]'."]


def test_few_points_have_no_importance(tmp_path: Path) -> None:
    search = read_search(make_search_folder(tmp_path / "a", num_points=5))
    assert search is not None
    assert search.importances == {}
    assert search.notes == ["Importances need 10 complete points; there are 5."]


def test_a_parameter_of_two_ranges_leaves_a_note_and_no_importance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(run_folder: Path) -> dict[str, dict[str, Any]]:
        found = read_dimensions(run_folder)
        return found | {"critic.width": found["critic.width"] | {"high": 64}}

    monkeypatch.setattr(searches, "read_dimensions", narrow)
    search = read_search(make_search_folder(tmp_path / "a"))
    assert search is not None
    assert search.importances == {}
    assert search.notes[0].startswith("PED-ANOVA has no importances: ")


def test_results_that_are_not_pooled_are_headlines_of_their_own(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    (effect,) = (e for e in find_effects(confirmation_of(read_results(folder))) if e.is_overall)
    assert effect.estimate is not None
    opposite = effect.estimate._replace(value=-9.0, low=-12.0, high=-6.0)
    apart = [replace(effect, dataset="a"), replace(effect, dataset="b", estimate=opposite)]
    first, second, _ = search_headlines(search, apart)
    assert (first.subject[-3:], first.verdict) == (", a", "helps")
    assert (second.subject[-3:], second.verdict) == (", b", "hurts")
    assert second.numbers.startswith("-9.0 [-12.0, -6.0]")


def test_before_a_point_has_ended_none_is_called_infeasible(tmp_path: Path) -> None:
    folder = make_search_folder(tmp_path / "a", num_points=3, num_running=3)
    search = read_search(folder)
    assert search is not None
    (headline,) = search_headlines(search, [])
    assert str(headline) == "0 points: None has ended yet."
    assert describe_search(folder)[-1] == "No point has ended yet."


def test_a_point_that_was_given_up_is_counted_but_not_compared(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    points = search.points.copy()
    best = int(search.front["point"].iloc[0])
    is_best = (points["phase"] == "search") & (points["point"] == best)
    points.loc[is_best, "state"] = "pruned"
    history = best_so_far(points)
    cut = replace(search, points=points, history=history, front=pareto_front(points, ["score"]))
    assert (cut.num_ended, cut.num_pruned, len(history)) == (20, 1, 19)
    assert best not in set(complete_points(cut)["point"])
    assert best not in set(trade_offs(replace(cut, objectives=["score"]))[0].front["point"])
    assert points_table(cut).rows[-1][0] == str(best)


def test_a_configuration_counts_once_and_as_the_worst_if_it_is_infeasible(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    points = search.points.copy()
    searched = points.query("phase == 'search' and same_as.isna()")
    lost = searched.loc[~searched["feasible"].astype(bool), "point"].tolist()
    points.loc[points["point"].isin(lost), "score"] = 1000.0
    worth = online_scores(replace(search, points=points))
    assert len(worth) == len(searched) < 20
    feasible = searched.loc[searched["feasible"].astype(bool), "score"].astype(float)
    assert worth.max() == feasible.max()
    assert (worth == feasible.min()).sum() == 1 + len(lost)


def test_the_winner_is_not_marked_as_the_baseline(folder: Path) -> None:
    search = read_search(folder)
    assert search is not None
    assert confirmed_table(search).baseline == {0}
    alone = replace(search, confirmed=search.confirmed.query("origin != 'baseline'"))
    assert confirmed_table(alone).baseline == set()


def test_the_page_claims_no_effect_of_a_choice(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert "A search answers which point is best, not what a choice does." in text
    assert "A search chooses its points by their scores" in text
    for name in ("history", "online", "importance", "pareto-device-seconds"):
        assert f'id="figure-{name}"' in text
        assert (folder / "figures" / f"{name}.pdf").is_file()
    assert (folder / "tables" / "points.tex").is_file()
    assert len(text) < 2_000_000
