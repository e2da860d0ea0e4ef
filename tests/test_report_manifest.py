"""Tests of rayoff.report.manifest: a report takes away what only the one before it wrote."""

import hashlib
import shutil
from pathlib import Path

import pytest
from synthetic_results import make_run_folder

from rayoff.report import write_report
from rayoff.report.manifest import MANIFEST, update_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "tables").mkdir(parents=True)
    for name in ("old", "kept"):
        (folder / "tables" / f"{name}.csv").write_text(name)
    update_manifest(folder, sorted((folder / "tables").iterdir()))
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "tables").iterdir()}


def test_what_is_no_longer_written_is_removed_and_what_is_written_stays(folder: Path) -> None:
    update_manifest(folder, [folder / "tables" / "kept.csv"])
    assert names(folder) == {"kept.csv"}


def test_a_file_that_no_report_wrote_stays(folder: Path) -> None:
    (folder / "tables" / "mine.csv").write_text("mine")
    update_manifest(folder, [folder / "tables" / "kept.csv"])
    assert names(folder) == {"kept.csv", "mine.csv"}


def test_a_file_that_was_changed_stays(folder: Path) -> None:
    (folder / "tables" / "old.csv").write_text("old, with my notes")
    update_manifest(folder, [folder / "tables" / "kept.csv"])
    assert names(folder) == {"kept.csv", "old.csv"}


def test_a_file_that_is_gone_is_not_missed(folder: Path) -> None:
    (folder / "tables" / "old.csv").unlink()
    update_manifest(folder, [folder / "tables" / "kept.csv"])
    assert names(folder) == {"kept.csv"}


@pytest.mark.parametrize("absolute", [False, True])
def test_nothing_outside_the_folder_is_removed(folder: Path, absolute: bool) -> None:
    outside = folder.parent / "thesis.tex"
    outside.write_text("chapter 1")
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    name = outside.as_posix() if absolute else "tables/../../thesis.tex"
    (folder / MANIFEST).write_text(f"{digest}  {name}\n")
    update_manifest(folder, [])
    assert outside.exists()


def test_the_manifest_is_what_sha256sum_checks(folder: Path) -> None:
    lines = (folder / MANIFEST).read_text().splitlines()
    assert lines == [
        f"{hashlib.sha256(name.encode()).hexdigest()}  tables/{name}.csv"
        for name in ("kept", "old")
    ]


def test_a_report_removes_tables_and_figures_that_its_results_no_longer_give(
    tmp_path: Path,
) -> None:
    folder = make_run_folder(tmp_path / "run", fractions=(1.0,))
    write_report(folder)
    scored = written(folder)
    (folder / "figures" / "mine.svg").write_text("<svg/>")
    unscored = make_run_folder(tmp_path / "other", fractions=(1.0,), simulator=False)
    shutil.rmtree(folder / "trials")
    for name in ("study.json", "trials"):
        (unscored / name).replace(folder / name)
    write_report(folder)
    assert {"figures/profiles.svg", "figures/profiles.pdf", "tables/aggregates.tex"} <= (
        scored - written(folder)
    )
    assert written(folder) - noted(folder) == {"figures/mine.svg"}
    assert noted(folder) <= written(folder)


def written(folder: Path) -> set[str]:
    """Return the tables and figures that are in a folder."""
    paths = [*(folder / "tables").iterdir(), *(folder / "figures").iterdir()]
    return {path.relative_to(folder).as_posix() for path in paths}


def noted(folder: Path) -> set[str]:
    """Return the files of which the manifest tells."""
    return {line.split("  ")[1] for line in (folder / MANIFEST).read_text().splitlines()}
