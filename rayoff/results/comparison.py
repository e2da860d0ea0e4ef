"""Several run folders as one table of results, in which the folder is one more choice."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from rayoff.errors import ResultsError
from rayoff.results.folder import read_results, write_results
from rayoff.results.runs import baseline_point
from rayoff.results.schema import RESULT_COLUMNS, replace_table
from rayoff.results.settings import default_setting


def write_comparison(run_folders: Sequence[Path], folder: Path) -> Path:
    """Write the results of several run folders as one ``results.parquet``; return its path.

    Arms and trials bear the name of their folder, which is also in the column ``run``; the
    baseline is the first folder's. A choice that one study left at its default has the default.
    Of a search there are its winner and its baseline on fresh seeds.

    Args:
        run_folders: two or more, with different names.
        folder: made if it does not exist.

    Raises:
        ResultsError: fewer than two folders, equal names, one that cannot be read, a search whose
            winner has not been confirmed, or a folder in use for other things.
    """
    names = [path.absolute().name for path in run_folders]
    if len(set(names)) < max(2, len(names)):
        raise ResultsError(
            f"A comparison needs two or more run folders of different names but got {names}. "
            "Rename one of them."
        )
    if (folder / "trials").exists():
        raise ResultsError(
            f"{folder} is a run folder, and a comparison would replace its results. "
            "Give another folder with --out."
        )
    parts = [_named(path, name) for path, name in zip(run_folders, names, strict=True)]
    for part in parts[1:]:
        part["baseline"] = False
    settings = [n for n in dict.fromkeys(n for p in parts for n in p) if n.startswith("config.")]
    frame = pd.concat([_with_settings(part, settings) for part in parts], ignore_index=True)
    metrics = sorted(set(frame) - set(RESULT_COLUMNS) - set(settings) - {"run"})
    frame = frame[["run", *RESULT_COLUMNS, *settings, *metrics]]
    path = folder / "results.parquet"
    replace_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


def _named(run_folder: Path, name: str) -> pd.DataFrame:
    """Return the results of a folder, with its name on whatever has to be told apart."""
    if (run_folder / "trials").is_dir():
        write_results(run_folder)
    frame = read_results(run_folder)
    if bool(frame["phase"].notna().to_numpy().any()):
        number = baseline_point(frame)
        frame = frame.loc[frame["phase"] == "confirm"]
        frame = frame.assign(baseline=frame["point"] == number, phase=None, point=None)
    if not len(frame):
        raise ResultsError(
            f"{run_folder} must hold a search whose winner was confirmed on fresh seeds, but got "
            f"one without. Go on with: rayoff resume {run_folder}"
        )
    return frame.assign(
        run=name,
        arm=frame["arm"].map(lambda arm: f"{arm} ({name})"),
        trial=frame["trial"].map(lambda trial: f"{name}/{trial}"),
    )


def _with_settings(frame: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Return results with a column for each setting, its default where the study has none."""
    algorithms = frame["algorithm"]
    absent = {
        name: algorithms.map(lambda algorithm, name=name: default_setting(algorithm, name))
        for name in settings
        if name not in frame
    }
    return frame.assign(**absent)
