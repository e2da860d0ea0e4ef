"""The resolved study: ``study.json``, with every value of every trial, and its hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from rayoff.errors import StudyError
from rayoff.study.design import Axis, Study, did_you_mean
from rayoff.study.execution import execute
from rayoff.study.plan import PlannedTrial, references
from rayoff.study.search import Search
from rayoff.study.search_checks import many_points
from rayoff.study.trials import trials

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
_OF_A_SEARCH = ("search", "text")


def to_json(study: Study) -> str:
    """Return the study and its trials as JSON; ``from_json`` gives the study back.

    Under ``references`` it has the arm with which each is compared, where the design names one.
    Of a search these are the trials of its baseline, and the text of its file comes with it.

    Raises:
        StudyError: the study is invalid (see ``trials``), or a search without the text of a file.
    """
    values: dict[str, Any] = {key: getattr(study, key) for key in _KEYS}
    values["axes"] = [asdict(axis) for axis in study.axes]
    if study.search is not None:
        if not study.text:
            raise StudyError(
                f"The search {study.name} must come from a file, from whose text it can be "
                "resumed, but was made in Python. Save it as a study and load it with load_study."
            )
        values |= {"search": _search_fields(study.search), "text": study.text}
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
    if "search" in values:
        values["search"] = _search(values)
    study = Study(**{**values, "axes": [Axis(**axis) for axis in values["axes"]]})
    if recorded is not None:
        _check_recorded(recorded, trials(study))
    return study


def study_hash(study: Study) -> str:
    """Return seven hexadecimal digits that stand for what the trials are, not how it was said.

    Two files whose trials have the same values, seeds, baseline and design share it. For a
    search, many random points stand for its space.

    Raises:
        StudyError: the study is invalid (see ``trials``).
    """
    values: list[Any] = [study.name, dict(study.baseline)]
    if study.search is None:
        values.append([asdict(trial.config) for trial in trials(study)])
        # A full factorial needs no word: its trials say it.
        values += [] if study.design == "full" else [study.design]
    else:
        points = [[asdict(one) for one in point.trials] for point in many_points(study)]
        values += [_search_fields(study.search), points]
    content = json.dumps(values, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:7]


def _search_fields(search: Search) -> dict[str, Any]:
    """Return the fields of a search that are data: all but its space."""
    return {
        field.name: getattr(search, field.name)
        for field in fields(search)
        if field.name != "space"
    }


def _search(values: Mapping[str, Any]) -> Search:
    """Return the search of a resolved study, with the space of the text of its file."""
    made = execute(values.get("text", ""), values.get("file") or values["name"])
    if made.search is None:
        raise StudyError("The text of a resolved search must define a search but defines none.")
    return Search(space=made.search.space, **values["search"])


def _check_keys(values: object) -> None:
    if not isinstance(values, dict):
        raise StudyError(f"A resolved study must be a JSON object but got {values!r}.")
    known = (*_KEYS, *_OF_A_SEARCH, "references", "trials")
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
