"""The files of trials, written by one process on the driver's node.

Trials send their files as bytes through Ray's object store. So workers need no shared file
system, a lost node takes nothing with it, and the run folder alone knows what is finished.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from rayoff.files import replace_file

DONE = "done"
"""Marker of a finished trial: written last, after all of its results."""

_CHECKPOINTS = "checkpoints"

Files = Mapping[str, bytes]
"""Content by path relative to a folder."""


class Archive:
    """Keeps the files of a run folder's trials.

    Every method may be repeated: a call that Ray retries, or that a kill broke off, leaves
    whole files only.

    Args:
        trials: the run folder's ``trials``.
    """

    def __init__(self, trials: Path) -> None:
        self._trials = trials

    def write(self, trial_id: str, files: Files) -> None:
        """Write files into a trial's folder in their order, each replaced at once."""
        for name, content in files.items():
            replace_file(self._trials / trial_id / name, content)

    def write_checkpoint(self, trial_id: str, step: int, files: Files) -> None:
        """Write a checkpoint as a whole, then remove the ones before it."""
        parent = self._trials / trial_id / _CHECKPOINTS
        partial, final = parent / f"{step:09d}.partial", parent / f"{step:09d}"
        shutil.rmtree(partial, ignore_errors=True)
        for name, content in files.items():
            replace_file(partial / name, content)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for other in parent.iterdir():
            if other != final:
                shutil.rmtree(other, ignore_errors=True)

    def read_checkpoint(self, trial_id: str) -> Files:
        """Return the files of a trial's latest whole checkpoint, none where there is none."""
        parent = self._trials / trial_id / _CHECKPOINTS
        whole = sorted(path for path in parent.glob("*") if path.suffix != ".partial")
        return read_files(whole[-1]) if whole else {}

    def finish(self, trial_id: str, files: Files) -> None:
        """Write a trial's last files, mark it as finished and drop its checkpoints."""
        self.write(trial_id, {**files, DONE: b""})
        shutil.rmtree(self._trials / trial_id / _CHECKPOINTS, ignore_errors=True)


def is_finished(folder: Path) -> bool:
    """Return whether a trial's folder holds its final results."""
    return (folder / DONE).exists()


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files under a folder by their relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(files: Files, folder: Path) -> None:
    """Write files under a folder, the inverse of ``read_files``."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
