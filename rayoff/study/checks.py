"""Checks of a study before anything starts: first its values, then what they do together."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rayoff.errors import StudyError
from rayoff.study.arms import check_design
from rayoff.study.design import FRACTION, Axis, Scalar, Study, located
from rayoff.study.paths import check_path
from rayoff.study.values import check_value

_GIVEN_OTHERWISE = {
    "data.source": "datasets",
    "datasets": "datasets",
    "seeds": "seeds",
    "seed": "seeds",
}
_MAX_SEED = 2**63 - 1  # seeds are int64 tensors


def check_values(study: Study) -> Study:
    """Return the factorial with every value checked and in the type of its field.

    Raises:
        StudyError: as for ``check_lists``; or the baseline is not a point of the axes; or the
            design does not fit (see ``check_design``).
    """
    checked = check_lists(study)
    with located(study.place("baseline")):
        checked = replace(checked, baseline=_checked_baseline(checked))
    with located(study.place("design")):
        check_design(checked)
    return checked


def check_lists(study: Study) -> Study:
    """Return the study with every value but its baseline checked and in the type of its field.

    Raises:
        StudyError: a path is unknown or stated twice; a value is of the wrong type, not among
            the choices, out of range or given twice; or a list is empty. The message names the
            file and the axis or the setting.
    """
    with located(study.place("name")):
        _check_name(study.name)
    with located(study.place("algorithm")):
        check_value("algorithm", study.base)
    axes = [_checked_axis(study, axis) for axis in study.axes]
    settings = {}
    for path, value in study.settings.items():
        with located(study.place(path)):
            _check_setting(study, path)
            settings[path] = check_value(path, value)
    with located(study.place("datasets")):
        _check_datasets(study.datasets)
    with located(study.place("seeds")):
        _check_seeds(study.seeds)
    return replace(study, axes=axes, settings=settings)


def check_open_path(path: str) -> None:
    """Check that ``path`` is a field that axes, settings and overrides may state.

    Raises:
        StudyError: no algorithm has the field, or the study gives it in another way.
    """
    if path in _GIVEN_OTHERWISE:
        name = _GIVEN_OTHERWISE[path]
        raise StudyError(f"{path} must be given by the study's {name}, or by --set {name}=...")
    check_path(path)


def check_list(name: str, values: Sequence[Any]) -> None:
    """Check that a list has values, and none of them twice.

    Raises:
        StudyError: it has not.
    """
    if not values:
        raise StudyError(f"{name} must have at least one value but got none.")
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise StudyError(f"{name} must have distinct values but got {twice[0]!r} twice.")


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name):
        raise StudyError(
            f"A study's name must be at most 40 letters, digits, '_' and '-' but got {name!r}."
        )


def _checked_axis(study: Study, axis: Axis) -> Axis:
    with located(study.place(axis.path)):
        check_open_path(axis.path)
        if [other.path for other in study.axes].count(axis.path) > 1:
            raise StudyError(f"{axis.path} must be one axis but got two. Join their values.")
        values = [check_value(axis.path, value) for value in axis.values]
        check_list(f"{axis.path}: an axis", values)
        return Axis(axis.path, values)


def _check_setting(study: Study, path: str) -> None:
    if path == "algorithm":
        raise StudyError("The algorithm must be the study's base but got a setting. Move it.")
    check_open_path(path)
    if study.axis(path):
        raise StudyError(f"{path} must be an axis or a setting but got both. Remove one.")


def _check_datasets(datasets: Sequence[str]) -> None:
    for source in datasets:
        if not isinstance(source, str) or not source.strip():
            raise StudyError(
                f"datasets must be Minari ids, hdf5:PATH, parquet:PATH or builtin:NAME "
                f"but got {source!r}."
            )
    check_list("datasets", datasets)


def _check_seeds(seeds: Sequence[int]) -> None:
    for seed in seeds:
        if type(seed) is not int or not 0 <= seed <= _MAX_SEED:
            raise StudyError(f"seeds must be integers from 0 to 2**63 - 1 but got {seed!r}.")
    check_list("seeds", seeds)


def _checked_baseline(study: Study) -> dict[str, Scalar]:
    """Return the baseline in the order of the axes."""
    if FRACTION in study.baseline:
        raise StudyError(
            f"The baseline must not fix {FRACTION}: arms are compared at each fraction. Remove it."
        )
    paths = [axis.path for axis in study.arm_axes]
    for path in study.baseline:
        if path not in paths:
            raise StudyError(
                f"The baseline must be a point of the axes ({', '.join(paths) or 'none'}) "
                f"but got {path!r}."
            )
    return {axis.path: _baseline_value(study, axis) for axis in study.arm_axes}


def _baseline_value(study: Study, axis: Axis) -> Scalar:
    known = ", ".join(str(value) for value in axis.values)
    if axis.path not in study.baseline:
        raise StudyError(f"The baseline must have a value of {axis.path}, one of {known}.")
    value = check_value(axis.path, study.baseline[axis.path])
    if value not in axis.values:
        raise StudyError(
            f"The baseline's {axis.path} must be on its axis, one of {known}, but got {value!r}."
        )
    return value
