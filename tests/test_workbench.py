"""Tests of rayoff.workbench: a study run, read and used from Python."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finished_runs import train_here
from synthetic_results import make_run_folder
from synthetic_search import make_search_folder
from tiny_studies import make_study
from toy_pendulum import write_pendulum

import rayoff
from rayoff.errors import CheckpointError, ResultsError, StudyError
from rayoff.report import write_report
from rayoff.search import Policies, RunFolder
from rayoff.study import Axis


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished study of two arms on the pendulum's transitions."""
    folder = tmp_path_factory.mktemp("workbench")
    source = write_pendulum(folder / "pendulum.parquet")
    axes = [Axis("critic.norm", ["none", "layer"])]
    settings = {"num_steps": 40, "evaluation.period": 20}
    return train_here(folder / "runs", make_study(source, axes=axes, settings=settings))


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 2 arms x 2 fractions x 2 seeds with its report."""
    folder = tmp_path_factory.mktemp("reported") / "norms-1234567"
    make_run_folder(folder, fractions=(1.0, 0.1))
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def results(reported: Path) -> rayoff.Results:
    return rayoff.load(reported)


def test_tables_and_headlines_are_those_of_the_report(
    results: rayoff.Results, reported: Path
) -> None:
    exported = {path.stem: path for path in (reported / "tables").glob("*.parquet")}
    assert set(results.tables) == exported.keys() | {"results"}
    for name, path in exported.items():
        assert results.arrow(name).equals(pq.read_table(path)), name
    pd.testing.assert_frame_equal(
        results.table("results"), pq.read_table(reported / "results.parquet").to_pandas()
    )
    page = (reported / "README.md").read_text()
    assert results.headlines
    assert all(sentence.split(": ")[0] in page for sentence in results.headlines)


def test_a_table_is_pandas_or_arrow_and_changing_it_changes_no_other(
    results: rayoff.Results,
) -> None:
    summary = results.table()
    assert isinstance(results.arrow(), pa.Table)
    assert results.arrow().num_rows == len(summary) == 4
    summary["mean"] = 0.0
    assert set(results.table()["mean"]) != {0.0}


def test_figures_are_objects_that_can_be_changed_and_saved(
    results: rayoff.Results, tmp_path: Path
) -> None:
    assert {"score", "stability", "effects", "curves"} <= set(results.figures)
    results.figures["score"].savefig(tmp_path / "score.png")
    assert (tmp_path / "score.png").stat().st_size > 1000


def test_loading_writes_nothing_and_sees_what_came_since_the_last_report(
    results: rayoff.Results, reported: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(reported, tmp_path / "a")
    shutil.rmtree(folder / "trials" / results.trials[0])
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = rayoff.load(str(folder))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (missing,) = found.table("results").query("status == 'missing'")["trial"].unique()
    assert missing == results.trials[0]


def test_results_without_trials_are_read_from_the_table(
    results: rayoff.Results, reported: Path, tmp_path: Path
) -> None:
    shutil.copy(reported / "results.parquet", tmp_path)
    assert rayoff.load(tmp_path).arrow().equals(results.arrow())


def test_a_search_is_loaded_too(tmp_path: Path) -> None:
    results = rayoff.load(make_search_folder(tmp_path / "a"))
    assert "points" in results.tables
    assert "history" in results.figures
    assert results.headlines


def test_a_notebook_shows_headlines_and_summary(results: rayoff.Results) -> None:
    shown = results._repr_html_()
    assert results.headlines[0].replace("<", "&lt;") in shown
    assert shown.count("<tr") == 5
    assert re.fullmatch(r"Results\('.*norms-1234567': 4 trials, 8 runs\)", repr(results))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.table("sumary"), "no table 'sumary'. Did you mean 'summary'"),
        (lambda r: r.policy("x"), "no trial 'x'. There are: none_mixed"),
    ],
)
def test_an_unknown_name_says_what_there_is(
    ask: object, message: str, results: rayoff.Results
) -> None:
    assert callable(ask)
    with pytest.raises(ResultsError, match=message):
        ask(results)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="was expected"):
        rayoff.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="folder under trials/"):
        rayoff.load_policy(tmp_path / "nothing")
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        rayoff.lod  # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]


def test_a_policy_acts_as_in_its_evaluation(trained: RunFolder) -> None:
    results = rayoff.load(trained.path)
    for trial in results.trials:
        folder = trained.trial_folder(trial)
        for seed, earned in zip(*Policies(folder).evaluate(num_episodes=1)[:2], strict=True):
            policy = results.policy(trial, seed)
            assert policy.seed == seed
            assert policy.step == 40
            assert rolled_out(policy, folder, seed) == pytest.approx(earned[0], rel=1e-4)


def rolled_out(policy: object, folder: Path, seed: int) -> float:
    """Return what a policy earns in the first episode that the evaluation of its run meets."""
    import gymnasium

    from rayoff.evaluation import episode_seeds

    assert callable(policy)
    content = json.loads((folder / "config.json").read_text())
    (first,) = episode_seeds(seed + content["config"]["evaluation"]["seed"], 40, 1)
    environment = gymnasium.make("Pendulum-v1")
    observation, _ = environment.reset(seed=first)
    earned, is_over = 0.0, False
    while not is_over:
        observation, reward, terminated, truncated, _ = environment.step(policy(observation))
        earned, is_over = earned + float(reward), terminated or truncated
    return earned


def test_a_policy_is_loaded_from_the_folder_of_its_trial(trained: RunFolder) -> None:
    results = rayoff.load(trained.path)
    trial = results.trials[0]
    policy = rayoff.load_policy(str(trained.trial_folder(trial)), seed=1)
    observation = np.array([1.0, 0.0, 0.5])
    np.testing.assert_array_equal(policy(observation), results.policy(trial, 1)(observation))
    assert rayoff.load_policy(trained.trial_folder(trial)).seed == 0
    with pytest.raises(StudyError, match="0, 1, but got 9"):
        results.policy(trial, 9)


def test_the_package_is_light_until_it_is_used() -> None:
    heavy = ("numpy", "pandas", "pyarrow", "torch", "ray", "gymnasium", "matplotlib", "pydantic")
    code = f"import sys, rayoff; print(sorted(set({heavy}) & set(sys.modules)), dir(rayoff))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")


SCRIPT = """
import rayoff
from tiny_studies import make_study
from rayoff.study import Axis

axes = [Axis("critic.norm", ["none", "layer"])]
settings = {"num_steps": 20, "evaluation.period": 20}
study = make_study("parquet:pendulum.parquet", axes=axes, settings=settings)
for _ in range(2):
    results = rayoff.run(study)
    print(repr(results), results.table("coverage").to_dict("list"), flush=True)
"""


@pytest.mark.slow
def test_a_study_made_in_python_is_trained_once_and_read_then(tmp_path: Path) -> None:
    write_pendulum(tmp_path / "pendulum.parquet")
    short = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets' paths must be short
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    paths = [str(Path(__file__).parent), *sys.path]
    environment = own | {"RAY_TMPDIR": short, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment | {"RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("Results(")]
    assert len(told) == 2
    assert told[0] == told[1]
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "report.html").exists()
    command = json.loads((folder / "provenance.json").read_text())
    assert command["command"].endswith(f"runs/{folder.name}/study.json")
    assert "resumed" not in command
