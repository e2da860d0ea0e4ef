"""A space in words: its dimensions, and the conditions under which they are asked for.

A space is a function, so its conditions are read off many of its points.
"""

from collections.abc import Sequence

from rayoff.study import Scalar, Study
from rayoff.study.points import PlannedPoint
from rayoff.study.search_checks import many_points
from rayoff.study.space import Choices, Dimension, describe

_WIDTH = 26


def describe_space(study: Study) -> list[str]:
    """Return a line for each path that a space asks for, in the order of asking.

    A line has the path, what it can be, the baseline's value, and where it is asked for, unless
    everywhere: by one other value if that decides it, else as a share of random points.

    Args:
        study: valid study of a search.
    """
    points = many_points(study)
    dimensions = {path: one for point in points for path, one in point.dimensions.items()}
    order = sorted(dimensions, key=lambda path: _position(points, path))
    baseline = points[0].params
    lines = []
    for path in order:
        known = f"  baseline {baseline[path]}" if path in baseline else ""
        where = _condition(points, dimensions, path)
        lines.append(f"{path:{_WIDTH}} {describe(dimensions[path])}{known}{where}")
    return lines


def _position(points: Sequence[PlannedPoint], path: str) -> float:
    """Return the mean place of a path among those that a point is asked for."""
    places = [list(point.params).index(path) for point in points if path in point.params]
    return sum(places) / len(places)


def _condition(points: Sequence[PlannedPoint], dimensions: dict[str, Dimension], path: str) -> str:
    """Return where a path is asked for, as the end of a line; nothing where always."""
    asked = [point for point in points if path in point.params]
    others = [point for point in points if path not in point.params]
    if not others:
        return ""
    for cause, dimension in dimensions.items():
        if cause != path and all(cause in point.params for point in asked):
            values = {point.params[cause] for point in asked}
            excluded = {point.params[cause] for point in others if cause in point.params}
            if found := _separation(dimension, values, excluded):
                return f"  where {cause} is {found}"
    return f"  at {len(asked) / len(points):.0%} of random points"


def _separation(dimension: Dimension, values: set[Scalar], excluded: set[Scalar]) -> str | None:
    """Return how the values of a dimension differ from others, None where they do not simply."""
    if isinstance(dimension, Choices):
        chosen = tuple(value for value in dimension.choices if value in values)
        return None if values & excluded or not excluded else describe(Choices(chosen))
    numbers, others = _numbers(values), _numbers(excluded)
    if not others:
        return None
    if min(numbers) > max(others):
        return f"{min(numbers):g} or more" if dimension.step else f"more than {max(others):g}"
    if max(numbers) < min(others):
        return f"{max(numbers):g} or less" if dimension.step else f"less than {min(others):g}"
    return None


def _numbers(values: set[Scalar]) -> list[float]:
    return [value for value in values if isinstance(value, int | float)]
