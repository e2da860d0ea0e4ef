"""One TensorBoard run per arm: arms are compared at a glance, however many runs there are.

A cell of a study is a dataset at a fraction. In each cell an arm has tags of its own, such as
``10% of hopper-mixed/eval/score``: a chart has one line per arm, and an arm one colour everywhere.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rayoff.callbacks.events import EventFile, read_scalars
from rayoff.study import PlannedTrial

_LOG_Q = "critic/q_abs_log10"
_CHARTS = {
    "Score": ("eval/score", "eval/return"),
    "|Q|, as a power of ten": (_LOG_Q,),
    "SEEM, row-normalised": ("seem/row_normalized",),
}
"""What is laid side by side in each cell, a row of three: metrics by the title of their chart."""
_BESIDES = ("run/training",)
"""What an arm has in each cell without a chart of its own in that row."""


class ArmRuns:
    """The runs under ``tensorboard/``, each with the means of all trials of an arm.

    They begin anew with each session, which takes what earlier ones found from the trials' runs.

    Args:
        run_folder: where the event files go.
        planned: the trials of the study that are known.
    """

    def __init__(self, run_folder: Path, planned: Sequence[PlannedTrial]) -> None:
        self._run_folder = run_folder
        self._files: dict[str, EventFile] = {}
        self._last_steps: dict[str, int] = {}
        for trial in planned:
            earlier = read_scalars(run_folder / "trials" / trial.trial_id)
            self.add(trial.trial_id, earlier)

    def add(self, trial_id: str, means: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Add the means of a trial by step; those of steps that are there are left out.

        A trial that is started again brings all of its steps once more.
        """
        arm, cell = _place(trial_id)
        for step, metrics in means:
            if step > self._last_steps.get(trial_id, -1):
                values = {f"{cell}/{name}": value for name, value in _shown(metrics).items()}
                self._file(arm).add_scalars(values, step)
                self._last_steps[trial_id] = step
        if arm in self._files:
            self._files[arm].flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, arm: str) -> EventFile:
        if arm not in self._files:
            self._files[arm] = EventFile(self._run_folder / "tensorboard" / arm)
        return self._files[arm]


def layout(planned: Sequence[PlannedTrial]) -> dict[str, dict[str, str]]:
    """Return the charts of the Custom Scalars tab: by cell and title, the tags' expression."""
    cells = dict.fromkeys(_place(trial.trial_id)[1] for trial in planned)
    return {
        cell: {title: _expression(cell, names) for title, names in _CHARTS.items()}
        for cell in cells
    }


def _place(trial_id: str) -> tuple[str, str]:
    """Return arm and cell of a trial by its name, in which neither dataset nor share has a _."""
    arm, dataset, share = trial_id.rsplit("_", 2)
    return arm, f"{100 * float(share):g}% of {dataset}"


def _shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what an arm's charts show; returns only where there is no score."""
    found = dict(metrics)
    if "eval/score" in found:
        found.pop("eval/return", None)
    if found.get("critic/q_abs", 0.0) > 0:
        found[_LOG_Q] = math.log10(found["critic/q_abs"])
    names = [name for group in _CHARTS.values() for name in group]
    return {name: found[name] for name in (*names, *_BESIDES) if name in found}


def _expression(cell: str, names: Sequence[str]) -> str:
    tags = "|".join(re.escape(f"{cell}/{name}") for name in names)
    return f"^({tags})$"
