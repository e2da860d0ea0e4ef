"""The answer of a study in the terminal: the table, and where all of it lies."""

from pathlib import Path

from rich.console import Console

from rayoff.report.figures import shown_arms
from rayoff.report.page import write_report
from rayoff.report.search_answer import describe_search
from rayoff.report.summary import summarize
from rayoff.report.tables import render_table, rich_tables
from rayoff.results import ENDED_STATUSES, STATUSES, count_runs, is_over, read_results
from rayoff.search.commands import shown, typed


def show_answer(run_folder: Path) -> None:
    """Write the results and the report of a run folder, and show the table and their places.

    Args:
        run_folder: ``runs/<study>-<hash>``, finished or not.

    Raises:
        ResultsError: as for ``write_report``.
    """
    page = write_report(run_folder)
    results = read_results(run_folder)
    summary, counts = summarize(results), count_runs(results)
    found = describe_search(run_folder)
    if found:
        arms = shown_arms(results, summary)
        found = [*_tell_hidden(len(set(summary["arm"])) - len(arms)), *found]
        summary = summary.loc[summary["arm"].isin(arms)]
    num_ended = int(counts[list(ENDED_STATUSES)].sum().sum())
    num_runs = int(counts[list(STATUSES)].sum().sum())
    lines = []
    console = Console(highlight=False)
    if num_ended < num_runs and not is_over(run_folder):
        go_on = typed("rayoff", "resume", shown(run_folder))
        lines.append(f"Unfinished: {num_ended} of {num_runs} runs have ended. Go on with: {go_on}")
    if not console.is_terminal:
        lines.append(render_table(summary))
    _write(console, lines)
    if console.is_terminal:
        console.print(*rich_tables(summary), sep="\n")
    results_file = shown(run_folder / "results.parquet")
    _write(
        console,
        [
            *found,
            f"Results: {results_file}, report: {shown(page)}",
            f"TensorBoard: {typed('tensorboard', '--logdir', shown(run_folder))}",
        ],
    )


def _tell_hidden(num_points: int) -> list[str]:
    """Return which points of a search the table has, where some are left out of it."""
    if not num_points:
        return []
    rest = "1 more is" if num_points == 1 else f"{num_points} more are"
    best = "the baseline, what was trained on fresh seeds, and the best points"
    return [f"These are {best}; {rest} in the report."]


def _write(console: Console, lines: list[str]) -> None:
    """Write lines as they are: commands and paths must not be broken or read as markup."""
    for line in lines:
        console.print(line, markup=False, emoji=False, soft_wrap=True)
