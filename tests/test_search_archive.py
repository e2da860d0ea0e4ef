"""Tests of rayoff.search.archive: files of trials are whole, and the mark comes last."""

from pathlib import Path

import pytest

from rayoff.search.archive import Archive, is_finished, read_files, write_files


def test_checkpoints_replace_one_another_as_a_whole(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_checkpoint("a", 10, {"x": b"old", "deep/y": b"old"})
    archive.write_checkpoint("a", 20, {"x": b"new"})
    assert archive.read_checkpoint("a") == {"x": b"new"}
    assert len(list((tmp_path / "a" / "checkpoints").iterdir())) == 1


def test_a_checkpoint_that_broke_off_is_not_read(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_checkpoint("a", 10, {"x": b"whole"})
    broken = tmp_path / "a" / "checkpoints" / "000000020.partial"
    broken.mkdir()
    (broken / "x").write_bytes(b"half")
    assert archive.read_checkpoint("a") == {"x": b"whole"}
    archive.write_checkpoint("a", 20, {"x": b"again"})
    assert archive.read_checkpoint("a") == {"x": b"again"}


def test_writing_a_checkpoint_twice_is_writing_it_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for _ in range(2):
        archive.write_checkpoint("a", 10, {"x": b"content"})
    assert archive.read_checkpoint("a") == {"x": b"content"}


def test_a_trial_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    assert Archive(tmp_path).read_checkpoint("a") == {}


def test_a_finished_trial_is_marked_and_keeps_no_checkpoint(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_checkpoint("a", 10, {"x": b"content"})
    assert not is_finished(tmp_path / "a")
    archive.finish("a", {"metrics.parquet": b"rows"})
    assert is_finished(tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"done", "metrics.parquet"}


def test_the_mark_is_written_after_all_results(tmp_path: Path) -> None:
    (tmp_path / "a" / "metrics.parquet").mkdir(parents=True)  # in the way of the file
    with pytest.raises(OSError, match=r"metrics\.parquet"):
        Archive(tmp_path).finish("a", {"metrics.parquet": b"rows"})
    assert not is_finished(tmp_path / "a")


def test_files_that_were_written_are_read_as_they_were(tmp_path: Path) -> None:
    files = {"a": b"1", "deep/er/b": b"2"}
    write_files(files, tmp_path)
    assert read_files(tmp_path) == files
