"""The resolved study: ``study.json``, with every value of every trial, and its hash."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from rayoff.errors import StudyError
from rayoff.study.design import Axis, Study, did_you_mean
from rayoff.study.plan import PlannedTrial, references, trials

_KEYS = (
    "question",
    "name",
    "file",
    "base",
    "axes",
    "datasets",
    "seeds",
    "baseline",
    "settings",
    "design",
    "num_arms",
    "design_seed",
    "overrides",
)
_DESIGN = ("design", "num_arms", "design_seed")
_OPTIONAL = ("question", "file", "settings", *_DESIGN, "overrides", "references", "trials")


def to_json(study: Study) -> str:
    """Return the study and its trials as JSON; ``from_json`` gives the study back.

    Under ``references`` it has the arm with which each is compared, where the design names one.

    Raises:
        StudyError: the study is invalid (see ``trials``).
    """
    values: dict[str, Any] = {key: getattr(study, key) for key in _KEYS}
    values["axes"] = [asdict(axis) for axis in study.axes]
    values["trials"] = [asdict(trial) for trial in trials(study)]
    values["references"] = references(study)
    return json.dumps(values, indent=2) + "\n"


def from_json(text: str) -> Study:
    """Return the study that ``to_json`` wrote.

    Raises:
        StudyError: it is not JSON, a key is unknown or missing, or its trials are not what this
            version makes of the study, so that results would not belong together.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise StudyError(f"A resolved study must be JSON but got {error}.") from error
    _check_keys(values)
    recorded = values.pop("trials", None)
    values.pop("references", None)
    study = Study(**{**values, "axes": [Axis(**axis) for axis in values["axes"]]})
    if recorded is not None:
        _check_recorded(recorded, trials(study))
    return study


def study_hash(study: Study) -> str:
    """Return seven hexadecimal digits that stand for what the trials are, not how it was said.

    Two files whose trials have the same values, seeds, baseline and design share it.

    Raises:
        StudyError: the study is invalid (see ``trials``).
    """
    planned = [asdict(trial.config) for trial in trials(study)]
    # A full factorial needs no word: its trials say it.
    design = [] if study.design == "full" else [study.design]
    content = json.dumps([study.name, dict(study.baseline), planned, *design], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:7]


def _check_keys(values: object) -> None:
    if not isinstance(values, dict):
        raise StudyError(f"A resolved study must be a JSON object but got {values!r}.")
    known = (*_KEYS, "references", "trials")
    for key in values:
        if key not in known:
            raise StudyError(f"{key!r} is not a key of a study.{did_you_mean(key, known)}")
    for key in _KEYS:
        if key not in values and key not in _OPTIONAL:
            raise StudyError(f"A resolved study must have the key {key!r} but it is missing.")
    axes = values["axes"]
    for axis in axes if isinstance(axes, list) else [axes]:
        if not isinstance(axis, dict) or set(axis) != {"path", "values"}:
            raise StudyError(f"An axis must have the keys path and values but got {axis!r}.")


def _check_recorded(recorded: list[Any], planned: list[PlannedTrial]) -> None:
    if [json.loads(json.dumps(asdict(trial))) for trial in planned] != recorded:
        raise StudyError(
            "The trials of a resolved study must be those that its axes and settings make, but "
            "they differ: it was edited, or written by another version of rayoff. Its results "
            "can still be read, with `rayoff report`. To train on, take the version and the file "
            "that made it (see provenance.json); to begin anew, run the study file again."
        )
