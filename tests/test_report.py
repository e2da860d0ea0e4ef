"""Tests of rayoff.report: every number is found again from results.parquet by other means."""

import ast
import contextlib
import io
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from scipy import stats as scipy_stats
from synthetic_results import BOUND, make_run_folder, write_trial

from rayoff.errors import ResultsError
from rayoff.report import (
    SUMMARY_COLUMNS,
    Effect,
    effects_table,
    find_effects,
    headlines,
    render_markdown,
    render_table,
    rich_tables,
    summarize,
    write_report,
)
from rayoff.report.caveats import caveats, progress
from rayoff.report.exports import write_table
from rayoff.report.headline import MAX_HEADLINES
from rayoff.report.origins import shorten_command
from rayoff.report.page import SECTIONS
from rayoff.report.recipe import full_recipe, short_recipe
from rayoff.report.tables import format_number
from rayoff.report.tallies import runs
from rayoff.results import collect, read_results, write_results
from rayoff.stats import Estimate, holm

Rows = list[dict[str, Any]]
Recipe = Callable[[pd.DataFrame, list[Effect]], str]


def results(folder: Path, **options: Any) -> pd.DataFrame:  # noqa: ANN401
    return collect(make_run_folder(folder, **options)).to_pandas()


def runs_by_hand(path: Path) -> dict[tuple[str, str, float], Rows]:
    """Return value and last readings of each run by arm, dataset and fraction, without pandas."""
    runs: dict[tuple[str, int], Rows] = {}
    for row in pq.read_table(path).to_pylist():
        runs.setdefault((row["trial"], row["seed"]), []).append(row)
    cells: dict[tuple[str, str, float], Rows] = {}
    for rows in runs.values():
        last = max(rows, key=lambda row: row["step"])
        scores = [row["score"] for row in rows if row["score"] is not None]
        counted = scores[-min(10, (len(scores) + 1) // 2) :]
        value = last["floor_score"] if last["status"] == "diverged" else np.mean(counted)
        key = (last["arm"], last["dataset"], last["fraction"])
        cells.setdefault(key, []).append(last | {"value": value, "best": max(scores)})
    return cells


@pytest.mark.parametrize("num_seeds", [2, 5])
def test_every_number_of_the_table_follows_from_results_alone(
    tmp_path: Path, num_seeds: int
) -> None:
    folder = make_run_folder(tmp_path / "a", seeds=range(num_seeds), datasets=("hopper", "ant"))
    path = write_results(folder)
    cells = runs_by_hand(path)
    summary = summarize(read_results(path)).to_dict(orient="records")
    assert len(summary) == len(cells) == 12
    for row in summary:
        runs = cells[row["arm"], row["dataset"], row["fraction"]]
        values = [run["value"] for run in runs]
        assert row["num_runs"] == num_seeds
        assert row["num_diverged"] == sum(run["status"] == "diverged" for run in runs)
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["iqm"] == pytest.approx(scipy_stats.trim_mean(values, 0.25))
        assert row["best"] == pytest.approx(np.mean([run["best"] for run in runs]))
        ratio = np.median([run["critic/q_abs"] for run in runs]) / BOUND
        assert row["q_over_bound"] == pytest.approx(ratio)
        seem = np.median([run["seem/row_normalized"] for run in runs])
        assert row["seem_row_normalized"] == pytest.approx(seem)
        if row["arm"] == "none":
            assert row["stop_step"] == np.median([run["stop_step"] for run in runs])
            assert row["reason"] in {run["reason"] for run in runs}
        if num_seeds == 2:
            t = scipy_stats.ttest_1samp(values, 0).confidence_interval() if np.ptp(values) else 0
            low = t.low if t else values[0]
            assert row["low"] == pytest.approx(low)
            assert row["interval"] == "mean, pooled t"
        else:
            assert min(values) <= row["low"] <= row["iqm"] <= row["high"] <= max(values)
            assert row["interval"] == "iqm, bootstrap"


def test_the_table_has_documented_columns_and_the_baseline_first(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("layer", "batch", "none"), datasets=("b", "a"))
    summary = summarize(frame)
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    assert all(text.endswith(".") for text in SUMMARY_COLUMNS.values())
    keys = summary[["dataset", "fraction", "arm"]].values.tolist()
    arms, fractions = ("none", "layer", "batch"), (1.0, 0.1, 0.01)
    assert keys == [[d, f, a] for d in ("b", "a") for f in fractions for a in arms]
    assert summary["baseline"].tolist() == [True, False, False] * 6


def test_an_effect_is_the_mean_difference_of_matched_runs(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a", datasets=("hopper", "ant"), seeds=(0, 1, 2))
    cells = runs_by_hand(write_results(folder))
    differences = {
        (dataset, fraction): [
            run["value"] - partner["value"]
            for run, partner in zip(runs, cells["none", dataset, fraction], strict=True)
        ]
        for (arm, dataset, fraction), runs in cells.items()
        if arm == "layer"
    }
    effects = {(e.dataset, e.fraction): e for e in find_effects(read_results(folder))}
    fractions = [(None, 1.0), (None, 0.1), (None, 0.01)]
    assert list(effects) == [(None, None), *fractions, ("hopper", None), ("ant", None)]
    for (dataset, fraction), effect in effects.items():
        chosen = [
            found
            for key, found in differences.items()
            if dataset in (None, key[0]) and fraction in (None, key[1])
        ]
        assert effect.is_overall == ((dataset, fraction) == (None, None))
        assert effect.num_pairs == 3 * len(chosen)
        assert effect.estimate is not None
        assert effect.estimate.value == pytest.approx(np.mean(chosen))
        spread = np.sqrt(np.mean([np.var(d, ddof=1) for d in chosen]) / effect.num_pairs)
        half = scipy_stats.t.ppf(0.975, 2 * len(chosen)) * spread
        assert effect.estimate.low == pytest.approx(np.mean(chosen) - half)
        assert effect.share_improved == 1.0
        assert (effect.num_diverged, effect.num_diverged_baseline) == (0, effect.num_pairs)
        assert effect.verdict == "helps"


def test_runs_are_matched_on_every_other_choice(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=(256, 64), fractions=(0.1,))
    effects = {(effect.name, effect.value): effect for effect in find_effects(frame)}
    assert set(effects) == {("critic.norm", "layer"), ("critic.width", 64)}
    assert effects["critic.norm", "layer"].num_pairs == 4  # at both widths
    width = effects["critic.width", 64]
    assert width.baseline == 256
    assert (width.num_diverged, width.num_diverged_baseline) == (2, 2)


def test_an_arm_that_differs_in_two_choices_is_compared_as_a_whole(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=(256, 64), fractions=(0.1,))
    frame = frame.loc[frame["arm"].isin(["none", "layer-w64"])]
    (effect,) = find_effects(frame)
    assert (effect.name, effect.value, effect.baseline) == ("arm", "layer-w64", "none")


def test_algorithms_are_compared_despite_their_own_hyperparameters(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    is_bc = frame["arm"] == "layer"
    frame["algorithm"] = frame["algorithm"].where(~is_bc, "bc")
    frame["config.agent.tau"] = frame["config.agent.tau"].where(~is_bc)
    frame["config.critic.norm"] = "none"
    (effect,) = find_effects(frame)
    assert (effect.name, effect.value, effect.num_pairs) == ("algorithm", "bc", 2)


def test_raw_returns_are_never_pooled(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", references=False, datasets=("hopper", "ant"))
    overall = [effect for effect in find_effects(frame) if effect.fraction is None]
    assert [(effect.dataset, effect.measure) for effect in overall] == [
        ("hopper", "return"),
        ("ant", "return"),
    ]
    assert "instead of none, ant: helps. +" in str(headlines(frame, find_effects(frame))[1])


def test_runs_that_still_train_have_no_effect_yet(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    frame.loc[(frame["arm"] == "layer") & (frame["seed"] == 0), "status"] = "training"
    (effect,) = find_effects(frame)
    assert effect.num_pairs == 1


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder with its report."""
    folder = tmp_path_factory.mktemp("reported") / "critic_norm-3f9c2a1"
    make_run_folder(folder, fractions=(1.0, 0.1))
    write_report(folder)
    return folder


def effect(**fields: Any) -> Effect:  # noqa: ANN401
    known: dict[str, Any] = {
        **{"axis": "config.critic.norm", "value": "layer", "baseline": "none", "dataset": None},
        **{"fraction": None, "measure": "score", "share_improved": 0.5, "num_pairs": 6},
        **{"num_diverged": 0, "num_diverged_baseline": 0, "p_value": 1.0, "is_overall": True},
    }
    return Effect(**(known | fields))


@pytest.mark.parametrize(
    ("low", "high", "num_pairs", "verdict"),
    [
        (0.1, 2.0, 5, "helps"),
        (-2.0, -0.1, 5, "hurts"),
        (-1.0, 1.0, 5, "no difference shown"),
        (0.0, 0.0, 5, "no difference shown"),
        (0.1, 2.0, 4, "too few runs"),
        (math.nan, math.nan, 9, "too few runs"),
    ],
)
def test_the_interval_decides_the_verdict(
    low: float, high: float, num_pairs: int, verdict: str
) -> None:
    estimate = Estimate(1.0, low, high, "mean, pooled t", num_pairs)
    assert effect(estimate=estimate).verdict == verdict


@pytest.mark.parametrize(
    ("lost", "lost_baseline", "p_value", "num_pairs", "verdict"),
    [
        (0, 6, 0.03, 6, "helps"),
        (6, 0, 0.03, 6, "hurts"),
        (0, 5, 0.0625, 5, "too few runs"),
        (3, 4, 1.0, 9, "no difference shown"),
    ],
)
def test_without_scores_divergence_decides_the_verdict(
    lost: int, lost_baseline: int, p_value: float, num_pairs: int, verdict: str
) -> None:
    tried = effect(
        measure=None,
        estimate=None,
        num_pairs=num_pairs,
        num_diverged=lost,
        num_diverged_baseline=lost_baseline,
        p_value=p_value,
    )
    assert tried.verdict == verdict


def test_the_headline_says_what_was_compared_and_by_how_much(tmp_path: Path) -> None:
    frame = results(tmp_path / "a")
    effects = find_effects(frame)
    (headline,) = headlines(frame, effects)
    assert re.fullmatch(
        r"critic\.norm = layer instead of none: helps\. \+\S+ \[\+\S+, \+\S+\] score, better in "
        r"100% of 6 matched pairs; at 1% of the data \+\S+ \[\+\S+, \+\S+\]; "
        r"0 of 6 runs diverged instead of 6\.",
        str(headline),
    )


def test_of_very_many_comparisons_the_largest_are_told(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=range(256, 256 + 20), fractions=(0.1,))
    effects = find_effects(frame)
    *told, rest = headlines(frame, effects)
    assert len(told) == MAX_HEADLINES
    assert told[-1].subject == "critic.norm = layer instead of none"
    assert rest.subject == f"{20 - MAX_HEADLINES} more comparisons"


def test_without_a_simulator_the_headline_speaks_of_divergence(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", simulator=False)
    (headline,) = headlines(frame, find_effects(frame))
    assert str(headline) == (
        "critic.norm = layer instead of none: helps. "
        "0 of 6 runs diverged instead of 6 (sign test p = 0.031)."
    )


def test_one_arm_alone_is_described(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("none",))
    (headline,) = headlines(frame, [])
    assert str(headline) == "none: 6 of 6 runs diverged."


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seeds": range(5)},
        {"references": False, "datasets": ("hopper", "ant")},
        {"widths": (256, 64)},
    ],
)
def test_the_recipe_computes_the_headlines_number(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = make_run_folder(tmp_path / "a", fractions=(1.0, 0.1), **options)
    effects = find_effects(read_results(write_results(folder)))
    assert effects[0].estimate is not None
    for make in (full_recipe, short_recipe):
        assert float(run_recipe(make, folder)) == pytest.approx(effects[0].estimate.value)


@pytest.mark.parametrize("make", [full_recipe, short_recipe])
def test_the_recipe_matches_runs_that_lack_a_setting(tmp_path: Path, make: Recipe) -> None:
    folder = make_run_folder(tmp_path / "a", widths=(256, 64), fractions=(0.1,))
    frame = read_results(write_results(folder))
    # as a coefficient of a regulariser that only some arms have
    frame["config.critic.rd_weight"] = np.where(frame["config.critic.width"] == 64, 0.1, np.nan)
    frame.to_parquet(folder / "results.parquet")
    effects = [e for e in find_effects(frame) if e.name == "critic.norm"]
    assert effects[0].num_pairs == 4
    assert effects[0].estimate is not None
    write_table(folder / "tables", runs(frame))
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(make(frame, effects), {})
    assert float(printed.getvalue()) == pytest.approx(effects[0].estimate.value)


@pytest.mark.parametrize("make", [full_recipe, short_recipe])
def test_the_recipe_counts_where_there_is_no_score(tmp_path: Path, make: Recipe) -> None:
    folder = make_run_folder(tmp_path / "a", simulator=False)
    assert re.findall(r"(layer|none) +(\d)", run_recipe(make, folder)) == [
        ("layer", "0"),
        ("none", "6"),
    ]


@pytest.mark.parametrize("make", [full_recipe, short_recipe])
def test_the_recipe_of_one_arm_counts_its_runs(tmp_path: Path, make: Recipe) -> None:
    folder = make_run_folder(tmp_path / "a", norms=("none",))
    assert re.search(r"none( +diverged)? +6", run_recipe(make, folder))


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


def run_recipe(make: Recipe, folder: Path) -> str:
    frame = read_results(write_results(folder))
    write_table(folder / "tables", runs(frame))
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(make(frame, find_effects(frame)), {})
    return printed.getvalue()


def test_plain_text_is_aligned_and_narrow(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", datasets=("hopper", "ant"))
    frame["arm"] = frame["arm"].replace("layer", "layer" + "-with-many-words" * 5)
    text = render_table(summarize(frame))
    assert max(map(len, text.splitlines())) <= 140
    hopper, ant = text.split("\n\n")
    assert (hopper.splitlines()[0], ant.splitlines()[0]) == ("hopper", "ant")
    header, rule, *rows = hopper.splitlines()[1:9]
    ends = [match.end() for match in re.finditer("-+", rule)]
    for title in ("diverged", "score [95% interval]", "stop step"):
        assert header.index(title) + len(title) in ends
    assert [row.split()[0] for row in rows] == ["100%", "100%", "10%", "10%", "1%", "1%"]
    assert "0.0 (floor)" in rows[0]
    assert "none at 100%: critic self-excites: SEEM 0.13 > 0.05" in hopper


def test_without_a_simulator_the_table_says_why(tmp_path: Path) -> None:
    text = render_table(summarize(results(tmp_path / "a", simulator=False)))
    assert "No score: gymnasium has no Hopper-v5 here." in text
    assert "95% interval" not in text
    assert "6" in text


def test_a_terminal_shows_the_same_cells(tmp_path: Path) -> None:
    summary = summarize(results(tmp_path / "a", fractions=(0.1,)))
    console = Console(width=140, record=True, file=io.StringIO())
    for table in rich_tables(summary):
        console.print(table)
    words = re.findall(r"[^\s│┃]+", console.export_text())
    for row in render_table(summary).splitlines()[3:5]:
        assert set(row.split()) <= set(words)


def test_markdown_has_a_cell_for_every_column(tmp_path: Path) -> None:
    lines = render_markdown(summarize(results(tmp_path / "a"))).splitlines()
    assert len(lines) == 2 + 6
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


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


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/home/me/.venv/bin/python /home/me/.venv/bin/rayoff run a --seeds 5", "run a --seeds 5"),
        ("/usr/bin/python3 /home/ray/tune.py run 'a b.py'", "run 'a b.py'"),
        ("python -m rayoff.tune run a", "run a"),
        ("rayoff", "run"),
    ],
)
def test_a_command_of_ours_is_told_without_the_machine(command: str, expected: str) -> None:
    assert shorten_command(command) == f"rayoff {expected}"


@pytest.mark.parametrize(
    "command", ["python sweep.py run a", "python mine/tune.py 3", "python drive.py tune.py"]
)
def test_a_command_of_another_program_is_told_as_it_was(command: str) -> None:
    assert shorten_command(command) == command


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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Results of which nothing need be told."""
    folder = tmp_path_factory.mktemp("sound") / "a"
    return results(folder, fractions=(1.0,), seeds=range(5), norms=("layer",))


@pytest.mark.parametrize(
    ("options", "caveat"),
    [
        ({}, "only 2 run(s)"),
        ({"references": False}, "raw returns and never pooled"),
        ({"simulator": False}, "no score for mixed/hopper/replay-v0: gymnasium has no Hopper"),
        ({"mode": "observe"}, "The stopper only observed"),
        ({"mode": "off"}, "no run counts as diverged"),
        ({}, "share one subset"),
        ({}, "counts with the floor"),
    ],
)
def test_a_caveat_is_told_where_it_applies(
    tmp_path: Path, sound: pd.DataFrame, options: dict[str, Any], caveat: str
) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), **options)
    told = "\n".join(caveats(frame, summarize(frame), find_effects(frame)))
    assert caveat in told
    assert caveat not in "\n".join(caveats(sound, summarize(sound), find_effects(sound)))


def test_reference_scores_of_another_version_are_told(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,)).assign(score_source="d4rl_table")
    told = "\n".join(caveats(frame, summarize(frame), []))
    assert "mixed/hopper/replay-v0: reference returns are D4RL's" in told


def test_unequal_and_failed_runs_are_told(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), seeds=(0, 1, 2))
    frame.loc[(frame["arm"] == "layer") & (frame["seed"] == 2), "status"] = "failed"
    told = "\n".join(caveats(frame, summarize(frame), []))
    assert "1 runs failed with an error" in told
    assert "Cells have from 2 to 3 runs." in told


def test_effects_are_exported_with_their_verdicts(tmp_path: Path) -> None:
    frame = results(tmp_path / "a")
    table = effects_table(find_effects(frame))
    assert table["fraction"].tolist() == ["all", "1", "0.1", "0.01"]
    assert table["verdict"].tolist() == ["helps"] + ["too few runs"] * 3


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0004, "0.000"), (-0.0006, "-0.001"), (1234.5678, "1,234.568")]
)
def test_numbers_are_rounded_and_zero_has_no_sign(value: float, text: str) -> None:
    assert format_number(value, 3) == text


def test_holm_corrects_for_the_effects_that_were_tested(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("none", "layer", "weight"), seeds=range(5))
    effects = find_effects(frame.loc[(frame["seed"] < 2) | (frame["fraction"] != 0.01)])
    tested = [effect for effect in effects if effect.verdict != "too few runs"]
    assert 0 < len(tested) < len(effects)
    assert [e.p_holm for e in tested] == pytest.approx(list(holm([e.p_value for e in tested])))
    assert {e.p_holm for e in effects if e not in tested} == {1.0}
    assert any(e.survives for e in tested)
    assert not all(e.survives for e in tested)


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
