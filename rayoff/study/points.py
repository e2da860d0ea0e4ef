"""From a space to its points: what one asks for, and the trials that evaluate it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rayoff.config import TrialConfig
from rayoff.errors import StudyError
from rayoff.study.design import Scalar, Study, did_you_mean, located
from rayoff.study.execution import described, line_of
from rayoff.study.paths import config_from_paths, flatten
from rayoff.study.plan import (
    PlannedTrial,
    cells_of,
    effective_settings,
    inert_settings,
    trial_config,
    why_inert,
)
from rayoff.study.rules import conflict
from rayoff.study.search import Search
from rayoff.study.space import Choices, Dimension, Draw, Point, contains, describe

Settings = frozenset[tuple[str, Scalar]]


@dataclass(frozen=True)
class PlannedPoint:
    """A point of a space with the trials that evaluate it."""

    params: Mapping[str, Scalar]
    """What the space asked for, by path, in the order of asking."""
    dimensions: Mapping[str, Dimension]
    """What each could have been."""
    trials: Sequence[PlannedTrial]
    """One for each dataset and fraction."""

    @property
    def identity(self) -> frozenset[Settings]:
        """What the trials depend on: points that share it are the same."""
        return frozenset(effective_settings(trial, list(self.params)) for trial in self.trials)


def search_of(study: Study) -> Search:
    """Return the search of a study that is known to be one."""
    assert study.search is not None
    return study.search


def plan_point(study: Study, number: int, draw: Draw) -> PlannedPoint:
    """Return the point that a space makes of drawn values.

    Args:
        study: checked study of a search.
        number: of the point, for the names of its trials.
        draw: gives the value of each path that the space asks for.

    Raises:
        StudyError: the space raises, asks for what is fixed, unknown or out of range, or for
            something without effect at this point; or fields contradict one another.
    """
    point = _asked(study, draw)
    arm = f"p{number:03d}"
    trials = [
        PlannedTrial(f"{arm}_{cell.name}", arm, cell.dataset, cell.fraction, config)
        for cell in cells_of(study)
        for config in [trial_config(study, point.params, cell)]
    ]
    with located(f"{study.place('space')}, at {_told(point.params)}"):
        _check_agreement(trials)
        _check_effects(point, trials)
    return PlannedPoint(point.params, point.dimensions, trials)


def on_fresh_seeds(study: Study, trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """Return trials of a point on seeds that the search did not use, the same for all points."""
    count = search_of(study).num_confirm_seeds
    unused = [seed for seed in range(len(study.seeds) + count) if seed not in study.seeds]
    seeds = tuple(unused[:count])
    return [
        replace(
            trial,
            trial_id=trial.trial_id.replace(trial.arm, f"{trial.arm}-fresh", 1),
            arm=f"{trial.arm}-fresh",
            config=replace(trial.config, seeds=seeds),
        )
        for trial in trials
    ]


def given_points(study: Study) -> list[PlannedPoint]:
    """Return the points with which a search begins: the baseline, then the known ones.

    Raises:
        StudyError: one is no point of the space, or has a path for which it is not asked.
    """
    given = [("baseline", study.baseline)]
    given += [("known_points", values) for values in search_of(study).known_points]
    points = []
    for number, (key, values) in enumerate(given):
        with located(study.place(key)):
            draw = _given_values(study, {**study.baseline, **values}, key)
            point = plan_point(study, number, draw)
            _check_used(values, point, key)
        points.append(point)
    return points


def sampled_point(study: Study, number: int, generator: random.Random) -> PlannedPoint:
    """Return a point whose values are drawn uniformly.

    Raises:
        StudyError: as for ``plan_point``.
    """
    return plan_point(study, number, _uniform(generator))


def _asked(study: Study, draw: Draw) -> Point:
    """Return the point after the space asked for its values, with the place of its mistakes."""
    space = search_of(study).space
    point = Point(draw, fixed=_fixed_values(study), taken=study.settings)
    try:
        space(point)
    except Exception as error:
        code = getattr(space, "__code__", None)
        text = described(error, getattr(space, "__globals__", {}))
        if not isinstance(error, StudyError):
            text = f"The space raised {text} It had {_told(point.params)}."
        line = line_of(error, code.co_filename) if code else None
        place = f"{study.file}, line {line}" if line and study.file else study.place("space")
        raise StudyError(f"{text}\n  {place}") from error
    return point


def _told(params: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{path}={value}" for path, value in params.items()) or "no values"


def _fixed_values(study: Study) -> dict[str, Scalar]:
    """Return the settings of the command line, which a space takes instead of asking."""
    fixed = {path: study.settings[path] for path in study.overrides if path in study.settings}
    return fixed | ({"algorithm": study.base} if "algorithm" in study.overrides else {})


def _check_agreement(trials: Sequence[PlannedTrial]) -> None:
    for trial in trials:
        if found := conflict(trial.config):
            raise StudyError(found.message)


def _check_effects(point: Point, trials: Sequence[PlannedTrial]) -> None:
    """Check that everything that was asked for changes the point."""
    for path in point.params:
        needs = [inert_settings(trial, [path]).get(path) for trial in trials]
        found = [need for need in needs if need is not None]
        if len(found) == len(trials):
            reason = why_inert(path, found, trials).partition(". ")[0]
            raise StudyError(
                f"{reason}. Ask for it only where {found[0].path} is {found[0].wanted}: the "
                "sampler would learn from chance elsewhere."
            )


def _given_values(study: Study, values: Mapping[str, Scalar], key: str) -> Draw:
    """Return a draw of given values, and of defaults where there is none."""
    chosen: dict[str, Scalar] = {}

    def draw(path: str, dimension: Dimension) -> Scalar:
        if path in values:
            value, source = values[path], ""
        else:
            algorithm = chosen.get("algorithm", study.base)
            value, source = _default(study, str(algorithm), path), ", by default"
        if not contains(dimension, value):
            raise StudyError(
                f"{key} must be in the space but {path} is {value!r}{source}, and the space has "
                f"{describe(dimension)}. State another value of it, or widen the space."
            )
        chosen[path] = value
        return value

    return draw


def _default(study: Study, algorithm: str, path: str) -> Scalar:
    if path == "algorithm":
        return algorithm
    config: TrialConfig = config_from_paths({"algorithm": algorithm})
    return flatten(config).get(path)


def _check_used(values: Mapping[str, Scalar], point: PlannedPoint, key: str) -> None:
    for path in values:
        if path not in point.params:
            raise StudyError(
                f"{key} has a value of {path}, for which the space does not ask at that point."
                f"{did_you_mean(path, point.params)} Leave it out."
            )


def _uniform(generator: random.Random) -> Draw:
    def draw(path: str, dimension: Dimension) -> Scalar:
        if isinstance(dimension, Choices):
            return generator.choice(dimension.choices)
        return dimension.at(generator.random())

    return draw
