"""Tests of rayoff.study.records: what was written of a point is read as it was."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rayoff.config import TrialConfig
from rayoff.errors import ResultsError
from rayoff.study import PlannedTrial
from rayoff.study.records import (
    FOLDER,
    PointRecord,
    is_over,
    mark_over,
    read_records,
    write_record,
)
from rayoff.study.space import Choices, Interval

TRIAL = PlannedTrial("p003_hopper_1", "p003", "builtin:hopper-mixed", 1.0, TrialConfig(seeds=(4,)))
RECORD = replace(
    PointRecord.blank(3, started=10.0),
    params={"critic.norm": "layer", "critic.width": 64},
    dimensions={"critic.norm": Choices(("none", "layer")), "critic.width": Interval(32, 64)},
    trials=[TRIAL],
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_records(tmp_path) == [RECORD]


def test_a_confirmation_comes_after_every_point(tmp_path: Path) -> None:
    confirmed = replace(RECORD, phase="confirm")
    later = replace(RECORD, number=12)
    for record in (confirmed, later, RECORD):
        write_record(tmp_path, record)
    assert read_records(tmp_path) == [RECORD, later, confirmed]


def test_a_record_of_another_version_is_named(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    path = tmp_path / FOLDER / "0003.json"
    content = json.loads(path.read_text())
    content["trials"][0]["config"]["critic"]["shape"] = "round"
    path.write_text(json.dumps(content))
    with pytest.raises(
        ResultsError, match=r"0003\.json must be .*critic\.shape.*provenance\.json"
    ):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"origin": "baseline"}, True),
        ({"origin": "baseline", "state": "failed"}, False),
        ({"origin": "baseline", "phase": "confirm"}, False),
    ],
)
def test_the_baseline_is_the_point_of_the_search_that_did_not_fail(
    changes: dict[str, str], expected: bool
) -> None:
    assert replace(RECORD, **changes).is_baseline == expected  # pyright: ignore[reportArgumentType]


def test_a_search_is_over_once_that_is_noted(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert not is_over(tmp_path)
    mark_over(tmp_path)
    assert is_over(tmp_path)
    assert read_records(tmp_path) == [RECORD]
