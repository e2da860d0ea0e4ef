"""Tests of the command on searches: what it refuses at once, and what it plans."""

from pathlib import Path

import pytest
from toy_pendulum import write_pendulum

from rayoff import tune

STUDY = '''"""Which tiny critic is the best?"""

from rayoff.study import Point, Search, Study


def space(point: Point) -> None:
    point.suggest_categorical("critic.norm", ["none", "layer"])
    point.suggest_int("critic.width", 16, 48, step=16)
    point.suggest_float("agent.learning_rate", 1e-4, 1e-2, log=True)


def study() -> Study:
    return Study(
        name="tiny",
        base="td3",
        axes=[],
        datasets=["parquet:pendulum.parquet"],
        seeds=range(2),
        baseline={"critic.width": 32},
        search=Search(space=space, num_points=3, num_confirm_seeds=3),
        settings={
            "num_steps": 400,
            "batch_size": 64,
            "actor.width": 32,
            "seem.period": 20,
            "seem.num_rows": 32,
            "evaluation.period": 100,
            "evaluation.num_episodes": 1,
        },
    )
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a search and its data."""
    write_pendulum(tmp_path / "pendulum.parquet")
    (tmp_path / "tiny.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('"critic.nrom"', "Did you mean 'critic.norm'?\n  tiny.py, line 7"),
        ('point.suggest_catgorical("critic.norm"', "Did you mean 'suggest_categorical'?"),
    ],
)
def test_a_mistake_in_a_space_ends_with_2_and_says_where(
    wrong: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = wrong.replace("nrom", "norm").replace("catgorical", "categorical")
    (here / "tiny.py").write_text(STUDY.replace(right, wrong))
    assert tune.main(["run", "tiny.py"]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_a_search_without_scores_ends_before_a_folder_is_made(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["run", "tiny.py", "--set", "evaluation.period=0"]) == 2
    assert "must have scores to compare points by" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_a_plan_of_a_search_starts_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main(["plan", "tiny.py", "--no-measure", "--set", "search.seed=3"]) == 0
    told = capsys.readouterr().out
    assert "search of 3 points, each 1 trial of 2 seeds" in told
    assert "agent.learning_rate        0.0001 to 0.01, log  baseline 0.0003" in told
    assert "tpe with seed 3" in told
    assert not (here / "runs").exists()
