"""The trained policies of a trial: kept beside its results, and rolled out again.

Shapes: K runs, E episodes, S observation, A action.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from rayoff.agents import make_agent
from rayoff.config import TrialConfig
from rayoff.data import DatasetFacts, Normalizer, score
from rayoff.draws import Draws
from rayoff.errors import CheckpointError, StudyError
from rayoff.evaluation import Episode, check_environment, episode_seeds, record_episode
from rayoff.study import config_from_dict
from rayoff.trial import (
    Policy,
    Trial,
    action_bounds,
    export_policies,
    make_evaluator,
    require_environment,
)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""Files in a trial's folder."""


class Evaluation(NamedTuple):
    """What policies earned."""

    seeds: list[int]
    """Seeds of the runs, (K,)."""
    returns: np.ndarray
    """Undiscounted returns [reward], (K, E)."""
    scores: np.ndarray | None
    """Scores, 0 to 100, (K, E); None where the data has no reference returns."""


def describe(trial: Trial) -> bytes:
    """Return ``config.json``: a trial's configuration and the facts of its data."""
    content = {"config": asdict(trial.config), "facts": asdict(trial.facts)}
    return json.dumps(content, indent=1).encode()


def weights(trial: Trial) -> bytes:
    """Return ``model.safetensors``: actor, critic and the scaling of observations.

    Names are ``actor.``, ``critic.`` or ``normalizer.`` and the module's own; the first axis of
    a network's tensor is the run. The metadata has the ``step``.
    """
    tensors = {"normalizer.mean": trial.normalizer.mean, "normalizer.std": trial.normalizer.std}
    for name, module in (("actor", trial.agent.actor), ("critic", trial.agent.critic)):
        if module is not None:
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    return safetensors.torch.save(copies, {"step": str(trial.step)})


class Policies:
    """The policies of all K runs of a finished trial.

    Args:
        folder: the trial's folder in a run folder.

    Raises:
        CheckpointError: the folder holds no final weights, or none of this version.
    """

    def __init__(self, folder: Path) -> None:
        self.config, self.facts = _read_config(folder / CONFIG)
        tensors, self.step = _read_weights(folder / WEIGHTS)
        draws = Draws(torch.tensor(self.config.seeds), torch.zeros((), dtype=torch.int64))
        sizes = self.facts.observation_size, self.facts.action_size
        self._agent = make_agent(self.config, *sizes, draws)
        actor = {k.removeprefix("actor."): v for k, v in tensors.items() if k.startswith("actor.")}
        try:
            self._normalizer = Normalizer(tensors["normalizer.mean"], tensors["normalizer.std"])
            self._agent.actor.load_state_dict(actor)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder / WEIGHTS} must fit {CONFIG} beside it but got {error} Read it with "
                "the version of rayoff that wrote it (provenance.json of its run)."
            ) from error

    def act(self, observations: Tensor) -> Tensor:
        """Return the actions in [-1, 1] at raw observations (K, E, S), shape (K, E, A)."""
        return self._agent.act(self._normalizer.apply(observations))

    def policy(self, seed: int | None = None) -> Policy:
        """Return the policy of one run, to be used outside of rayoff.

        Args:
            seed: of the run; None: the trial's first.

        Raises:
            StudyError: the trial has no such run.
        """
        run = self._runs(seed)[0]
        low, high = action_bounds(self.facts)
        return Policy(
            network=export_policies(self._agent, self._normalizer)[run],
            action_low=low,
            action_high=high,
            source=self.facts.source,
            seed=self.config.seeds[run],
            step=self.step,
        )

    def record(self, path: Path, seed: int | None = None) -> Episode:
        """Write a video of the first episode that the evaluation of a run meets.

        Args:
            path: an ``.mp4`` or ``.gif`` file.
            seed: of the run; None: the trial's first.

        Raises:
            DatasetError: the data names no environment.
            StudyError: the environment cannot be made or drawn here, or does not suit; what
                writes videos is not installed; or the trial has no such run.
        """
        policy = self.policy(seed)
        environment = require_environment(self.config, self.facts)
        sizes = self.facts.observation_size, self.facts.action_size
        if reason := check_environment(environment, *sizes):
            raise StudyError(reason)
        own = policy.seed + self.config.evaluation.seed
        (first,) = episode_seeds(own, self.step, 1)
        return record_episode(environment, policy, first, path)

    def evaluate(self, seed: int | None = None, num_episodes: int | None = None) -> Evaluation:
        """Roll policies out, on the episodes that the trial's last evaluation met.

        Args:
            seed: of one run; None: all runs.
            num_episodes: E, at least 1; None: as in the trial.

        Raises:
            DatasetError: the data names no environment.
            StudyError: the environment cannot be made, or the trial has no such run.
        """
        runs = self._runs(seed)
        seeds = [self.config.seeds[run] for run in runs]
        policies = export_policies(self._agent, self._normalizer)

        evaluator = make_evaluator(self.config, self.facts, seeds, num_episodes)
        returns = evaluator.rollout([policies[run] for run in runs], self.step).returns
        evaluator.close()
        return Evaluation(seeds, returns, score(returns, self.facts))

    def _runs(self, seed: int | None) -> list[int]:
        """Return the index of the run with a seed, or of all."""
        seeds = self.config.seeds
        if seed is not None and seed not in seeds:
            known = ", ".join(map(str, seeds))
            raise StudyError(f"--seed must be one of the trial's, {known}, but got {seed}.")
        return [run for run, own in enumerate(seeds) if seed in (None, own)]


def _read_config(path: Path) -> tuple[TrialConfig, DatasetFacts]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return config_from_dict(content["config"]), DatasetFacts(**content["facts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} must be a trial's configuration but got {_described(error)}. "
            "Give a folder under trials/ of a run folder."
        ) from error


def _described(error: Exception) -> str:
    """Return what is wrong with a file, in words where it is not there."""
    return "no file" if isinstance(error, FileNotFoundError) else repr(error)


def _read_weights(path: Path) -> tuple[dict[str, Tensor], int]:
    """Return the tensors of a trial's weights by name, and the step that they are of."""
    if not path.exists():
        raise CheckpointError(
            f"{path} must hold the weights of a finished trial but is missing. "
            "Finish the study with `rayoff resume`, and give a folder under its trials/."
        )
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return tensors, int(file.metadata()["step"])
