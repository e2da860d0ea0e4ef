"""Tests of Minari sources against Minari's own iterator, on real and on made-up datasets."""

import json
import socket
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import huggingface_hub.constants
import minari
import minari.storage
import numpy as np
import pytest
from data_fixtures import REAL_DATASETS, needs_real_datasets
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.episode_data import EpisodeData

from rayoff.data import (
    check_source,
    column_view,
    list_datasets,
    load_table,
    minari_source,
    read_metadata,
    score,
)
from rayoff.errors import DatasetError
from rayoff.observations import flatten_observations

VECTOR = spaces.Box(-np.inf, np.inf, (3,), np.float64)
UNIT = spaces.Box(-1.0, 1.0, (2,), np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of Minari datasets, without downloads."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setenv("RAYOFF_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Minari find the real datasets, without downloads."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(REAL_DATASETS))
    monkeypatch.setenv("RAYOFF_OFFLINE", "1")


def buffers(
    lengths: list[int], observation: spaces.Space = VECTOR, action: spaces.Space = UNIT
) -> list[EpisodeBuffer]:
    """Return random episodes, of which every second terminates."""
    observation.seed(0)
    action.seed(0)
    return [
        EpisodeBuffer(
            id=index,
            observations=_stack([observation.sample() for _ in range(length + 1)]),
            actions=list(np.stack([action.sample() for _ in range(length)])),
            rewards=list(np.arange(1.0, length + 1)),
            terminations=np.arange(length) == (length - 1 if index % 2 else -1),
            truncations=np.arange(length) == (-1 if index % 2 else length - 1),
        )
        for index, length in enumerate(lengths)
    ]


def _stack(samples: list[Any]) -> Any:  # noqa: ANN401 - an array or a dictionary of arrays
    """Return samples of a space, stacked as Minari stores them."""
    if isinstance(samples[0], dict):
        return {key: _stack([sample[key] for sample in samples]) for key in samples[0]}
    return np.stack(samples)


def create(
    episodes: list[EpisodeBuffer],
    observation: spaces.Space = VECTOR,
    action: spaces.Space = UNIT,
) -> str:
    """Install episodes as a dataset and return its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari warns of every field left empty
        minari.create_dataset_from_buffers(
            "test/made-v0",
            episodes,
            observation_space=observation,
            action_space=action,
            author="rayoff",
            author_email="none@example.com",
            code_permalink="none",
            algorithm_name="random",
            description="random numbers",
        )
    return "test/made-v0"


@needs_real_datasets
@pytest.mark.usefixtures("real")
def test_a_real_dataset_is_what_minari_iterates() -> None:
    table = load_table("mixed/hopper/medium-v0")
    views = {name: column_view(table, name) for name in table.column_names}
    episodes = list(minari.load_dataset("mixed/hopper/medium-v0").iterate_episodes())

    def joined(part: Callable[[EpisodeData], np.ndarray]) -> np.ndarray:
        return np.concatenate([part(episode) for episode in episodes])

    zero = np.zeros((1, 3))
    for name, part in {
        "observations": lambda e: e.observations[:-1].astype(np.float32),
        "next_observations": lambda e: e.observations[1:].astype(np.float32),
        "actions": lambda e: e.actions,
        "next_actions": lambda e: np.concatenate([e.actions[1:], zero]),
        "rewards": lambda e: e.rewards.astype(np.float32),
        "terminations": lambda e: e.terminations,
        "truncations": lambda e: e.truncations,
        "episode": lambda e: np.full(len(e.rewards), e.id),
        "step": lambda e: np.arange(len(e.rewards)),
    }.items():
        assert np.array_equal(views[name], joined(part)), name
    returns = [sum(e.rewards.tolist()) for e in episodes]
    np.testing.assert_allclose(views["return_to_go"][views["step"] == 0], returns, rtol=1e-6)
    metadata = read_metadata(table)
    assert (metadata.num_rows, metadata.num_episodes) == (100_020, 189)
    assert metadata.best_return == pytest.approx(max(returns), rel=1e-6)
    assert metadata.worst_return == pytest.approx(min(returns), rel=1e-6)


@needs_real_datasets
@pytest.mark.usefixtures("real")
def test_real_time_limits_are_truncations_and_keep_their_row() -> None:
    table = load_table("mixed/hopper/medium-v0")
    last = np.flatnonzero(np.diff(column_view(table, "episode"), append=-1))
    terminated, truncated = (
        column_view(table, name)[last] for name in ("terminations", "truncations")
    )
    assert (terminated ^ truncated).all()
    assert truncated.sum() == 11
    full = column_view(table, "step")[last] == 999
    assert full[truncated].sum() >= 10  # the collection itself cut at most one episode


@needs_real_datasets
@pytest.mark.usefixtures("real")
def test_real_metadata_names_environment_bounds_and_references() -> None:
    metadata = read_metadata(load_table("mixed/hopper/expert-v0"))
    assert metadata.environment == "Hopper-v5"
    assert (metadata.ref_min, metadata.ref_max) == (-20.272305, 3234.3)
    assert metadata.score_source == "minari"
    assert (metadata.action_low, metadata.action_high) == ((-1.0,) * 3, (1.0,) * 3)
    dataset = minari.load_dataset("mixed/hopper/expert-v0")
    theirs = minari.get_normalized_score(dataset, np.array([1000.0, 3000.0]))
    ours = score([1000.0, 3000.0], metadata)
    assert ours is not None
    np.testing.assert_allclose(ours, 100 * theirs)


@needs_real_datasets
@pytest.mark.usefixtures("real")
def test_installed_datasets_are_listed_with_their_steps() -> None:
    assert ("mixed/hopper/replay-v0", 101_533) in list_datasets()


def test_the_last_row_of_a_truncated_episode_is_kept(folder: Path) -> None:
    table = load_table(create(buffers([3, 2])))
    assert column_view(table, "truncations").tolist() == [False, False, True, False, False]
    assert column_view(table, "terminations").tolist() == [False] * 4 + [True]
    expected = [e.observations for e in minari.load_dataset("test/made-v0").iterate_episodes()]
    assert column_view(table, "next_observations")[2].tolist() == pytest.approx(expected[0][-1])
    assert column_view(table, "return_to_go").tolist() == [6.0, 5.0, 3.0, 3.0, 2.0]


def test_episodes_of_one_step_are_data(folder: Path) -> None:
    table = load_table(create(buffers([1, 1])))
    assert table.num_rows == 2
    assert (column_view(table, "next_actions") == 0).all()


def test_actions_of_a_finite_box_are_scaled_and_their_bounds_kept(folder: Path) -> None:
    box = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    episodes = buffers([3, 2], action=box)
    table = load_table(create(episodes, action=box))
    raw = np.concatenate([np.asarray(episode.actions) for episode in episodes])
    expected = (raw - [0, 5]) / [2, 5]
    np.testing.assert_allclose(column_view(table, "actions"), expected, rtol=1e-6, atol=1e-6)
    metadata = read_metadata(table)
    assert (metadata.action_low, metadata.action_high) == ((-2.0, 0.0), (2.0, 10.0))


def test_actions_without_bounds_must_lie_in_the_unit_box(folder: Path) -> None:
    box = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    episodes = buffers([3])
    source = create(episodes, action=box)
    assert read_metadata(load_table(source)).action_low is None
    _edit("episode_0", _replace("actions", np.full((3, 2), 3.0)))
    with pytest.raises(DatasetError, match=r"'actions', row 0 .* \[-1, 1\].* but got 3\.0"):
        load_table(source)


def test_goal_dictionaries_are_joined_in_the_documented_order(folder: Path) -> None:
    goal = spaces.Dict(
        {
            "observation": VECTOR,
            "desired_goal": spaces.Dict({"b": VECTOR, "a": VECTOR}),
            "achieved_goal": spaces.Box(-1.0, 1.0, (2,), np.float64),
        }
    )
    episodes = buffers([3], observation=goal)
    table = load_table(create(episodes, observation=goal))
    raw: Any = episodes[0].observations
    parts = [raw["achieved_goal"], raw["observation"]]
    parts += [raw["desired_goal"]["a"], raw["desired_goal"]["b"]]
    expected = np.concatenate(parts, axis=1).astype(np.float32)
    assert (column_view(table, "observations") == expected[:-1]).all()
    assert (column_view(table, "next_observations") == expected[1:]).all()
    assert (flatten_observations(raw).astype(np.float32) == expected).all()


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.Box(0, 1, (3, 3)), UNIT, "must have observations that are vectors .* but got Box"),
        (
            spaces.Dict({"a": spaces.Discrete(3)}),
            UNIT,
            "must have observations that are vectors .* but got Discrete",
        ),
        (VECTOR, spaces.Discrete(3), "must have actions that are vectors .* but got Discrete"),
    ],
)
def test_spaces_that_are_no_vectors_are_refused(
    folder: Path, observation: spaces.Space, action: spaces.Space, message: str
) -> None:
    source = create(buffers([2], observation, action), observation, action)
    with pytest.raises(DatasetError, match=f"'test/made-v0' {message}"):
        load_table(source)


def _edit(episode: str, change: Callable[[h5py.Group], object]) -> None:
    """Change an episode of the made-up dataset on disk."""
    path = minari.storage.get_dataset_path("test/made-v0") / "data" / "main_data.hdf5"
    with h5py.File(path, "a") as file:
        change(file[episode])  # pyright: ignore[reportArgumentType]


def _replace(name: str, values: np.ndarray) -> Callable[[h5py.Group], None]:
    """Return a change that puts other values in place of an array."""

    def change(group: h5py.Group) -> None:
        del group[name]
        group[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda group: group["rewards"].__setitem__(1, np.nan),
            r"test/made-v0: column 'rewards', row 4 \(episode 1\) must be finite .* but got nan",
        ),
        (
            lambda group: group.__delitem__("rewards"),
            "'test/made-v0', episode 1 must be readable, but got KeyError.*rewards",
        ),
        (
            _replace("rewards", np.zeros(0)),
            "'test/made-v0', episode 1 must have at least one step, but got none",
        ),
        (
            _replace("observations", np.zeros((2, 3))),
            "episode 1 has 2 rewards and must have 3 observations and 2 actions, but got 2 and 2",
        ),
        (
            _replace("observations", np.zeros((3, 4))),
            r"'observations' must have shape \(2, 3\) of numbers from row 3 on, but got \(2, 4\)",
        ),
    ],
)
def test_bad_episodes_are_named(
    folder: Path, change: Callable[[h5py.Group], object], message: str
) -> None:
    source = create(buffers([3, 2]))
    _edit("episode_1", change)
    with pytest.raises(DatasetError, match=message):
        load_table(source)


def test_more_rows_than_the_metadata_announces_are_damage(folder: Path) -> None:
    source = create(buffers([3, 2]))
    path = folder / source / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"total_steps": 4}))
    with pytest.raises(DatasetError, match="must hold the 4 rows that its metadata announces"):
        load_table(source)


def test_a_dataset_without_readable_metadata_is_damaged(folder: Path) -> None:
    source = create(buffers([3]))
    (folder / source / "data" / "metadata.json").unlink()
    with pytest.raises(DatasetError, match="could not be read: No data found"):
        load_table(source)


@pytest.mark.parametrize("reader", [check_source, load_table])
def test_an_absent_id_names_the_next_step_and_its_neighbours(
    folder: Path, reader: Callable[[str], object]
) -> None:
    create(buffers([3]))
    with pytest.raises(DatasetError, match="near it: test/made-v0") as caught:
        reader("test/maid-v0")
    assert "'test/maid-v0' must be installed" in str(caught.value)
    assert "RAYOFF_OFFLINE=1" in str(caught.value)
    assert str(caught.value).endswith("Run: minari download test/maid-v0")


@pytest.mark.parametrize("source", ["test/made", "hfd5:data.hdf5", "", "test/made-v0:x"])
def test_what_is_no_source_names_the_kinds_there_are(folder: Path, source: str) -> None:
    with pytest.raises(DatasetError, match=r"must be a Minari id .*, hdf5:PATH, .* but got"):
        check_source(source)


def test_an_id_that_may_be_downloaded_passes_the_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAYOFF_OFFLINE")
    check_source("test/elsewhere-v0")


def test_a_failed_download_says_why_and_how_to_try_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(dataset_id: str) -> None:
        raise OSError(f"no route to {dataset_id}")

    monkeypatch.delenv("RAYOFF_OFFLINE")
    monkeypatch.setattr(minari_source, "_require_reachable", lambda: None)
    monkeypatch.setattr(minari, "download_dataset", unreachable)
    with pytest.raises(DatasetError, match="could not be downloaded: no route to test/x-v0"):
        load_table("test/x-v0")


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A server of downloads on this machine, which accepts connections and says nothing."""
    monkeypatch.delenv("RAYOFF_OFFLINE")
    monkeypatch.delenv("MINARI_REMOTE", raising=False)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(
            huggingface_hub.constants,
            "ENDPOINT",
            f"http://127.0.0.1:{listening.getsockname()[1]}",
        )
        yield listening


def test_a_download_is_read_when_it_has_arrived(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minari, "download_dataset", lambda _: create(buffers([3, 2])))
    assert load_table("test/made-v0").num_rows == 5


def refuse(dataset_id: str) -> None:
    raise AssertionError(f"the download of {dataset_id} was tried")


def test_a_server_that_refuses_is_not_asked_for_a_download(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close()
    monkeypatch.setattr(minari, "download_dataset", refuse)
    with pytest.raises(DatasetError, match=r"127\.0\.0\.1 cannot be reached .*refused"):
        load_table("test/made-v0")


def test_a_network_that_says_nothing_is_given_up_within_three_seconds(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()

    def connect(*_: object) -> None:
        given_up.wait(20)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(minari, "download_dataset", refuse)
    started = time.monotonic()
    with pytest.raises(DatasetError, match=r"cannot be reached \(no answer in 2 s"):
        load_table("test/made-v0")
    assert time.monotonic() - started < 3
    given_up.set()


@pytest.mark.parametrize("way", ["another remote", "a proxy"])
def test_what_is_reached_another_way_is_downloaded_all_the_same(
    server: socket.socket, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close()
    if way == "a proxy":
        monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "http://proxy:1"})
    else:
        monkeypatch.setenv("MINARI_REMOTE", "gcp://bucket")
    monkeypatch.setattr(minari, "download_dataset", lambda _: create(buffers([3, 2])))
    assert load_table("test/made-v0").num_rows == 5


def test_a_folder_that_minari_cannot_list_is_shown(folder: Path) -> None:
    (folder / "stray" / "data").mkdir(parents=True)
    with pytest.raises(DatasetError, match="must hold Minari datasets and nothing else"):
        minari_source.installed()
