"""Minari datasets, read episode by episode; ``MINARI_DATASETS_PATH`` says where they are.

Minari stores T + 1 observations, so the last row of a truncated episode keeps its next
observation. A dataset that is not installed is downloaded, unless ``RAYOFF_OFFLINE=1``.
"""

import difflib
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from rayoff.data.builder import TableBuilder
from rayoff.data.facts import Origin
from rayoff.data.references import with_reference_returns
from rayoff.errors import DatasetError
from rayoff.observations import flatten_observations

if TYPE_CHECKING:
    from gymnasium import Space
    from minari import MinariDataset
    from minari.dataset.episode_data import EpisodeData

_DAMAGED = (AssertionError, KeyError, OSError, TypeError, ValueError)  # what minari then raises

_REACH_SECONDS = 2.0


def read(dataset_id: str) -> pa.Table:
    """Return the table of a Minari dataset.

    Raises:
        DatasetError: it is not installed and cannot be downloaded, is damaged, its spaces are
            not vectors, or a value cannot be learned from.
    """
    dataset = _open(dataset_id)
    metadata = dataset.storage.metadata
    _require_vectors(dataset.observation_space, dataset_id)
    scale = _ActionScale.of(dataset.action_space, dataset_id)
    builder = TableBuilder(dataset_id, int(metadata["total_steps"]))
    for episode in _episodes(dataset, dataset_id):
        builder.append(_rows(episode, scale, dataset_id))
    return builder.finish(_origin(metadata, scale, dataset_id))


def check(dataset_id: str) -> None:
    """Raise DatasetError if the dataset is neither installed nor may be downloaded.

    Whether an id that is not installed exists elsewhere shows only when it is loaded.
    """
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(dataset_id)
    except (TypeError, ValueError) as error:  # TypeError: an id without version
        raise DatasetError(
            f"A source must be a Minari id such as mujoco/hopper/medium-v0, hdf5:PATH, "
            f"parquet:PATH or builtin:NAME, but got '{dataset_id}'.{_near(dataset_id)}"
        ) from error
    if not _is_installed(dataset_id) and os.environ.get("RAYOFF_OFFLINE") == "1":
        raise DatasetError(
            f"'{dataset_id}' must be installed, since downloads are off (RAYOFF_OFFLINE=1), "
            f"but got nothing in {_folder()}.{_near(dataset_id)}\n"
            f"  Run: minari download {dataset_id}"
        )


def installed() -> dict[str, int]:
    """Return the number of steps of each installed dataset, by id.

    Raises:
        DatasetError: Minari's folder holds what Minari cannot list.
    """
    import minari

    try:
        found = minari.list_local_datasets()
    except (OSError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{_folder()} must hold Minari datasets and nothing else, but got: {error}. "
            "Move the rest away, or set MINARI_DATASETS_PATH."
        ) from error
    return {dataset_id: int(found[dataset_id]["total_steps"]) for dataset_id in found}


def _folder() -> str:
    """Return where Minari keeps its datasets."""
    from minari.storage import get_dataset_path

    return str(get_dataset_path())


def _is_installed(dataset_id: str) -> bool:
    """Return whether Minari has the dataset's files."""
    from minari.storage import get_dataset_path

    return (get_dataset_path(dataset_id) / "data").is_dir()


def _near(dataset_id: str) -> str:
    """Return a sentence about installed ids that resemble ``dataset_id``, or nothing."""
    near = difflib.get_close_matches(dataset_id, installed(), n=3, cutoff=0.6)
    return f" Installed and near it: {', '.join(near)}." if near else ""


def _open(dataset_id: str) -> "MinariDataset":
    """Return the dataset, downloaded if need be."""
    import minari

    check(dataset_id)
    try:
        if not _is_installed(dataset_id):
            _require_reachable()
            minari.download_dataset(dataset_id)
        return minari.load_dataset(dataset_id)
    except Exception as error:  # its storages raise what their transports do, with no base
        what = "read" if _is_installed(dataset_id) else "downloaded"
        near = "" if what == "read" else _near(dataset_id)
        raise DatasetError(
            f"'{dataset_id}' must be a Minari dataset, but could not be {what}: "
            f"{str(error).rstrip('.')}.\n  {near.strip() or f'Try: minari download {dataset_id}'}"
        ) from error


def _require_reachable() -> None:
    """Raise ConnectionError where the server of downloads does not answer.

    Hugging Face's client would try again for half a minute, even where there is no network.
    """
    from huggingface_hub import constants
    from minari.storage.remotes import DEFAULT_REMOTE

    remote = os.environ.get("MINARI_REMOTE", DEFAULT_REMOTE)
    if not remote.startswith("hf://") or urllib.request.getproxies():
        return  # a proxy may reach what this machine does not
    server = urlsplit(constants.ENDPOINT)
    address = server.hostname, server.port or (443 if server.scheme == "https" else 80)
    failures: SimpleQueue[object] = SimpleQueue()

    def connect() -> None:
        try:
            socket.create_connection(address, _REACH_SECONDS).close()
        except OSError as error:
            failures.put(error)
        else:
            failures.put(None)

    # In a thread, since looking up a name has no time limit.
    threading.Thread(target=connect, daemon=True).start()
    try:
        failure = failures.get(timeout=_REACH_SECONDS)
    except Empty:
        failure = f"no answer in {_REACH_SECONDS:g} s"
    if failure is not None:
        raise ConnectionError(f"{server.hostname} cannot be reached ({failure})")


def _episodes(dataset: "MinariDataset", dataset_id: str) -> Iterator["EpisodeData"]:
    """Yield the episodes; a damaged one is a DatasetError."""
    episodes = dataset.iterate_episodes()
    for index in range(dataset.total_episodes):
        try:
            yield next(episodes)
        except _DAMAGED as error:
            raise DatasetError(
                f"'{dataset_id}', episode {index} must be readable, but got {error!r}. "
                f"Install it again: minari download {dataset_id}"
            ) from error


def _rows(episode: "EpisodeData", scale: "_ActionScale", dataset_id: str) -> dict[str, np.ndarray]:
    """Return the rows of one episode."""
    num_rows = len(episode.rewards)
    place = f"'{dataset_id}', episode {episode.id}"
    if num_rows == 0:
        raise DatasetError(f"{place} must have at least one step, but got none.")
    observations = flatten_observations(episode.observations)
    if len(observations) != num_rows + 1 or len(episode.actions) != num_rows:
        raise DatasetError(
            f"{place} has {num_rows} rewards and must have {num_rows + 1} observations and "
            f"{num_rows} actions, but got {len(observations)} and {len(episode.actions)}."
        )
    return {
        "observations": observations[:-1],
        "actions": scale.to_unit(episode.actions),
        "rewards": episode.rewards,
        "terminations": episode.terminations,
        "truncations": episode.truncations,
        "episode": np.full(num_rows, episode.id),
        "next_observations": observations[1:],
    }


def _require_vectors(space: "Space", dataset_id: str) -> None:
    """Raise DatasetError unless a space is a vector or a dictionary of such."""
    from gymnasium.spaces import Box, Dict

    if isinstance(space, Dict):
        for part in space.spaces.values():
            _require_vectors(part, dataset_id)
    elif not isinstance(space, Box) or len(space.shape) != 1:
        raise DatasetError(
            f"'{dataset_id}' must have observations that are vectors (Box of one dimension) "
            f"or dictionaries of them, but got {space}."
        )


def _origin(metadata: dict[str, Any], scale: "_ActionScale", dataset_id: str) -> Origin:
    """Return what Minari's metadata says."""
    spec = metadata.get("eval_env_spec") or metadata.get("env_spec")
    ref_min, ref_max = metadata.get("ref_min_score"), metadata.get("ref_max_score")
    has_scores = ref_min is not None and ref_max is not None
    origin = Origin(
        source=dataset_id,
        environment=json.loads(spec)["id"] if spec else None,
        environment_spec=spec,
        ref_min=ref_min if has_scores else None,
        ref_max=ref_max if has_scores else None,
        score_source="minari" if has_scores else None,
        action_low=scale.low,
        action_high=scale.high,
    )
    return with_reference_returns(origin, origin.environment)


@dataclass(frozen=True)
class _ActionScale:
    """Bounds of an environment's actions, None where they are not finite."""

    low: tuple[float, ...] | None
    high: tuple[float, ...] | None

    @classmethod
    def of(cls, space: "Space", dataset_id: str) -> "_ActionScale":
        """Return the bounds of a space, which must be a vector."""
        from gymnasium.spaces import Box

        if not isinstance(space, Box) or len(space.shape) != 1:
            raise DatasetError(
                f"'{dataset_id}' must have actions that are vectors (Box of one dimension), "
                f"but got {space}."
            )
        if not space.is_bounded() or (space.high <= space.low).any():
            return cls(None, None)
        return cls(tuple(space.low.tolist()), tuple(space.high.tolist()))

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """Return actions (M, A) with the bounds mapped to -1 and 1, untouched without bounds."""
        if self.low is None or self.high is None:
            return actions
        low, high = np.asarray(self.low), np.asarray(self.high)
        if (low == -1).all() and (high == 1).all():
            return actions  # exact: the map below would round
        return 2 * (actions - low) / (high - low) - 1
