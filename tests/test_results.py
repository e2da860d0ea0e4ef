"""Tests of rayoff.results: what a trial writes is what a reader finds, with nothing missing."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_results import BOUND, make_run_folder

from rayoff.errors import ResultsError
from rayoff.results import (
    NUM_LAST_EVALUATIONS,
    RESULT_COLUMNS,
    arm_order,
    collect,
    count_runs,
    divergence_reasons,
    read_results,
    run_table,
    write_metrics,
    write_results,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run_folder(tmp_path / "runs" / "critic_norm-3f9c", fractions=(1.0, 0.1))


def row(**others: object) -> dict[str, object]:
    known = {"seed": 0, "step": 100, "seconds": 1.5, "status": "training", "evaluated": False}
    return known | others


def edit_study(folder: Path, edit: dict[str, Any]) -> None:
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))


def test_identity_columns_have_their_documented_types_and_order(folder: Path) -> None:
    table = collect(folder)
    assert table.column_names[: len(RESULT_COLUMNS)] == list(RESULT_COLUMNS)
    for name, (kind, description) in RESULT_COLUMNS.items():
        assert table.schema.field(name).type == kind
        assert description.endswith(".")
    metrics = [name for name in table.column_names if "/" in name]
    assert metrics == sorted(metrics)
    assert all(table.schema.field(name).type == pa.float64() for name in metrics)


def test_every_reported_value_is_found_again(folder: Path) -> None:
    frame = read_results(write_results(folder))
    study = json.loads((folder / "study.json").read_text())
    num_rows = 0
    for trial in study["trials"]:
        rows = pq.read_table(folder / "trials" / trial["trial_id"] / "metrics.parquet").to_pylist()
        num_rows += len(rows)
        mine = frame[frame["trial"] == trial["trial_id"]].set_index(["seed", "step"])
        assert set(mine["arm"]) == {trial["arm"]}
        assert set(mine["config.critic.norm"]) == {trial["config"]["critic"]["norm"]}
        for written in rows:
            read = mine.loc[(written["seed"], written["step"])]
            assert read["critic/q_abs"] == written["critic/q_abs"]
            assert read["status"] == written["status"]
            expected = written["eval/score"]
            assert math.isnan(read["score"]) if expected is None else read["score"] == expected
    assert num_rows == len(frame)


def test_equal_inputs_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    other = make_run_folder(tmp_path / "again", fractions=(1.0, 0.1))
    assert write_results(folder).read_bytes() == write_results(other).read_bytes()


def test_rewriting_metrics_replaces_all_rows_and_leaves_each_its_own_state(tmp_path: Path) -> None:
    write_metrics(tmp_path, [row(step=100), row(step=200)])
    ended = {"status": "diverged", "reason": "|Q| 1e9", "stop_step": 300}
    write_metrics(tmp_path, [row(step=100), row(step=200), row(step=300, **ended)])
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table["status"].to_pylist() == ["training", "training", "diverged"]
    assert table["stop_step"].to_pylist() == [None, None, 300]


def test_the_last_row_says_what_became_of_a_run(folder: Path) -> None:
    """One that is given up, trains on, and ends within its bound is done, with all its rows."""
    trial = next(t for t in sorted((folder / "trials").iterdir()) if t.name.startswith("none"))
    lost = {"status": "diverged", "reason": "|Q| 1e5", "stop_step": 200}
    scores = [{"evaluated": True, "eval/score": score} for score in (1.0, 2.0, 4.0)]
    came_back = [
        row(step=100, **scores[0]),
        row(step=200, **lost, **scores[1]),
        row(step=300, **scores[2]) | {"status": "done", "stop_step": 200},
    ]
    stopped = [row(seed=1, step=100), row(seed=1, step=200, **lost)]
    write_metrics(trial, [*came_back, *stopped])

    assert divergence_reasons(trial) == {1: "|Q| 1e5"}
    frame = collect(folder).to_pandas()
    mine = frame[frame["trial"] == trial.name]
    assert mine["status"].tolist() == ["training", "diverged", "done", "training", "diverged"]
    counts = count_runs(mine)
    assert counts[["done", "diverged", "training"]].values.tolist() == [[1, 1, 0]]
    runs = run_table(mine).set_index("seed")
    assert runs["status"].tolist() == ["done", "diverged"]
    assert runs["stop_step"].tolist() == [200, 200]
    assert runs["value"].tolist() == [3.0, 0.0]  # its later half; the floor
    assert runs.loc[0, "best"] == 4.0


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_metrics(tmp_path, [row(step=100)])

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_metrics(tmp_path, [row(step=100), row(step=200)])
    assert pq.read_table(tmp_path / "metrics.parquet")["step"].to_pylist() == [100]


def test_infinity_and_nan_survive_apart_from_what_was_not_measured(tmp_path: Path) -> None:
    values = [math.inf, math.nan, None]
    write_metrics(tmp_path, [row(step=s, **{"critic/q_abs": q}) for s, q in enumerate(values)])
    column = pq.read_table(tmp_path / "metrics.parquet")["critic/q_abs"]
    assert column.null_count == 1
    assert column[0].as_py() == math.inf
    assert math.isnan(column[1].as_py())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"status": "stopped"}, "Row 1: status must be training, done, diverged but got 'stop"),
        ({"q_abs": 1.0}, "as in 'critic/q_abs', but got 'q_abs'"),
        ({"seconds": None}, "Row 1 of metrics must have 'seconds'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_metrics(tmp_path, [row(), row(step=200) | bad])
    with pytest.raises(ValueError, match="got none"):
        write_metrics(tmp_path, [])


def test_settings_get_a_column_where_they_vary_or_differ_from_the_default(folder: Path) -> None:
    names = {name for name in collect(folder).column_names if name.startswith("config.")}
    assert names == {
        "config.agent.tau",
        "config.critic.norm",
        "config.num_steps",
        "config.stopper.confirm_factor",
    }


def test_settings_of_mixed_types_are_text_and_foreign_ones_null(folder: Path) -> None:
    study = json.loads((folder / "study.json").read_text())
    first, second = study["trials"][:2]
    first["config"]["critic"]["num_critics"] = "many"
    second["config"] |= {"algorithm": "bc", "agent": {"learning_rate": 1e-3}}
    edit_study(folder, {"trials": [first, second]})
    frame = collect(folder).to_pandas().groupby("trial", sort=False).first()
    assert frame["config.critic.num_critics"].tolist() == ["many", "2"]
    assert frame["config.agent.learning_rate"].tolist() == [3e-4, 1e-3]
    assert frame["config.agent.tau"].iloc[0] == 1.0
    assert math.isnan(frame["config.agent.tau"].iloc[1])
    assert "config.agent.discount" not in frame  # a default wherever it exists


def test_a_run_that_never_began_is_missing_and_one_with_an_error_failed(folder: Path) -> None:
    trials = sorted((folder / "trials").iterdir())
    layer, none = (next(t for t in trials if t.name.startswith(n)) for n in ("layer", "none"))
    (layer / "metrics.parquet").unlink()
    (layer / "config.json").unlink()
    write_metrics(none, [row(seed=0, status="done"), row(seed=1, step=50), row(seed=1)])
    (none / "error.txt").write_text("Traceback\n  ...\nRuntimeError: out of memory\n")

    frame = collect(folder).to_pandas()
    missing = frame[frame["trial"] == layer.name]
    assert missing[["seed", "step", "status"]].values.tolist() == [
        [0, 0, "missing"],
        [1, 0, "missing"],
    ]
    failed = frame[frame["trial"] == none.name]
    assert failed["status"].tolist() == ["done", "training", "failed"]
    assert failed["reason"].dropna().tolist() == ["RuntimeError: out of memory"]
    assert failed["reason"].iloc[-1] == "RuntimeError: out of memory"

    counts = count_runs(frame).set_index(["arm", "fraction"])
    assert counts.loc[("layer", 0.1), "missing"] == 2
    assert counts.loc[("none", 0.1), ["done", "failed"]].tolist() == [1, 1]
    assert counts.loc[("none", 1.0), "diverged"] == 2
    statuses = ["done", "diverged", "training", "failed", "missing"]
    assert counts[statuses].to_numpy().sum() == 8
    assert len(run_table(frame)) == 5


def test_a_trial_that_failed_before_its_first_report_is_failed(folder: Path) -> None:
    trial = next((folder / "trials").iterdir())
    (trial / "metrics.parquet").unlink()
    (trial / "error.txt").write_text("")
    frame = collect(folder).to_pandas()
    assert set(frame.loc[frame["trial"] == trial.name, "status"]) == {"failed"}
    assert set(frame.loc[frame["trial"] == trial.name, "reason"]) == {"no message"}


def test_a_runs_value_is_the_mean_of_its_last_evaluations(folder: Path) -> None:
    frame = collect(folder).to_pandas()
    runs = run_table(frame).set_index(["trial", "seed"])
    for key, rows in frame[frame["arm"] == "layer"].groupby(["trial", "seed"]):
        scores = [s for s in rows.sort_values("step")["score"] if not math.isnan(s)]
        assert len(scores) > NUM_LAST_EVALUATIONS
        assert runs.loc[key, "value"] == pytest.approx(
            np.mean(scores[-10:][-((len(scores) + 1) // 2) :])
        )
        assert runs.loc[key, "best"] == max(scores)


@pytest.mark.parametrize(("num_evaluations", "num_counted"), [(1, 1), (4, 2), (5, 3), (40, 10)])
def test_early_evaluations_never_count(
    folder: Path, num_evaluations: int, num_counted: int
) -> None:
    frame = collect(folder).to_pandas()
    one = frame[(frame["arm"] == "layer") & frame["score"].notna()].head(1)
    scores = np.arange(num_evaluations, dtype=float) ** 2
    rows = pd.concat([one.assign(step=step, score=score) for step, score in enumerate(scores)])
    (value,) = run_table(rows)["value"]
    assert value == pytest.approx(scores[-num_counted:].mean())


@pytest.mark.parametrize(
    ("references", "measure", "floor"), [(True, "score", 0.0), (False, "return", 8.0)]
)
def test_a_diverged_run_enters_with_the_floor_even_when_it_trains_on(
    tmp_path: Path, references: bool, measure: str, floor: float
) -> None:
    folder = make_run_folder(
        tmp_path / "observed", mode="observe", references=references, fractions=(0.1,)
    )
    runs = run_table(collect(folder).to_pandas())
    plain, layered = (dict(runs[runs["arm"] == arm].items()) for arm in ("none", "layer"))
    assert set(runs["measure"]) == {measure}
    assert list(plain["step"]) == [4000, 4000]
    assert list(plain["status"]) == ["diverged", "diverged"]
    assert list(plain["value"]) == [floor, floor]
    assert floor not in set(plain["last"])
    assert list(layered["value"]) == list(layered["last"])


def test_without_a_simulator_there_is_a_reason_and_no_value(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "blind", simulator=False, fractions=(0.1,))
    runs = run_table(collect(folder).to_pandas())
    assert runs[["measure", "value", "last", "best"]].isna().to_numpy().all()
    assert set(runs["eval_skipped"]) == {"gymnasium has no Hopper-v5 here"}
    assert all(q > 0 for q in runs["q_abs"])


def test_the_last_reading_skips_steps_without_one(folder: Path) -> None:
    trial = next((folder / "trials").iterdir())
    rows = [row(step=1, **{"critic/q_abs": 5.0}), row(step=2, **{"critic/q_abs": math.nan})]
    write_metrics(trial, [*rows, row(step=3)])
    runs = run_table(collect(folder).to_pandas()).set_index("trial")
    read = runs.loc[trial.name]
    assert read["q_abs"] == 5.0
    assert read["q_bound"] == BOUND  # from the trial's facts, where no row holds it
    assert math.isnan(read["seem_normalized"])


def test_the_baseline_comes_first_and_is_one_arm(tmp_path: Path) -> None:
    norms = ("layer", "none", "batch")
    folder = make_run_folder(tmp_path / "a", norms=norms, widths=(256, 64), fractions=(1.0,))
    frame = collect(folder).to_pandas()
    expected = ["none", "layer", "batch", "layer-w64", "none-w64", "batch-w64"]
    assert arm_order(frame) == expected
    edit_study(folder, {"baseline": {"critic.norm": "batch"}})  # two widths: the first one holds
    assert arm_order(collect(folder).to_pandas())[0] == "batch"
    edit_study(folder, {"baseline": None})
    assert arm_order(collect(folder).to_pandas())[0] == "layer"


def test_each_row_names_the_arm_that_its_own_is_compared_with(folder: Path) -> None:
    assert collect(folder)["reference"].null_count == collect(folder).num_rows
    edit_study(folder, {"references": {"layer": "none"}})
    frame = collect(folder).to_pandas()
    assert set(frame.loc[frame["arm"] == "layer", "reference"]) == {"none"}
    assert frame.loc[frame["arm"] == "none", "reference"].isna().all()


def test_unreadable_folders_say_what_was_expected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"study\.json was expected but got no such file"):
        collect(tmp_path)
    with pytest.raises(ResultsError, match=r"results\.parquet was expected"):
        read_results(folder)
    trial = next((folder / "trials").iterdir())
    (trial / "metrics.parquet").write_bytes(b"PAR1")
    with pytest.raises(ResultsError, match=r"metrics\.parquet must be a Parquet file but got"):
        collect(folder)
    pq.write_table(pa.table({"a": [1]}), folder / "results.parquet")
    with pytest.raises(ResultsError, match="got no column 'study'"):
        read_results(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "must hold JSON"), ("[]", "must hold an object"), ("{}", "list its trials")],
)
def test_a_damaged_study_is_named(folder: Path, text: str, message: str) -> None:
    (folder / "study.json").write_text(text)
    with pytest.raises(ResultsError, match=message):
        collect(folder)
