"""Ray Tune's view of a search: a searcher that hands out the trials of its points."""

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from rayoff.search.exploration import Exploration


class PointSearcher(Searcher):
    """Suggests the trials of an exploration, and tells it how they ended.

    Values are not taken from reports: those of a finished trial are read from its results, so
    that a report that is missing, nan or late changes nothing. A trial that was ended before its
    time, as by an interrupt, stays unfinished and is taken up by a resume.

    Args:
        exploration: what is searched.
    """

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self._exploration = exploration
        self._names: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - Ray's type leaves out FINISHED
        """Return the configuration of the next trial, None to wait, or that there is none."""
        planned = self._exploration.next_trial()
        if planned is None:
            return None if self._exploration.running else Searcher.FINISHED
        self._names[trial_id] = planned.trial_id
        return {"trial": planned.trial_id, "planned": planned}

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,
    ) -> None:
        """Tell the exploration how a trial ended; a second time changes nothing."""
        name = self._names.pop(trial_id, None)
        if name is None:
            return
        if error:
            self._exploration.trial_failed(name)
        else:
            self._exploration.trial_ended(name)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the run folder has all that is needed to go on."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing, as ``save`` writes nothing."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing, where Ray pickles the experiment: it is never restored from that."""
        return {}
