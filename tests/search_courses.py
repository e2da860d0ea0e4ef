"""The course of a search whose trials are not trained: they have the scores that are invented."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from tiny_searches import make_search

from rayoff.search import RunFolder
from rayoff.search.archive import Archive
from rayoff.search.exploration import Exploration
from rayoff.study import PlannedTrial
from rayoff.study.records import PointRecord, read_records

SOURCE = "parquet:pendulum"
SECONDS = 30.0
DEVICE_SHARE = 0.5
Score = Callable[[PlannedTrial], float]


def width(trial: PlannedTrial) -> float:
    """Score a trial by its width."""
    return float(trial.config.critic.width)


class Course:
    """A search in a folder, whose trials have the scores that are invented for them.

    Args:
        parent: of the run folder.
        score: of a trial; of an infinite one all runs diverge.
        study: changes of the search.
    """

    def __init__(self, parent: Path, score: Score = width, **study: Any) -> None:  # noqa: ANN401
        self.folder = RunFolder.create(parent, make_search(SOURCE, **study), [])
        self.score, self.trained, self.now = score, [], 1000.0
        self._planned: dict[Path, PlannedTrial] = {}
        self.again()

    def again(self) -> None:
        """Go on in another process, which knows the folder alone."""
        self.exploration = Exploration(self.folder, self.measure, clock=lambda: self.now)

    def measure(self, folder: Path, seeds: Sequence[int]) -> Mapping[str, float]:
        value = self.score(self._planned[folder])
        diverged = 1.0 if math.isinf(value) else 0.0
        return {
            "score": 0.0 if diverged else value,
            "device_seconds": DEVICE_SHARE * SECONDS,
            "divergence_rate": diverged,
            "num_diverged": diverged * len(seeds),
        }

    def begin(self) -> PlannedTrial | None:
        """Return the next trial."""
        planned = self.exploration.next_trial()
        if planned is not None:
            self._planned[self.folder.trial_folder(planned.trial_id)] = planned
        return planned

    def finish(self, planned: PlannedTrial) -> None:
        """Let a trial be trained to its end."""
        self.now += SECONDS
        self.trained.append(planned.trial_id)
        Archive(self.folder.path / "trials").finish(planned.trial_id, {})

    def end(self, planned: PlannedTrial) -> None:
        self.finish(planned)
        self.exploration.trial_ended(planned.trial_id)

    def run(self, most: int = 1000) -> None:
        """Train one trial after the other until nothing is left, or so many."""
        for _ in range(most):
            if (planned := self.begin()) is None:
                return
            self.end(planned)

    @property
    def records(self) -> list[PointRecord]:
        return read_records(self.folder.path)

    @property
    def told(self) -> list[FrozenTrial]:
        """What a process without rayoff finds in the journal."""
        storage = JournalStorage(JournalFileBackend(str(self.folder.path / "optuna.journal")))
        return optuna.load_study(study_name="tiny_search", storage=storage).trials
