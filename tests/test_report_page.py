"""Tests of rayoff.report.page: the files of a report, written and written again."""

from pathlib import Path

import pytest
from synthetic_results import make_run_folder

from rayoff.report import write_report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = make_run_folder(tmp_path / "run", fractions=(1.0,))
    write_report(folder)
    return folder


def test_a_report_replaces_each_of_its_files_and_writes_none_in_place(folder: Path) -> None:
    first = {path: path.stat().st_ino for path in report_files(folder)}
    write_report(folder)
    assert len(first) > 20
    for path, inode in first.items():
        assert path.stat().st_ino != inode, path.name


def test_a_report_that_breaks_off_leaves_the_page_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "report.html").read_bytes()
    write_bytes = Path.write_bytes

    def run_out_of_space(path: Path, content: bytes) -> int:
        if "report.html" not in path.name:
            return write_bytes(path, content)
        write_bytes(path, content[: len(content) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", run_out_of_space)
    with pytest.raises(OSError, match="No space left"):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before
    assert not list(folder.glob("*.tmp"))


def report_files(folder: Path) -> list[Path]:
    tables, figures = (folder / "tables").iterdir(), (folder / "figures").iterdir()
    named = [folder / name for name in ("report.html", "README.md", "results.parquet")]
    return [*named, *tables, *figures]
