"""The run folder: what a study is, and which of its trials are finished."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from rayoff.errors import ResultsError
from rayoff.files import replace_file
from rayoff.provenance import gather
from rayoff.search.archive import is_finished
from rayoff.search.commands import shown, typed
from rayoff.study import PlannedTrial, Study, from_json, study_hash, to_json, trials
from rayoff.study.records import is_over, mark_over, read_records


class RunFolder:
    """``runs/<name>-<hash>``: a study, its trials' files, and nothing that only Ray can read.

    Args:
        path: the folder.
        study: what it holds.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path.absolute()
        self.study = study
        self._foreseen = trials(study)

    @property
    def planned(self) -> list[PlannedTrial]:
        """The trials of the study; of a search those that are known so far, the baseline's first.

        Raises:
            ResultsError: the record of a point is damaged.
        """
        found = {trial.trial_id: trial for trial in self._foreseen}
        for record in read_records(self.path):
            found |= {trial.trial_id: trial for trial in record.trials}
        return list(found.values())

    def __str__(self) -> str:
        """Return the path as it is typed: relative to the working directory if it is below."""
        return shown(self.path)

    @classmethod
    def begun(cls, runs: Path, study: Study) -> "RunFolder | None":
        """Return the folder of a study that was begun, finished or not, None if it never was.

        Args:
            runs: parent of all run folders.
            study: checked study.
        """
        path = place_of(runs, study)
        return cls(path, study) if (path / "study.json").exists() else None

    @classmethod
    def finished(cls, runs: Path, study: Study) -> "RunFolder | None":
        """Return the folder of a study that was trained to its end, None if it was never run.

        Args:
            runs: parent of all run folders.
            study: checked study.

        Raises:
            ResultsError: the study was begun, or is in training; the message says how to go on.
        """
        folder = cls.begun(runs, study)
        if folder is not None and not folder.is_complete():
            with folder.locked():  # else it is in training
                raise ResultsError(_why_not_again(folder))
        return folder

    @classmethod
    def create(cls, runs: Path, study: Study, command: Sequence[str]) -> "RunFolder":
        """Make the folder of a study, with the study and where it comes from.

        Args:
            runs: parent of all run folders.
            study: checked study.
            command: the command line, for the record.

        Raises:
            ResultsError: the study was run before; the message says how to go on.
        """
        if finished := cls.finished(runs, study):
            raise ResultsError(_why_not_again(finished))
        path = place_of(runs, study)
        path.mkdir(parents=True, exist_ok=True)
        _write_json(path / "provenance.json", gather(command))
        # Last: a folder with a study is one that can be resumed.
        replace_file(path / "study.json", to_json(study))
        return cls(path, study)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Return the run folder at a path.

        Raises:
            ResultsError: the folder is not there, or holds no study.
        """
        file = path / "study.json"
        if not file.exists():
            raise ResultsError(
                f"{path} must be a run folder, with a study.json, but got none. "
                "Give the folder that `rayoff run` printed, runs/<study>-<hash>."
            )
        return cls(path, from_json(file.read_text(encoding="utf-8")))

    def note_resume(self, command: Sequence[str]) -> None:
        """Append command, commit, diff, environment and time of a resume to ``provenance.json``.

        Args:
            command: the command line.
        """
        path = self.path / "provenance.json"
        provenance = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        now = gather(command)
        git = now["git"] or {"commit": None, "diff": None}
        entry = {
            "command": now["command"],
            "commit": git["commit"],
            "diff": git["diff"],
            "environment": now["environment"]["sha256"],
            "time": now["started"],
        }
        provenance.pop("ended", None)
        _write_json(path, provenance | {"resumed": [*provenance.get("resumed", []), entry]})

    def note_end(self) -> None:
        """Note in ``provenance.json`` that the study has just ended, unless it had before."""
        path = self.path / "provenance.json"
        provenance = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if "ended" not in provenance:
            _write_json(
                path, provenance | {"ended": datetime.now(UTC).isoformat(timespec="seconds")}
            )

    def trial_folder(self, trial_id: str) -> Path:
        """Return where a trial's files lie."""
        return self.path / "trials" / trial_id

    def is_finished(self, trial_id: str) -> bool:
        """Return whether a trial has its final results."""
        return is_finished(self.trial_folder(trial_id))

    def unfinished(self) -> list[PlannedTrial]:
        """Return the trials that have no final results and shall have some, in their order."""
        given_up = {
            trial.trial_id
            for record in read_records(self.path)
            if record.state in ("failed", "pruned")
            for trial in record.trials
        }
        left = [trial for trial in self.planned if trial.trial_id not in given_up]
        return [trial for trial in left if not self.is_finished(trial.trial_id)]

    def is_complete(self) -> bool:
        """Return whether nothing is left to do: no trial, or no point of a search."""
        return not self.unfinished() if self.study.search is None else self.is_searched()

    def outlook(self) -> str:
        """Return what is left to do, as the beginning of a sentence."""
        if self.study.search is None:
            return f"{len(self.unfinished())} of {len(self.planned)} trials to train"
        ended = sum(one.ended is not None for one in read_records(self.path))
        budget = {
            "points": self.study.search.num_points,
            "hours": self.study.search.hours,
            "device-hours": self.study.search.device_hours,
        }
        told = " or ".join(f"{most:g} {unit}" for unit, most in budget.items() if most is not None)
        return f"A search of {told}" + (f", of which {ended} points have ended," if ended else "")

    def is_searched(self) -> bool:
        """Return whether a search has spent its budget, and confirmed its winner."""
        return is_over(self.path)

    def mark_searched(self) -> None:
        """Note that a search is over."""
        mark_over(self.path)

    def failed(self) -> list[str]:
        """Return the ids of the trials that ended with an error."""
        return [
            trial.trial_id
            for trial in self.unfinished()
            if (self.trial_folder(trial.trial_id) / "error.txt").exists()
        ]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other drivers out; the lock ends with the process, however it ends.

        Raises:
            ResultsError: another process trains in this folder.
        """
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                see = typed("rayoff", "report", str(self))
                raise ResultsError(
                    f"{self} must have one driver but is in training already, by {_holder(file)}. "
                    f"Wait for it, or end it first. See what it has so far with: {see}"
                ) from error
            _sign(file)
            yield


def _sign(lock: IO[str]) -> None:
    """Write into a lock file who holds it, and since when."""
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}")
    lock.flush()


def _holder(lock: IO[str]) -> str:
    """Return who holds a lock file."""
    lock.seek(0)
    return lock.read() or "another process"


def _write_json(path: Path, content: object) -> None:
    replace_file(path, json.dumps(content, indent=1))


def place_of(runs: Path, study: Study) -> Path:
    """Return where the folder of a study lies among all run folders."""
    return runs / f"{study.name}-{study_hash(study)}"


def _why_not_again(folder: RunFolder) -> str:
    start = f"{folder} must not exist yet but holds this study, "
    if not folder.is_complete():
        again = typed("rayoff", "resume", str(folder))
        unfinished = f"{len(folder.unfinished())} of {len(folder.planned)} trials unfinished"
        if folder.study.search is not None:
            unfinished = f"its search unfinished after {len(read_records(folder.path))} points"
        return f"{start}with {unfinished}. Go on with: {again}"
    again = typed("rayoff", "report", str(folder))
    return (
        f"{start}finished. See its results with: {again}. To train again, remove it, or change "
        "the study: --set, --seeds or --runs-dir."
    )
