"""Environments that a dataset names: whether they can be made and suit its policies.

Shapes: S observation, A action.
"""

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium


_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environment:
    """An environment that can be made: a Gymnasium id, and what differs from its registration."""

    environment_id: str
    """As it is registered on this machine."""
    max_episode_steps: int | None = None
    """Time limit [step]; None: as registered."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of its constructor."""

    @classmethod
    def from_spec(cls, text: str) -> "Environment":
        """Return the environment that a dataset describes.

        Args:
            text: JSON of Gymnasium's ``EnvSpec``.
        """
        spec = json.loads(text)
        # Not its entry point nor its wrappers: a file that was downloaded must not name code to
        # run. What the id stands for is what is registered here.
        arguments = dict(spec.get("kwargs") or {})
        arguments.pop("render_mode", None)  # nobody watches
        return cls(spec["id"], spec.get("max_episode_steps"), arguments)


def check_environment(
    environment: Environment | str,
    observation_size: int | None = None,
    action_size: int | None = None,
) -> str | None:
    """Return None if rollouts are possible, else one sentence why not and what helps.

    Args:
        environment: what to make, or its Gymnasium id.
        observation_size: S that the policy takes; None accepts any.
        action_size: A that the policy gives; None accepts any.
    """
    import gymnasium

    name = environment if isinstance(environment, str) else environment.environment_id
    try:
        made = make(environment)
    except gymnasium.error.DependencyNotInstalled as error:
        return (
            f"{name} needs a simulator that is not installed ({error}); for MuJoCo: "
            "pip install 'rayoff[mujoco]'."
        )
    except Exception as error:  # noqa: BLE001 - a foreign constructor may raise anything
        return (
            f"{name} cannot be made ({type(error).__name__}: {str(error).rstrip('.')}); "
            "set evaluation.environment to an installed one, or evaluation.period=0."
        )
    made.close()
    for verb, space, found, size in (
        ("observes", made.observation_space, flat_size(made.observation_space), observation_size),
        ("acts by", made.action_space, _vector_size(made.action_space), action_size),
    ):
        if found is None:
            return (
                f"{name} {verb} {type(space).__name__}{space.shape or ''}, but a policy "
                "maps vectors to vectors; set evaluation.environment to another one."
            )
        if size not in (None, found):
            return (
                f"{name} {verb} {found} numbers, but the dataset has {size}; "
                "set evaluation.environment to the one that the data came from."
            )
    return None


def _vector_size(space: "gymnasium.Space") -> int | None:
    """Return the length of the vectors of a space, None where they are no vectors."""
    import gymnasium

    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        return None
    return space.shape[0]


def flat_size(space: "gymnasium.Space") -> int | None:
    """Return the length of flattened observations, None where they cannot be flattened."""
    import gymnasium

    if not isinstance(space, gymnasium.spaces.Dict):
        return _vector_size(space)
    sizes = [flat_size(part) for part in space.spaces.values()]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def make(environment: Environment | str, render_mode: str | None = None) -> "gymnasium.Env":
    """Return one environment, without Gymnasium's checks of every step.

    Args:
        environment: what to make, or its Gymnasium id.
        render_mode: of Gymnasium; None: nothing is drawn.
    """
    import gymnasium

    if isinstance(environment, str):
        environment = Environment(environment)
    with warnings.catch_warnings(), _mujoco_logged(environment.environment_id):
        # The dataset fixes the version: an upgrade would no longer be the task it came from.
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
        return gymnasium.make(
            environment.environment_id,
            max_episode_steps=environment.max_episode_steps,
            disable_env_checker=True,
            render_mode=render_mode,
            **environment.arguments,
        )


@contextmanager
def _mujoco_logged(environment_id: str) -> Iterator[None]:
    """Send MuJoCo's warnings about a model to the log.

    By itself it prints each for every environment that is made, and writes it into a
    ``MUJOCO_LOG.TXT`` where the user is: ten times an evaluation, about Gymnasium's own models.
    """
    import gymnasium

    entry = str(getattr(gymnasium.registry.get(environment_id), "entry_point", ""))
    if "mujoco" not in entry or importlib.util.find_spec("mujoco") is None:
        yield
        return
    mujoco: Any = importlib.import_module("mujoco")
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_LOGGER.info)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
