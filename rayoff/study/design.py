"""The design of a study as plain data: axes, datasets, seeds, and the arm of reference."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from rayoff.errors import StudyError
from rayoff.study.search import Search

Scalar = bool | int | float | str | None

FRACTION = "data.fraction"
"""The one axis that is crossed with the arms instead of making new ones."""


@dataclass(frozen=True)
class Axis:
    """One dimension of a study: a field of ``TrialConfig`` and the values it takes.

    Args:
        path: the field, such as ``critic.norm``; ``algorithm`` is one too.
        values: scalars of the field's type, in the order in which tables show them.

    Raises:
        StudyError: ``path`` is no string, or ``values`` is a single value.
    """

    path: str
    values: Sequence[Scalar]

    def __post_init__(self) -> None:
        """Keep the values as a tuple."""
        if not isinstance(self.path, str):
            raise StudyError(f"Axis must have a path such as 'critic.norm' but got {self.path!r}.")
        object.__setattr__(
            self, "values", _as_tuple(f"values of Axis({self.path!r})", self.values)
        )


@dataclass(frozen=True, kw_only=True)
class Study:
    """A factorial: points of the axes, on every dataset, with every seed; or a search.

    A search has no axes but ``data.fraction``: its space makes the arms, and each of them is
    evaluated by its mean over datasets and fractions.

    Raises:
        StudyError: a list is a single value, or an axis is not an ``Axis``.
    """

    name: str
    """Letters, digits, ``_`` and ``-``; the run folder is called after it."""
    base: str
    """The algorithm, a key of ``rayoff.config.AGENT_CONFIGS``, unless an axis varies it."""
    axes: Sequence[Axis]
    """Dimensions of the arms, all but ``data.fraction``, with which every arm is crossed."""
    datasets: Sequence[str]
    """Sources, as in ``DataConfig.source``."""
    seeds: Sequence[int]
    """Seeds of the runs that train side by side in each trial, at least 0."""
    baseline: Mapping[str, Scalar]
    """The arm that others are compared with: a value of each axis but ``data.fraction``; in a
    search, the point to begin with, where what is left out has its default."""
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    """Fields that differ from their default in every trial, by path."""
    design: Literal["full", "one_at_a_time", "ladder", "random_subset"] = "full"
    """Which points of the axes are arms: all; the baseline and what differs from it in one axis;
    components added one by one, in the order of the axes; or ``num_arms`` of them."""
    num_arms: int | None = None
    """Arms of a random subset, the baseline with them, at least 2; None in other designs."""
    design_seed: int = 0
    """Seed of a random subset, at least 0."""
    search: Search | None = None
    """How the best arm is searched for; None: the study is a factorial."""
    question: str = ""
    """What the study asks: the docstring of its file."""
    file: str = ""
    """Where it was loaded from, for messages."""
    text: str = ""
    """The text of that file: a search is resumed from it, since a space is code."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """What the command line changed, by key, as it was written."""

    def __post_init__(self) -> None:
        """Keep lists as tuples and copies of the dicts, so that nobody changes them later."""
        for name in ("axes", "datasets", "seeds"):
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name)))
        for axis in self.axes:
            if not isinstance(axis, Axis):
                raise StudyError(f"axes must be a list of Axis(path, values) but got {axis!r}.")
        for name in ("baseline", "settings", "overrides"):
            object.__setattr__(self, name, _as_dict(name, getattr(self, name)))

    def __hash__(self) -> int:
        """Return a hash that equal studies share, though they hold dicts."""
        return hash((self.name, self.base, self.file, self.text))

    @property
    def arm_axes(self) -> tuple[Axis, ...]:
        """The axes whose points are the arms: all but ``data.fraction``."""
        return tuple(axis for axis in self.axes if axis.path != FRACTION)

    def axis(self, path: str) -> Axis | None:
        """Return the axis over ``path``, None where there is none."""
        return next((axis for axis in self.axes if axis.path == path), None)

    def place(self, key: str) -> str:
        """Return where the path or the list ``key`` is stated, as the end of a message."""
        if key in self.overrides:
            return f"--set {key}={self.overrides[key]}"
        file = self.file or f"study {self.name!r}"
        for number, axis in enumerate(self.axes, start=1):
            if axis.path == key:
                return f"{file}, axis {number}"
        if key in self.settings:
            return f"{file}, setting {key}"
        return f"{file}, {'base' if key == 'algorithm' else key}"


@contextmanager
def located(place: str) -> Iterator[None]:
    """Add ``place`` as a last line to any ``StudyError`` that is raised inside."""
    try:
        yield
    except StudyError as error:
        raise StudyError(f"{error}\n  {place}") from error.__cause__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known word, or nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _as_tuple(name: str, values: object) -> tuple[object, ...]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise StudyError(f"{name} must be a list but got {values!r}. Write it in brackets.")
    return tuple(values)


def _as_dict(name: str, values: object) -> dict[str, object]:
    if not isinstance(values, Mapping):
        raise StudyError(f"{name} must be a dict of paths and values but got {values!r}.")
    return dict(values)
