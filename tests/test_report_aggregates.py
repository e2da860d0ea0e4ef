"""Tests of arms over all data, rates and costs, against the same numbers made by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from synthetic_results import make_run_folder

from rayoff.report.aggregates import (
    AGGREGATE_COLUMNS,
    ArmScores,
    aggregates_table,
    arm_scores,
    improvement_matrix,
)
from rayoff.report.contents import aggregates
from rayoff.report.cost import COSTS_COLUMNS, costs_table
from rayoff.report.rates import RATES_COLUMNS, rates_table
from rayoff.report.tallies import costs
from rayoff.results import collect, run_table
from rayoff.stats import wilson_interval


def results(folder: Path, **options: Any) -> pd.DataFrame:  # noqa: ANN401
    return collect(make_run_folder(folder, **options)).to_pandas()


def aggregated(frame: pd.DataFrame) -> ArmScores:
    scores = arm_scores(frame)
    assert isinstance(scores, ArmScores)
    return scores


def test_arms_are_aggregated_over_the_values_of_their_runs(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", datasets=("hopper", "ant"), seeds=range(5))
    runs = run_table(frame)
    table = aggregates_table(aggregated(frame)).set_index("arm")
    assert list(table.index) == ["none", "layer"]  # the baseline first
    assert ["arm", *table.columns] == list(AGGREGATE_COLUMNS)
    for arm, row in table.to_dict("index").items():
        values = runs.loc[runs["arm"] == arm, "value"].to_numpy(float)
        assert (row["num_cells"], row["num_runs"]) == (6, 30)
        assert row["iqm"] == pytest.approx(scipy_stats.trim_mean(values, 0.25))
        assert row["mean"] == pytest.approx(values.mean())
        assert row["median"] == pytest.approx(np.median(values))
        for name in ("iqm", "mean", "median", "improvement"):
            low, value, high = (row[name + end] for end in ("_low", "", "_high"))
            assert low <= value + 1e-9 <= high + 2e-9
    assert (table.loc["none", "num_diverged"], table.loc["layer", "num_diverged"]) == (30, 0)
    assert (table.loc["none", "improvement"], table.loc["layer", "improvement"]) == (0.5, 1.0)


def test_an_absent_baseline_is_replaced_by_no_other_arm(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", seeds=range(5))
    training = frame.assign(status=frame["status"].where(frame["arm"] != "none", "training"))
    scores = aggregated(training)
    assert scores.baseline is None
    table = aggregates_table(scores)
    assert list(table["arm"]) == ["layer"]
    assert table.filter(like="improvement").isna().to_numpy().all()
    assert not aggregates(scores).baseline
    assert aggregates(aggregated(frame)).baseline == {0}


def test_few_runs_have_no_bootstrap_interval(tmp_path: Path) -> None:
    table = aggregates_table(aggregated(results(tmp_path / "a", seeds=range(3))))
    assert table[["iqm", "iqm_low", "median_low", "improvement_low"]].isna().to_numpy().all()
    assert (
        table[["mean", "mean_low", "mean_high", "median", "improvement"]].notna().to_numpy().all()
    )


def test_only_cells_that_all_arms_have_are_averaged(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(1.0, 0.1), seeds=range(2))
    is_absent = (frame["arm"] == "layer") & (frame["fraction"] == 1.0)
    scores = aggregated(frame.loc[~is_absent])
    assert {arm: len(strata) for arm, strata in scores.values.items()} == {"none": 1, "layer": 1}
    only = frame.loc[is_absent | ((frame["arm"] == "none") & (frame["fraction"] == 0.1))]
    assert str(arm_scores(only)).startswith("No dataset and share of the data has runs of every")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"simulator": False}, "Nothing was evaluated"),
        ({"references": False, "datasets": ("hopper", "ant")}, "never averaged over datasets"),
    ],
)
def test_what_may_not_be_pooled_is_not(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    assert reason in str(arm_scores(results(tmp_path / "a", **options)))


def test_the_matrix_of_improvement_is_mann_whitneys_within_cells(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("none", "layer", "batch"), seeds=range(4))
    scores = aggregated(frame)
    matrix = improvement_matrix(scores, ["layer", "batch"])
    shares = [
        scipy_stats.mannwhitneyu(x, y).statistic / 16
        for x, y in zip(scores.values["layer"], scores.values["batch"], strict=True)
    ]
    assert matrix.loc["layer", "batch"] == pytest.approx(np.mean(shares))
    assert matrix.loc["layer", "batch"] + matrix.loc["batch", "layer"] == pytest.approx(1.0)  # pyright: ignore[reportOperatorIssue]
    assert matrix.loc["layer", "layer"] == 0.5


def test_rates_count_the_runs_of_all_datasets(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", datasets=("hopper", "ant"), fractions=(1.0, 0.1))
    table = rates_table(frame)
    assert list(table.columns) == list(RATES_COLUMNS)
    assert table[["arm", "fraction", "num_diverged", "num_runs"]].values.tolist() == [
        *(["none", 1.0, 4, 4], ["none", 0.1, 4, 4]),
        *(["layer", 1.0, 0, 4], ["layer", 0.1, 0, 4]),
    ]
    assert table[["low", "high"]].values.tolist()[0] == pytest.approx(wilson_interval(4, 4))
    assert table["stop_step"].isna().tolist() == [False, False, True, True]


def test_costs_are_those_of_trials_and_stopping_saves_at_their_pace(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    frame["time/evaluation_seconds"] = 0.25 * frame["seconds"]
    frame["time/device_seconds"] = 0.125 * frame["seconds"]
    none, layer = costs_table(frame).to_dict(orient="records")
    assert list(none) == list(COSTS_COLUMNS)
    runs = frame.drop_duplicates(["trial", "seed"], keep="last")
    steps = runs.loc[runs["arm"] == "none", "step"]
    seconds = 0.01 * steps.max()  # of the trial: its runs train side by side, 0.01 s a step
    assert none["hours"] == pytest.approx(seconds / 3600)
    assert none["device_hours"] == pytest.approx(none["hours"] / 8)
    assert none["steps_per_second"] == pytest.approx(steps.sum() / seconds)
    assert none["saved_hours"] == pytest.approx((40.0 - seconds) / 3600)
    assert (none["num_stopped"], layer["num_stopped"]) == (2, 0)
    assert (layer["hours"] * 3600, layer["saved_hours"]) == (pytest.approx(40.0), 0.0)
    assert none["evaluation_share"] == pytest.approx(0.25)
    assert np.isnan(none["probe_share"])


@pytest.mark.parametrize(("times", "title", "shown"), [(1, "[min]", "0.7"), (900, "[h]", "10.00")])
def test_short_studies_are_told_in_minutes(
    tmp_path: Path, times: int, title: str, shown: str
) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    frame["seconds"] *= times
    table = costs(frame)
    assert [name for name in table.titles if "wall time" in name] == [f"wall time {title}"]
    assert table.rows[-1][2] == shown  # layer's 40 s, or 900 times that
    assert table.data["hours"].tolist()[-1] == pytest.approx(40 * times / 3600)


def test_a_trial_that_still_trains_has_saved_nothing(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), norms=("none",))
    frame.loc[frame["seed"] == 0, "status"] = "training"
    (row,) = costs_table(frame).to_dict(orient="records")
    assert row["saved_hours"] == 0.0
