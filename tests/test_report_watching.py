"""Tests of rayoff.report.watching: it looks until nothing changes, and renders when it is due."""

import json
import os
from pathlib import Path

import pytest
from synthetic_results import make_run_folder

from rayoff.errors import ResultsError
from rayoff.report import watching
from rayoff.report.watching import watch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two trials, with reports and not finished."""
    return make_run_folder(tmp_path / "norms-1234567", fractions=(1.0,))


def trial_folders(folder: Path) -> list[Path]:
    study = json.loads((folder / "study.json").read_text())
    return [folder / "trials" / trial["trial_id"] for trial in study["trials"]]


def finish(folder: Path) -> None:
    for trial in trial_folders(folder):
        (trial / "done").touch()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")


def refuse(seconds: float) -> None:
    raise AssertionError("It must not wait.")


def test_off_a_terminal_it_looks_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch(folder, sleep=refuse)
    told = capsys.readouterr().out
    assert "0 of 2 trials done, 2 running" in told
    assert max(map(len, told.splitlines())) <= 140


def test_on_a_terminal_it_looks_until_the_study_ends(
    folder: Path, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            finish(folder)

    watch(folder, sleep=sleep)
    told = capsys.readouterr().out
    assert len(waited) == 3
    assert "0 of 2 trials done" in told
    assert "2 of 2 trials done" in told[told.rindex("trials done") - 10 :]


def test_on_a_terminal_it_can_look_once(
    folder: Path, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(folder, once=True, sleep=refuse)
    assert "trials done" in capsys.readouterr().out


def test_a_finished_study_is_shown_and_left(
    folder: Path, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(folder)
    watch(folder, sleep=refuse)
    assert "2 of 2 trials done" in capsys.readouterr().out


def test_an_interrupt_ends_the_looking_and_leaves_the_last_state(
    folder: Path, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    watch(folder, sleep=interrupt)
    assert "2 running" in capsys.readouterr().out


def test_the_report_is_rendered_where_results_are_new_and_not_more_often(
    folder: Path, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, rendered = [1e9], []
    monkeypatch.setattr(watching, "write_report", lambda path: rendered.append(clock[0]) or path)
    monkeypatch.setattr("rayoff.report.progress.time.time", lambda: clock[0])
    first = trial_folders(folder)[0] / "metrics.parquet"
    for trial in trial_folders(folder):
        os.utime(trial / "metrics.parquet", (clock[0] - 1, clock[0] - 1))

    def sleep(seconds: float) -> None:
        clock[0] += 60
        minute = round((clock[0] - 1e9) / 60)
        if minute == 2:
            os.utime(first, (clock[0], clock[0]))
        if minute == 30:
            finish(folder)

    watch(folder, report_minutes=5, sleep=sleep)
    # At once, and five minutes later for what came at the second; nothing is new after that.
    assert [round((moment - 1e9) / 60) for moment in rendered] == [0, 5]


def test_a_rendered_report_is_the_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch(folder, report_minutes=1)
    assert "report.html as of " in capsys.readouterr().out
    assert "critic.norm = layer instead of none" in (folder / "report.html").read_text()


def test_a_report_every_zero_minutes_is_refused(folder: Path) -> None:
    with pytest.raises(ResultsError, match="more than 0 minutes but got 0"):
        watch(folder, report_minutes=0)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"study\.json was expected"):
        watch(tmp_path)
