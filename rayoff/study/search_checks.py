"""Checks of a search before it starts: its fields, and the points that its space makes."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, Literal

from rayoff.errors import StudyError
from rayoff.study.checks import check_list, check_lists, check_open_path
from rayoff.study.design import FRACTION, Scalar, Study, did_you_mean, located
from rayoff.study.plan import PlannedTrial, cells_of, check_effects
from rayoff.study.points import PlannedPoint, given_points, sampled_point, search_of
from rayoff.study.search import OBJECTIVES, Search
from rayoff.study.space import Dimension, describe
from rayoff.study.values import Bounds, as_written, check_value, validated

NUM_SAMPLES = 200
"""Points that are drawn at random and checked before a search starts."""

_AT_LEAST_ONE, _NOT_NEGATIVE, _POSITIVE = Bounds(ge=1), Bounds(ge=0), Bounds(gt=0)

FIELDS: dict[str, tuple[Any, Any]] = {
    "num_points": (int | None, _AT_LEAST_ONE),
    "hours": (float | None, _POSITIVE),
    "device_hours": (float | None, _POSITIVE),
    "sampler": (Literal["tpe", "random"], None),
    "seed": (int, _NOT_NEGATIVE),
    "num_startup_points": (int, _AT_LEAST_ONE),
    "max_divergence_rate": (float, Bounds(ge=0, le=1)),
    "num_confirm_seeds": (int, _NOT_NEGATIVE),
    "early_stopping": (Literal["none", "asha"], None),
    "reduction_factor": (int, Bounds(ge=2)),
    "min_steps_fraction": (float, Bounds(gt=0, lt=1)),
}
"""Type and bounds of each field that the command line may change, but for the objectives."""

_EFFECTIVE_WITH = {
    "num_startup_points": ("sampler", "tpe"),
    "reduction_factor": ("early_stopping", "asha"),
    "min_steps_fraction": ("early_stopping", "asha"),
}

_DEFAULTS = {field.name: field.default for field in fields(Search)}


def search_trials(study: Study) -> list[PlannedTrial]:
    """Return the trials of a search that are known before it starts: those of its baseline.

    Raises:
        StudyError: a value of the study or the search is wrong, the baseline or a known point
            is not in the space, a setting changes nothing, or one of many random points is not
            a valid trial.
    """
    points = many_points(study)
    check_effects(study, [trial for point in points for trial in point.trials])
    return list(points[0].trials)


@lru_cache(maxsize=8)
def many_points(study: Study) -> tuple[PlannedPoint, ...]:
    """Return the points with which a search begins, then others that are drawn at random.

    Raises:
        StudyError: a value is wrong, or one of the points is not a valid trial.
    """
    study = checked_search_study(study)
    generator = random.Random(0)
    sampled = [sampled_point(study, number, generator) for number in range(NUM_SAMPLES)]
    points = (*given_points(study), *sampled)
    with located(study.place("space")):
        _check_dimensions(points)
    return points


def _check_dimensions(points: Sequence[PlannedPoint]) -> None:
    """Check that a path has one dimension wherever it is asked for; samplers know no other."""
    known: dict[str, Dimension] = {}
    for point in points:
        for path, dimension in point.dimensions.items():
            if known.setdefault(path, dimension) != dimension:
                raise StudyError(
                    f"{path} must have the same dimension at every point but has "
                    f"{describe(known[path])} at some and {describe(dimension)} at others. "
                    "Ask for it in one place."
                )


def checked_search_study(study: Study) -> Study:
    """Return the study of a search with every value checked, but without asking its space.

    Raises:
        StudyError: a value is wrong; the message names the file and the field.
    """
    study = check_lists(study)
    if study.design != "full":
        with located(study.place("design")):
            raise StudyError(f"A search has no design but got {study.design!r}. Leave it out.")
    if axes := study.arm_axes:
        with located(study.place(axes[0].path)):
            raise StudyError(
                f"A search has no axes but {FRACTION}, and got {axes[0].path}. "
                "Ask for it in the space, or fix it by a setting."
            )
    search = _checked_fields(study, search_of(study))
    with located(study.place("search.num_points")):
        _check_budget(search)
    with located(study.place("baseline")):
        baseline = _checked_values("The baseline", study.baseline)
    with located(study.place("known_points")):
        known = [_checked_values("A known point", values) for values in search.known_points]
    return replace(study, baseline=baseline, search=replace(search, known_points=tuple(known)))


def assigned(search: Search, name: str, text: str) -> Search:
    """Return a search with the field ``name`` as the command line writes it.

    Fields that have no effect any more get their default.

    Raises:
        StudyError: there is no such field, or the text is no value of it.
    """
    if name == "objectives":
        values = tuple(part.strip() for part in text.split(",") if part.strip())
        return replace(search, objectives=values)
    if name not in FIELDS:
        known = [f"search.{field}" for field in ("objectives", *FIELDS)]
        hint = did_you_mean(f"search.{name}", known)
        raise StudyError(f"'search.{name}' is not a field of a search that can be set.{hint}")
    annotation, bounds = FIELDS[name]
    value = as_written(annotation, text)
    checked = validated(f"search.{name}", annotation, bounds, value, strict=False)
    defaults = {
        field: _DEFAULTS[field]
        for field, (owner, wanted) in _EFFECTIVE_WITH.items()
        if owner == name and checked != wanted
    }
    return replace(search, **{name: checked}, **defaults)


def _checked_fields(study: Study, search: Search) -> Search:
    if not callable(search.space):
        raise StudyError(
            f"space must be a function that asks a point for its values but got "
            f"{search.space!r}.\n  {study.place('space')}"
        )
    checked = {}
    for name, (annotation, bounds) in FIELDS.items():
        value = getattr(search, name)
        with located(study.place(f"search.{name}")):
            checked[name] = validated(f"search.{name}", annotation, bounds, value, strict=True)
            _check_effective(search, name)
    with located(study.place("search.objectives")):
        _check_objectives(study, search)
    return replace(search, **checked)


def _check_effective(search: Search, name: str) -> None:
    """Check that a field that is not at its default has an effect."""
    owner, wanted = _EFFECTIVE_WITH.get(name, ("", ""))
    if owner and getattr(search, owner) != wanted and getattr(search, name) != _DEFAULTS[name]:
        raise StudyError(
            f"search.{name} has no effect while search.{owner} is {getattr(search, owner)!r}. "
            f"Set search.{owner} to {wanted}, or leave it out."
        )


def _check_objectives(study: Study, search: Search) -> None:
    check_list("objectives", search.objectives)
    for name in search.objectives:
        if name not in OBJECTIVES:
            hint = did_you_mean(str(name), OBJECTIVES)
            known = ", ".join(OBJECTIVES)
            raise StudyError(f"objectives must be of {known} but got {name!r}.{hint}")
    if "divergence_rate" in search.objectives and not search.max_divergence_rate:
        raise StudyError(
            "With the objective divergence_rate, search.max_divergence_rate must be more than 0 "
            "but got 0: every point on the front would have a rate of 0. Try 0.5."
        )
    if search.early_stopping == "asha" and tuple(search.objectives) != ("score",):
        raise StudyError(
            "With early_stopping 'asha' the one objective must be score, by which points are "
            f"compared on the way, but got {', '.join(search.objectives)}."
        )
    if search.early_stopping == "asha" and len(cells_of(study)) > 1:
        raise StudyError(
            "With early_stopping 'asha' a point must be one trial but has several datasets or "
            "fractions. Take one of each, or early_stopping 'none'."
        )


def _check_budget(search: Search) -> None:
    if search.num_points is None and search.hours is None and search.device_hours is None:
        raise StudyError("A search must have a budget: num_points, hours or device_hours.")
    given = 1 + len(search.known_points)
    if search.num_points is not None and search.num_points < given:
        raise StudyError(
            f"search.num_points must be at least {given}, the baseline with the known points, "
            f"but got {search.num_points}."
        )


def _checked_values(name: str, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    if not isinstance(values, Mapping):
        raise StudyError(f"{name} must be a dict of paths and values but got {values!r}.")
    checked = {}
    for path, value in values.items():
        if path == FRACTION:
            raise StudyError(f"{name} must not fix {FRACTION}. Remove it.")
        check_open_path(path)
        checked[path] = check_value(path, value)
    return checked
