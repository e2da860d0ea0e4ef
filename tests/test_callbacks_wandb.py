"""Tests of Weights & Biases offline: no account, no network, files in the run folder."""

import json
import os
import shutil
import struct
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from told_studies import Study, plan, report, row

from rayoff.callbacks.tracking import trackings
from rayoff.errors import TrackerError

pytest.importorskip("wandb", reason="wandb is not installed: rayoff[wandb]")

NAME, OTHER = (trial.trial_id for trial in plan()[:2])
BLOCK, HEADER = 32768, 7


def records(file: Path) -> Iterator[bytes]:
    """Yield the records of W&B's file, which is a log in the format of LevelDB."""
    data, position, parts = file.read_bytes(), HEADER, []
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        parts.append(data[position + HEADER : position + HEADER + length])
        position += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def contents(file: Path) -> dict[str, list]:
    """Return what a run's file holds: its description, its settings and its history."""
    from wandb.proto.wandb_internal_pb2 import (
        Record,  # pyright: ignore[reportAttributeAccessIssue] - made as it is imported
    )

    found = defaultdict(list)
    for data in records(file):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["run"].append(record.run)
            for item in record.run.config.update:
                found["config"].append((item.key, json.loads(item.value_json)))
        elif kind == "history":
            values = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            found["history"].append((record.history.step.num, values))
    return found


@pytest.fixture(scope="module")
def offline() -> Iterator[None]:
    """Ray on one core, whose processes have W&B offline."""
    place = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets' paths must be short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(
            "local",
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=place,
        )
        yield
        ray.shutdown()
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
def test_wandb_has_a_run_per_trial_in_the_group_of_its_arm(offline: None, tmp_path: Path) -> None:
    (tracking,) = trackings("wandb", tmp_path, "tiny", plan())
    study = Study(tracking)
    for name in (NAME, OTHER):
        study.tell("start", name)
        rows = [row(seed, step) for step in (10, 20) for seed in (0, 1)]
        study.tell("result", name, result=report(rows))
    study.tell("complete", NAME)  # the other one is interrupted
    study.callback.on_experiment_end(trials=[])
    found = {}
    for file in tmp_path.glob("wandb/offline-run-*/*.wandb"):
        content = contents(file)
        found[content["run"][0].display_name] = content
    assert set(found) == {NAME, OTHER}
    run = found[NAME]["run"][0]
    assert (run.project, run.run_group) == ("tiny", "td3")
    settings = dict(found[NAME]["config"])
    assert (settings["algorithm"], settings["data.fraction"]) == ("td3", 1.0)
    for content in found.values():
        steps = [(step, values["critic/q_abs"]) for step, values in content["history"]]
        assert steps == [(10, 10.0), (20, 20.0)]
        assert content["history"][1][1]["seed_1/critic/q_abs"] == 20.0


def test_wandb_without_a_key_is_refused_before_the_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", os.devnull)
    with pytest.raises(TrackerError, match="Log in with `wandb login`, or set WANDB_MODE=offline"):
        trackings("wandb", tmp_path, "tiny", plan())
