"""Studies from Python, as in a notebook: run one, look at its answer, take its policies along."""

import warnings
from collections.abc import Iterable
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from rayoff.errors import ResultsError
from rayoff.report import analyse, answers, draw_figures, read_search, report_tables, write_report
from rayoff.results import collect, measure_trial, read_results, write_metrics
from rayoff.search import Resources, RunFolder
from rayoff.search.commands import shown
from rayoff.search.run_folder import place_of
from rayoff.search.supervision import Supervision
from rayoff.study import Study, load_study, trials, with_absolute_sources
from rayoff.study.design import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rayoff.trial import Policy

_ROWS = "results"
"""Name of the table that all others are made of."""


class Results:
    """The answer of a study, finished or not, as its run folder held it when this was made.

    In a notebook it shows as its headlines and its summary.

    Args:
        folder: the run folder, ``runs/<study>-<hash>``.

    Raises:
        ResultsError: there is no such folder, or what it holds cannot be read.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        has_trials = (self.folder / "trials").is_dir()
        # Not the results.parquet beside them: trials may have gone on since it was written.
        self._frame = collect(self.folder).to_pandas() if has_trials else read_results(self.folder)
        self._analysis, self._summary = analyse(self._frame, read_search(self.folder))

    @property
    def headlines(self) -> list[str]:
        """The sentences that answer the study, as in the report."""
        return [str(headline) for headline in answers(self._frame, self._analysis)]

    @property
    def trials(self) -> list[str]:
        """The ids of the trials, in the study's order; their folders lie under ``trials/``."""
        return self._frame["trial"].drop_duplicates().tolist()

    @property
    def tables(self) -> list[str]:
        """The names of the tables: ``results``, and those of the report."""
        return list(self._tables)

    def table(self, name: str = "summary") -> pd.DataFrame:
        """Return a table with all numbers, unrounded.

        Args:
            name: one of ``tables``; ``results`` has a row for each run and report step, with the
                columns of ``rayoff.results.RESULT_COLUMNS``.

        Raises:
            ResultsError: there is no such table in these results.
        """
        return self._tables[_known(name, "table", self._tables)].copy()

    def arrow(self, name: str = "summary") -> pa.Table:
        """Return a table as Arrow; see ``table``."""
        return pa.Table.from_pandas(self.table(name), preserve_index=False)

    @cached_property
    def figures(self) -> "dict[str, Figure]":
        """The figures of the report that these results allow, by name."""
        return draw_figures(self._analysis)

    def policy(self, trial: str, seed: int | None = None) -> "Policy":
        """Return the trained policy of one run.

        Args:
            trial: one of ``trials``.
            seed: of the run; None: the trial's first.

        Raises:
            ResultsError: the study has no such trial.
            CheckpointError: the trial is not finished.
            StudyError: the trial has no such run.
        """
        return load_policy(self.folder / "trials" / _known(trial, "trial", self.trials), seed)

    def write_report(self) -> Path:
        """Write the report into the run folder, as it is now; return its ``report.html``."""
        return write_report(self.folder)

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        found = report_tables(self._frame, self._summary, self._analysis)
        return {_ROWS: self._frame} | {name: table.data for name, table in found.items()}

    def __repr__(self) -> str:
        """Return where the results are, and how many."""
        num_runs = len(self._frame.drop_duplicates(["trial", "seed"]))
        return f"Results({shown(self.folder)!r}: {len(self.trials)} trials, {num_runs} runs)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.headlines)
        return f"<ul>{sentences}</ul>{self._summary.to_html(index=False)}"


def run(
    study: Study | str | Path,
    *,
    runs_dir: Path | str = "runs",
    resources: Resources | None = None,
    supervision: Supervision | None = None,
) -> Results:
    """Train a study, write its report, and return its results.

    One that was begun goes on, one that is finished is only read: a notebook can be run again
    from its top.

    Args:
        study: made in Python, or the name or path of a study file.
        runs_dir: where the run folder is made.
        resources: what each trial asks for; None: one CPU, and a share of a GPU where one is.
        supervision: when it is given up, and who follows it besides; None: never, and nobody.

    Raises:
        StudyError: the study is wrong, or its resources cannot be granted.
        DatasetError: its data cannot be read.
        ResultsError: another process trains in the folder.
        TrackerError: the tracker cannot be reached.
        RayoffError: Ray broke off; what was trained is kept.
        KeyboardInterrupt: it was interrupted; what was trained is kept.

    Warns:
        RuntimeWarning: trials failed; their folders have ``error.txt``.
    """
    made = study if isinstance(study, Study) else load_study(study)
    made = with_absolute_sources(made)
    trials(made)
    begun = folder = RunFolder.begun(Path(runs_dir), made)
    if begun is not None and begun.is_complete():
        return Results(begun.path)
    from rayoff.search import train
    from rayoff.search.tables import load_study_tables

    tables = None
    if folder is None:
        tables = load_study_tables(made)
        again = shown(place_of(Path(runs_dir), made) / "study.json")
        folder = RunFolder.create(Path(runs_dir), made, ["rayoff", "run", again])
    outcome = train(
        folder,
        resources or Resources(),
        write_metrics,
        measure_trial,
        tables=tables,
        resumed_by=["rayoff", "resume", str(folder)] if begun else None,
        supervision=supervision or Supervision(),
    )
    write_report(folder.path)
    if outcome.failed:
        names = ", ".join(outcome.failed)
        message = f"{len(outcome.failed)} trials of {folder} failed, see their error.txt: {names}."
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    elif outcome.unfinished or outcome.search_left:
        raise KeyboardInterrupt(outcome.ended_by)
    return Results(folder.path)


def load(folder: Path | str) -> Results:
    """Return the results of a run folder, finished or not; nothing is written.

    Args:
        folder: ``runs/<study>-<hash>``.

    Raises:
        ResultsError: there is no such folder, or what it holds cannot be read.
    """
    return Results(folder)


def load_policy(folder: Path | str, seed: int | None = None) -> "Policy":
    """Return a trained policy, which maps observations to actions of the environment in numpy.

    Args:
        folder: of the trial, ``runs/<study>-<hash>/trials/<trial>``.
        seed: of the run; None: the trial's first.

    Raises:
        CheckpointError: the folder holds no weights of a finished trial.
        StudyError: the trial has no such run.
    """
    from rayoff.search import Policies

    return Policies(Path(folder)).policy(seed)


def _known(name: str, kind: str, names: Iterable[str]) -> str:
    """Return a name that is among ``names``."""
    known = list(names)
    if name not in known:
        listed = ", ".join(known) if len(known) <= 20 else f"one of {len(known)}"
        raise ResultsError(
            f"These results have no {kind} {name!r}.{did_you_mean(name, known)} "
            f"There are: {listed}."
        )
    return name
