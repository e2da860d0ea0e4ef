"""When a study is given up, and who follows it; light, so that a mistake is told at once."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from rayoff.errors import StudyError, TrackerError

TrackerName = Literal["wandb", "mlflow"]
"""The package of a tracker, and the extra that installs it."""


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """When a study is given up, and who follows it besides.

    Raises:
        StudyError: no count of failed trials.
        TrackerError: the tracker is not installed.
    """

    max_failures: int | None = None
    """Failed trials after which the study ends; None: it never does."""
    track: TrackerName | None = None
    """A tracker that is told of all reports besides; the extra of its name installs it, and
    ``resume`` goes on with the same one where it is given again. None: no one is told."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.max_failures is not None and self.max_failures < 1:
            raise StudyError(f"--max-failures must be at least 1 but got {self.max_failures}.")
        if self.track is not None:
            _check_installed(self.track)


def _check_installed(tracker: TrackerName) -> None:
    spec = find_spec(tracker)
    # A folder of that name in the working directory, such as W&B leaves behind, has no origin.
    if spec is None or spec.origin is None:
        raise TrackerError(
            f"--track {tracker} must find the package {tracker} but it is not installed. "
            f"Install the extra: pip install 'rayoff[{tracker}]'."
        )
