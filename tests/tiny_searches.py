"""Searches that train in seconds, on the pendulum's transitions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tiny_studies import make_study

from rayoff.study import Axis, Point, Search, Study

TEXT = '''"""Which tiny critic is the best?"""

from tiny_searches import make_search


def study():
    return make_search({source!r}, **{changes!r})
'''


def space(point: Point) -> None:
    """Ask for a norm, for its groups where it has some, and for a width."""
    if point.suggest_categorical("critic.norm", ["none", "layer", "group"]) == "group":
        point.suggest_categorical("critic.num_groups", [4, 8])
    point.suggest_int("critic.width", 16, 48, step=16)


def rate_space(point: Point) -> None:
    """Ask for a step size as well: no two points are the same."""
    space(point)
    point.suggest_float("agent.learning_rate", 1e-3, 1e-2, log=True)


SPACES: dict[str, Callable[[Point], None]] = {"norms": space, "rates": rate_space}


def make_search(source: str, **changes: Any) -> Study:  # noqa: ANN401 - fields of a search
    """Return a search whose plain critics are lost in some runs.

    Args:
        source: of the data.
        changes: replace fields of the search; ``space`` may be a name of ``SPACES``; ``seeds``,
            ``baseline``, ``settings`` and ``fractions`` are of the study.
    """
    small = {"num_points": 4, "num_startup_points": 2, "num_confirm_seeds": 2, "space": "norms"}
    fields: dict[str, Any] = small | changes
    of_study = {name: fields.pop(name) for name in ("seeds", "settings") if name in fields}
    rates = {"agent.learning_rate": 1e-2} if fields["space"] == "rates" else {}
    baseline = fields.pop("baseline", {"critic.width": 32}) | rates
    fractions = fields.pop("fractions", None)
    fields["space"] = SPACES.get(fields["space"], fields["space"])
    made = make_study(
        source,
        name="tiny_search",
        axes=[Axis("data.fraction", fractions)] if fractions else [],
        baseline=baseline,
        search=Search(**fields),
        **of_study,
    )
    searched = ["critic.width", *rates]
    settings = {path: value for path, value in made.settings.items() if path not in searched}
    return replace(made, settings=settings, text=TEXT.format(source=source, changes=changes))
