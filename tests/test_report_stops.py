"""Tests of rayoff.report.stops on invented runs, whose growth is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_results import BOUND, make_run_folder

from rayoff.report import write_report
from rayoff.report.stops import STOPS_COLUMNS, audit, check_forecasts, stops_table
from rayoff.results import read_results, write_results

NORMS = ("none", "weight", "layer")


def make_frame(folder: Path, mode: str) -> pd.DataFrame:
    make_run_folder(folder, norms=NORMS, fractions=(1.0,), seeds=range(4), mode=mode)
    write_results(folder)
    return read_results(folder)


def test_each_run_that_was_given_up_has_a_row_and_a_healthy_one_has_none(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "run", "stop")
    assert list(stops_table(frame).columns) == list(STOPS_COLUMNS)
    stops = stops_table(frame).to_dict(orient="records")
    assert len(stops) == 8  # none and weight, four seeds each
    for stop in stops:
        assert "layer" not in stop["arm"]
        assert stop["suspected_step"] < stop["stop_step"] < stop["forecast_low"]
        assert stop["forecast_low"] < stop["forecast_step"] < stop["forecast_high"]


def test_a_stopper_that_acted_on_all_saw_nothing_to_judge_it_by(tmp_path: Path) -> None:
    assert audit(make_frame(tmp_path / "run", "stop")) is None


def test_false_stops_are_those_that_never_reached_the_ceiling(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "run", "observe")
    last = frame.drop_duplicates(["trial", "seed"], keep="last")
    lost = [run for run in last.to_dict(orient="records") if run["status"] == "diverged"]
    num_wrong = sum(run["critic/q_abs"] <= 1000 * BOUND for run in lost)
    assert 0 < num_wrong < len(lost) == 8
    told = audit(frame)
    assert told is not None
    assert told.startswith(
        f"Of 8 runs that the stopper gave up, 8 trained on to the end: {8 - num_wrong} of them"
    )
    assert f"{num_wrong} did not: wrong stops {num_wrong / 8:.0%} [" in told
    assert told.endswith(
        f"8 of the 8 stops came before |Q| was seen above the ceiling ({num_wrong} wrong), "
        "0 at or after that (0 wrong), where a stop saves nothing."
    )


def test_stops_at_the_crash_and_after_it_are_told_apart(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "run", "observe")
    crashed = frame.dropna(subset=["stopper/passed_step"]).drop_duplicates(["trial", "seed"])
    for run, delay in zip(crashed.to_dict(orient="records"), (0, 400), strict=False):
        own = (frame["trial"] == run["trial"]) & (frame["seed"] == run["seed"])
        late = run["stopper/passed_step"] + delay
        frame.loc[own & frame["stop_step"].notna(), "stop_step"] = late
    told = audit(frame)
    assert told is not None
    assert "6 of the 8 stops came before |Q| was seen above the ceiling" in told
    assert "2 at or after that (0 wrong), where a stop saves nothing" in told


def test_forecasts_are_checked_against_the_crashes_that_were_seen(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "run", "observe")
    above = frame.loc[frame["critic/q_abs"] > 1000 * BOUND]
    crashes = above.groupby(["trial", "seed"], sort=False)["step"].min()
    stops = stops_table(frame).dropna(subset=["passed_step"])
    assert stops["passed_step"].tolist() == crashes.tolist()
    errors, num_held = [], 0
    for stop in stops.to_dict(orient="records"):
        errors.append(abs(stop["forecast_step"] / stop["passed_step"] - 1))
        num_held += stop["forecast_low"] <= stop["passed_step"] <= stop["forecast_high"]
    assert 0 < num_held < len(stops)
    assert check_forecasts(frame) == (
        f"|Q| was seen above the ceiling in {len(stops)} runs, in {len(stops)} of them after a "
        f"forecast: it was off by {np.median(errors):.0%} of the crash's step at the median, and "
        f"its interval held {num_held} of them."
    )


def test_an_interval_without_an_end_holds_every_later_crash(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "run", "observe")
    frame["stopper/forecast_high"] = None
    told = check_forecasts(frame.assign(**{"stopper/forecast_low": 0.0}))
    num_seen = len(stops_table(frame).dropna(subset=["passed_step"]))
    assert told is not None
    assert told.endswith(f"its interval held {num_seen} of them.")


def test_without_a_crash_or_a_forecast_nothing_is_checked(tmp_path: Path) -> None:
    frame = make_frame(tmp_path / "run", "observe")
    told = check_forecasts(frame.assign(**{"stopper/forecast_step": np.nan}))
    assert told is not None
    assert told.endswith("in none of them after a forecast.")
    assert check_forecasts(frame.assign(**{"stopper/passed_step": np.nan})) is None


@pytest.mark.parametrize(("mode", "cells"), [("stop", "<td>-</td>"), ("observe", "<td>yes</td>")])
def test_the_page_shows_them(tmp_path: Path, mode: str, cells: str) -> None:
    folder = tmp_path / "run"
    frame = make_frame(folder, mode)
    page = write_report(folder).read_text()
    assert "What the stopper found, run by run" in page
    assert cells in page
    assert ((audit(frame) or "wrong stops") in page) == (mode == "observe")
    assert '<th scope="col">crash seen at step</th>' in page
    table = pd.read_csv(folder / "tables" / "stops.csv").to_dict(orient="records")
    assert len(table) == 8
    assert any(stop["passed_step"] > 0 for stop in table) == (mode == "observe")
