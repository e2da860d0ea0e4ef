"""One episode of a policy as a video, drawn by its environment without a screen.

Shapes: S observation, A action.
"""

import ctypes.util
import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rayoff.errors import StudyError
from rayoff.evaluation.environment import Environment, make

if TYPE_CHECKING:
    import gymnasium

_MAX_FRAME_RATES = {".mp4": 60.0, ".gif": 25.0}
"""Frames that are kept of each second, by the kind of file; players show no more, or slower."""
_DEFAULT_FRAME_RATE = 30.0


class Episode(NamedTuple):
    """What was recorded."""

    earned: float
    """Undiscounted return [reward]."""
    length: int
    """Environment steps [step]."""


def check_video(path: Path) -> None:
    """Check that a video can be written, before anything is rolled out for it.

    Raises:
        StudyError: its kind is unknown, or what writes it is not installed.
    """
    if path.suffix not in _MAX_FRAME_RATES:
        known = " or ".join(_MAX_FRAME_RATES)
        raise StudyError(f"A video must be a {known} file but got {path}.")
    install = "pip install 'rayoff[video]'"
    if importlib.util.find_spec("imageio") is None:
        raise StudyError(f"{path} needs imageio, which is not installed. Install it: {install}")
    if path.suffix == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise StudyError(
            f"{path} needs imageio-ffmpeg, which is not installed. Install it: {install}, or "
            f"write {path.with_suffix('.gif').name}."
        )


def record_episode(
    environment: Environment | str,
    act: Callable[[Any], np.ndarray],
    seed: int,
    path: Path,
) -> Episode:
    """Roll a policy out for one episode and write what it looks like.

    Args:
        environment: what to make, or its Gymnasium id.
        act: maps an observation, as the environment gives it, to an action of it, (A,).
        seed: of the episode.
        path: an ``.mp4`` or ``.gif`` file; its folder is made.

    Raises:
        StudyError: as ``check_video``, or the environment cannot be made or drawn here.
    """
    check_video(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _drawn_without_screen(), closing(_drawn(environment)) as drawn:
        rate = float(drawn.metadata.get("render_fps") or _DEFAULT_FRAME_RATE)
        period = math.ceil(rate / _MAX_FRAME_RATES[path.suffix])
        observation, _ = drawn.reset(seed=seed)
        earned, length, is_over = 0.0, 0, False
        with _writer(path, rate / period) as write:
            while not is_over:
                if length % period == 0:
                    write(_frame(drawn))
                action = act(observation)
                if np.isnan(action).any():  # a diverged policy; simulators do not survive it
                    return Episode(math.nan, length)
                observation, reward, terminated, truncated, _ = drawn.step(action)
                earned, length = earned + float(reward), length + 1
                is_over = terminated or truncated
            write(_frame(drawn))
    return Episode(earned, length)


def _drawn(environment: Environment | str) -> "gymnasium.Env":
    """Return an environment that draws itself, once it is known that it can.

    Raises:
        StudyError: it cannot.
    """
    name = environment if isinstance(environment, str) else environment.environment_id
    try:
        made = make(environment, render_mode="rgb_array")
        made.reset(seed=0)
        made.render()
    except Exception as error:  # a foreign renderer may raise anything
        raise StudyError(
            f"{name} must be drawn for a video but cannot be here ({type(error).__name__}: "
            f"{str(error).rstrip('.')}). Without a screen MuJoCo needs libEGL or libOSMesa of the "
            "system (MUJOCO_GL=egl or osmesa); Gymnasium's own tasks need pygame."
        ) from error
    return made


def _frame(drawn: "gymnasium.Env") -> np.ndarray:
    """Return what an environment looks like, (height, width, 3), uint8."""
    return np.asarray(drawn.render())


@contextmanager
def _writer(path: Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a frame (height, width, 3) to a file."""
    imageio: Any = importlib.import_module("imageio.v2")
    options = {"duration": 1000 / rate, "loop": 0}  # of a frame [ms], and for ever
    if path.suffix == ".mp4":
        options = {"fps": rate}
    with imageio.get_writer(path, **options) as writer:
        yield writer.append_data


@contextmanager
def _drawn_without_screen() -> Iterator[None]:
    """Let MuJoCo draw into memory where there is no screen, unless the user chose otherwise.

    By itself Gymnasium takes GLFW first, which then draws nothing and says so too late.
    """
    has_screen = sys.platform != "linux" or os.environ.get("DISPLAY", "")
    if has_screen or os.environ.get("WAYLAND_DISPLAY") or "MUJOCO_GL" in os.environ:
        yield
        return
    os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "osmesa"
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]
