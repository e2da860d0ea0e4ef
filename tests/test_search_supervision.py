"""Tests of when a study is given up, and of who may follow it."""

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from rayoff import tune
from rayoff.errors import TrackerError
from rayoff.search import supervision
from rayoff.search.supervision import Supervision


def test_no_tracker_is_asked_for_by_itself() -> None:
    assert Supervision().track is None


def test_a_tracker_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "find_spec", lambda name: None)
    with pytest.raises(TrackerError, match=r"pip install 'rayoff\[mlflow\]'"):
        Supervision(track="mlflow")


def test_a_folder_named_like_a_tracker_is_not_the_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(TrackerError, match="wandb but it is not installed"):
        Supervision(track="wandb")


def test_a_missing_tracker_ends_the_command_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervision, "find_spec", lambda name: None)
    runs = tmp_path / "runs"
    command = ["run", "quickstart", "--smoke", "--track", "wandb", "--runs-dir", str(runs)]
    assert tune.main(command) == 2
    assert "TrackerError: --track wandb must find the package" in capsys.readouterr().err
    assert not runs.exists()
