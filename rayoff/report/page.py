"""The report's files: tables, figures, one HTML page that needs nothing else, a README."""

import json
import shlex
import textwrap
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from rayoff.files import replace_file
from rayoff.report import contents, tallies
from rayoff.report.aggregates import ArmScores, arm_scores
from rayoff.report.caveats import caveats, progress, settings_apart
from rayoff.report.cost import time_spent
from rayoff.report.effects import find_effects
from rayoff.report.exports import ReportTable, write_table
from rayoff.report.figures import (
    Analysis,
    draw_figures,
    inline_figure,
    shown_arms,
    write_figures,
)
from rayoff.report.headline import Headline, headlines, search_headlines, told_effects
from rayoff.report.interactions import Interaction, find_interactions, largest
from rayoff.report.manifest import update_manifest
from rayoff.report.origins import (
    describe,
    describe_data,
    describe_seeds,
    read_if_there,
    shorten_command,
)
from rayoff.report.recipe import full_recipe, short_recipe
from rayoff.report.searches import (
    SearchResults,
    confirmed_table,
    importance_table,
    points_table,
    read_search,
    search_progress,
)
from rayoff.report.stops import audit, check_forecasts
from rayoff.report.summary import summarize
from rayoff.report.tables import format_interval, notes
from rayoff.report.waterfall import find_waterfalls
from rayoff.results import (
    STATUSES,
    arm_order,
    baseline_point,
    count_runs,
    read_results,
    write_comparison,
    write_results,
)

SECTIONS = {
    "headline": "Answer",
    "coverage": "What was run",
    "effects": "Effects behind the answer",
    "score": "What the data is worth",
    "stability": "Stability of the critics",
    "aggregates": "Arms over all data",
    "interactions": "What choices do together",
    "importance": "Search",
    "datasets": "Results per dataset",
    "curves": "Learning curves",
    "cost": "Cost",
    "provenance": "Where it comes from",
    "caveats": "Read before use",
    "downloads": "Files",
}
"""Sections of the page by id, in their order: the answer, the evidence, the apparatus."""

_MAX_NAME = 120
"""Characters of the name of a comparison's folder."""

_NOT_IN_A_SEARCH = (
    "A search chooses its points by their scores, so their averages would say more about the "
    "sampler than about a choice. What it found is under Search; to ask what a choice does, run "
    "a factorial study."
)

_NEITHER_TOGETHER = "Nor can it be said, for the same reason, what two choices do together."

_FOLDER_FILES = ("study.json", "provenance.json", "optuna.journal")


def write_report(run_folder: Path) -> Path:
    """Write ``results.parquet``, tables, figures, ``README.md`` and ``report.html`` of a folder.

    An unfinished folder gives a report with a banner. Equal results give equal bytes. What an
    earlier report wrote and this one does not is removed: see ``update_manifest``.

    Args:
        run_folder: ``runs/<study>-<hash>``, with ``study.json`` and the trials' metrics; without
            its trials, the ``results.parquet`` that is there is reported.

    Returns:
        Path of ``report.html``.

    Raises:
        ResultsError: there is no such folder, or what it holds cannot be read.
    """
    if (run_folder / "trials").is_dir() or not (run_folder / "results.parquet").exists():
        write_results(run_folder)
    frame = read_results(run_folder)
    search = read_search(run_folder)
    analysis, summary = analyse(frame, search)
    tables = report_tables(frame, summary, analysis)
    written = [write_table(run_folder / "tables", table) for table in tables.values()]
    figures = write_figures(run_folder / "figures", draw_figures(analysis))
    context = _context(run_folder, frame, summary, analysis)
    evidence = _evidence(run_folder, frame, summary, analysis)
    shown = {
        "sections": list(SECTIONS.items()),
        "tables": tables,
        "figures": {name: inline_figure(paths[0]) for name, paths in figures.items()},
    }
    path = run_folder / "report.html"
    replace_file(path, _template("page.html").render(context | evidence | shown))
    replace_file(run_folder / "README.md", _template("readme.md").render(context))
    update_manifest(run_folder, chain(*written, *figures.values()))
    return path


def write_comparison_report(run_folders: Sequence[Path], folder: Path | None = None) -> Path:
    """Write one report on several run folders; return the path of its ``report.html``.

    Args:
        run_folders: two or more; the first holds the baseline.
        folder: where the report is written; None: beside the first, named after all.

    Raises:
        ResultsError: as ``rayoff.results.write_comparison``.
    """
    names = [path.absolute().name for path in run_folders]
    if folder is None:
        folder = run_folders[0].absolute().parent / "+".join(names)[:_MAX_NAME]
    write_comparison(run_folders, folder)
    origins = [read_if_there(path / "provenance.json") for path in run_folders]
    about = {"command": shlex.join(["rayoff", "report", *map(str, run_folders)])}
    provenance = json.dumps(about | dict(zip(names, origins, strict=True)), indent=1)
    replace_file(folder / "provenance.json", provenance + "\n")
    return write_report(folder)


def analyse(frame: pd.DataFrame, search: SearchResults | None) -> tuple[Analysis, pd.DataFrame]:
    """Return what figures are drawn from, and the summary of all arms.

    The points of a search were chosen by their scores: only its confirmation on fresh seeds can
    say what differs from the baseline.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        search: of those results, as ``read_search`` returns it; None: a factorial.
    """
    summary = summarize(frame)
    arms = shown_arms(frame, summary)
    asked = frame if search is None else confirmation_of(frame)
    analysis = Analysis(
        frame=frame.loc[frame["arm"].isin(arms)],
        summary=summary.loc[summary["arm"].isin(arms)],
        effects=find_effects(asked) if len(asked) else [],
        scores=arm_scores(frame) if search is None else _NOT_IN_A_SEARCH,
        interactions=find_interactions(frame) if search is None else [],
        waterfalls=find_waterfalls(frame) if search is None else [_NEITHER_TOGETHER],
        search=search,
    )
    return analysis, summary


def confirmation_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the results of the winner and the baseline of a search on fresh seeds.

    Args:
        frame: results of a search.
    """
    fresh = frame.loc[frame["phase"] == "confirm"]
    return fresh.assign(baseline=fresh["point"] == baseline_point(frame))


def _context(
    run_folder: Path, frame: pd.DataFrame, summary: pd.DataFrame, analysis: Analysis
) -> dict[str, Any]:
    """Return what the page and the README both tell."""
    provenance = read_if_there(run_folder / "provenance.json")
    effects, search = analysis.effects, analysis.search
    asked = frame if search is None else confirmation_of(frame)
    told = told_effects(effects)
    return {
        "folder": run_folder.absolute().name,
        "study": str(frame["study"].iloc[0]),
        "question": read_if_there(run_folder / "study.json").get("question", ""),
        "progress": (search and search_progress(search)) or progress(frame),
        "headlines": answers(frame, analysis),
        "apart": settings_apart(frame),
        # Without a pair on fresh seeds a search's first number is a score of its journal.
        "recipe": full_recipe(asked, told) if told or search is None else "",
        "short_recipe": short_recipe(asked, told) if told or search is None else "",
        "caveats": caveats(frame, summary, effects),
        "command": shorten_command(provenance.get("command", "rayoff run STUDY")),
        "provenance": describe({k: v for k, v in provenance.items() if k != "command"}),
        "is_search": search is not None,
        "is_run": (run_folder / "trials").is_dir(),
    }


def _evidence(
    run_folder: Path, frame: pd.DataFrame, summary: pd.DataFrame, analysis: Analysis
) -> dict[str, Any]:
    """Return what only the page tells, beside its tables and figures."""
    return {
        "notes": _notes(summary),
        "num_arms": len(arm_order(frame)),
        "num_hidden": len(arm_order(frame)) - len(arm_order(analysis.frame)),
        "num_runs": len(frame.drop_duplicates(["trial", "seed"])),
        "fates": _count_fates(frame),
        "shown_runs": _count_shown(frame, analysis.frame),
        "no_aggregates": analysis.scores if isinstance(analysis.scores, str) else "",
        "largest": [_describe_interaction(one) for one in largest(analysis.interactions)],
        "no_waterfall": [one for one in analysis.waterfalls if isinstance(one, str)],
        "search": analysis.search,
        "audit": [told for told in (audit(frame), check_forecasts(frame)) if told],
        "cost": time_spent(frame),
        "data": describe_data(run_folder, frame),
        "seeds": describe_seeds(frame),
        "files": [name for name in _FOLDER_FILES if (run_folder / name).exists()],
    }


def answers(frame: pd.DataFrame, analysis: Analysis) -> list[Headline]:
    """Return the sentences that answer the study.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        analysis: of those results.
    """
    if analysis.search is None:
        return headlines(frame, analysis.effects)
    return search_headlines(analysis.search, analysis.effects)


def report_tables(
    frame: pd.DataFrame, summary: pd.DataFrame, analysis: Analysis
) -> dict[str, ReportTable]:
    """Return all tables by name, in the order of the page.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        summary: of those results, as ``analyse`` returns it.
        analysis: of those results.
    """
    scores = analysis.scores
    tables = [tallies.coverage(frame), contents.effects(analysis.effects)]
    tables += [tallies.rates(frame), tallies.stops(frame)]
    if isinstance(scores, ArmScores):
        shown = [arm for arm in arm_order(analysis.frame) if arm in scores.values]
        tables += [contents.aggregates(scores), contents.improvement(scores, shown)]
    tables.append(contents.interactions(analysis.interactions))
    tables.append(contents.waterfall(analysis.waterfalls))
    if analysis.search is not None:
        makers = (points_table, confirmed_table, importance_table)
        tables += [make(analysis.search) for make in makers]
    tables += [contents.summary(summary), tallies.costs(frame), tallies.runs(frame)]
    return {table.name: table for table in tables}


def _count_shown(frame: pd.DataFrame, shown: pd.DataFrame) -> str:
    """Return how many runs and arms a figure shows."""
    num_runs, num_arms = len(shown.drop_duplicates(["trial", "seed"])), len(set(shown["arm"]))
    of_all = len(set(frame["arm"]))
    has_fresh = "confirm" in set(frame["phase"])
    fresh = ", what was trained on fresh seeds," if has_fresh else ""
    rest = f": the baseline{fresh} and the best of {of_all}" if num_arms < of_all else ""
    return f"{num_runs} runs of {num_arms} arms{rest}."


def _count_fates(frame: pd.DataFrame) -> str:
    """Return how many runs came to which end."""
    counts = count_runs(frame)[list(STATUSES)].sum().to_dict()
    return ", ".join(f"{number} {status}" for status, number in counts.items() if number)


def _describe_interaction(one: Interaction) -> str:
    estimate = one.estimate
    amount = format_interval(estimate.value, estimate.low, estimate.high, sign="+")
    where = "" if one.dataset is None else f" on {one.dataset}"
    return f"{one.first} with {one.second}{where}: {amount} {one.measure} beyond the sum of both"


def _notes(summary: pd.DataFrame) -> list[str]:
    """Return what the final table needs told, each sentence once."""
    parts = [notes(part) for _, part in summary.groupby("dataset", sort=False)]
    return list(dict.fromkeys(note for part in parts for note in part))


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rayoff.report"),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["dedent"] = textwrap.dedent
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(name)
