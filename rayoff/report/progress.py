"""How far a study is, in one look: its arms by share of the data, and what is left to do."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rayoff.report.tables import format_fraction
from rayoff.results import StateReader, TrialState, is_over, read_json, read_points
from rayoff.search.commands import shown, typed
from rayoff.search.presence import Driver, find_driver

_MAX_ARMS = 24
"""Arms of a table; of more, those that train and then the best are shown."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A study as its run folder shows it at one moment."""

    run_folder: Path
    name: str
    """Of the study."""
    states: list[TrialState]
    driver: Driver | None
    """Who trains, or was the last to do so."""
    time: float
    """When it was taken [s since 1970]."""
    num_points: int | None = None
    """Points that a search evaluates in all; None: it is none, or has another budget."""
    num_points_ended: int | None = None
    """Points of a search that have ended; None: it is none."""
    num_points_begun: int = 0
    """Points of a search that have begun, ended or not."""
    num_points_training: int = 0
    """Points of a search that have trials and have not ended."""

    @property
    def is_complete(self) -> bool:
        """Whether every trial that is to be trained has ended, or a search has."""
        if self.num_points_ended is None:
            return all(state.has_ended for state in self.states)
        return is_over(self.run_folder)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will change by itself."""
        is_alive = self.driver is not None and self.driver.is_alive
        known_gone = self.driver is not None and self.driver.is_alive is False
        return known_gone or (self.is_complete and not is_alive)


class Watcher:
    """Takes snapshots of a run folder, reading only what changed since the last one.

    Args:
        run_folder: ``runs/<study>-<hash>``, which others may be writing, on any machine.
    """

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder
        self._reader = StateReader(run_folder)

    def look(self) -> Snapshot:
        """Return the study as it is now.

        Raises:
            ResultsError: there is no such folder, or its ``study.json`` is damaged.
        """
        study = read_json(self._run_folder / "study.json")
        search = study.get("search")
        ended, num_begun, num_training = None, 0, 0
        if search is not None:
            points = read_points(self._run_folder).query("phase == 'search'")
            ended = len(points.dropna(subset=["ended"]))
            num_begun = len(points)
            num_training = len(points.query("state == 'running' and num_runs > 0"))
        return Snapshot(
            run_folder=self._run_folder,
            name=str(study.get("name", self._run_folder.name)),
            states=self._reader.read(),
            driver=find_driver(self._run_folder),
            time=time.time(),
            num_points=None if search is None else search.get("num_points"),
            num_points_ended=ended,
            num_points_begun=num_begun,
            num_points_training=num_training,
        )


def render_progress(snapshot: Snapshot) -> Group:
    """Return what a terminal shows: who trains, the counts, and a table for each dataset."""
    lines = [_title(snapshot), _counts(snapshot), *_best(snapshot.states)]
    texts: list[RenderableType] = [Text(line, overflow="fold") for line in lines]
    datasets = dict.fromkeys(state.dataset for state in snapshot.states)
    for name in datasets:
        texts += _dataset(name, [state for state in snapshot.states if state.dataset == name])
    return Group(*texts)


def seconds_left(snapshot: Snapshot) -> float | None:
    """Return about how long the study still takes [s], None where nothing can be said.

    Every arm goes on at its own pace so far, an arm without reports at that of all; as many
    trials as are begun train side by side, or points of a search, whose next trial may be about
    to begin.
    """
    begun = [state for state in snapshot.states if state.status == "begun"]
    timed = [state for state in snapshot.states if state.step and state.seconds]
    if not timed or snapshot.is_complete or not begun:
        return None
    overall = _pace(timed)
    left = []
    for state in snapshot.states:
        if not state.has_ended:
            own = [other for other in timed if other.arm == state.arm]
            pace = _pace(own) if own else overall
            left.append((state.num_steps - state.step) * pace)
    if snapshot.num_points is not None:
        num_unknown = max(0, snapshot.num_points - snapshot.num_points_begun)
        mean_steps = sum(state.num_steps for state in snapshot.states) / len(snapshot.states)
        num_trials = max(Counter(state.arm for state in snapshot.states).values())
        left += [mean_steps * overall] * (num_trials * num_unknown)
    return max(sum(left) / max(len(begun), snapshot.num_points_training), *left, 0.0)


def _pace(states: list[TrialState]) -> float:
    """Return the seconds of a gradient step [s / step]."""
    return sum(state.seconds for state in states) / sum(state.step for state in states)


def _title(snapshot: Snapshot) -> str:
    driver = snapshot.driver
    if driver is None:
        who = "nobody trains in it yet"
    elif driver.is_alive is None:
        who = f"last trained by {driver.name}, which cannot be seen from here"
    else:
        who = f"in training by {driver.name}" if driver.is_alive else "not in training"
    reports = [state.reported for state in snapshot.states if state.reported is not None]
    told = ""
    if reports and not snapshot.is_over:
        told = f"; last report {_clock(max(0.0, snapshot.time - max(reports)))} ago"
    return f"{snapshot.name} in {shown(snapshot.run_folder)}, {who}{told}"


def _counts(snapshot: Snapshot) -> str:
    states = snapshot.states
    count = Counter(state.status for state in states)
    parts = [f"{count['done']} of {len(states)} trials done"]
    if snapshot.num_points_ended is not None:
        total = "" if snapshot.num_points is None else f" of {snapshot.num_points}"
        parts.insert(0, f"{snapshot.num_points_ended}{total} points ended")
    begun = "stopped" if snapshot.is_over else "running"
    others = ("pruned", "waiting", "failed", "unreadable")
    words = {"begun": begun} | {status: status for status in others}
    parts += [f"{count[status]} {word}" for status, word in words.items() if count[status]]
    num_diverged = sum(state.num_diverged for state in states)
    parts.append(f"{num_diverged} of {sum(state.num_runs for state in states)} runs diverged")
    if suspect := sum(state.num_suspect for state in states):
        parts.append(f"{suspect} suspect")
    if left := None if snapshot.is_over else seconds_left(snapshot):
        parts.append(f"about {_clock(left)} left")
    if snapshot.is_over and not snapshot.is_complete:
        go_on = typed("rayoff", "resume", shown(snapshot.run_folder))
        parts.append(f"go on with: {go_on}")
    return ", ".join(parts)


def _best(states: list[TrialState]) -> list[str]:
    """Return the trial with the best result so far, as a line.

    Trials of which every run is lost are no candidates, and returns only where no trial has a
    score: they have another unit.
    """
    found = [
        (state.measure == "score", state.value, state)
        for state in states
        if state.value is not None and state.num_diverged < state.num_runs
    ]
    if not found:
        return []
    _, value, state = max(found, key=lambda one: one[:2])
    where = f"{format_fraction(state.fraction)} of {state.dataset}"
    return [f"best so far: {state.arm} at {where} ({state.measure} {value:.1f})"]


def _dataset(dataset: str, states: list[TrialState]) -> Iterator[RenderableType]:
    """Yield a title, the table of arms by fractions, the baseline first, and what is left out."""
    fractions = sorted({state.fraction for state in states}, reverse=True)
    baseline = {state.arm for state in states if state.is_baseline}
    arms = sorted({s.arm: None for s in states}, key=lambda arm: arm not in baseline)
    cells = {(state.arm, state.fraction): _cell(state) for state in states}
    chosen = _shown_arms(arms, states)
    yield Text(f"\n{dataset}", style="bold")
    table = Table(box=None, pad_edge=False)
    table.add_column("arm", overflow="fold")
    for fraction in fractions:
        table.add_column(format_fraction(fraction))
    for arm in chosen:
        label = Text(f"{arm} *" if arm in baseline else arm)
        table.add_row(label, *(cells.get((arm, fraction), "") for fraction in fractions))
    yield table
    if len(chosen) < len(arms):
        yield Text(f"{len(arms) - len(chosen)} more arms are not shown", style="dim")


def _shown_arms(arms: list[str], states: list[TrialState]) -> list[str]:
    """Return the arms that have room, in their order: the baseline, running ones, the best."""
    if len(arms) <= _MAX_ARMS:
        return arms
    running = {state.arm for state in states if state.status == "begun"}
    values = {state.arm: state.value for state in states if state.value is not None}
    ranked = sorted(arms[1:], key=lambda arm: (arm not in running, -values.get(arm, -math.inf)))
    chosen = {arms[0], *ranked[: _MAX_ARMS - 1]}
    return [arm for arm in arms if arm in chosen]


def _cell(state: TrialState) -> Text:
    """Return how far a trial is: ``45% 51.0, 1 suspect``, ``done 20.1, 2 of 5 diverged``."""
    word = f"{state.step / state.num_steps:.0%}" if state.status == "begun" else state.status
    first = word if state.value is None else f"{word} {state.value:.1f}"
    parts = [first]
    if state.num_diverged:
        parts.append(f"{state.num_diverged} of {state.num_runs} diverged")
    if state.num_suspect:
        parts.append(f"{state.num_suspect} suspect")
    return Text(", ".join(parts), style=_style(state))


def _style(state: TrialState) -> str:
    if state.status in ("failed", "unreadable"):
        return "bold red"
    if state.num_diverged:
        return "red"
    if state.num_suspect:
        return "yellow"
    return {"waiting": "dim", "done": "green"}.get(state.status, "")


def _clock(seconds: float) -> str:
    """Return a duration as 1:02:03."""
    return str(timedelta(seconds=round(seconds)))
