"""Tests of rayoff.evaluation.video: what is recorded is the episode that was asked for."""

import gc
import importlib.util
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from rayoff.errors import StudyError
from rayoff.evaluation import check_video, record_episode, video

imageio = pytest.importorskip("imageio.v2", reason="imageio comes with the extra video")

SIZE, LENGTH, FRAME_RATE = 32, 12, 25


class Counter(gymnasium.Env[np.ndarray, np.ndarray]):
    """Counts its steps, and shows the count as a shade of grey; each step earns its action."""

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (1,), np.float64)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.count = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.count = int(seed or 0)
        return np.array([float(self.count)]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.count += 1
        return np.array([float(self.count)]), float(action[0]), False, False, {}

    def render(self) -> Any:  # noqa: ANN401 - as Gymnasium has it
        return np.full((SIZE, SIZE, 3), 10 * self.count, np.uint8)


Counter.metadata = {"render_modes": ["rgb_array"], "render_fps": FRAME_RATE}


class Undrawn(Counter):
    def render(self) -> Any:  # noqa: ANN401 - as Gymnasium has it
        raise RuntimeError("no screen.")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for kind in (Counter, Undrawn):
        place = f"{kind.__module__}:{kind.__name__}"
        gymnasium.register(f"{kind.__name__}-v0", place, max_episode_steps=LENGTH)
    yield
    for kind in (Counter, Undrawn):
        del gymnasium.registry[f"{kind.__name__}-v0"]


def halves(observation: np.ndarray) -> np.ndarray:
    return np.array([0.5], np.float32)


def shades(path: Path) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # imageio leaves the pipes of ffmpeg open
        frames = imageio.mimread(path)
        gc.collect()
    return [round(float(np.asarray(frame)[..., :3].mean())) for frame in frames]


def test_every_frame_of_the_episode_is_in_the_video(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "counter.gif"
    episode = record_episode("Counter-v0", halves, 3, path)
    assert (episode.earned, episode.length) == (0.5 * LENGTH, LENGTH)
    assert shades(path) == [10 * (3 + step) for step in range(LENGTH + 1)]


def test_frames_that_no_player_would_show_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_MAX_FRAME_RATES", {".gif": 7.0})  # every fourth of 25
    path = tmp_path / "counter.gif"
    record_episode("Counter-v0", halves, 0, path)
    assert shades(path) == [0, 40, 80, 120]
    with imageio.get_reader(path) as reader:
        assert reader.get_meta_data()["duration"] == pytest.approx(160)  # [ms]


def test_a_diverged_policy_ends_the_episode_without_a_step_of_the_simulator(
    tmp_path: Path,
) -> None:
    def diverged(observation: np.ndarray) -> np.ndarray:
        return np.array([np.nan if observation[0] >= 4 else 0.0], np.float32)

    episode = record_episode("Counter-v0", diverged, 0, tmp_path / "counter.gif")
    assert np.isnan(episode.earned)
    assert episode.length == 4


def test_an_environment_that_cannot_be_drawn_here_says_what_helps(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"Undrawn-v0 must be drawn .*no screen.*libEGL"):
        record_episode("Undrawn-v0", halves, 0, tmp_path / "video.gif")


@pytest.mark.parametrize(
    ("name", "missing", "message"),
    [
        ("a.avi", None, "must be a .mp4 or .gif file but got a.avi"),
        ("a.gif", "imageio", r"needs imageio.*pip install 'rayoff\[video\]'"),
        ("a.mp4", "imageio_ffmpeg", r"needs imageio-ffmpeg.*rayoff\[video\].* or write a.gif"),
    ],
)
def test_what_a_video_needs_is_told_before_anything_is_rolled_out(
    name: str, missing: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda module: None if module == missing else find(module)
    )
    with pytest.raises(StudyError, match=message):
        check_video(Path(name))


def test_an_mp4_has_the_frames_of_the_episode(tmp_path: Path) -> None:
    path = tmp_path / "counter.mp4"
    record_episode("Counter-v0", halves, 3, path)
    found = shades(path)
    assert len(found) == LENGTH + 1
    np.testing.assert_allclose(found, [10 * (3 + step) for step in range(LENGTH + 1)], atol=4)


def test_mujoco_draws_without_a_screen_and_leaves_the_environment_as_it_was(
    tmp_path: Path,
) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo comes with the extra mujoco")
    before = os.environ.get("MUJOCO_GL")
    path = tmp_path / "hopper.gif"
    try:
        episode = record_episode("Hopper-v5", lambda _: np.zeros(3, np.float32), 0, path)
    except StudyError as error:
        pytest.skip(f"MuJoCo cannot draw here: {error}")
    assert os.environ.get("MUJOCO_GL") == before
    frames = imageio.mimread(path)
    assert episode.length > 10
    assert np.asarray(frames[0]).std() > 10  # a picture, and not one colour
    assert not np.array_equal(frames[0], frames[-1])
