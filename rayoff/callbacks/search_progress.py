"""How far a search is: its points, the best of them so far, and the time left."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console

from rayoff.callbacks.observer import guarded
from rayoff.callbacks.progress import Progress, clock
from rayoff.study import Search
from rayoff.study.records import PointRecord


class SearchProgress(Progress):
    """Tells how many points have ended, and the best, in the manner of ``Progress``.

    Args:
        search: what is searched for.
        records: gives the points as they are now.
        console: where to write; None: standard output.
    """

    def __init__(
        self,
        search: Search,
        records: Callable[[], Sequence[PointRecord]],
        console: Console | None = None,
    ) -> None:
        super().__init__([], [], console)
        self._search, self._records = search, records
        self._num_before = sum(one.ended is not None for one in records())

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ANN401
        """Note that a trial trains, of which nobody knew before."""
        self.expect(trial.config["planned"])
        super().on_trial_start(iteration, trials, trial, **info)

    def line(self) -> str:
        """Return the state of the search in one line."""
        points = [one for one in self._records() if one.phase == "search"]
        count = Counter(one.state for one in points)
        ended = len(points) - count["running"]
        total = f" of {self._search.num_points}" if self._search.num_points else ""
        infeasible = sum(one.feasible is False for one in points)
        given_up = [f"{count['pruned']} given up"] if count["pruned"] else []
        parts = [
            f"[{self.elapsed()}] {ended}{total} points ended",
            f"{count['running']} running",
            f"{count['failed']} failed",
            f"{infeasible} infeasible",
            *given_up,
            *_best(points),
            *self._confirmation(),
            *self._points_left(ended),
        ]
        return ", ".join(parts)

    def result_of(self, trial_id: str, report: dict[str, Any]) -> str:
        """Return the score by which a point of one trial is judged, else that of the report."""
        for one in self._records():
            if [trial.trial_id for trial in one.trials] == [trial_id] and one.values:
                given_up = one.reason if one.state == "pruned" else None
                return given_up or f"score {one.values['score']:.1f}"
        return super().result_of(trial_id, report)

    def _confirmation(self) -> list[str]:
        """Return how far the confirmation is, as a part of the line."""
        fresh = [one for one in self._records() if one.phase == "confirm"]
        done = sum(one.state == "complete" for one in fresh)
        return [f"{done} of {len(fresh)} confirmed on fresh seeds"] if fresh else []

    def _points_left(self, ended: int) -> list[str]:
        """Return the time left by the pace of the session, where the points are counted."""
        new = ended - self._num_before
        left = (self._search.num_points or 0) - ended
        if self._training_since is None or new < 1 or left < 1:
            return []
        return [f"about {clock((time.monotonic() - self._training_since) * left / new)} left"]


def _best(points: Sequence[PointRecord]) -> list[str]:
    """Return the best feasible point beside the baseline, as a part of the line."""
    own = [one for one in points if one.state == "complete" and one.same_as is None]
    feasible = [one for one in own if one.feasible]
    if not feasible:
        return []
    best = max(feasible, key=lambda one: one.values["score"])
    told = f"best so far p{best.number:03d} (score {best.values['score']:.1f}"
    known = [one.values["score"] for one in points if one.origin == "baseline" and one.values]
    return [f"{told}, baseline {known[0]:.1f})" if known else f"{told})"]
