"""Tests of rayoff.results.states: what the files of a folder say while others write them."""

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from synthetic_results import NUM_STEPS, PERIOD, make_run_folder

from rayoff.errors import ResultsError
from rayoff.results import StateReader, TrialState, collect, run_table
from rayoff.results.schema import write_metrics


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two arms at two fractions, all of them with reports and none marked as finished."""
    return make_run_folder(tmp_path / "a", fractions=(1.0, 0.1), seeds=range(3))


def states(folder: Path) -> dict[str, TrialState]:
    return {state.trial_id: state for state in StateReader(folder).read()}


def trial_folders(folder: Path) -> list[Path]:
    study = json.loads((folder / "study.json").read_text())
    return [folder / "trials" / trial["trial_id"] for trial in study["trials"]]


def test_a_trial_is_waiting_begun_done_or_failed_by_its_files(folder: Path) -> None:
    waiting, begun, done, failed = trial_folders(folder)
    (waiting / "metrics.parquet").unlink()
    (done / "done").touch()
    (failed / "error.txt").write_text("ValueError: no\n")
    found = states(folder)
    assert [found[one.name].status for one in (waiting, begun, done, failed)] == [
        *("waiting", "begun", "done", "failed")
    ]
    assert not found[waiting.name].has_ended
    assert not found[begun.name].has_ended
    assert found[done.name].has_ended
    assert found[waiting.name].reported is None
    assert found[begun.name].reported == pytest.approx(
        (begun / "metrics.parquet").stat().st_mtime, abs=1e-3
    )


def test_numbers_are_those_of_the_report(folder: Path) -> None:
    runs = run_table(collect(folder).to_pandas())
    for name, own in runs.groupby("trial"):
        state = states(folder)[str(name)]
        assert state.value == pytest.approx(own["value"].mean())
        assert state.measure == "score"
        assert state.num_diverged == (own["status"] == "diverged").sum()
        assert (state.num_runs, state.num_steps) == (3, NUM_STEPS)
        assert state.step == own["step"].max()
        assert state.seconds == pytest.approx(0.01 * own["step"].max())
    assert {state.arm for state in states(folder).values() if state.is_baseline} == {"none"}


def test_runs_that_train_under_suspicion_are_counted(folder: Path) -> None:
    lost = next(one for one in trial_folders(folder) if one.name.startswith("none"))
    rows = pq.read_table(lost / "metrics.parquet").to_pylist()
    training = [row for row in rows if row["status"] == "training"]
    write_metrics(lost, [{k: v for k, v in row.items() if v is not None} for row in training])
    state = states(folder)[lost.name]
    assert (state.num_suspect, state.num_diverged) == (3, 0)
    assert state.step < NUM_STEPS - PERIOD


def test_only_files_that_changed_are_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StateReader(folder)
    before = reader.read()
    changed = trial_folders(folder)[1]
    later = before[1].reported or 0.0
    os.utime(changed / "metrics.parquet", (later + 5, later + 5))
    (trial_folders(folder)[2] / "done").touch()
    after = reader.read()
    assert [old is new for old, new in zip(before, after, strict=True)] == [
        *(True, False, False, True)
    ]


def test_a_damaged_file_is_told_and_does_not_hide_the_others(folder: Path) -> None:
    damaged = trial_folders(folder)[0]
    (damaged / "metrics.parquet").write_bytes(b"PAR1 and no more")
    found = states(folder)
    assert found[damaged.name].status == "unreadable"
    assert [state.status for state in found.values()].count("begun") == 3


def test_a_trial_without_facts_or_evaluations_has_no_value(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a", fractions=(1.0,), simulator=False)
    (trial_folders(folder)[0] / "config.json").unlink()
    assert {(state.value, state.measure) for state in states(folder).values()} == {(None, None)}


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"study\.json was expected"):
        StateReader(tmp_path).read()
