"""A define-by-run space: a function that asks a point for its values, in Optuna's words.

    def space(point: Point) -> None:
        if point.suggest_categorical("critic.norm", ["none", "layer", "group"]) == "group":
            point.suggest_int("critic.num_groups", 8, 32, step=8)

Conditions are plain Python. Nothing here imports Optuna, so that a study is checked at once.
"""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rayoff.errors import StudyError
from rayoff.study.checks import check_open_path
from rayoff.study.design import FRACTION, Scalar
from rayoff.study.values import check_value


@dataclass(frozen=True)
class Choices:
    """A dimension of values without an order."""

    choices: tuple[Scalar, ...]


@dataclass(frozen=True)
class Interval:
    """A dimension of numbers; integers where ``low`` and ``high`` are."""

    low: float
    high: float
    """Included."""
    log: bool = False
    """Whether the logarithm is uniform."""
    step: float | None = None
    """Distance of neighbours, counted from ``low``; None: 1 for integers, else continuous."""

    @property
    def is_integer(self) -> bool:
        """Whether its values are integers."""
        return isinstance(self.low, int)

    def at(self, quantile: float) -> float:
        """Return the value below which a share in [0, 1) of the interval lies."""
        if self.step is not None:
            num_steps = round((self.high - self.low) / self.step)
            return self.low + self.step * int(quantile * (num_steps + 1))
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + quantile * (high - low))
        else:
            value = self.low + quantile * (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.is_integer else value


Dimension = Choices | Interval
Draw = Callable[[str, Dimension], Scalar]
"""Gives the value of a path from its dimension."""

_NONE: Mapping[str, Scalar] = MappingProxyType({})


class Point:
    """One point of a space as it takes shape: each value that is asked for is drawn and kept.

    Attributes:
        params: what was asked for so far, by path.
        dimensions: what each could have been.

    Args:
        draw: gives the values.
        fixed: values by path that are taken as they are, where the space allows them.
        taken: paths that are settings of the study, and so are not asked for.
    """

    def __init__(
        self, draw: Draw, *, fixed: Mapping[str, Scalar] = _NONE, taken: Container[str] = ()
    ) -> None:
        self._draw, self._fixed, self._taken = draw, fixed, taken
        self.params: dict[str, Scalar] = {}
        self.dimensions: dict[str, Dimension] = {}

    def suggest_categorical(self, path: str, choices: Sequence[Scalar]) -> Any:  # noqa: ANN401
        """Return one of some values of a field, which have no order.

        Args:
            path: a field of a trial, such as ``critic.norm``.
            choices: its values.

        Raises:
            StudyError: there is no such field, a value is none of the field's, or the path was
                asked for with other choices.
        """
        if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
            raise StudyError(f"Choices of {path} must be a list of values but got {choices!r}.")
        _check_open(path)
        return self._value(path, Choices(tuple(check_value(path, value) for value in choices)))

    def suggest_int(
        self, path: str, low: int, high: int, *, log: bool = False, step: int = 1
    ) -> int:
        """Return an integer from ``low`` to ``high``, both included.

        Args:
            path: a field of a trial that holds integers.
            low: smallest value.
            high: largest value.
            log: draw uniformly in the logarithm; then without a step.
            step: distance of neighbouring values.

        Raises:
            StudyError: as for ``suggest_categorical``, or the range is empty.
        """
        for number in (low, high, step):
            if type(number) is not int:
                raise StudyError(f"{path}: suggest_int takes integers but got {number!r}.")
        return self._number(path, Interval(low, high, log, None if log and step == 1 else step))

    def suggest_float(
        self, path: str, low: float, high: float, *, log: bool = False, step: float | None = None
    ) -> float:
        """Return a number from ``low`` to ``high``, both included.

        Args:
            path: a field of a trial that holds floats.
            low: smallest value.
            high: largest value.
            log: draw uniformly in the logarithm; then without a step.
            step: distance of neighbouring values; None: any value.

        Raises:
            StudyError: as for ``suggest_int``.
        """
        for number in (low, high, *([] if step is None else [step])):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise StudyError(f"{path}: suggest_float takes numbers but got {number!r}.")
        stepped = None if step is None else float(step)
        return self._number(path, Interval(float(low), float(high), log, stepped))

    def _number(self, path: str, interval: Interval) -> Any:  # noqa: ANN401 - int or float
        _check_open(path)
        for end in (interval.low, interval.high):
            check_value(path, end)
        if interval.low > interval.high:
            raise StudyError(
                f"{path} must have low <= high but got {interval.low:g} and {interval.high:g}."
            )
        if interval.log and (interval.low <= 0 or interval.step is not None):
            raise StudyError(
                f"{path}: log=True needs low > 0 and no step, but got low={interval.low:g} and "
                f"step={interval.step}."
            )
        if interval.step is not None:
            _check_step(path, interval, interval.step)
        return self._value(path, interval)

    def _value(self, path: str, dimension: Dimension) -> Scalar:
        if path in self.params:
            if self.dimensions[path] != dimension:
                raise StudyError(
                    f"{path} must have one dimension in a point but is asked for with "
                    f"{self.dimensions[path]} and with {dimension}."
                )
            return self.params[path]
        if path in self._fixed:
            return _allowed(path, dimension, self._fixed[path])
        if path in self._taken:
            raise StudyError(
                f"{path} must be a setting or asked for by the space but is both. Remove one."
            )
        value = self._draw(path, dimension)
        self.params[path], self.dimensions[path] = value, dimension
        return value


def contains(dimension: Dimension, value: Scalar) -> bool:
    """Return whether a value is one of a dimension."""
    if isinstance(dimension, Choices):
        return value in dimension.choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not dimension.low <= value <= dimension.high:
        return False
    steps = 0.0 if dimension.step is None else (value - dimension.low) / dimension.step
    return abs(steps - round(steps)) < 1e-9


def describe(dimension: Dimension) -> str:
    """Return a dimension in words: ``none, layer or group``, ``0.1 to 1, log``."""
    if isinstance(dimension, Choices):
        *others, last = map(str, dimension.choices)
        return f"{', '.join(others)} or {last}" if others else last
    step = "" if dimension.step in (None, 1) else f" by {dimension.step:g}"
    return f"{dimension.low:g} to {dimension.high:g}{step}{', log' * dimension.log}"


def dimension_from_dict(about: Mapping[str, Any]) -> Dimension:
    """Return the dimension whose fields are given, the inverse of ``dataclasses.asdict``."""
    if "choices" in about:
        return Choices(tuple(about["choices"]))
    return Interval(**about)


def _allowed(path: str, dimension: Dimension, value: Scalar) -> Scalar:
    """Return a value that was fixed from outside."""
    if not contains(dimension, value):
        raise StudyError(
            f"--set {path} must be in the space, {describe(dimension)}, but got {value!r}."
        )
    return value


def _check_step(path: str, interval: Interval, step: float) -> None:
    """Check that the steps of an interval end at its upper end."""
    if step <= 0:
        raise StudyError(f"{path}: step must be more than 0 but got {step:g}.")
    if not contains(interval, interval.high):
        last = interval.low + step * int((interval.high - interval.low) / step)
        raise StudyError(
            f"{path}: high must be low plus steps of {step:g} but got {interval.high:g}. "
            f"Did you mean {last:g}?"
        )


def _check_open(path: str) -> None:
    if path == FRACTION:
        raise StudyError(
            f"{FRACTION} must not be searched: scores on other data cannot be compared. "
            "Make it a setting, or an axis on which every point is evaluated."
        )
    check_open_path(path)
