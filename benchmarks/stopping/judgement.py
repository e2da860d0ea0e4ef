"""What a rule achieves on runs that its thresholds were not chosen on."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from stopping.rules import Rule, Stops
from stopping.runs import Run


class Outcome(NamedTuple):
    """What became of some runs under a rule."""

    num_diverged: int
    num_caught: int
    """Divergent runs that were stopped."""
    num_healthy: int
    num_killed: int
    """Healthy runs that were stopped."""
    saved: float
    """Share of a divergent run's budget that the stop saved, median."""
    mean_saved: float
    """The same, mean."""
    lead: float
    """Share of the budget from the stop to the crash, median over the caught."""

    @property
    def caught(self) -> float:
        """Share of divergent runs that were stopped."""
        return self.num_caught / max(self.num_diverged, 1)

    @property
    def killed_limit(self) -> float:
        """Upper 95% limit of the share of healthy runs that are killed (exact, one-sided)."""
        test = binomtest(self.num_killed, self.num_healthy, alternative="less")
        return float(test.proportion_ci(0.95, "exact").high)


def judge(runs: Sequence[Run], stops: Stops) -> Outcome:
    """Return what stopping the runs at these steps achieves."""
    diverged = np.array([run.diverged for run in runs])
    stopped = np.isfinite(stops)
    budget = np.array([run.num_steps for run in runs])
    crash = np.array([run.crash_step for run in runs])
    saved = np.where(stopped, 1 - np.where(stopped, stops, 0) / budget, 0.0)[diverged]
    caught = diverged & stopped
    return Outcome(
        num_diverged=int(diverged.sum()),
        num_caught=int(caught.sum()),
        num_healthy=int((~diverged).sum()),
        num_killed=int((~diverged & stopped).sum()),
        saved=float(np.median(saved)) if len(saved) else np.nan,
        mean_saved=float(np.mean(saved)) if len(saved) else np.nan,
        lead=float(np.median((crash - stops)[caught] / budget[caught])) if any(caught) else np.nan,
    )


def choose(rules: Sequence[Rule], stops: Sequence[Stops], runs: Sequence[Run]) -> int:
    """Return the index of the rule that kills fewest healthy runs, and then saves most."""

    def merit(index: int) -> tuple[int, float]:
        outcome = judge(runs, stops[index])
        return -outcome.num_killed, outcome.mean_saved

    return max(range(len(rules)), key=merit)


def held_apart(
    rules: Sequence[Rule],
    stops: Sequence[Stops],
    runs: Sequence[Run],
    is_unseen: Callable[[Run, Run], bool],
    group: Callable[[Run], Hashable],
) -> tuple[Stops, dict[Hashable, Rule]]:
    """Return how each run is stopped by thresholds chosen on runs that are unlike it.

    Args:
        rules: of one family, with all choices of thresholds.
        stops: of each rule, over all runs.
        runs: all of them.
        is_unseen: whether the first run may serve to choose thresholds for the second.
        group: runs of one group share a choice.

    Returns:
        The stop of each run; and the rule that was chosen for each group.
    """
    chosen: dict[Hashable, Rule] = {}
    result = np.full(len(runs), np.inf)
    members = defaultdict(list)
    for index, run in enumerate(runs):
        members[group(run)].append(index)
    for key, judged in members.items():
        seen = [i for i, run in enumerate(runs) if is_unseen(run, runs[judged[0]])]
        best = choose(rules, [s[seen] for s in stops], [runs[i] for i in seen])
        chosen[key] = rules[best]
        result[judged] = stops[best][judged]
    return result, chosen
