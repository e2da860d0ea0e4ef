"""Tests of the commands that look at what there is, beside those of the parts that they call."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from finished_runs import train_here
from gymnasium.envs.classic_control import PendulumEnv
from synthetic_results import make_run_folder
from tiny_studies import make_study
from toy_pendulum import write_pendulum

from rayoff import tune
from rayoff.search import Policies, RunFolder
from rayoff.study import Axis


class DrawnPendulum(PendulumEnv):
    """A pendulum that shows its angle as a shade of grey, without pygame."""

    def render(self) -> Any:  # noqa: ANN401 - as Gymnasium has it
        return np.full((16, 16, 3), int(127 + 100 * np.cos(self.state[0])), np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished study of one arm, evaluated in a pendulum that draws itself."""
    place = f"{DrawnPendulum.__module__}:DrawnPendulum"
    gymnasium.register("DrawnPendulum-v1", place, max_episode_steps=20)
    folder = tmp_path_factory.mktemp("inspection")
    source = write_pendulum(folder / "pendulum.parquet")
    settings = {"num_steps": 20, "evaluation.environment": "DrawnPendulum-v1"}
    axes = [Axis("critic.norm", ["none"])]
    return train_here(folder / "runs", make_study(source, axes=axes, settings=settings))


def test_a_video_shows_an_episode_that_was_evaluated(
    trained: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("imageio", reason="imageio comes with the extra video")
    folder = trained.trial_folder(trained.planned[0].trial_id)
    video = tmp_path / "pendulum.gif"
    command = ["evaluate", str(folder), "--seed", "1", "--episodes", "1", "--video", str(video)]
    assert tune.main(command) == 0
    earned = Policies(folder).evaluate(seed=1, num_episodes=1).returns[0, 0]
    recorded, evaluated = capsys.readouterr().out.splitlines()[:2]
    assert recorded == f"{video}: seed 1, return {earned:.1f} in 20 steps"
    assert evaluated.startswith(f"seed 1: return {earned:.1f} ")
    assert video.stat().st_size > 0


def test_a_video_of_another_kind_is_refused_before_anything_is_rolled_out(
    trained: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained.trial_folder(trained.planned[0].trial_id)
    assert tune.main(["evaluate", str(folder), "--video", "a.avi"]) == 2
    told = capsys.readouterr()
    assert "must be a .mp4 or .gif file" in told.err
    assert not told.out


def test_watching_tells_how_far_a_study_is_and_renders_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run_folder(tmp_path / "norms-1234567", fractions=(1.0,))
    assert tune.main(["watch", str(folder), "--once"]) == 0
    assert "0 of 2 trials done" in capsys.readouterr().out
    assert not (folder / "report.html").exists()
    assert tune.main(["watch", str(folder), "--report", "5"]) == 0
    assert (folder / "report.html").exists()
    assert tune.main(["watch", str(tmp_path / "nothing")]) == 2
    assert "Give the folder that `rayoff run` printed" in capsys.readouterr().err
