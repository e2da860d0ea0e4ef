"""Where Ray Tune gets its trials from: the grid of a factorial, or the points of a search."""

from dataclasses import dataclass
from typing import Any

from ray import tune

from rayoff.callbacks import Progress, SearchProgress
from rayoff.search.exploration import Exploration
from rayoff.search.resources import Resources
from rayoff.search.run_folder import RunFolder
from rayoff.search.rungs import RungScheduler
from rayoff.search.searcher import PointSearcher


@dataclass(frozen=True)
class Supply:
    """What differs between a factorial and a search under Ray Tune."""

    param_space: dict[str, Any]
    """Of the tuner."""
    searcher: PointSearcher | None
    """Who suggests trials; None: Ray's own enumeration of the space."""
    num_samples: int
    """Trials of the searcher, -1 for as many as it suggests; or repetitions of the space."""
    max_concurrent: int | None
    """Trials that train at once; None: as many as fit."""
    scheduler: RungScheduler | None
    """Who ends trials early; None: nobody."""
    progress: Progress
    """Tells how far it is."""


def grid(folder: RunFolder, resources: Resources) -> Supply:
    """Return the unfinished trials of a factorial."""
    trial_ids = [trial.trial_id for trial in folder.unfinished()]
    return Supply(
        param_space={"trial": tune.grid_search(trial_ids)},
        searcher=None,
        num_samples=1,
        max_concurrent=resources.max_concurrent,
        scheduler=None,
        progress=Progress(folder.planned, trial_ids),
    )


def guided(exploration: Exploration, max_concurrent: int) -> Supply:
    """Return the points of a search.

    Args:
        exploration: what is searched.
        max_concurrent: trials that train at once; without it Ray Tune would keep but one
            suggestion pending, and start trials one after the other.
    """
    stops_early = exploration.search.early_stopping == "asha"
    return Supply(
        param_space={},
        searcher=PointSearcher(exploration),
        num_samples=-1,
        max_concurrent=max_concurrent,
        scheduler=RungScheduler(exploration) if stops_early else None,
        progress=SearchProgress(exploration.search, exploration.records),
    )
