"""Tests of trackers: what they are told, their failures, and MLflow with a store of files."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from told_studies import Study, plan, report, row

from rayoff.callbacks.trackers import TrackedTrial, connect, tracked
from rayoff.callbacks.tracking import Tracking, trackings
from rayoff.errors import TrackerError

NAME, OTHER = (trial.trial_id for trial in plan()[:2])


class Recorder:
    """A tracker that keeps what it is told, and fails while it is told to."""

    step_key = "step"

    def __init__(self, last_step: int = -1) -> None:
        self.told: list[tuple[str, Any]] = []
        self.fails = False
        self.free = threading.Event()
        self.free.set()
        self._last_step = last_step

    def setup(self) -> None:
        """Do nothing."""

    def last_step(self, trial: TrackedTrial) -> int:
        return self._last_step

    def log_trial_start(self, trial: TrackedTrial) -> None:
        self._note("start", trial.name)

    def log_trial_result(
        self, iteration: int, trial: TrackedTrial, result: dict[str, float]
    ) -> None:
        self._note("result", result)

    def log_trial_end(self, trial: TrackedTrial, failed: bool = False) -> None:
        self._note("end", failed)

    def on_experiment_end(self, trials: list[Any]) -> None:
        self._note("over", None)

    def steps(self) -> list[float]:
        return [told["step"] for event, told in self.told if event == "result"]

    def _note(self, event: str, told: object) -> None:
        self.free.wait()
        if self.fails:
            raise ConnectionError("no route to the tracker")
        self.told.append((event, told))


def follow(tracker: Recorder, folder: Path, end_seconds: float = 30.0) -> Study:
    planned = {trial.trial_id: trial for trial in plan()}
    view = lambda config: tracked(folder, planned[config["trial"]])  # noqa: E731
    return Study(Tracking(tracker, view, end_seconds))


def rows_of(*steps: int) -> list[dict[str, Any]]:
    return [row(seed, step, **{"actor/loss": 1.0}) for step in steps for seed in (0, 1)]


def test_means_have_their_own_names_and_the_runs_main_metrics_lie_below_their_seeds(
    tmp_path: Path,
) -> None:
    tracker = Recorder()
    study = follow(tracker, tmp_path)
    study.tell("start", NAME)
    rows = [row(0, 10, **{"critic/q_abs": 1.0}), row(1, 10, **{"critic/q_abs": 3.0})]
    study.tell("result", NAME, result=report([r | {"actor/loss": 7.0} for r in rows]))
    study.tell("complete", NAME)
    study.callback.on_experiment_end(trials=[])
    assert [event for event, _ in tracker.told] == ["start", "result", "end", "over"]
    result = tracker.told[1][1]
    assert (result["step"], result["critic/q_abs"], result["actor/loss"]) == (10, 2.0, 7.0)
    assert (result["seed_0/critic/q_abs"], result["seed_1/critic/q_abs"]) == (1.0, 3.0)
    assert "seed_0/actor/loss" not in result


def test_the_end_of_a_trial_says_whether_it_failed(tmp_path: Path) -> None:
    tracker = Recorder()
    study = follow(tracker, tmp_path)
    for name, event in ((NAME, "complete"), (OTHER, "error")):
        study.tell("start", name)
        study.tell(event, name)
    study.callback.on_experiment_end(trials=[])
    assert [told for event, told in tracker.told if event == "end"] == [False, True]


def test_a_trial_that_is_tried_again_tells_each_step_once(tmp_path: Path) -> None:
    tracker = Recorder()
    study = follow(tracker, tmp_path)
    for steps in ((10, 20), (10, 20, 30)):
        study.tell("start", NAME)
        study.tell("result", NAME, result=report(rows_of(*steps)))
    study.callback.on_experiment_end(trials=[])
    assert tracker.steps() == [10, 20, 30]


def test_a_trial_that_is_resumed_tells_what_its_run_does_not_have(tmp_path: Path) -> None:
    tracker = Recorder(last_step=20)
    study = follow(tracker, tmp_path)
    study.tell("start", NAME)
    study.tell("result", NAME, result=report(rows_of(10, 20, 30)))
    study.callback.on_experiment_end(trials=[])
    assert tracker.steps() == [30]


def test_a_tracker_that_fails_is_told_later_what_it_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Recorder()
    tracker.fails = True
    study = follow(tracker, tmp_path)
    study.tell("start", NAME)
    for step in (10, 20):
        study.tell("result", NAME, result=report(rows_of(step)))
    wait_for(lambda: "no route to the tracker" in caplog.text)
    tracker.fails = False
    study.tell("result", NAME, result=report(rows_of(30)))
    study.tell("complete", NAME)
    study.callback.on_experiment_end(trials=[])
    assert tracker.steps() == [10, 20, 30]
    assert [event for event, _ in tracker.told][-2:] == ["end", "over"]
    assert caplog.text.count("The tracker failed, the study goes on") == 1


def test_a_tracker_that_hangs_holds_up_neither_reports_nor_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Recorder()
    tracker.free.clear()
    study = follow(tracker, tmp_path, end_seconds=0.2)
    started = time.monotonic()
    study.tell("start", NAME)
    study.tell("result", NAME, result=report(rows_of(10)))
    study.callback.on_experiment_end(trials=[])
    assert time.monotonic() - started < 5
    assert tracker.told == []
    assert "The tracker did not take all within 0.2 s" in caplog.text
    tracker.free.set()


def wait_for(condition: Any) -> None:  # noqa: ANN401 - a callable
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("what was waited for did not come")


def test_without_a_tracker_there_is_no_callback(tmp_path: Path) -> None:
    assert trackings(None, tmp_path, "tiny", plan()) == []


def test_a_trial_keeps_its_identity_until_its_folder_is_made_anew(tmp_path: Path) -> None:
    def identity(started: str) -> str:
        (tmp_path / "provenance.json").write_text(f'{{"started": "{started}"}}')
        return tracked(tmp_path, plan()[0]).trial_id

    first = identity("2026-01-01")
    assert identity("2026-01-01") == first
    assert identity("2026-01-02") != first
    assert tracked(tmp_path, plan()[1]).trial_id != tracked(tmp_path, plan()[0]).trial_id


# MLflow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of MLflow's files, which is where the client looks."""
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: rayoff[mlflow]")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    yield tmp_path / "mlruns"
    mlflow.set_tracking_uri(None)


def follow_by_mlflow(folder: Path) -> Study:
    (tracking,) = trackings("mlflow", folder, "tiny", plan())
    return Study(tracking)


def mlflow_runs() -> list[Any]:
    from mlflow import MlflowClient

    experiment = MlflowClient().get_experiment_by_name("tiny")
    assert experiment is not None
    return list(MlflowClient().search_runs([experiment.experiment_id]))


def history(run: Any, name: str) -> list[tuple[int, float]]:  # noqa: ANN401
    from mlflow import MlflowClient

    points = MlflowClient().get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in points]


def test_mlflow_has_a_run_per_trial_with_its_settings_arm_and_metrics(
    store: Path, tmp_path: Path
) -> None:
    study = follow_by_mlflow(tmp_path)
    study.tell("start", NAME)
    study.tell("result", NAME, result=report(rows_of(10, 20)))
    study.tell("complete", NAME)
    study.callback.on_experiment_end(trials=[])
    (run,) = mlflow_runs()
    assert (run.info.run_name, run.info.status) == (NAME, "FINISHED")
    assert run.data.tags["arm"] == "td3"
    assert (run.data.params["algorithm"], run.data.params["data.fraction"]) == ("td3", "1.0")
    assert history(run, "critic/q_abs") == [(10, 10.0), (20, 20.0)]
    assert history(run, "seed_1/critic/q_abs") == [(10, 10.0), (20, 20.0)]


def test_mlflow_goes_on_with_the_run_of_a_trial_that_is_resumed(
    store: Path, tmp_path: Path
) -> None:
    study = follow_by_mlflow(tmp_path)
    study.tell("start", NAME)
    study.tell("result", NAME, result=report(rows_of(10, 20)))
    study.callback.on_experiment_end(trials=[])
    assert [run.info.status for run in mlflow_runs()] == ["KILLED"]
    study = follow_by_mlflow(tmp_path)
    study.tell("start", NAME)
    study.tell("result", NAME, result=report(rows_of(10, 20, 30)))
    study.tell("complete", NAME)
    study.callback.on_experiment_end(trials=[])
    (run,) = mlflow_runs()
    assert run.info.status == "FINISHED"
    assert [step for step, _ in history(run, "critic/q_abs")] == [10, 20, 30]


def test_mlflow_marks_a_trial_that_failed(store: Path, tmp_path: Path) -> None:
    study = follow_by_mlflow(tmp_path)
    study.tell("start", NAME)
    study.tell("error", NAME)
    study.callback.on_experiment_end(trials=[])
    assert [run.info.status for run in mlflow_runs()] == ["FAILED"]


def test_a_tracker_that_cannot_be_reached_is_told_before_the_first_trial(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackerError, match="--track mlflow must reach the tracker but got"):
        connect("mlflow", tmp_path, "tiny")
