"""What trials come to without Ray and without an interruption."""

import tempfile
from pathlib import Path

import pandas as pd

from rayoff.data import load_table
from rayoff.results import write_metrics
from rayoff.search import RunFolder
from rayoff.study import PlannedTrial
from rayoff.trial import Trial


def train_alone(planned: PlannedTrial) -> pd.DataFrame:
    """Return the rows of a trial that was trained in this process."""
    trial = Trial(planned.config, load_table(planned.dataset))
    while not trial.done:
        trial.advance()
    with tempfile.TemporaryDirectory() as folder:
        write_metrics(Path(folder), trial.rows)
        return pd.read_parquet(Path(folder) / "metrics.parquet")


def without_clocks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of metrics without what they tell of time."""
    return frame.drop(columns=[n for n in frame if str(n).startswith(("seconds", "time/"))])


def assert_equal_but_for_time(folder: RunFolder, expected: dict[str, pd.DataFrame]) -> None:
    for trial_id, frame in expected.items():
        rows = pd.read_parquet(folder.trial_folder(trial_id) / "metrics.parquet")
        pd.testing.assert_frame_equal(without_clocks(rows), without_clocks(frame))
