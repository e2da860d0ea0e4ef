"""Tests of rayoff.report.stops on invented runs, whose growth is known."""

from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import BOUND, make_run_folder

from rayoff.report import write_report
from rayoff.report.stops import STOPS_COLUMNS, audit, stops_table
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


@pytest.mark.parametrize(("mode", "cells"), [("stop", "<td>-</td>"), ("observe", "<td>yes</td>")])
def test_the_page_shows_them(tmp_path: Path, mode: str, cells: str) -> None:
    folder = tmp_path / "run"
    frame = make_frame(folder, mode)
    page = write_report(folder).read_text()
    assert "What the stopper found: 8 runs under suspicion" in page
    assert cells in page
    assert ((audit(frame) or "wrong stops") in page) == (mode == "observe")
    assert len(pd.read_csv(folder / "tables" / "stops.csv")) == 8
