"""What two choices do together beyond the sum of both, by matched differences of differences."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import pandas as pd

from rayoff.report.matching import (
    Run,
    axes_of,
    axis_name,
    comparisons,
    ended_runs,
    key_of,
    matching_columns,
    pools,
)
from rayoff.stats import Estimate, pooled_t_mean

FRACTION = "fraction"
"""The share of the data is a choice too: whether a norm helps may depend on it."""


class Level(NamedTuple):
    """A value of a choice beside the baseline's."""

    axis: str
    """Result column."""
    value: Any
    baseline: Any

    def __str__(self) -> str:
        """Return ``critic.norm = layer``; of the share of the data ``1% of the data``."""
        if self.axis == FRACTION:
            return f"{100 * self.value:g}% of the data"
        return f"{axis_name(self.axis)} = {self.value}"


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """What two values do together beyond the sum of what each does alone.

    With y(first, second) the result of a run: y(value, value) - y(value, baseline)
    - y(baseline, value) + y(baseline, baseline), over runs that are equal in all else.
    """

    first: Level
    second: Level
    dataset: str | None
    """The one dataset that it is about; None: all, pooled."""
    measure: str
    """``score`` or ``return``."""
    estimate: Estimate
    """Mean with its interval by pooled t: a bootstrap of so many pairs would take minutes."""

    @property
    def is_shown(self) -> bool:
        """Whether its 95% interval excludes zero."""
        return self.estimate.low > 0 or self.estimate.high < 0


def find_interactions(frame: pd.DataFrame) -> list[Interaction]:
    """Return the interactions of all pairs of choices of which all four corners were run.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
    """
    runs = [run for run in ended_runs(frame) if not pd.isna(run["value"])]
    interactions, axes = [], axes_of(frame)
    for dataset in pools(runs):
        own = [run for run in runs if dataset in (None, run["dataset"])]
        for first, second in _pairs_of_levels(frame, own):
            cells = _differences(own, axes, first, second)
            if cells:
                interactions.append(
                    Interaction(
                        first=first,
                        second=second,
                        dataset=dataset,
                        measure=own[0]["measure"],
                        estimate=pooled_t_mean(list(cells.values())),
                    )
                )
    return interactions


def largest(interactions: list[Interaction], count: int = 3) -> list[Interaction]:
    """Return the interactions that are shown, the largest first."""
    shown = [interaction for interaction in interactions if interaction.is_shown]
    return sorted(shown, key=lambda one: -abs(one.estimate.value))[:count]


def interactions_table(interactions: list[Interaction]) -> pd.DataFrame:
    """Return the interactions as a table, one row each, for export."""
    columns = ["first", "second", "dataset", "measure", "difference", "low", "high", "num_runs"]
    rows = [
        [
            *(str(one.first), str(one.second), one.dataset or "all", one.measure),
            *(one.estimate.value, one.estimate.low, one.estimate.high, one.estimate.num_runs),
        ]
        for one in interactions
    ]
    return pd.DataFrame(rows, columns=columns)


def _pairs_of_levels(frame: pd.DataFrame, runs: list[Run]) -> Iterator[tuple[Level, Level]]:
    """Yield all pairs of levels of different choices, the share of the data as the last one."""
    levels = [Level(*comparison) for comparison in comparisons(frame)]
    fractions = sorted({run["fraction"] for run in runs}, reverse=True)
    levels += [Level(FRACTION, fraction, fractions[0]) for fraction in fractions[1:]]
    for first, second in combinations(levels, 2):
        if first.axis != second.axis:
            yield first, second


def _differences(
    runs: list[Run], axes: list[str], first: Level, second: Level
) -> dict[Hashable, list[float]]:
    """Return the differences of differences of matched runs, by what they share but the seed."""
    columns = [*axes, "dataset", "fraction", "seed"]
    for axis in {first.axis, second.axis} - {FRACTION}:  # an algorithm's own come with it
        columns = [name for name in columns if name in matching_columns(axes, axis)]
    columns = [name for name in columns if name not in (first.axis, second.axis)]
    values = {
        (run[first.axis], run[second.axis], key_of(run, columns)): run["value"] for run in runs
    }
    cells: dict[Hashable, list[float]] = defaultdict(list)
    for a, b, key in values:
        if (a, b) != (first.value, second.value):
            continue
        corners = [
            (one, two, key)
            for one in (first.value, first.baseline)
            for two in (second.value, second.baseline)
        ]
        if all(corner in values for corner in corners):
            both, only_first, only_second, neither = (values[corner] for corner in corners)
            cells[key[:-1]].append(both - only_first - only_second + neither)
    return cells
