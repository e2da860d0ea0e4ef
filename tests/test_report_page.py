"""Tests of rayoff.report.page: the files of a report, written and written again."""

import ast
import contextlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from synthetic_results import make_run_folder, write_trial

from rayoff.errors import ResultsError
from rayoff.report import effects_table, find_effects, render_table, summarize, write_report
from rayoff.report.caveats import progress
from rayoff.report.page import SECTIONS
from rayoff.report.recipe import full_recipe
from rayoff.results import collect, read_results


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder with its report."""
    folder = tmp_path_factory.mktemp("reported") / "critic_norm-3f9c2a1"
    make_run_folder(folder, fractions=(1.0, 0.1))
    write_report(folder)
    return folder


def test_the_recipe_of_the_readme_is_three_statements(reported: Path) -> None:
    code = (reported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(ast.parse(code).body) == 3
    assert max(map(len, code.splitlines())) <= 120
    printed = io.StringIO()
    with contextlib.chdir(reported), contextlib.redirect_stdout(printed):
        exec(code, {})
    (told, *_) = find_effects(read_results(reported))
    assert told.estimate is not None
    assert float(printed.getvalue()) == pytest.approx(told.estimate.value)


def test_a_command_in_the_question_stays_as_it_is_typed(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a", fractions=(0.1,), seeds=(0,))
    study = json.loads((folder / "study.json").read_text())
    study["question"] = "Does it?\n\nOn other data:\n\n    rayoff run a \\\n        --seeds 2"
    (folder / "study.json").write_text(json.dumps(study))
    text = write_report(folder).read_text()
    assert '<pre class="question">rayoff run a \\\n    --seeds 2</pre>' in text
    assert '<p class="question">On other data:</p>' in text


class Page(HTMLParser):
    """Collects ids, links and the text of a page, and that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    files = {link for link in page.links if not link.startswith(("#", "data:"))}
    assert all((reported / name).is_file() for name in files)
    assert {"tables/summary.tex", "figures/score.pdf", "study.json"} <= files
    assert "url(http" not in text
    assert "<script" not in text
    assert text.count("<svg") == 7
    assert len(text) < 2_000_000
    assert "+ new <b>" in page.text  # the diff is text, not markup
    frame = read_results(reported)
    for row in render_table(summarize(frame)).splitlines()[3:7]:
        assert all(cell in page.text for cell in re.split(r" {2,}", row.strip()))
    assert full_recipe(frame, find_effects(frame)) in (reported / "README.md").read_text()


def test_the_page_has_its_sections_in_order_and_words_for_every_figure(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    assert re.findall(r'<h2 id="([a-z]+)">', text) == list(SECTIONS)
    assert re.findall(r"<h[123](?! id=)", text) == []
    for name in re.findall(r'<figure id="figure-([a-z-]+)"', text):
        (above,) = re.findall(rf'<p id="{name}-about">(.+?)</p>', text)
        (below,) = re.findall(
            rf'id="figure-{name}".+?<figcaption>(.+?)</figcaption>', text, re.DOTALL
        )
        assert len(above) > 40
        assert len(below) > 40
        assert f'aria-labelledby="{name}-about"' in text


def test_tables_are_exported_exactly_and_as_shown(reported: Path) -> None:
    frame = read_results(reported)
    tables = {"summary": summarize(frame), "effects": effects_table(find_effects(frame))}
    for name, table in tables.items():
        path = reported / "tables" / name
        read = pd.read_csv(path.with_suffix(".csv"), keep_default_na=False)
        assert list(read.columns) == list(table.columns)
        assert read["fraction"].astype(str).tolist() == table["fraction"].astype(str).tolist()
        exact = pq.read_table(path.with_suffix(".parquet")).to_pylist()
        for row, expected in zip(exact, table.to_dict(orient="records"), strict=True):
            for column, value in expected.items():
                assert row[column] == value or (row[column] is None and pd.isna(value))
        markdown, latex = (path.with_suffix(end).read_text() for end in (".md", ".tex"))
        assert len(markdown.splitlines()) == 2 + len(table)
        assert latex.count(r" \\") == 1 + len(table)


def test_equal_results_give_equal_bytes_of_every_file(reported: Path, tmp_path: Path) -> None:
    again = make_run_folder(tmp_path / reported.name, fractions=(1.0, 0.1))
    write_report(again)
    first, second = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (reported, again)
    )
    assert first == second
    assert {path.as_posix() for path in first} >= {
        *("README.md", "report.html", "results.parquet", "tables/summary.csv"),
        *("tables/summary.md", "tables/coverage.csv", "tables/effects.csv"),
        *("tables/stops.csv", "tables/runs.parquet"),
        *("figures/score.pdf", "figures/score.svg", "figures/stability.pdf"),
    }


def test_the_readme_says_of_which_step_the_weights_are(reported: Path) -> None:
    readme = " ".join((reported / "README.md").read_text().split())
    assert "the weights of a run that was stopped are of after its stop step" in readme
    assert "```sh\nrayoff run critic_norm\n```" in (reported / "README.md").read_text()


def test_a_half_finished_folder_gets_a_banner(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a", fractions=(0.1,))
    layer, none = sorted((folder / "trials").iterdir())
    (layer / "metrics.parquet").unlink()
    (none / "error.txt").write_text("RuntimeError: out of memory")
    text = write_report(folder).read_text()
    state = "2 of 4 runs have ended (0 training, 0 failed, 2 missing)"
    assert state in text
    assert "2 missing" in Page(text).text
    told = f"**Unfinished: {state}.** Go on, in this folder, with `rayoff resume .`"
    assert told in (folder / "README.md").read_text()

    study = json.loads((folder / "study.json").read_text())
    (layer / "config.json").unlink()
    layer.rmdir()
    trial = next(trial for trial in study["trials"] if trial["arm"] == "layer")
    write_trial(folder, trial, np.random.default_rng(0))
    assert progress(collect(folder).to_pandas()) is None


def test_a_folder_in_which_nothing_ran_yet_can_be_reported(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a")
    for path in folder.glob("trials/*/*"):
        path.unlink()
    text = write_report(folder).read_text()
    assert "0 of 12 runs have ended" in text
    assert "No two runs that ended can be compared." in text


def test_results_without_trials_are_enough(reported: Path, tmp_path: Path) -> None:
    alone = tmp_path / "study"
    alone.mkdir()
    (alone / "results.parquet").write_bytes((reported / "results.parquet").read_bytes())
    write_report(alone)
    for part in ("tables", "figures"):
        written = sorted((alone / part).iterdir())
        assert [path.name for path in written] == sorted(
            path.name for path in (reported / part).iterdir()
        )
        for path in written:
            assert path.read_bytes() == (reported / part / path.name).read_bytes(), path.name


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"study\.json was expected"):
        write_report(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {
            "norms": ("none", "layer", "weight", "batch", "spectral"),
            "widths": (256, 64),
            "datasets": ("hopper", "ant", "walker2d", "halfcheetah"),
            "fractions": (1.0, 0.3, 0.1, 0.03, 0.01),
        },
        {"norms": ("none", "layer"), "widths": range(16, 416, 4), "fractions": (0.1,)},
    ],
)
def test_a_large_study_still_fits_into_two_megabytes(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = make_run_folder(tmp_path / "a", seeds=range(5), **options)
    assert len(list((folder / "trials").iterdir())) == 200
    page = write_report(folder)
    assert page.stat().st_size < 2_000_000
    written = Page(page.read_text())
    assert written.open == []
    arms = set(read_results(folder)["arm"])
    assert all(arm in written.text for arm in arms)


@pytest.fixture
def folder(reported: Path, tmp_path: Path) -> Path:
    """A folder of its own with a report."""
    return Path(shutil.copytree(reported, tmp_path / "run"))


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
