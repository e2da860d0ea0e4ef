"""Tests of rayoff.report.progress: what one look at a folder tells."""

import io
import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic_results import NUM_STEPS, make_run_folder
from synthetic_search import make_search_folder

from rayoff.report.progress import Snapshot, Watcher, render_progress, seconds_left
from rayoff.results import TrialState, read_points
from rayoff.search.presence import Driver

ALIVE = Driver("process 7 on host, since 2026-01-31 12:00:00+00:00", True)


def text_of(snapshot: Snapshot, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(render_progress(snapshot))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def state(arm: str = "none", **others: Any) -> TrialState:  # noqa: ANN401 - fields of a state
    fields: dict[str, Any] = {
        "trial_id": f"{arm}_d_1",
        "arm": arm,
        "dataset": "d",
        "fraction": 1.0,
        "is_baseline": arm == "none",
        "num_runs": 5,
        "num_steps": 1000,
    }
    return TrialState(**fields | others)


def snapshot(*states: TrialState, **others: Any) -> Snapshot:  # noqa: ANN401
    fields: dict[str, Any] = {
        "run_folder": Path("runs/norms-1234567"),
        "name": "norms",
        "states": list(states),
        "driver": ALIVE,
        "time": 1000.0,
    }
    return Snapshot(**fields | others)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 2 arms x 3 fractions of which the last trial has not begun."""
    folder = make_run_folder(tmp_path / "norms-1234567", seeds=range(3))
    trials = json.loads((folder / "study.json").read_text())["trials"]
    for trial in trials[:4]:
        (folder / "trials" / trial["trial_id"] / "done").touch()
    (folder / "trials" / trials[5]["trial_id"] / "metrics.parquet").unlink()
    return folder


def test_arms_and_fractions_are_laid_out_with_what_became_of_them(folder: Path) -> None:
    told = text_of(Watcher(folder).look())
    assert "4 of 6 trials done, 1 running, 1 waiting, 9 of 18 runs diverged" in told
    assert "best so far: layer at 100% of mixed/hopper/replay-v0 (score 5" in told
    rows = {line.split()[0]: line for line in told.splitlines() if line[:5] in ("none ", "layer")}
    assert rows["none"].startswith("none *")
    assert rows["none"].count("3 of 3 diverged") == 3
    assert rows["layer"].count("done 5") == 1
    assert rows["layer"].rstrip().endswith("waiting")
    header = next(line for line in told.splitlines() if line.startswith("arm"))
    assert header.split() == ["arm", "100%", "10%", "1%"]


def test_an_interrupted_study_says_how_to_go_on(folder: Path) -> None:
    (folder / ".lock").write_text(f"process {os.getpid()} on {socket.gethostname()}, since 2026")
    look = Watcher(folder).look()
    assert look.is_over
    told = " ".join(text_of(look).split())
    assert "not in training" in told
    assert "1 stopped" in told
    assert "go on with: " in told
    assert "rayoff resume " in told


def test_a_finished_study_is_over_once_its_driver_has_left(folder: Path) -> None:
    done = snapshot(state(status="done", step=1000), driver=None)
    assert done.is_over
    assert not replace(done, driver=ALIVE).is_over
    assert not snapshot(state(status="begun"), driver=None).is_over
    assert not snapshot(state(status="begun"), driver=Driver("process", None)).is_over


def test_the_time_left_follows_the_pace_of_each_arm() -> None:
    slow = state("none", status="begun", step=500, seconds=50.0)
    fast = state("layer", status="begun", step=500, seconds=5.0)
    assert seconds_left(snapshot(slow, fast)) == pytest.approx(50.0)  # the slow one alone
    later = state("layer", status="waiting")
    waiting = [replace(later, fraction=share) for share in (0.5, 0.25, 0.1, 0.05, 0.01)]
    more = [*waiting, *[replace(state("none"), fraction=share) for share in (0.5, 0.1)]]
    # Two at once: 50 + 5 of those that train, five times 10 and twice 100 of the others.
    assert seconds_left(snapshot(slow, fast, *more)) == pytest.approx((55 + 50 + 200) / 2)
    assert "about 0:02:32 left" in text_of(snapshot(slow, fast, *more))


def test_between_two_trials_of_a_point_both_points_count_as_side_by_side() -> None:
    ended = state("p000", status="done", step=1000, seconds=100.0)
    trains = state("p001", status="begun", step=500, seconds=50.0)
    look = snapshot(ended, trains, num_points=12, num_points_begun=3, num_points_training=2)
    # p001 has 50 s left, and 9 points of one trial are to come.
    assert seconds_left(look) == pytest.approx((50 + 9 * 100) / 2)


def test_every_point_of_a_search_has_a_trial_for_each_dataset() -> None:
    ended = [state("p000", status="done", step=1000, seconds=100.0, dataset=d) for d in "abc"]
    trains = state("p001", status="begun", step=500, seconds=50.0, dataset="a")
    waiting = [state("p001", status="waiting", dataset=d) for d in "bc"]
    look = snapshot(
        *ended, trains, *waiting, num_points=10, num_points_begun=2, num_points_training=1
    )
    assert seconds_left(look) == pytest.approx(50 + 2 * 100 + 8 * 300)


def test_nothing_is_foretold_without_a_pace_or_a_trial_that_trains() -> None:
    assert seconds_left(snapshot(state(status="begun"))) is None
    ended = state(status="done", step=1000, seconds=1.0)
    assert seconds_left(snapshot(ended, state("layer"))) is None


def test_suspect_runs_and_the_last_report_are_told() -> None:
    begun: dict[str, Any] = {"status": "begun", "step": 250, "seconds": 9.0, "reported": 988.0}
    one = state("layer", num_suspect=2, value=31.25, measure="score", **begun)
    told = text_of(snapshot(state(), one))
    assert "25% 31.2, 2 suspect" in told
    assert "last report 0:00:12 ago" in told
    assert "in training by process 7 on host" in told


def test_returns_are_the_best_only_where_no_trial_has_a_score() -> None:
    raw = state("layer", status="done", value=3000.0, measure="return")
    scored = state("group", status="done", value=40.0, measure="score")
    lost = state("batch", status="done", value=90.0, measure="score", num_diverged=5)
    assert "best so far: group" in text_of(snapshot(raw, scored, lost, state()))
    assert "best so far: layer" in text_of(snapshot(raw, lost, state()))
    assert "best so far" not in text_of(snapshot(lost, state()))


def test_of_many_arms_the_baseline_the_running_and_the_best_are_shown() -> None:
    many = [state(f"arm{i:02}", status="done", value=float(i), measure="score") for i in range(40)]
    running = state("late", status="begun")
    told = text_of(snapshot(state(), *many, running))
    shown = [
        line.split()[0] for line in told.splitlines() if line.startswith(("arm", "none", "l"))
    ]
    assert shown[1:] == ["none", *[f"arm{i:02}" for i in range(18, 40)], "late"]
    assert "18 more arms are not shown" in told


def test_names_are_not_taken_for_markup_and_long_lines_are_kept() -> None:
    told = text_of(snapshot(state("none"), state("a[red]b", status="begun")))
    assert "a[red]b" in told


def test_the_points_of_a_search_are_counted(tmp_path: Path) -> None:
    folder = make_search_folder(tmp_path / "a")
    points = read_points(folder).query("phase == 'search'")
    num_ended = len(points.dropna(subset=["ended"]))
    assert num_ended > 1
    (folder / "points" / "done").unlink()
    look = Watcher(folder).look()
    assert re.search(rf"{num_ended}( of \d+)? points ended", text_of(look))
    assert not look.is_complete
    (folder / "points" / "done").touch()
    assert Watcher(folder).look().is_complete


def test_a_trial_whose_point_ended_without_it_is_not_waited_for(tmp_path: Path) -> None:
    folder = make_search_folder(tmp_path / "a", num_points=6, num_running=2)
    first, *others = Watcher(folder).look().states
    assert first.status == "pruned"  # invented trials are not marked as done
    assert [one.status for one in others].count("begun") == 2
    assert Watcher(folder).look().num_points_training == 2


def test_the_budget_of_steps_is_that_of_the_trials(folder: Path) -> None:
    assert {one.num_steps for one in Watcher(folder).look().states} == {NUM_STEPS}
