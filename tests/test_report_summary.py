"""Tests of rayoff.report.summary: every number is found again by other means."""

from pathlib import Path

import numpy as np
import pytest
from report_samples import results, runs_by_hand
from scipy import stats as scipy_stats
from synthetic_results import BOUND, make_run_folder

from rayoff.report import SUMMARY_COLUMNS, summarize
from rayoff.results import read_results, write_results


@pytest.mark.parametrize("num_seeds", [2, 5])
def test_every_number_of_the_table_follows_from_results_alone(
    tmp_path: Path, num_seeds: int
) -> None:
    folder = make_run_folder(tmp_path / "a", seeds=range(num_seeds), datasets=("hopper", "ant"))
    path = write_results(folder)
    cells = runs_by_hand(path)
    summary = summarize(read_results(path)).to_dict(orient="records")
    assert len(summary) == len(cells) == 12
    for row in summary:
        runs = cells[row["arm"], row["dataset"], row["fraction"]]
        values = [run["value"] for run in runs]
        assert row["num_runs"] == num_seeds
        assert row["num_diverged"] == sum(run["status"] == "diverged" for run in runs)
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["iqm"] == pytest.approx(scipy_stats.trim_mean(values, 0.25))
        assert row["best"] == pytest.approx(np.mean([run["best"] for run in runs]))
        ratio = np.median([run["critic/q_abs"] for run in runs]) / BOUND
        assert row["q_over_bound"] == pytest.approx(ratio)
        seem = np.median([run["seem/row_normalized"] for run in runs])
        assert row["seem_row_normalized"] == pytest.approx(seem)
        if row["arm"] == "none":
            assert row["stop_step"] == np.median([run["stop_step"] for run in runs])
            assert row["reason"] in {run["reason"] for run in runs}
        if num_seeds == 2:
            t = scipy_stats.ttest_1samp(values, 0).confidence_interval() if np.ptp(values) else 0
            low = t.low if t else values[0]
            assert row["low"] == pytest.approx(low)
            assert row["interval"] == "mean, pooled t"
        else:
            assert min(values) <= row["low"] <= row["iqm"] <= row["high"] <= max(values)
            assert row["interval"] == "iqm, bootstrap"


def test_the_table_has_documented_columns_and_the_baseline_first(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("layer", "batch", "none"), datasets=("b", "a"))
    summary = summarize(frame)
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    assert all(text.endswith(".") for text in SUMMARY_COLUMNS.values())
    keys = summary[["dataset", "fraction", "arm"]].values.tolist()
    arms, fractions = ("none", "layer", "batch"), (1.0, 0.1, 0.01)
    assert keys == [[d, f, a] for d in ("b", "a") for f in fractions for a in arms]
    assert summary["baseline"].tolist() == [True, False, False] * 6
