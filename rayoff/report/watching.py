"""Looking at a study while it trains, from its run folder alone, on any machine that sees it."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rayoff.errors import ResultsError
from rayoff.report.page import write_report
from rayoff.report.progress import Snapshot, Watcher, render_progress
from rayoff.report.tables import MAX_WIDTH
from rayoff.search.commands import shown

_PERIOD = 2.0
"""Time between two looks [s]."""


def watch(
    run_folder: Path,
    *,
    once: bool = False,
    report_minutes: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show how far a study is until nothing more will change by itself, or until an interrupt.

    Off a terminal it is shown once. The report is rendered here, by whoever wants to see it, and
    not by the driver: rendering takes seconds of a core, in which the driver could take no
    results and start no trial.

    Args:
        run_folder: ``runs/<study>-<hash>``, finished, interrupted or in training.
        once: show it once.
        report_minutes: time after which ``report.html`` is rendered anew if there are new results,
            more than 0 [min]; None: never.
        sleep: waits for a number of seconds.

    Raises:
        ResultsError: there is no such folder, or its ``study.json`` is damaged; or the minutes
            are not more than 0.
    """
    if report_minutes is not None and report_minutes <= 0:
        raise ResultsError(f"--report must be more than 0 minutes but got {report_minutes:g}.")
    console = Console(highlight=False)
    watcher = Watcher(run_folder)
    renderer = None if report_minutes is None else _Renderer(run_folder, 60 * report_minutes)
    if once or not console.is_terminal:
        if not console.is_terminal:
            console.width = MAX_WIDTH
        console.print(_view(watcher.look(), renderer))
        return
    snapshot = watcher.look()
    first = _view(snapshot, renderer)
    # An interrupt ends the looking, and not the study.
    with suppress(KeyboardInterrupt), Live(first, console=console, auto_refresh=False) as live:
        while not snapshot.is_over:
            sleep(_PERIOD)
            snapshot = watcher.look()
            live.update(_view(snapshot, renderer), refresh=True)


class _Renderer:
    """Renders the report when it is due, and tells when it did."""

    def __init__(self, run_folder: Path, period: float) -> None:
        self._run_folder, self._period = run_folder, period
        self._rendered: float | None = None
        self._told = ""

    def line(self, snapshot: Snapshot) -> str:
        """Return when the report was rendered, which this does if it is due."""
        if self._is_due(snapshot):
            self._rendered = snapshot.time
            try:
                page = shown(write_report(self._run_folder))
                self._told = f"{page} as of {datetime.fromtimestamp(snapshot.time):%H:%M:%S}"
            except ResultsError as error:  # as before the first trial reports
                self._told = f"No report yet: {error}"
        return self._told

    def _is_due(self, snapshot: Snapshot) -> bool:
        if self._rendered is None:
            return True
        reported = max((state.reported or 0.0 for state in snapshot.states), default=0.0)
        is_new = reported > self._rendered
        return is_new and (snapshot.is_over or snapshot.time - self._rendered >= self._period)


def _view(snapshot: Snapshot, renderer: _Renderer | None) -> RenderableType:
    shown_now = render_progress(snapshot)
    if renderer is None:
        return shown_now
    return Group(shown_now, Text(renderer.line(snapshot)))
