"""Tests of what a study tells while it runs; TensorBoard is asked through its own server."""

import io
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from synthetic_results import make_run_folder
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard_server import TensorBoard
from told_studies import FLOORS, REASON, Study, plan, report, row

from rayoff.callbacks import Failures, Progress, Summaries
from rayoff.callbacks.events import read_scalars
from rayoff.callbacks.metrics import mean_scalars, scalars
from rayoff.callbacks.observer import guarded
from rayoff.results import collect
from rayoff.stopper import LostTrialStopper

# TensorBoard


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: the first trial is done, the second was restarted, the third fails."""
    folder = tmp_path_factory.mktemp("run")
    first, second, third, *_ = [trial.trial_id for trial in plan()]
    study = Study(Summaries(folder, plan()))
    study.tell("start", first)
    rows = [row(0, 10), row(1, 10, **{"critic/q_abs": math.inf, "critic/loss": math.nan})]
    study.tell("result", first, result=report(rows))
    lost = {"stop_step": 20, "status": "diverged", "reason": REASON, "critic/q_abs": 50.0}
    scored = {"eval/score": 30.0, "eval/return": 300.0}
    study.tell("result", first, result=report([row(0, 20, **scored), row(1, 20, **lost)]))
    study.tell("result", first, result=report([row(0, 30, **scored)]))
    study.tell("complete", first)

    study.tell("start", second)
    study.tell("result", second, result=report([row(0, 10), row(1, 10)]))
    study.tell("result", second, result=report([row(0, 20), row(1, 20)]))
    again = Study(Summaries(folder, plan()))  # as after a kill and `resume`
    again.tell("start", second)
    rows = [row(seed, step) for step in (10, 20, 30) for seed in (0, 1)]
    again.tell("result", second, result=report(rows))

    study.tell("start", third)
    study.tell("result", third, result=report([row(0, 10), row(1, 10)]))
    study.tell("error", third)
    study.callback.on_experiment_end(trials=[])
    again.callback.on_experiment_end(trials=[])
    return folder


@pytest.fixture(scope="module")
def board(written: Path) -> Iterator[TensorBoard]:
    board = TensorBoard(written)
    board.wait_for(f"trials/{plan()[1].trial_id}", "critic/q_abs", 3)
    board.wait_for(f"trials/{plan()[0].trial_id}", "critic/q_abs", 3)
    board.wait_for(f"trials/{plan()[2].trial_id}/s1", "critic/q_abs", 1)
    board.wait_for("tensorboard/td3", "50% of p/run/training", 3)
    board.wait_for("tensorboard/td3_bc", "100% of p/run/training", 1)
    yield board
    board.close()


def test_every_run_and_the_means_of_each_trial_and_arm_are_found(board: TensorBoard) -> None:
    shown = set(board.get("plugin/scalars/tags"))
    begun = [trial.trial_id for trial in plan()[:3]]
    runs = {f"trials/{name}/s{seed}" for name in begun for seed in (0, 1)}
    means = {f"trials/{name}" for name in begun}
    assert shown == runs | means | {"tensorboard/td3", "tensorboard/td3_bc"}


def test_steps_are_gradient_steps(board: TensorBoard) -> None:
    run = f"trials/{plan()[0].trial_id}/s0"
    assert board.scalars(run, "critic/q_abs") == [(10, 10.0), (20, 20.0), (30, 30.0)]


def test_a_restarted_trial_has_each_step_once(board: TensorBoard) -> None:
    name = plan()[1].trial_id
    for run in (f"trials/{name}/s0", f"trials/{name}/s1", f"trials/{name}"):
        assert [step for step, _ in board.scalars(run, "critic/q_abs")] == [10, 20, 30]


def test_numbers_that_are_not_finite_are_counted_instead_of_plotted(board: TensorBoard) -> None:
    run = f"trials/{plan()[0].trial_id}/s1"
    assert board.scalars(run, "critic/q_abs") == [(20, 50.0)]
    assert board.scalars(run, "run/nonfinite") == [(10, 2.0), (20, 0.0)]


def test_divergence_is_a_curve_and_its_reason_a_text(board: TensorBoard) -> None:
    name = plan()[0].trial_id
    assert board.scalars(f"trials/{name}/s1", "run/diverged") == [(10, 0.0), (20, 1.0)]
    texts = board.get("plugin/text/text", run=f"trials/{name}/s1", tag="run/reason")
    assert [text["step"] for text in texts] == [20]
    assert REASON in texts[0]["text"]


def test_a_run_that_is_observed_is_diverged_from_its_stop_until_its_end_tells_otherwise() -> None:
    lost = {"status": "diverged", "stop_step": 20, "reason": REASON}
    rows = [row(0, 10), row(0, 20, **lost), row(0, 30, **lost), row(0, 40, stop_step=20)]
    assert [scalars(r)["run/diverged"] for r in rows] == [0.0, 1.0, 1.0, 0.0]


def test_the_mean_counts_a_stopped_run_with_its_floor(board: TensorBoard) -> None:
    run = f"trials/{plan()[0].trial_id}"
    assert board.scalars(run, "critic/q_abs") == [(10, 10.0), (20, 35.0), (30, 30.0)]
    assert board.scalars(run, "eval/score") == [(20, 30.0), (30, 15.0)]
    assert board.scalars(run, "run/training") == [(10, 2.0), (20, 2.0), (30, 1.0)]


def test_an_arm_is_one_run_with_its_means_in_each_cell(board: TensorBoard) -> None:
    def points(name: str) -> list[tuple[int, float]]:
        return board.scalars("tensorboard/td3", name)

    assert points("100% of p/eval/score") == [(20, 30.0), (30, 15.0)]
    assert points("100% of p/run/training") == [(10, 2.0), (20, 2.0), (30, 1.0)]
    powers = [(10, math.log10(10)), (20, math.log10(35)), (30, math.log10(30))]
    assert points("100% of p/critic/q_abs_log10") == [pytest.approx(power) for power in powers]
    tags = board.get("plugin/scalars/tags")["tensorboard/td3"]
    assert not [tag for tag in tags if "eval/return" in tag]


def test_an_arm_has_each_step_once_after_a_kill_and_a_resume(board: TensorBoard) -> None:
    for cell, last in (("100% of p", 1.0), ("50% of p", 2.0)):
        points = board.scalars("tensorboard/td3", f"{cell}/run/training")
        assert points == [(10, 2.0), (20, 2.0), (30, last)]


def test_an_arm_has_each_step_once_where_a_trial_is_tried_again(tmp_path: Path) -> None:
    study = Study(Summaries(tmp_path, plan()))
    name = plan()[0].trial_id
    for steps in ((10, 20), (10, 20, 30)):
        study.tell("start", name)
        rows = [row(seed, step) for step in steps for seed in (0, 1)]
        study.tell("result", name, result=report(rows))
    study.callback.on_experiment_end(trials=[])
    found = read_scalars(tmp_path / "tensorboard" / "td3")
    assert [step for step, _ in found] == [10, 20, 30]


def test_an_arm_shows_returns_where_there_is_no_score(tmp_path: Path) -> None:
    study = Study(Summaries(tmp_path, plan()))
    name = plan()[0].trial_id
    study.tell("start", name)
    rows = [row(seed, 10, **{"eval/return": 300.0}) for seed in (0, 1)]
    study.tell("result", name, result=report(rows))
    study.callback.on_experiment_end(trials=[])
    ((_, values),) = read_scalars(tmp_path / "tensorboard" / "td3")
    assert values["100% of p/eval/return"] == 300.0


def test_custom_scalars_lay_the_arms_side_by_side_in_each_cell(board: TensorBoard) -> None:
    categories = board.get("plugin/custom_scalars/layout")["category"]
    assert [category["title"] for category in categories] == ["100% of p", "50% of p"]
    charts = ["Score", "|Q|, as a power of ten", "SEEM, row-normalised"]
    for category in categories:
        assert [chart["title"] for chart in category["chart"]] == charts


def test_every_chart_of_custom_scalars_finds_one_line_per_arm(board: TensorBoard) -> None:
    (whole, half) = board.get("plugin/custom_scalars/layout")["category"]
    found = {
        (category["title"], chart["title"], run): len(
            board.get("plugin/custom_scalars/scalars", run=run, tag=chart["multiline"]["tag"][0])[
                "tag_to_events"
            ]
        )
        for category in (whole, half)
        for chart in category["chart"]
        for run in ("tensorboard/td3", f"trials/{plan()[0].trial_id}")
    }
    lines = {place for place, num_lines in found.items() if num_lines == 1}
    assert set(found.values()) == {0, 1}
    measured = {("100% of p", "Score")} | {
        (cell, "|Q|, as a power of ten") for cell in ("100% of p", "50% of p")
    }
    assert lines == {(*place, "tensorboard/td3") for place in measured}


def test_scalars_are_read_back_up_to_a_record_that_was_cut(tmp_path: Path) -> None:
    study = Study(Summaries(tmp_path, plan()))
    name = plan()[0].trial_id
    study.tell("start", name)
    study.tell("result", name, result=report([row(0, 10), row(0, 20)]))
    study.callback.on_experiment_end(trials=[])
    folder = tmp_path / "trials" / name
    (file,) = folder.glob("events.*")
    assert [step for step, _ in read_scalars(folder)] == [10, 20]
    file.write_bytes(file.read_bytes()[:-5])
    assert [step for step, _ in read_scalars(folder)] == [10]


def session_groups(board: TensorBoard) -> dict[str, dict[str, Any]]:
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    body = {"allowedStatuses": statuses, "colParams": [], "startIndex": 0, "sliceSize": 50}
    groups = board.post("session_groups", body | {"aggregationType": "AGGREGATION_AVG"})
    return {group["name"]: group for group in groups["sessionGroups"]}


def test_hparams_have_one_group_per_trial_with_its_seeds(board: TensorBoard) -> None:
    groups = session_groups(board)
    assert set(groups) == {trial.trial_id for trial in plan()[:3]}
    for name, group in groups.items():
        sessions = {session["name"] for session in group["sessions"]}
        assert sessions == {f"trials/{name}/s0", f"trials/{name}/s1"}


def test_hparams_of_running_trials_are_there_and_ends_are_told_apart(board: TensorBoard) -> None:
    groups = session_groups(board)
    statuses = [
        {session.get("status", "STATUS_UNKNOWN") for session in groups[t.trial_id]["sessions"]}
        for t in plan()[:3]
    ]
    assert statuses == [{"STATUS_SUCCESS"}, {"STATUS_UNKNOWN"}, {"STATUS_FAILURE"}]


def test_hparams_have_every_setting_and_what_varies_comes_first(board: TensorBoard) -> None:
    columns = board.post("experiment", {})["hparamInfos"]
    names = [column["name"] for column in columns]
    assert {"critic.norm", "agent.tau", "seem.period", "data.ref_min"} <= set(names)
    varied = [column["name"] for column in columns if column["differs"]]
    assert {"algorithm", "data.fraction", "agent.tau"} <= set(varied)
    assert names[: len(varied)] == varied


def test_hparams_of_a_setting_that_an_algorithm_lacks_are_none(board: TensorBoard) -> None:
    groups = session_groups(board)
    values = {name: group["hparams"] for name, group in groups.items()}
    assert [values[t.trial_id]["algorithm"] for t in plan()[:3]] == ["td3", "td3", "td3_bc"]
    assert [values[t.trial_id]["agent.bc_weight"] for t in plan()[:3]] == ["none", "none", "1.0"]
    assert [values[t.trial_id]["data.fraction"] for t in plan()[:3]] == [1.0, 0.5, 1.0]


def test_hparams_show_the_mean_of_the_last_metrics_over_seeds(board: TensorBoard) -> None:
    group = session_groups(board)[plan()[0].trial_id]
    values = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
    assert values["critic/q_abs"] == pytest.approx((30.0 + 50.0) / 2)
    assert values["run/diverged"] == pytest.approx(0.5)


def test_events_are_on_disk_when_a_report_returns(tmp_path: Path) -> None:
    study = Study(Summaries(tmp_path, plan()))
    name = plan()[0].trial_id
    study.tell("start", name)
    (file,) = (tmp_path / "trials" / name / "s0").iterdir()
    before = file.stat().st_size
    study.tell("result", name, result=report([row(0, 10)]))
    assert file.stat().st_size > before
    study.callback.on_experiment_end(trials=[])


@pytest.mark.parametrize("restarted", [False, True])
def test_event_files_tell_the_verdicts_that_the_results_hold(
    tmp_path: Path, restarted: bool
) -> None:
    """Also of a trial that is started again, whose first report brings all rows since step 0."""
    folder = make_run_folder(tmp_path / "observed", mode="observe", fractions=(0.1,))
    frame = collect(folder).to_pandas()
    frame = frame[frame["arm"] == "none"].sort_values("step")
    metrics = folder / "trials" / frame["trial"].iloc[0] / "metrics.parquet"
    rows = pq.read_table(metrics).sort_by("step").to_pylist()
    name, half = plan()[0].trial_id, len(rows) // 2
    parts = [rows] if restarted else [rows[:half], rows[half:]]
    study = Study(Summaries(tmp_path, plan()))
    study.tell("start", name)
    for part in parts:
        study.tell("result", name, result=report(part))
    study.callback.on_experiment_end(trials=[])
    verdicts = [metric for metric in frame if metric.startswith("stopper/")]
    assert len(verdicts) == 7
    frame["run/diverged"] = (frame["status"] == "diverged").astype(float)
    for seed, run in frame.groupby("seed"):
        events = EventAccumulator(str(tmp_path / "trials" / name / f"s{seed}"))
        events.Reload()
        for tag in [*verdicts, "run/diverged"]:
            held = run.dropna(subset=[tag])
            found = events.Scalars(tag) if tag in events.Tags()["scalars"] else []
            told = [(event.step, event.value) for event in found]
            assert told == list(zip(held["step"], held[tag], strict=True)), tag


def test_metrics_that_were_not_measured_are_left_out() -> None:
    assert "eval/score" not in scalars(row(0, 10, **{"eval/score": None}))


def test_a_mean_without_any_finite_value_is_left_out() -> None:
    rows = [row(seed, 10, **{"critic/q_abs": math.nan}) for seed in (0, 1)]
    means = mean_scalars(rows, 2, FLOORS)
    assert "critic/q_abs" not in means
    assert means["run/nonfinite"] == 1.0


# Progress


def progress(pending: list[str], *, terminal: bool = False) -> tuple[Study, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, width=200, force_terminal=terminal)
    return Study(Progress(plan(), pending, console)), text


def test_off_a_terminal_the_first_report_is_told_at_once() -> None:
    names = [trial.trial_id for trial in plan()]
    study, text = progress(names)
    study.tell("start", names[0])
    assert text.getvalue() == ""
    study.tell("result", names[0], result=report([row(0, 50)]))
    assert "0 of 6 trials done, 1 running, 0 failed, 0 runs diverged" in text.getvalue()
    assert "left" in text.getvalue()


def test_the_end_of_a_trial_is_told_with_its_score_or_reason() -> None:
    names = [trial.trial_id for trial in plan()]
    study, text = progress(names)
    for name in names[:2]:
        study.tell("start", name)
    scored = report([row(0, 200)], score=41.2, evaluated=True)
    study.tell("result", names[0], result=scored)
    study.tell("complete", names[0])
    lost = report([row(0, 80)], num_diverged=2, reasons={0: REASON, 1: "another"})
    study.tell("result", names[1], result=lost)
    study.tell("complete", names[1])
    told = text.getvalue()
    assert f"{names[0]} ended at step 200: last score 41.2" in told
    ending = f"{names[1]} ended at step 80: 2 of 2 runs diverged\n"
    assert f"{ending}  seed 0: {REASON}\n  seed 1: another\n" in told
    assert "2 of 6 trials done, 0 running, 0 failed, 2 runs diverged" in told
    assert f"best trial so far {names[0]} (last score 41.2)" in told


def suspect_row(seed: int, step: int, since: int, **metrics: object) -> dict[str, Any]:
    """Return a row of a run that is suspect, with |Q| 3.5 times its bound."""
    about = {"stopper/suspect": 1.0, "stopper/suspected_step": since, "critic/q_bound": step / 3.5}
    return row(seed, step, **about, **{"seem/row_normalized": 0.125} | metrics)


def test_a_run_is_told_once_when_it_becomes_suspect_and_once_when_it_is_given_up() -> None:
    name = plan()[0].trial_id
    study, text = progress([trial.trial_id for trial in plan()])
    study.tell("start", name)
    lost = {"stop_step": 60, "status": "diverged", "reason": REASON}
    for rows in (
        [row(0, 20), row(1, 20)],
        [suspect_row(0, 40, 40), row(1, 40)],
        [suspect_row(0, 50, 40), suspect_row(1, 50, 50, **{"seem/row_normalized": math.nan})],
        [suspect_row(0, 60, 40, **lost), suspect_row(1, 60, 50)],
        [suspect_row(0, 70, 40, **lost), suspect_row(1, 70, 50)],  # observed: it trains on
    ):
        study.tell("result", name, result=report(rows))
    told = [line for line in text.getvalue().splitlines() if line.startswith(name)]
    assert told == [
        f"{name} seed 0 suspect at step 40: |Q| 3.5 times its bound, row-normalised SEEM 0.12",
        f"{name} seed 1 suspect at step 50: |Q| 3.5 times its bound",
        f"{name} seed 0 given up at step 60: {REASON}",
    ]
    study.tell("result", name, result=report([row(1, 80)], reasons={0: REASON}, num_diverged=1))
    study.tell("complete", name)
    assert text.getvalue().count(REASON) == 1  # not again at the end of the trial


def test_a_run_that_is_lost_at_once_is_not_told_to_be_suspect() -> None:
    name = plan()[0].trial_id
    study, text = progress([name])
    study.tell("start", name)
    lost = {"stop_step": 40, "status": "diverged", "reason": "|Q| is no longer finite"}
    rows = [suspect_row(0, 40, 40, **{"critic/q_abs": math.nan}, **lost)]
    study.tell("result", name, result=report(rows))
    assert f"{name} seed 0 given up at step 40: |Q| is no longer finite" in text.getvalue()
    assert "suspect at" not in text.getvalue()


def test_runs_that_train_under_suspicion_now_are_counted() -> None:
    first, second, *_ = [trial.trial_id for trial in plan()]
    study, _ = progress([first, second])
    assert isinstance(study.callback, Progress)
    study.tell("start", first)
    study.tell("start", second)
    study.tell("result", first, result=report([suspect_row(0, 40, 40), suspect_row(1, 40, 40)]))
    study.tell("result", second, result=report([suspect_row(0, 40, 40), row(1, 40)]))
    assert "0 runs diverged, 3 suspect" in study.callback.line()
    freed = row(0, 60, **{"stopper/suspect": 0.0, "stopper/suspected_step": 40})
    lost = {"stop_step": 60, "status": "diverged", "reason": REASON}
    study.tell("result", first, result=report([freed, suspect_row(1, 60, 40, **lost)]))
    assert "1 suspect" in study.callback.line()
    study.tell("error", second)
    assert "0 suspect" in study.callback.line()


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    name = plan()[0].trial_id
    study, text = progress([name])
    study.tell("start", name)
    rows = [suspect_row(0, 40, 40), suspect_row(0, 60, 40), suspect_row(1, 60, 60)]
    study.tell("result", name, result=report(rows, restored_step=50))
    assert "seed 0 suspect" not in text.getvalue()
    assert "seed 1 suspect at step 60" in text.getvalue()
    assert "2 suspect" in text.getvalue()
    study.tell("start", name)  # after a lost node, from the checkpoint
    study.tell("result", name, result=report(rows, restored_step=50))
    assert text.getvalue().count("seed 1 suspect") == 1


def best_of(**reports: dict[str, Any]) -> str:
    """Return what is told of the best trial after reports of the first, second ... trial."""
    names = [trial.trial_id for trial in plan()]
    study, _ = progress(names)
    for name, changes in zip(names, reports.values(), strict=False):
        study.tell("start", name)
        study.tell("result", name, result=report([row(0, 100)], evaluated=True, **changes))
    assert isinstance(study.callback, Progress)
    return study.callback.line()


def test_the_best_trial_is_one_at_its_own_fraction_and_not_a_mean_over_them() -> None:
    half = plan()[1].trial_id
    told = best_of(full={"score": 10.0}, half={"score": 60.0}, other={"score": 50.0})
    assert (
        f"best trial so far {half} (last score 60.0)" in told
    )  # of means, the other arm's is larger


def test_a_return_is_not_set_against_a_score() -> None:
    first, second = [trial.trial_id for trial in plan()[:2]]
    raw = {"score": 3000.0, "floors": {"eval/return": -20.0}}
    told = best_of(first=raw, second={"score": 5.0})
    assert f"best trial so far {second} (last score 5.0)" in told
    assert f"best trial so far {first} (last return 3000.0)" in best_of(first=raw)


def test_a_trial_whose_runs_are_all_lost_is_not_the_best() -> None:
    assert "best" not in best_of(first={"score": 5.0, "num_diverged": 2})


def test_failed_trials_are_counted_apart_and_say_why(tmp_path: Path) -> None:
    names = [trial.trial_id for trial in plan()]
    study, text = progress(names)
    study.tell("start", names[0])
    (tmp_path / "ray.txt").write_text("Failure # 1\nTraceback\nValueError: boom\n")
    study.tell("error", names[0], error_file=tmp_path / "ray.txt")
    assert f"{names[0]} failed: ValueError: boom" in text.getvalue()
    assert f"trials/{names[0]}/error.txt" in text.getvalue()
    assert "0 of 6 trials done, 0 running, 1 failed" in text.getvalue()


def test_a_resumed_study_counts_the_trials_that_were_done_before() -> None:
    names = [trial.trial_id for trial in plan()]
    study, text = progress(names[4:])
    study.tell("start", names[4])
    study.tell("result", names[4], result=report([row(0, 100)], restored_step=50))
    assert "4 of 6 trials done" in text.getvalue()
    assert "14% of the steps" in text.getvalue()  # 50 of 150 + 200


def test_time_left_follows_the_pace_since_the_first_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    names = [trial.trial_id for trial in plan()]
    study, text = progress(names)
    now[0] += 30  # Ray starts
    study.tell("start", names[0])
    now[0] += 60
    study.tell("result", names[0], result=report([row(0, 100)]))
    assert "[0:01:30]" in text.getvalue()
    assert "about 0:11:00 left" in text.getvalue()  # 100 steps a minute, 1,100 are left


def test_a_line_is_written_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    study, text = progress([trial.trial_id for trial in plan()])
    for seconds in range(0, 150, 10):
        now[0] = float(seconds)
        study.callback.on_step_end(iteration=0, trials=[])
    assert len(text.getvalue().splitlines()) == 2


def test_on_a_terminal_running_trials_are_a_table() -> None:
    names = [trial.trial_id for trial in plan()]
    study, text = progress(names, terminal=True)
    for name in names[:2]:
        study.tell("start", name)
        study.tell("result", name, result=report([row(0, 50)]))
    study.tell("complete", names[0])
    study.callback.on_experiment_end(trials=[])
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())
    assert re.search(rf"{re.escape(names[1])}\s+50 of 200", told)
    assert f"{names[0]} ended at step 50" in told


# Failures and guards


def test_the_errors_of_a_failed_trial_are_kept_and_counted(tmp_path: Path) -> None:
    (tmp_path / "ray.txt").write_text("Failure # 1\nTraceback\nValueError: boom\n")
    stopper = LostTrialStopper(max_failed=1)
    failures = Failures(tmp_path / "trials", stopper)
    trial = SimpleNamespace(config={"trial": "a"}, error_file=str(tmp_path / "ray.txt"))
    failures.on_trial_error(iteration=0, trials=[], trial=trial)
    kept = (tmp_path / "trials" / "a" / "error.txt").read_text()
    assert kept.strip().splitlines()[-1] == "ValueError: boom"
    assert stopper.stop_all()


def test_a_callback_that_fails_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @guarded
    def on_trial_result(trial: str) -> None:
        raise OSError(f"no space left for {trial}")

    on_trial_result("a")
    assert "no space left for a" in caplog.text
