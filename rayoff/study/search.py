"""How the best point of a space is searched for: objectives, sampler and budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rayoff.errors import StudyError

if TYPE_CHECKING:
    from rayoff.study.space import Point

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "score": "maximize",
    "device_seconds": "minimize",
    "divergence_rate": "minimize",
}
"""What a search may optimise, and in which direction; every point that ended has all of them.

``score`` is the mean over runs of their results, with the floor for those that diverged, and
then over datasets and fractions; ``device_seconds`` [s] is the time of training, probes and
evaluations multiplied by the share of a GPU, or without one by the CPU cores;
``divergence_rate`` is the share of runs that diverged.
"""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for the best point of a space. What ends it is the first budget that is spent.

    Raises:
        StudyError: a list is a single value.
    """

    space: "Callable[[Point], None]"
    """Asks a point for its values; conditions are plain Python. See ``rayoff.study.Point``."""
    num_points: int | None = 40
    """Points that are evaluated, the baseline and known ones with them; None: no such limit."""
    hours: float | None = None
    """Time after which no point begins [h]; None: no such limit."""
    device_hours: float | None = None
    """Time of devices after which no point begins [h]: see ``OBJECTIVES``; None: no such limit."""
    objectives: Sequence[str] = ("score",)
    """Names of ``OBJECTIVES``; of several, the search finds the Pareto front."""
    known_points: Sequence[Mapping[str, Any]] = ()
    """Points to begin with, after the baseline: by path, the values that differ from it."""
    sampler: Literal["tpe", "random"] = "tpe"
    """Who proposes points: Optuna's TPE, for one objective or several, or chance."""
    seed: int = 0
    """Seed of the sampler."""
    num_startup_points: int = 10
    """Points that must have ended before ``tpe`` models them; until then it draws at random."""
    max_divergence_rate: float = 0.0
    """Share of a point's runs that may diverge, in [0, 1]; with more it is infeasible, and neither
    the winner nor on the front."""
    num_confirm_seeds: int = 5
    """Fresh seeds on which the winner and the baseline are trained again; 0: they are not."""
    early_stopping: Literal["none", "asha"] = "none"
    """``asha`` ends points early that are behind the others at a rung; what a point trains on
    and its schedules are those of the whole budget all the same."""
    reduction_factor: int = 3
    """One in so many points passes a rung of ``asha``; the next one is so many times further."""
    min_steps_fraction: float = 0.1
    """Share of the budget of steps at which the first rung of ``asha`` stands, in (0, 1)."""

    def __post_init__(self) -> None:
        """Keep the lists as tuples, so that nobody changes them later."""
        for name in ("objectives", "known_points"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple):
                raise StudyError(
                    f"{name} must be a list but got {values!r}. Write it in brackets."
                )
            object.__setattr__(self, name, tuple(values))
