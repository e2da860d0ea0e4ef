"""What a reader must know before believing a number, as far as the results tell."""

from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

from rayoff.report.effects import Effect, num_tested
from rayoff.report.tables import Row
from rayoff.results import ENDED_STATUSES, STATUSES, count_runs, run_table
from rayoff.stats import MIN_BOOTSTRAP_RUNS

ENOUGH_RUNS = 10
"""Runs of a cell from which an interval named 95% covers about as much, by simulation
(benchmarks/interval_coverage.py)."""


def progress(frame: pd.DataFrame) -> str | None:
    """Return how far an unfinished study is, None if every run has ended.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    counts = Counter[str]()
    for cell in count_runs(frame).to_dict(orient="records"):
        counts.update({name: cell[name] for name in STATUSES})
    num_ended, num_runs = sum(counts[name] for name in ENDED_STATUSES), counts.total()
    if num_ended == num_runs:
        return None
    rest = ", ".join(f"{counts[name]} {name}" for name in STATUSES if name not in ENDED_STATUSES)
    return f"{num_ended} of {num_runs} runs have ended ({rest})"


def caveats(frame: pd.DataFrame, summary: pd.DataFrame, effects: list[Effect]) -> list[str]:
    """Return the sentences that apply to these results.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        summary: of those results, as ``summarize`` returns it.
        effects: of those results, as ``find_effects`` returns them.
    """
    rows = summary.to_dict(orient="records")
    return [*_of_runs(frame, rows), *_of_scores(frame, rows), *_of_design(frame, effects)]


def _of_runs(frame: pd.DataFrame, rows: list[Row]) -> Iterator[str]:
    if state := progress(frame):
        yield (
            f"{state}: the table and the figures hold what there is, the headline and the "
            "effects only runs that have ended."
        )
    cells = count_runs(frame).to_dict(orient="records")
    if num_failed := sum(cell["failed"] for cell in cells):
        yield f"{num_failed} runs failed with an error and are left out of all numbers."
    sizes = {row["num_runs"] for row in rows} - {0}
    if sizes and min(sizes) < MIN_BOOTSTRAP_RUNS:
        yield (
            f"Some cells have only {min(sizes)} run(s). Below {MIN_BOOTSTRAP_RUNS} the interval "
            "is that of the mean, by Student's t with pooled variance: named 95%, it covers 84% "
            "to 97% with 3 runs of one dataset, the less where some diverged."
        )
    elif sizes and min(sizes) < ENOUGH_RUNS:
        yield (
            f"Some cells have only {min(sizes)} runs: with 5, an interval named 95% covers about "
            "89%, with 10 about 94%."
        )
    if len(sizes) > 1:
        yield f"Cells have from {min(sizes)} to {max(sizes)} runs."


def _of_scores(frame: pd.DataFrame, rows: list[Row]) -> Iterator[str]:
    reasons = dict.fromkeys(row["eval_skipped"] for row in rows if row["eval_skipped"])
    for reason in reasons:
        names = _names(row["dataset"] for row in rows if row["eval_skipped"] == reason)
        because = reason.removesuffix(".")
        yield f"There is no score for {names}: {because}. Arms are compared by divergence."
    runs = run_table(frame).to_dict(orient="records")
    if names := _names(run["dataset"] for run in runs if run["measure"] == "return"):
        yield f"{names}: no reference returns, so results are raw returns and never pooled."
    if names := _names(run["dataset"] for run in runs if run["score_source"] == "d4rl_table"):
        yield (
            f"{names}: reference returns are D4RL's for the environment's family. Scores compare "
            "arms here, not with papers on another version of the environment."
        )
    if not any(row["measure"] for row in rows):
        return
    if any(row["num_diverged"] for row in rows):
        yield (
            "A diverged run counts with the floor: score 0, or without references the worst "
            "return in the data. Leaving it out would reward instability."
        )
    yield "Best is the mean of each run's largest evaluation: optimistic by construction."


def _of_design(frame: pd.DataFrame, effects: list[Effect]) -> Iterator[str]:
    modes = set(frame["config.stopper.mode"]) if "config.stopper.mode" in frame else set()
    if "observe" in modes:
        yield (
            "The stopper only observed: every run trained to its end, and counts as diverged "
            "where its |Q| ended far beyond the bound."
        )
    shares = frame.get("config.stopper.audit_fraction")
    if shares is not None and shares.max() > 0:
        yield (
            f"The stopper lets {shares.max():.0%} of the runs that it gives up train on as an "
            "audit: they count as diverged by their end, runs that it stops by their stop."
        )
    if "off" in modes:
        yield "The stopper was off: no run counts as diverged, whatever its |Q|."
    if min(frame["fraction"]) < 1:
        yield (
            "All runs at a fraction share one subset of the data: intervals cover the seeds of "
            "training, not the choice of the subset."
        )
    if bool(frame["phase"].notna().to_numpy().any()):
        yield (
            "A search chooses its winner for its score, which is therefore optimistic: believe "
            "what it scores on fresh seeds."
        )
    if "run" in frame:
        if apart := settings_apart(frame):
            yield f"{apart} What tells their arms apart may be that, and not the arms."
        yield (
            "Run folders may differ in code, versions and machine as well: where each comes from "
            "is told under Where it comes from."
        )
    if (tested := num_tested(effects)) > 1:
        survived = sum(effect.survives for effect in effects)
        yield (
            f"{tested} comparisons were tested; {survived} survive Holm's correction at 5%. "
            "Verdicts are each effect's own, without it: of 20 choices without any effect, one or "
            "two would get one."
        )


def settings_apart(frame: pd.DataFrame) -> str:
    """Return by which settings whole run folders differ, as a sentence; empty where by none.

    Args:
        frame: results of a comparison, with the column ``run``; of one folder there are none.
    """
    if "run" not in frame:
        return ""
    texts = frame.astype({name: str for name in frame if name.startswith("config.")})
    parts = []
    for name in texts.columns[texts.columns.str.startswith("config.")]:
        values = texts.groupby("run", sort=False)[name].unique()
        if all(len(own) == 1 for own in values) and len({own[0] for own in values}) > 1:
            told = ", ".join(f"{own[0]} in {run}" for run, own in values.items())
            parts.append(f"{name.removeprefix('config.')} ({told})")
    return f"The run folders differ in {'; '.join(parts)}." if parts else ""


def _names(datasets: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(datasets))
