"""Tests of the command: what it prints, what it refuses, and its exit codes."""

import importlib.metadata
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import minari
import pandas as pd
import pytest
import torch
from tiny_studies import study_text
from toy_pendulum import write_pendulum

from rayoff import tune
from rayoff.data import load_table
from rayoff.report import write_report
from rayoff.results import write_metrics
from rayoff.search import Resources, RunFolder, driver
from rayoff.search.archive import Archive, write_files
from rayoff.search.policies import CONFIG, WEIGHTS, describe, weights
from rayoff.search.session import Session
from rayoff.search.supervision import Supervision
from rayoff.study import load_study, study_files, trials
from rayoff.trial import Row, Trial

ROOT = Path(__file__).parent.parent

STUDY = study_text("command", num_steps=400, evaluation_period=100)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a study and its data."""
    write_pendulum(tmp_path / "pendulum.parquet")
    (tmp_path / "command.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def interrupt(*_: object, **__: object) -> int:
    raise KeyboardInterrupt


Trained = list[tuple[RunFolder, Resources]]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """What would have been trained, in the place of training it."""
    calls: Trained = []

    def train(folder: RunFolder, resources: Resources, *_: object, **__: object) -> int:
        calls.append((folder, resources))
        return 0

    monkeypatch.setattr(tune, "_train", train)
    return calls


# Before anything starts


def test_no_arguments_run_the_quickstart(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rayoff"])
    assert tune.main() == 0
    ((folder, resources),) = trained
    assert folder.study.name == "quickstart"
    assert resources == Resources()
    assert str(folder).startswith("runs/quickstart-")


def test_settings_seeds_and_resources_are_taken_from_the_command_line(
    here: Path, trained: Trained
) -> None:
    options = ["--set", "agent.tau=1", "--set", "critic.norm=layer,batch", "--seeds", "3"]
    options += ["--cpus-per-trial", "2", "--gpu-per-trial", "0.5", "--max-concurrent", "1"]
    assert tune.main(["run", "command.py", *options, "--runs-dir", "elsewhere"]) == 0
    ((folder, resources),) = trained
    assert {t.config.critic.norm for t in folder.planned} == {"layer", "batch"}
    assert {t.config.seeds for t in folder.planned} == {(0, 1, 2)}
    assert all(getattr(t.config.agent, "tau", None) == 1.0 for t in folder.planned)
    assert resources == Resources(cpus_per_trial=2, gpu_per_trial=0.5, max_concurrent=1)
    assert folder.path.parent == here / "elsewhere"


def test_relative_paths_of_data_are_made_absolute(here: Path, trained: Trained) -> None:
    assert tune.main(["run", "command.py"]) == 0
    ((folder, _),) = trained
    assert {t.dataset for t in folder.planned} == {f"parquet:{here / 'pendulum.parquet'}"}


def test_smoke_is_a_study_of_seconds(here: Path, trained: Trained) -> None:
    assert tune.main(["run", "command.py", "--smoke"]) == 0
    ((folder, _),) = trained
    assert len(folder.planned) == 2
    assert {t.config.num_steps for t in folder.planned} == {200}
    assert {t.config.seeds for t in folder.planned} == {(0,)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quikstart"], "No study is named 'quikstart'. Did you mean 'quickstart'?"),
        (["run", "command.py", "--set", "critic.nrm=layer"], "Did you mean 'critic.norm'?"),
        (["run", "command.py", "--set", "critic.norm"], "must be key=value"),
        (["run", "command.py", "--gpu-per-trial", "1.5"], "--gpu-per-trial must be"),
        (["run", "command.py", "--set", "datasets=parquet:none.parquet"], "none.parquet"),
        (["run", "command.py", "--max-failures", "0"], "--max-failures must be at least 1"),
        (["resume", "runs/nothing"], "must be a run folder"),
        (["report", "runs/nothing"], "runs/nothing/study.json was expected"),
        (["evaluate", "runs/nothing"], "folder under trials/"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_to_do(
    here: Path,
    trained: Trained,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tune.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert trained == []


def test_an_unknown_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        tune.main(["rnu"])
    assert end.value.code == 2
    assert "rnu" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rayoff {importlib.metadata.version('rayoff')}\n"
    with pytest.raises(SystemExit):
        tune.main(["--help"])
    assert "--version" in capsys.readouterr().out


def test_an_interrupt_ends_with_130(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "_train", interrupt)
    assert tune.main(["run", "command.py"]) == 130


@pytest.mark.parametrize(
    ("ended_by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_exit_code_tells_the_signal_that_ended_a_study(
    here: Path, ended_by: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(folder: RunFolder, *_: object, **__: object) -> driver.Outcome:
        return driver.Outcome([], [folder.planned[0].trial_id], ended_by)

    def break_off(*_: object, **__: object) -> driver.Outcome:
        raise KeyboardInterrupt(ended_by)

    monkeypatch.setattr(driver, "train", train)
    assert tune.main(["run", "command.py"]) == code
    (folder,) = (here / "runs").iterdir()
    monkeypatch.setattr(driver, "train", break_off)
    assert tune.main(["resume", str(folder)]) == code


def test_a_study_in_training_is_neither_run_nor_resumed_and_says_who_trains_it(
    here: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["run", "command.py"]) == 0
    folder, _ = trained.pop()
    own = f"by process {os.getpid()} on {socket.gethostname()}, since {datetime.now().year}-"
    with folder.locked():
        assert tune.main(["run", "command.py"]) == 2
        told = capsys.readouterr().err
        assert f"in training already, {own}" in told
        assert "rayoff resume" not in told
    assert tune.main(["run", "command.py"]) == 2
    assert f"rayoff resume {folder}" in capsys.readouterr().err


def test_a_typo_in_a_study_is_told_in_under_two_seconds(here: Path) -> None:
    Path("typo.py").write_text(STUDY.replace("critic.norm", "critic.nomr"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(ROOT / "rayoff" / "tune.py"), "run", "typo.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2
    assert "typo.py, axis 1" in done.stderr
    assert "Did you mean 'critic.norm'?" in done.stderr
    # Of the processor, since a test may share it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0


def test_the_command_imports_neither_torch_nor_ray() -> None:
    code = "import sys, rayoff.tune; print(sorted({'torch', 'ray', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Run folders


@pytest.mark.parametrize("command", ["plan", "run"])
def test_data_that_is_too_little_is_found_before_a_folder_is_made(
    here: Path, command: str, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [command, "command.py", "--set", "data.fraction=1.0,0.001"]
    for _ in range(2):
        assert tune.main(bad) == 2
        assert "must leave at least batch_size = 64 rows" in capsys.readouterr().err
    assert not (here / "runs").exists()
    assert trained == []


def test_data_that_cannot_be_downloaded_is_found_before_a_folder_is_made(
    here: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(dataset_id: str) -> None:
        raise ConnectionError(f"no route to {dataset_id}")

    monkeypatch.setenv("MINARI_REMOTE", "gcp://none")  # not asked first whether it is there
    monkeypatch.setattr(minari, "download_dataset", unreachable)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(here))
    assert tune.main(["run", "command.py", "--set", "datasets=mujoco/none/none-v0"]) == 2
    assert not (here / "runs").exists()
    assert trained == []


def test_a_run_folder_of_another_version_is_reported_but_not_resumed(
    here: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["run", "command.py"]) == 0
    ((folder, _),) = trained
    file = folder.path / "study.json"
    content = json.loads(file.read_text())
    for trial in content["trials"]:
        trial["config"]["critic"]["field_of_another_version"] = 1
    file.write_text(json.dumps(content))
    assert tune.main(["report", str(folder)]) == 0
    told = capsys.readouterr().out
    assert re.search(r"100% +layer", told)
    assert re.search(rf"Unfinished: 0 of \d+ runs have ended. Go on with: .*resume {folder}", told)
    assert (folder.path / "report.html").exists()
    assert tune.main(["resume", str(folder)]) == 2
    assert "can still be read, with `rayoff report`" in capsys.readouterr().err


def test_a_finished_study_is_not_trained_again_but_answered(
    here: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["run", "command.py"]) == 0
    folder, _ = trained.pop()
    assert tune.main(["run", "command.py"]) == 2
    assert f"resume {folder}" in capsys.readouterr().err
    for planned in folder.planned:
        Archive(folder.path / "trials").finish(planned.trial_id, {})
    (here / "pendulum.parquet").unlink()  # the answer needs no data
    for _ in range(2):
        assert tune.main(["run", "command.py"]) == 0
        told = capsys.readouterr().out
        assert f"{folder} holds this study, finished." in told
        assert re.search(r"100% +layer", told)
    assert trained == []


@pytest.mark.parametrize(("options", "expected"), [([], None), (["--max-failures", "2"], 2)])
def test_a_study_ends_after_as_many_failed_trials_as_are_allowed(
    here: Path, options: list[str], expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = []

    def train(folder: RunFolder, *_: object, **asked: object) -> driver.Outcome:
        assert isinstance(asked["supervision"], Supervision)
        allowed.append(asked["supervision"].max_failures)
        return driver.Outcome(failed=[folder.planned[0].trial_id], unfinished=[])

    monkeypatch.setattr(driver, "train", train)
    assert tune.main(["run", "command.py", *options]) == 1
    (folder,) = (here / "runs").iterdir()
    assert tune.main(["resume", str(folder), *options]) == 1
    assert allowed == [expected, expected]


def test_resumes_are_noted_beside_where_the_study_came_from(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "session", lambda num_trials: nullcontext(Session(started=True)))
    monkeypatch.setattr(driver, "_pack", interrupt)
    assert tune.main(["run", "command.py"]) == 130
    (folder,) = (here / "runs").iterdir()
    first = json.loads((folder / "provenance.json").read_text())
    assert not {"resumed", "ended"} & set(first)
    for command in (["rayoff", "resume", "runs/a"], ["rayoff", "resume", "a b"]):
        monkeypatch.setattr(sys, "orig_argv", command)
        assert tune.main(["resume", str(folder)]) == 130
    provenance = json.loads((folder / "provenance.json").read_text())
    resumed = provenance.pop("resumed")
    assert provenance == first
    assert [one["command"] for one in resumed] == ["rayoff resume runs/a", "rayoff resume 'a b'"]
    assert {one["environment"] for one in resumed} == {first["environment"]["sha256"]}
    git = first["git"]
    assert [one["commit"] for one in resumed] == [git and git["commit"]] * 2
    assert all(first["started"] <= one["time"] for one in resumed)
    assert "rayoff resume runs/a" in write_report(folder).read_text()


def test_a_study_is_resumed_from_within_its_folder(
    here: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune.main(["run", "command.py"]) == 0
    folder, _ = trained.pop()
    monkeypatch.chdir(folder.path)
    assert tune.main(["resume", "."]) == 0
    assert trained[0][0].path == folder.path


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_suits_where_it_is_read(
    here: Path,
    trained: Trained,
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tune.main(["run", "command.py"]) == 0
    ((folder, _),) = trained
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert tune.main(["report", str(folder)]) == 0
    told = capsys.readouterr().out
    assert bool(re.search("[│┃]", told)) == terminal
    assert "0 of 0" in told


# plan and list


def test_a_plan_has_axes_trials_cost_and_warnings(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["plan", "command.py", "--set", "data.fraction=1.0,0.5"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"study command \([0-9a-f]{7}\)  2 arms, 2 fractions, 1 dataset = 4 ", told)
    assert re.search(r"critic\.norm +none\* layer +\* baseline", told)
    assert re.search(r"data\.fraction +1\.0 0\.5 +unit=transition, nested", told)
    assert "layer_pendulum_0.5" in told
    assert re.search(r"cost   4 x \d.* \[measured: 20 steps", told)
    assert "at 1 CPU per trial" in told
    assert re.search(r"pack   \d+ at once: .* trial takes 0\.\d+ GiB \[estimated: 2 runs of", told)
    assert "2 seeds: too few for a bootstrap" in told
    assert not list(here.glob("runs*"))


def test_a_plan_warns_of_what_the_answer_will_lack(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pendulum(here / "bare.parquet", references=False)
    datasets = "parquet:bare.parquet,parquet:none.parquet,somebody/somewhere/data-v0"
    options = ["--seeds", "5", "--set", f"datasets={datasets}", "--no-measure"]
    assert tune.main(["plan", "command.py", *options]) == 0
    told = capsys.readouterr().out
    assert "has no reference scores" in told
    assert "none.parquet" in told
    assert "somebody/somewhere/data-v0 is not on this machine" in told
    # the others are measured all the same
    assert tune.main(["plan", "command.py", *options[:-1]]) == 0
    assert "none.parquet" in (measured := capsys.readouterr().out)
    assert re.search(r"pack   \d+ at once", measured)
    assert "5 seeds: an interval named 95% covers about 90%" in told
    assert "not measured" in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
def test_a_plan_made_without_a_gpu_warns_of_what_only_gpus_have_and_is_measured(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["plan", "command.py", "--set", "precision=tf32"]) == 0
    told = capsys.readouterr().out
    assert told.count("this machine has no GPU: precision must be float32 or bfloat16") == 1
    assert "[measured:" in told


def test_a_plan_says_when_no_trial_fits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main(["plan", "command.py", "--cpus-per-trial", "10000"]) == 0
    assert "none fits on this machine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("studies", "quickstart +Does LayerNorm keep"),
        ("agents", "td3_bc +TD3\\+BC"),
        ("axes", r"critic\.norm +none \| layer .*\[none\]: Normalisation of the hidden blocks"),
        ("axes", r"agent\.bc_weight +float \[1\.0\]: Weight of the cloning error"),
        ("axes", r"search\.num_points +int \| None \[40\]: Points that are evaluated"),
        ("axes", r"search\.objectives +score, device_seconds, divergence_rate \[score\]: "),
        ("datasets", r"builtin:hopper-mixed +[\d,]+ transitions"),
    ],
)
def test_what_there_is_can_be_listed(
    what: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["list", what]) == 0
    assert re.search(expected, capsys.readouterr().out)


def test_every_study_can_be_planned(capsys: pytest.CaptureFixture[str]) -> None:
    for name in study_files():
        assert tune.main(["plan", name, "--no-measure"]) == 0
        assert f"study {name} (" in capsys.readouterr().out


# evaluate


def test_evaluating_a_run_that_diverged_says_so_with_the_reason(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (planned, *_) = trials(load_study("command.py"))
    trial = Trial(planned.config, load_table(planned.dataset))
    lost = {"status": "diverged", "reason": "|Q| 1e9 at step 20"}
    rows: list[Row] = [row | (lost if row["seed"] == 1 else {}) for row in trial.advance()]
    folder = here / "trial"
    write_files({CONFIG: describe(trial), WEIGHTS: weights(trial)}, folder)
    write_metrics(folder, rows)
    assert tune.main(["evaluate", str(folder)]) == 0
    healthy, diverged, reason = capsys.readouterr().out.splitlines()
    assert re.match(r"seed 0: return .* over 1 episodes", healthy)
    assert re.match(r"seed 1: return .* over 1 episodes", diverged)
    assert "diverged" in reason
    assert reason.endswith(lost["reason"])
    assert tune.main(["evaluate", str(folder), "--seed", "0"]) == 0
    assert "diverged" not in capsys.readouterr().out


# Whole studies


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment of a user who has no Ray running."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets' paths must be short
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    yield own | {"RAY_TMPDIR": folder, "HOME": folder, "RAY_AUTH_MODE": "disabled"}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_study_is_interrupted_resumed_and_answered(
    here: Path, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(shutil.copy(ROOT / "rayoff" / "tune.py", here))  # as `ray submit` does
    command = [sys.executable, str(script)]
    one = ["--max-concurrent", "1"]
    driver = subprocess.Popen(
        [*command, "run", "command.py", *one],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    wait_for(here, "runs/command-*/trials/*/metrics.parquet", driver)
    os.killpg(driver.pid, signal.SIGTERM)  # as `timeout` does, which signals its child as well
    driver.send_signal(signal.SIGTERM)
    told, _ = driver.communicate(timeout=40)
    assert driver.returncode == 143, told
    (folder,) = (here / "runs").iterdir()
    assert re.search(rf"Go on with: \S*rayoff resume runs/{folder.name}\n", told)
    assert list(folder.glob("trials/*/checkpoints/*")), "the progress is kept"

    assert tune.main(["run", "command.py"]) == 2
    assert "trials unfinished" in capsys.readouterr().err

    done = subprocess.run(
        [*command, "resume", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = rf"TensorBoard: \S*tensorboard --logdir runs/{folder.name}"
    assert re.fullmatch(last, done.stdout.splitlines()[-1])
    assert f"runs/{folder.name}/results.parquet" in done.stdout.splitlines()[-2]
    assert (folder / "report.html").exists()
    assert_equal_to_an_undisturbed_run(folder)

    shutil.rmtree(folder / "tables")
    assert tune.main(["report", str(folder)]) == 0
    assert (folder / "tables").is_dir()
    assert re.search(r"100% +layer", capsys.readouterr().out)
    trial = folder / "trials" / "layer_pendulum_1"
    assert tune.main(["evaluate", str(trial), "--episodes", "2"]) == 0
    assert re.search(r"seed 1: return -\d.*, score .* over 2 episodes", capsys.readouterr().out)


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_equal_to_an_undisturbed_run(folder: Path) -> None:
    results = pd.read_parquet(folder / "results.parquet")
    for planned in RunFolder.open(folder).planned:
        trial = Trial(planned.config, load_table(planned.dataset))
        while not trial.done:
            trial.advance()
        expected = pd.DataFrame(trial.rows).sort_values(["seed", "step"])
        rows = results.query("trial == @planned.trial_id").sort_values(["seed", "step"])
        for name in ("seed", "step", "critic/q_abs", "actor/loss", "seem/row_normalized"):
            assert rows[name].tolist() == expected[name].tolist()
