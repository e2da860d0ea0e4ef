"""Designs: which points of the axes become arms, and which arm each is compared with.

Every design is paired: an arm has a partner in the design that differs from it in one axis alone.

- ``full``: every point; any two that differ in one axis are partners.
- ``one_at_a_time``: the baseline, and each other value of each axis with all else as there.
- ``ladder``: from the baseline upwards, each axis in turn takes its other values and keeps the
  last one; the partner is the step before.
- ``random_subset``: points drawn at random, each with those that lead to it from the baseline by
  one axis after another, so that every arm has a partner with the baseline's value.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator

from rayoff.errors import StudyError
from rayoff.study.design import FRACTION, Scalar, Study, did_you_mean

Arm = dict[str, Scalar]
"""A point of the axes: values by path."""


def arms_of(study: Study) -> list[Arm]:
    """Return the arms of a study with checked values, the baseline first."""
    return list(DESIGNS[study.design](study))


def reference_indices(study: Study) -> list[int | None]:
    """Return for each arm the index of the one that it is compared with.

    None for the baseline, and in designs where an arm may have several partners.
    """
    num_arms = len(arms_of(study))
    if study.design == "one_at_a_time":
        return [None, *[0] * (num_arms - 1)]
    if study.design == "ladder":
        return [None, *range(num_arms - 1)]
    return [None] * num_arms


def check_design(study: Study) -> None:
    """Check that a study whose other values are checked has what its design needs.

    Raises:
        StudyError: the design is unknown, no axis varies, the number of arms is missing or more
            than there are points, or a field has no effect in the design.
    """
    if study.design not in DESIGNS:
        raise StudyError(
            f"design must be one of {', '.join(DESIGNS)} but got {study.design!r}."
            f"{did_you_mean(str(study.design), DESIGNS)}"
        )
    num_points = math.prod(len(axis.values) for axis in study.arm_axes)
    if study.design != "full" and num_points == 1:
        raise StudyError(
            f"The design {study.design} needs an axis of at least two values beside {FRACTION}, "
            "but there is none. Add one, or take the design full."
        )
    if study.design == "random_subset":
        _check_subset(study, num_points)
    elif study.num_arms is not None or study.design_seed != 0:
        name = "design_seed" if study.num_arms is None else "num_arms"
        raise StudyError(
            f"{name} has no effect while design is {study.design!r}. "
            f"Set design to random_subset, or leave {name} out."
        )


def _check_subset(study: Study, num_points: int) -> None:
    if type(study.num_arms) is not int or not 2 <= study.num_arms <= num_points:
        raise StudyError(
            f"num_arms of a random subset must be an integer from 2 to the {num_points} points of "
            f"the axes, the baseline among them, but got {study.num_arms!r}."
        )
    if type(study.design_seed) is not int or study.design_seed < 0:
        raise StudyError(
            f"design_seed must be an integer of at least 0 but got {study.design_seed!r}."
        )


def _full(study: Study) -> list[Arm]:
    paths = [axis.path for axis in study.arm_axes]
    product = itertools.product(*(axis.values for axis in study.arm_axes))
    arms = [dict(zip(paths, values, strict=True)) for values in product]
    return sorted(arms, key=lambda arm: arm != study.baseline)


def _one_at_a_time(study: Study) -> Iterator[Arm]:
    baseline = dict(study.baseline)
    yield baseline
    for path, value in _other_values(study):
        yield baseline | {path: value}


def _ladder(study: Study) -> Iterator[Arm]:
    arm = dict(study.baseline)
    yield arm
    for path, value in _other_values(study):
        arm = arm | {path: value}
        yield arm


def _random_subset(study: Study) -> list[Arm]:
    """Return arms in the order in which they were drawn, as many as the study asks for."""
    assert study.num_arms is not None
    generator = random.Random(study.design_seed)
    baseline = dict(study.baseline)
    arms = {tuple(baseline.values()): baseline}
    while len(arms) < study.num_arms:
        target = {axis.path: generator.choice(axis.values) for axis in study.arm_axes}
        arm = baseline
        for path in generator.sample(list(target), len(target)):
            arm = arm | {path: target[path]}
            if len(arms) < study.num_arms:
                arms.setdefault(tuple(arm.values()), arm)
    return list(arms.values())


def _other_values(study: Study) -> Iterator[tuple[str, Scalar]]:
    """Yield the values of each axis but the baseline's, in order."""
    for axis in study.arm_axes:
        for value in axis.values:
            if value != study.baseline[axis.path]:
                yield axis.path, value


DESIGNS: dict[str, Callable[[Study], Iterable[Arm]]] = {
    "full": _full,
    "one_at_a_time": _one_at_a_time,
    "ladder": _ladder,
    "random_subset": _random_subset,
}
"""How the arms of each design are made, the baseline first."""
