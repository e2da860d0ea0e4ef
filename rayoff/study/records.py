"""What a search leaves of each of its points: ``points/<number>.json`` in the run folder.

A record is written when its point is suggested and again when it has ended, so the folder tells
what a search did without Optuna's journal.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rayoff.errors import RayoffError, ResultsError
from rayoff.files import replace_file
from rayoff.study.design import Scalar
from rayoff.study.paths import config_from_dict
from rayoff.study.plan import PlannedTrial
from rayoff.study.space import Dimension, dimension_from_dict

FOLDER = "points"
"""Where in a run folder the records lie."""

_OVER = "done"
"""Marker beside the records of a search that has nothing left to do."""

Phase = Literal["search", "confirm"]
Origin = Literal["baseline", "known", "sampled"]
State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class PointRecord:
    """One point of a search, or its confirmation on fresh seeds."""

    number: int
    """Number in the order of suggestion, as in Optuna's journal; 0 is the baseline's first try."""
    phase: Phase
    """``search``, or ``confirm``: the same point trained again on seeds that no search saw."""
    origin: Origin
    """Who proposed it: the study's baseline, its known points, or the sampler."""
    state: State = "running"
    """``complete`` also where runs diverged; ``pruned``: cut by ASHA; ``failed``: no result."""
    same_as: int | None = None
    """Number of the earlier point with the same configuration, whose values it has; else None."""
    params: Mapping[str, Scalar]
    """What the space was asked for, by path, in the order of asking."""
    dimensions: Mapping[str, Dimension]
    """What each could have been."""
    values: Mapping[str, float] = field(default_factory=dict)
    """By name: ``score``, ``device_seconds`` and ``divergence_rate``; empty before the end."""
    feasible: bool | None = None
    """Whether no more runs diverged than the study allows; None before the end."""
    reason: str | None = None
    """Why it failed, was pruned or is infeasible; else None."""
    started: float
    """When it was suggested, or taken up again by a resume [s since 1970]."""
    ended: float | None = None
    """When it ended [s since 1970]; None before."""
    trials: Sequence[PlannedTrial]
    """One for each dataset and fraction; none where ``same_as`` names a point."""

    @classmethod
    def blank(cls, number: int, started: float) -> "PointRecord":
        """Return the record of a point that was not asked for anything yet."""
        return cls(
            number=number,
            phase="search",
            origin="sampled",
            params={},
            dimensions={},
            started=started,
            trials=[],
        )

    @property
    def name(self) -> str:
        """The file's name: ``0017``, or ``0017-confirm``."""
        return f"{self.number:04d}{'-confirm' * (self.phase == 'confirm')}"

    @property
    def is_baseline(self) -> bool:
        """Whether it is the baseline of the search: one that failed is tried again by another."""
        is_candidate = self.phase == "search" and self.origin == "baseline"
        return is_candidate and self.state != "failed"


def write_record(run_folder: Path, record: PointRecord) -> None:
    """Write a record into a run folder; readers see the old one or the new one whole."""
    content = asdict(record)
    content["trials"] = [asdict(trial) for trial in record.trials]
    path = run_folder / FOLDER / f"{record.name}.json"
    replace_file(path, json.dumps(content, indent=1) + "\n")


def read_records(run_folder: Path) -> list[PointRecord]:
    """Return the records of a run folder: the search by number, then the confirmation.

    Raises:
        ResultsError: a file is damaged, or was written by another version.
    """
    paths = (run_folder / FOLDER).glob("*.json")
    records = [_read(path) for path in sorted(paths)]
    return sorted(records, key=lambda record: (record.phase == "confirm", record.number))


def is_over(run_folder: Path) -> bool:
    """Return whether a search has spent its budget, and confirmed its winner."""
    return (run_folder / FOLDER / _OVER).exists()


def mark_over(run_folder: Path) -> None:
    """Note that a search is over."""
    (run_folder / FOLDER / _OVER).touch()


def _read(path: Path) -> PointRecord:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        dimensions = content.pop("dimensions").items()
        return PointRecord(
            **{name: value for name, value in content.items() if name != "trials"},
            dimensions={name: dimension_from_dict(about) for name, about in dimensions},
            trials=[_planned(trial) for trial in content["trials"]],
        )
    except (ValueError, KeyError, TypeError, RayoffError) as error:
        raise ResultsError(
            f"{path} must be the record of a point but got {error!r}. "
            "Read it with the version of rayoff that wrote it (provenance.json)."
        ) from error


def _planned(trial: dict[str, Any]) -> PlannedTrial:
    names: dict[str, Any] = {**trial, "config": config_from_dict(trial["config"])}
    return PlannedTrial(**names)
