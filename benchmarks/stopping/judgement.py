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
    num_stopped: int
    """Divergent runs that were stopped, be it after the crash."""
    num_caught: int
    """Divergent runs that were stopped before |Q| passed the ceiling."""
    num_healthy: int
    num_killed: int
    """Healthy runs that were stopped."""
    saved: float
    """Share of a divergent run's budget that its stop saved, median; 0 without a stop."""
    mean_saved: float
    """The same, mean."""
    lead: float
    """Steps from the stop to the crash, median over the stopped [step]; nan without one."""

    @property
    def stopped(self) -> float:
        """Share of divergent runs that were stopped."""
        return self.num_stopped / max(self.num_diverged, 1)

    @property
    def killed_limit(self) -> float:
        """Upper 95% limit of the share of healthy runs that are killed, as ``upper_limit``."""
        return upper_limit(self.num_killed, self.num_healthy)


def upper_limit(num_hits: int, num_trials: int) -> float:
    """Return the upper 95% limit of a rate, exact and one-sided; 1 without a trial."""
    if not num_trials:
        return 1.0
    test = binomtest(num_hits, num_trials, alternative="less")
    return float(test.proportion_ci(0.95, "exact").high)


def judge(runs: Sequence[Run], stops: Stops) -> Outcome:
    """Return what stopping the runs at these steps achieves."""
    lost = np.array([run.diverged for run in runs], bool)
    stopped = np.isfinite(stops)
    crash = np.array([run.crash_step for run in runs])[lost & stopped]
    lead = crash - stops[lost & stopped]
    budget = np.array([run.num_steps for run in runs])[lost]
    saved = 1 - np.minimum(stops[lost], budget) / budget
    return Outcome(
        num_diverged=int(lost.sum()),
        num_stopped=int((lost & stopped).sum()),
        num_caught=int((lead > 0).sum()),
        num_healthy=int((~lost).sum()),
        num_killed=int((~lost & stopped).sum()),
        saved=float(np.median(saved)) if len(saved) else np.nan,
        mean_saved=float(np.mean(saved)) if len(saved) else np.nan,
        lead=float(np.median(lead)) if len(lead) else np.nan,
    )


class TrialOutcome(NamedTuple):
    """What became of trials, whose runs train side by side: an arm on a dataset."""

    num_lost: int
    """Trials of which a run diverged."""
    mean_saved: float
    """Share of their budget that was saved, mean: a trial ends with its last run."""
    num_healthy: int
    """Trials without such a run."""
    num_killed: int
    """Healthy trials of which a run was stopped."""


def judge_trials(runs: Sequence[Run], stops: Stops) -> TrialOutcome:
    """Return what stopping the runs at these steps does to their trials."""
    trials = defaultdict(list)
    for run, stop in zip(runs, stops, strict=True):
        trials[run.trial].append((run, stop))
    lost = [t for t in trials.values() if any(run.diverged for run, _ in t)]
    healthy = [t for t in trials.values() if not any(run.diverged for run, _ in t)]
    saved = [1 - max(min(stop, run.num_steps) / run.num_steps for run, stop in t) for t in lost]
    return TrialOutcome(
        num_lost=len(lost),
        mean_saved=float(np.mean(saved)) if saved else np.nan,
        num_healthy=len(healthy),
        num_killed=sum(any(np.isfinite(stop) for _, stop in t) for t in healthy),
    )


def dominates(one: Outcome, other: Outcome) -> bool:
    """Whether a rule is at least as good as another in kills and savings, and better in one."""
    at_least = one.num_killed <= other.num_killed and one.mean_saved >= other.mean_saved
    return at_least and (one.num_killed, one.mean_saved) != (other.num_killed, other.mean_saved)


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
