"""Run folders as a study leaves them, trained here and without Ray."""

from pathlib import Path

from rayoff.data import load_table
from rayoff.results import write_metrics
from rayoff.search import RunFolder
from rayoff.search.archive import DONE, write_files
from rayoff.search.policies import CONFIG, WEIGHTS, describe, weights
from rayoff.study import PlannedTrial, Study
from rayoff.trial import Trial


def train_here(runs: Path, study: Study) -> RunFolder:
    """Train all trials of a study in this process and return its run folder."""
    folder = RunFolder.create(runs, study, ["rayoff", "run", "study.py"])
    for planned in folder.planned:
        finish(folder, planned)
    return folder


def finish(folder: RunFolder, planned: PlannedTrial) -> None:
    """Train one trial to its end and leave its files."""
    trial = Trial(planned.config, load_table(planned.dataset))
    while not trial.done:
        trial.advance()
    own = folder.trial_folder(planned.trial_id)
    write_files({CONFIG: describe(trial), WEIGHTS: weights(trial)}, own)
    write_metrics(own, trial.rows)
    (own / DONE).touch()
