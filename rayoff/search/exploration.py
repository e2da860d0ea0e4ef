"""The course of a search: which trial is next, what became of each point, and when it is over.

Nothing here knows Ray. A point is first asked of the journal, then recorded in the run folder,
then trained; it is first recorded as ended, then told to the journal. So wherever a process is
killed, the next one knows from the two what is left to do.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rayoff.errors import ResultsError, StudyError
from rayoff.search.budget import seconds_under_way, spent
from rayoff.search.journal import FILE, Journal, make_pruner
from rayoff.search.ledger import Ledger
from rayoff.search.run_folder import RunFolder
from rayoff.search.verdicts import annotations, evaluated, excess_divergence, pruned, winner
from rayoff.study import PlannedTrial
from rayoff.study.points import PlannedPoint, given_points, on_fresh_seeds, plan_point, search_of
from rayoff.study.records import Origin, PointRecord
from rayoff.study.search_checks import checked_search_study
from rayoff.study.space import Draw

Measure = Callable[[Path, Sequence[int]], Mapping[str, float]]
"""Gives the results of a trial from its folder and its seeds: ``rayoff.results.measure_trial``."""

_MAX_REPEATS = 100
"""Known points in a row after which the space counts as exhausted."""


class Exploration:
    """A search that begins, or goes on from what its run folder holds.

    Attributes:
        search: what is searched for.
        failed: trials that failed in this session.

    Args:
        folder: the run folder, locked.
        measure: of a finished trial.
        clock: gives the time [s since 1970].

    Raises:
        ResultsError: the folder has records of points but no journal.
    """

    def __init__(
        self,
        folder: RunFolder,
        measure: Measure,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._measure, self._clock = folder, measure, clock
        self._study = checked_search_study(folder.study)
        self.search = search_of(self._study)
        self._given = given_points(self._study)
        self._ledger = Ledger(folder.path)
        self._queue: deque[PlannedTrial] = deque()
        self._left: dict[str, set[str]] = {}
        self._owners: dict[str, str] = {}
        self._exhausted = False
        self.failed: list[str] = []
        self._forgiven = {one.name for one in self._ledger.searched if one.state == "failed"}
        self._seconds_before = seconds_under_way(self._ledger.searched)
        self._began = clock()
        self._journal = self._open_journal()
        self._take_up()

    @property
    def running(self) -> list[str]:
        """Trials of the points that have not ended, without those that are finished."""
        return [trial_id for left in self._left.values() for trial_id in sorted(left)]

    def records(self) -> list[PointRecord]:
        """Return what is known of every point."""
        return self._ledger.all

    def next_trial(self) -> PlannedTrial | None:
        """Return the trial that begins next; None: none, or none before another one ends."""
        num_asked = 0
        while not self._queue and (self.why_spent() is None or self._owes_baseline()):
            number, draw = self._journal.ask()
            self._begin(number, draw)
            num_asked += 1
            self._exhausted = not self._queue and num_asked == _MAX_REPEATS
        if not self._queue and not self._left and not self._folder.is_searched():
            self._confirm()
        return self._queue.popleft() if self._queue else None

    def _owes_baseline(self) -> bool:
        """Return whether the baseline is still to come, which no budget can spare."""
        return self._ledger.baseline is None and self._journal.num_waiting > 0

    def why_spent(self) -> str | None:
        """Return which budget is spent, as a sentence; None: none is."""
        if self._exhausted:
            return f"{_MAX_REPEATS} points in a row were known already"
        counted = [one for one in self._ledger.searched if one.name not in self._forgiven]
        seconds = self._seconds_before + self._clock() - self._began
        return spent(self.search, counted, seconds)

    def trial_ended(self, trial_id: str) -> None:
        """Take note that a trial has ended; with the last one of a point, the point has.

        One that is not finished was interrupted, and stays running.
        """
        name = self._owners.get(trial_id)
        if name not in self._left or not self._folder.is_finished(trial_id):
            return
        self._left[name].discard(trial_id)
        if not self._left[name]:
            self._end(self._ledger[name])

    def trial_failed(self, trial_id: str) -> None:
        """Take note that a trial has failed, and with it its point."""
        self.failed.append(trial_id)
        name = self._owners.get(trial_id)
        if name in self._left:
            self._end_failed(self._ledger[name], f"trials/{trial_id}/error.txt says why")

    def is_behind(self, trial_id: str, step: int, score: float) -> bool:
        """Return whether a point is given up by its score on the way; if so, it has ended.

        The baseline never is: it is what the winner is compared with.

        Args:
            trial_id: the point's trial.
            step: of its evaluation [step].
            score: mean over its runs, finite.
        """
        name = self._owners.get(trial_id)
        if name not in self._left or self._ledger[name].phase == "confirm":
            return False
        record = self._ledger[name]
        behind = self._journal.is_behind(record.number, step, score)
        if not behind or record.origin == "baseline":
            return False
        self._left.pop(name)
        ended = pruned(self._evaluated(record), step, score)
        self._end_as(replace(ended, ended=self._clock()))
        return True

    def _open_journal(self) -> Journal:
        """Return the journal, in which the given points wait that were not asked for yet."""
        path = self._folder.path / FILE
        if self._ledger.all and not path.exists():
            raise ResultsError(
                f"{path} must hold the course of the search but is missing. Put it back, or "
                "remove the run folder and begin anew."
            )
        num_steps = self._given[0].trials[0].config.num_steps
        journal = Journal(path, self._study.name, self.search, make_pruner(self.search, num_steps))
        for point in self._given[len(journal) :]:
            journal.enqueue(point.params)
        return journal

    def _take_up(self) -> None:
        """Go on where the folder and the journal were left."""
        untold = self._journal.running()
        for record in self._ledger.all:
            if record.state == "running" or (record.phase, record.state) == ("confirm", "failed"):
                self._resume(record)
            elif record.phase == "search" and record.number in untold:
                self._tell(record)
        for number in untold:
            if f"{number:04d}" not in self._ledger:
                self._begin(number, self._journal.ask_again(number))
        if self._ledger.baseline is None and not self._journal.num_waiting:  # it failed
            self._journal.enqueue(self._given[0].params)

    def _resume(self, record: PointRecord) -> None:
        """Train what is left of a point."""
        blank = {"state": "running", "feasible": None, "reason": None, "ended": None}
        again = replace(record, **blank, started=self._clock())
        if record.same_as is None:
            self._start(again)
        else:
            self._ledger.write(again)
            self._follow(again)

    def _begin(self, number: int, draw: Draw) -> None:
        """Record a point that was asked for, and queue its trials, if it is a new one."""
        blank = PointRecord.blank(number, self._clock())
        try:
            point = plan_point(self._study, number, draw)
        except StudyError as error:
            self._end_failed(blank, str(error))
            return
        twin = self._ledger.twin(point.identity, number)
        record = replace(
            blank,
            origin=self._origin(point) if twin is None else "sampled",
            params=point.params,
            dimensions=point.dimensions,
            same_as=twin,
            trials=point.trials if twin is None else [],
        )
        if record.same_as is None:
            self._start(record)
        else:
            self._ledger.write(record)
            self._follow(record)

    def _origin(self, point: PlannedPoint) -> Origin:
        given = [one.params for one in self._given]
        if point.params not in given:
            return "sampled"
        return "known" if given.index(point.params) else "baseline"

    def _start(self, record: PointRecord) -> None:
        """Queue the trials of a point that are not finished; without any, it has ended."""
        self._ledger.write(record)
        unfinished = [one for one in record.trials if not self._folder.is_finished(one.trial_id)]
        self._left[record.name] = {trial.trial_id for trial in unfinished}
        self._owners |= {trial.trial_id: record.name for trial in unfinished}
        self._queue.extend(unfinished)
        if not unfinished:
            self._end(record)

    def _follow(self, record: PointRecord) -> None:
        """Give a point the values of the earlier one with its configuration, once it has some."""
        first = self._ledger[f"{record.same_as:04d}"]
        if first.state == "failed":
            self._end_failed(record, f"point {first.number} has its configuration and failed")
        elif first.state != "running":
            ended = replace(
                record,
                state=first.state,
                values=first.values,
                feasible=first.feasible,
                reason=first.reason,
                ended=self._clock(),
            )
            self._end_as(ended)

    def _end(self, record: PointRecord) -> None:
        """Record what a point amounts to, and tell it."""
        self._left.pop(record.name, None)
        ended = self._evaluated(record)
        if ended.state == "failed":
            self._end_failed(record, ended.reason or "")
        else:
            self._end_as(replace(ended, ended=self._clock()))

    def _evaluated(self, record: PointRecord) -> PointRecord:
        """Return the record with what its trials amount to."""
        measured = [
            self._measure(self._folder.trial_folder(trial.trial_id), trial.config.seeds)
            for trial in record.trials
        ]
        return evaluated(record, measured, self.search)

    def _end_failed(self, record: PointRecord, reason: str) -> None:
        """Record that a point has no result; its configuration may be tried again."""
        self._left.pop(record.name, None)
        self._queue = deque(trial for trial in self._queue if trial not in record.trials)
        self._ledger.forget_configuration(record)
        self._end_as(replace(record, state="failed", reason=reason, ended=self._clock()))

    def _end_as(self, record: PointRecord) -> None:
        """Write and tell a point that has ended, and those that have its values."""
        self._ledger.write(record)
        if record.phase == "confirm":
            return
        self._tell(record)
        for other in self._ledger.followers(record):
            self._follow(other)

    def _tell(self, record: PointRecord) -> None:
        """Tell the journal how a point has ended."""
        about = annotations(record, self.search)
        if record.state == "failed":
            self._journal.fail(record.number, about)
            return
        excess = excess_divergence(record, self.search)
        if record.state == "pruned":
            self._journal.prune(record.number, excess, about)
            return
        values = [record.values[name] for name in self.search.objectives]
        self._journal.tell(record.number, values, excess, about)

    def _confirm(self) -> None:
        """Queue the winner and the baseline on fresh seeds; where that was done, it is over."""
        confirmed = {one.number for one in self._ledger.confirmed}
        baseline = self._ledger.baseline
        wanted = [one for one in (baseline, winner(self._ledger.searched)) if one is not None]
        for record in {one.number: one for one in wanted}.values():
            if self.search.num_confirm_seeds and record.number not in confirmed:
                trials = on_fresh_seeds(self._study, record.trials)
                self._resume(replace(record, phase="confirm", trials=trials, values={}))
        over = all(one.state == "complete" for one in self._ledger.confirmed)
        if over and not self._left and baseline is not None:
            self._folder.mark_searched()
