"""Stopping rules, each a function from a run's readings to the step at which it would stop.

Every rule sees only what was read up to the step at which it decides. Rules on scores compare a
run with the others on its dataset, as a scheduler would.

Source:
    Q bound: QLIMIT in td3/main.py of Yue et al. 2023, arXiv 2310.04411, on |Q|.
    Median: Golovin et al. 2017, Google Vizier, section 3.2; ASHA: Li et al. 2018,
    arXiv 1810.05934, here with all runs at a rung known.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rayoff.config import StopperConfig
from rayoff.divergence import RunMonitor
from rayoff.forecast import choose_law
from stopping.runs import Run

OWN = "rayoff"
"""Family of our own rule."""

Stops = NDArray[np.float64]
"""Step at which each run is stopped [step], (R,); inf where it never is."""


class Rule(NamedTuple):
    """A rule with its thresholds."""

    family: str
    """What it looks at; the thresholds of a family are chosen together."""
    thresholds: dict[str, Any]
    decide: Callable[[Sequence[Run]], Stops]


def list_rules() -> list[Rule]:
    """Return every rule with every choice of thresholds that is tried."""
    return [
        Rule("SEEM > 0", {}, _above("unmasked_rate", 0.0, 1)),
        *_seem_rules("published SEEM", "unmasked_normalized", (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)),
        *_seem_rules("masked SEEM", "masked_normalized", (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)),
        *_seem_rules("trimmed SEEM", "trimmed_normalized", (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)),
        *_seem_rules(
            "row-normalised SEEM", "masked_row_normalized", (0.01, 0.02, 0.05, 0.1, 0.15)
        ),
        *(
            Rule("|Q| over the bound", {"factor": f, "count": n}, _excess_above(f, n))
            for f, n in product((1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500), (1, 2, 3))
        ),
        Rule("|Q| over 1000 bounds (authors)", {}, _excess_above(1000, 1)),
        Rule("not finite", {}, _not_finite),
        *(
            monitor_rule(num_confirmed=m, seem_held=s, horizon_fraction=h)
            for m, s, h in product((1, 2), (0.7, 0.8, 0.9), (0.5, 0.75))
        ),
        *(
            monitor_rule(f"{OWN} without SEEM", num_confirmed=m, seem_held=0.0, horizon_fraction=h)
            for m, h in product((1, 2), (0.5, 0.75))
        ),
        *(Rule("median of scores", {"grace": g}, _median(g)) for g in (0.25, 0.5)),
        *(
            Rule("ASHA on scores", {"reduction": r, "grace": g}, _asha(r, g))
            for r, g in product((2, 3, 4), (0.125, 0.25))
        ),
    ]


def monitor_rule(family: str = OWN, **thresholds: Any) -> Rule:  # noqa: ANN401 - config fields
    """Return rayoff's own rule, at its defaults but for these fields."""
    factor = min(StopperConfig().suspect_factor, thresholds.get("confirm_factor", math.inf))
    config = StopperConfig(suspect_factor=factor)
    config = dataclasses.replace(config, **thresholds)
    return Rule(
        family, thresholds, lambda runs: np.array([_monitored(run, config) for run in runs])
    )


def replay(run: Run, config: StopperConfig) -> RunMonitor:
    """Return the monitor of a run, made but not yet shown anything."""
    described = run.described
    joint = described["norm"] == "batch_joint"
    return RunMonitor(
        config,
        q_bound=run.bound,
        num_steps=run.num_steps,
        law=choose_law(described["optimizer"], 1.0 if joint else described["tau"]),
        num_layers=described["depth"] + 1,
        period=int(run.steps[1] - run.steps[0]),
    )


def metrics_at(run: Run, index: int) -> dict[str, float]:
    """Return what the monitor is shown of one reading."""
    signals = run.signals
    return {
        "critic/q_abs": signals["q_abs"][index],
        "critic/q_max": signals["q_max"][index],
        "critic/loss": signals["loss"][index],
        "seem/row_normalized": signals["masked_row_normalized"][index],
    }


def _monitored(run: Run, config: StopperConfig) -> float:
    monitor = replay(run, config)
    for index, step in enumerate(run.steps):
        if monitor.observe(int(step), metrics_at(run, index)).stop:
            return float(step)
    return np.inf


def _seem_rules(family: str, signal: str, thresholds: Sequence[float]) -> list[Rule]:
    return [
        Rule(family, {"threshold": t, "count": n}, _above(signal, t, n))
        for t, n in product(thresholds, (1, 3, 5))
    ]


def _above(signal: str, threshold: float, count: int) -> Callable[[Sequence[Run]], Stops]:
    """Stop after ``count`` readings in a row above a threshold, or where |Q| is not finite."""

    def decide(runs: Sequence[Run]) -> Stops:
        hits = [_first_streak(run.steps, run.signals[signal] > threshold, count) for run in runs]
        return np.minimum(hits, _not_finite(runs))

    return decide


def _excess_above(factor: float, count: int) -> Callable[[Sequence[Run]], Stops]:
    """Stop after ``count`` readings in a row with |Q| above a multiple of the bound."""
    return lambda runs: np.array(
        [_first_streak(run.steps, run.excess > factor, count) for run in runs]
    )


def _not_finite(runs: Sequence[Run]) -> Stops:
    return np.array([_first_streak(r.steps, ~np.isfinite(r.signals["q_max"]), 1) for r in runs])


def _first_streak(steps: NDArray[np.float64], hit: NDArray[np.bool_], count: int) -> float:
    """Return the step that ends the first ``count`` hits in a row; inf without one."""
    streak = 0
    for step, is_hit in zip(steps, hit, strict=True):
        streak = streak + 1 if is_hit else 0
        if streak == count:
            return float(step)
    return np.inf


def _median(grace: float) -> Callable[[Sequence[Run]], Stops]:
    """Stop a run whose best score is below the median of the others' running means."""

    def decide(runs: Sequence[Run]) -> Stops:
        stops = np.full(len(runs), np.inf)
        for members in _cohorts(runs):
            scores = [_scores(runs[i]) for i in members]
            times = sorted({t for times, _ in scores for t in times if t >= grace})
            for time in times:
                means = [s[t <= time].mean() for t, s in scores]
                for i, (t, s) in zip(members, scores, strict=True):
                    if np.isinf(stops[i]) and s[t <= time].max() < np.median(means):
                        stops[i] = time * runs[i].num_steps
        return stops

    return decide


def _asha(reduction: int, grace: float) -> Callable[[Sequence[Run]], Stops]:
    """Keep the best 1 / ``reduction`` of the runs that are left at each rung."""

    def decide(runs: Sequence[Run]) -> Stops:
        stops = np.full(len(runs), np.inf)
        for members in _cohorts(runs):
            rung, left = grace, list(members)
            while rung < 1:
                last = {i: _score_at(runs[i], rung) for i in left}
                left = sorted(left, key=lambda i: -last[i])
                num_kept = max(1, len(left) // reduction)
                for i in left[num_kept:]:
                    stops[i] = rung * runs[i].num_steps
                left, rung = left[:num_kept], rung * reduction
        return stops

    return decide


def _cohorts(runs: Sequence[Run]) -> list[list[int]]:
    """Return the indices of the scored runs of each dataset."""
    cohorts: dict[str, list[int]] = {}
    for index, run in enumerate(runs):
        if len(_scores(run)[0]):
            cohorts.setdefault(run.described["dataset"], []).append(index)
    return list(cohorts.values())


def _scores(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of the budget and the scores there."""
    scores = run.signals["score"]
    known = np.isfinite(scores)
    return run.steps[known] / run.num_steps, scores[known]


def _score_at(run: Run, time: float) -> float:
    times, scores = _scores(run)
    return float(scores[times <= time + 1e-9][-1])
