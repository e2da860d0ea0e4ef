"""What one trial amounts to: the numbers that a search is told."""

from collections.abc import Sequence
from pathlib import Path

from rayoff.errors import ResultsError
from rayoff.results.folder import trial_table
from rayoff.results.runs import run_table


def measure_trial(folder: Path, seeds: Sequence[int]) -> dict[str, float]:
    """Return the results of a finished trial as a report would give them.

    Args:
        folder: the trial's folder in a run folder.
        seeds: of its runs.

    Returns:
        ``score``, the mean of ``value`` in ``run_table`` over its runs, nan where nothing was
        evaluated; ``divergence_rate``, the share of them that diverged; ``num_diverged``; and
        ``device_seconds``, the time for which the trial was trained, probed and evaluated,
        multiplied by its share of a GPU, or without one by its CPU cores [s].

    Raises:
        ResultsError: its metrics cannot be read, or another version wrote them.
    """
    frame = trial_table(folder, seeds).to_pandas()
    if "time/device_seconds" not in frame:
        raise ResultsError(
            f"{folder} must have metrics of this version of rayoff, with time/device_seconds, but "
            "got those of another. Go on with the version that wrote them."
        )
    runs = run_table(frame)
    num_diverged = runs["status"].tolist().count("diverged")
    return {
        "score": sum(map(float, runs["value"])) / len(runs),
        "divergence_rate": num_diverged / len(seeds),
        "num_diverged": float(num_diverged),
        "device_seconds": max(frame["time/device_seconds"].tolist()),
    }
