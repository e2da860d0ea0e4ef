"""Tests of rayoff.search.run_folder: a study is begun once, and then gone on with."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rayoff.errors import ResultsError
from rayoff.search import RunFolder
from rayoff.search.archive import Archive
from rayoff.study import Study, trials


def test_a_new_run_folder_can_be_opened_and_is_unfinished(study: Study, tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path, study, ["rayoff", "run", "tiny study"])
    assert made.path.parent == tmp_path
    assert made.path.name.startswith("tiny-")
    opened = RunFolder.open(made.path)
    assert opened.planned == trials(study)
    assert opened.unfinished() == trials(study)
    provenance = json.loads((made.path / "provenance.json").read_text())
    assert provenance["command"] == "rayoff run 'tiny study'"


def test_the_end_is_noted_once_for_each_time_that_a_study_goes_on(
    study: Study, tmp_path: Path
) -> None:
    made = RunFolder.create(tmp_path, study, [])
    file = made.path / "provenance.json"
    begun = json.loads(file.read_text())
    made.note_end()
    ended = json.loads(file.read_text())["ended"]
    assert begun["started"] <= ended <= datetime.now(UTC).isoformat()

    file.write_text(json.dumps(begun | {"ended": "2020-01-01T00:00:00+00:00"}))
    made.note_end()
    assert json.loads(file.read_text())["ended"] == "2020-01-01T00:00:00+00:00"
    made.note_resume(["rayoff", "resume", "a"])
    assert "ended" not in json.loads(file.read_text())
    made.note_end()
    assert json.loads(file.read_text())["ended"] >= ended


def test_a_study_that_is_unfinished_is_not_run_again_but_resumed(
    study: Study, tmp_path: Path
) -> None:
    made = RunFolder.create(tmp_path, study, [])
    with pytest.raises(ResultsError, match=f"4 of 4 trials unfinished.*rayoff resume {made}"):
        RunFolder.create(tmp_path, study, [])


def test_a_study_that_is_finished_is_not_run_again_but_reported(
    study: Study, tmp_path: Path
) -> None:
    made = RunFolder.create(tmp_path, study, [])
    for planned in made.planned:
        Archive(made.path / "trials").finish(planned.trial_id, {})
    with pytest.raises(ResultsError, match=f"finished.*rayoff report {made}"):
        RunFolder.create(tmp_path, study, [])


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"must be a run folder, with a study\.json"):
        RunFolder.open(tmp_path)
