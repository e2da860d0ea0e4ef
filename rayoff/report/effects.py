"""What each choice does: matched runs that differ in it alone, with a verdict by rule."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rayoff.report.matching import (
    OTHER_ARM,
    Key,
    Pairs,
    Run,
    axes_of,
    axis_name,
    comparisons,
    datasets_of,
    ended_runs,
    has_references,
    match,
    matching_columns,
    measure_of,
    pools,
)
from rayoff.report.summary import BOOTSTRAP_SEED
from rayoff.results import arm_order
from rayoff.stats import (
    Estimate,
    aggregate,
    holm,
    paired_differences,
    share_improved,
    sign_test,
    signed_rank_test,
)

MIN_PAIRS = 5
"""Matched pairs below which a difference of scores gets no verdict."""
MIN_UNTIED_PAIRS = 6
"""Pairs below which even a unanimous sign test does not reach 5%: 2 * 0.5^5 = 0.06."""
HELPS, HURTS = "helps", "hurts"
NO_DIFFERENCE, TOO_FEW = "no difference shown", "too few runs"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One value of an axis against another, over runs that are equal in all else.

    Pairs share dataset, fraction, seed and every other choice. Only runs that ended count.
    """

    axis: str
    """Result column of the choice, such as ``config.critic.norm``; ``arm`` where arms differ in
    more than one."""
    value: Any
    """What is tried."""
    baseline: Any
    """What it is compared with: the baseline arm's, or in a ladder that of the step before."""
    is_overall: bool
    """Whether it is over all runs that may be pooled: one of the answer's sentences."""
    dataset: str | None
    """The one dataset that it is about; None: all, pooled."""
    fraction: float | None
    """The one fraction that it is about; None: all."""
    measure: str | None
    """``score`` or ``return``; None where nothing was evaluated."""
    estimate: Estimate | None
    """Difference in that measure; None where nothing was evaluated."""
    share_improved: float | None
    """Share of pairs that are better, ties counting half; None as above."""
    num_pairs: int
    """Matched pairs of runs that ended."""
    num_diverged: int
    """Runs with the value, among the pairs, that diverged."""
    num_diverged_baseline: int
    """Runs with the baseline's value, among the pairs, that diverged."""
    p_value: float
    """Of the signed-rank test on the differences; without any, of the sign test on pairs of
    which exactly one diverged."""
    p_holm: float = 1.0
    """The same, corrected by Holm for all effects with a verdict; 1 where runs are too few."""
    p_diverged: float = 1.0
    """Of the sign test on pairs of which exactly one diverged, uncorrected."""

    @property
    def name(self) -> str:
        """The choice as a study names it: ``critic.norm``."""
        return axis_name(self.axis)

    @property
    def survives(self) -> bool:
        """Whether it holds at 5% beside all other effects, by Holm's correction."""
        return self.p_holm <= 0.05

    @property
    def survival_verdict(self) -> str:
        """``helps`` or ``hurts`` by the sign test on divergence; empty where it misses 5%."""
        if self.p_diverged > 0.05:
            return ""
        return HELPS if self.num_diverged < self.num_diverged_baseline else HURTS

    @property
    def verdict(self) -> str:
        """``helps``, ``hurts``, ``no difference shown`` or ``too few runs``.

        With scores, a difference is shown where the 95% interval of at least ``MIN_PAIRS``
        pairs excludes zero; without, where the sign test on divergence reaches 5%.
        """
        if self.estimate is None:
            if self.num_pairs < MIN_UNTIED_PAIRS:
                return TOO_FEW
            return self.survival_verdict or NO_DIFFERENCE
        if self.estimate.num_runs < MIN_PAIRS or np.isnan(self.estimate.low):
            return TOO_FEW
        if self.estimate.low > 0:
            return HELPS
        return HURTS if self.estimate.high < 0 else NO_DIFFERENCE


def find_effects(frame: pd.DataFrame) -> list[Effect]:
    """Return the effects of all choices: over all data, then by fraction, then by dataset.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.

    Returns:
        In the study's order of axes and values. Scores of one source are pooled over datasets;
        raw returns never are. An arm that differs from every other in more than one choice is
        compared with the baseline as a whole, unless the design names its partner.
    """
    runs = ended_runs(frame)
    effects: list[Effect] = []
    compared = set()
    axes = axes_of(frame)
    for axis, value, reference in comparisons(frame):
        pairs = match(runs, axis, value, reference, matching_columns(axes, axis))
        compared |= {run["arm"] for pair in pairs.values() for run in pair}
        effects += _effects_of(pairs, axis, value, reference)
    baseline, *others = arm_order(frame)
    for arm in [] if has_references(frame) else others:
        if arm not in compared:
            pairs = match(runs, OTHER_ARM, arm, baseline, matching_columns(axes, OTHER_ARM))
            effects += _effects_of(pairs, OTHER_ARM, arm, baseline)
    return _corrected(effects)


def num_tested(effects: list[Effect]) -> int:
    """Return how many effects have runs enough for a verdict: Holm corrects for these."""
    return sum(effect.verdict != TOO_FEW for effect in effects)


def effects_table(effects: list[Effect]) -> pd.DataFrame:
    """Return the effects as a table, one row each, for export."""
    return pd.DataFrame(
        [
            {
                "axis": effect.name,
                "value": str(effect.value),
                "baseline": str(effect.baseline),
                "overall": effect.is_overall,
                "dataset": effect.dataset or "all",
                "fraction": "all" if effect.fraction is None else f"{effect.fraction:g}",
                "measure": effect.measure,
                "difference": effect.estimate.value if effect.estimate else None,
                "low": effect.estimate.low if effect.estimate else None,
                "high": effect.estimate.high if effect.estimate else None,
                "method": effect.estimate.method if effect.estimate else None,
                "share_improved": effect.share_improved,
                "num_pairs": effect.num_pairs,
                "num_diverged": effect.num_diverged,
                "num_diverged_baseline": effect.num_diverged_baseline,
                "p_value": effect.p_value,
                "p_holm": effect.p_holm,
                "p_diverged": effect.p_diverged,
                "verdict": effect.verdict,
            }
            for effect in effects
        ]
    )


def _corrected(effects: list[Effect]) -> list[Effect]:
    tested = [effect.verdict != TOO_FEW for effect in effects]
    pairs = zip(effects, tested, strict=True)
    p_values = iter(holm([effect.p_value for effect, is_tested in pairs if is_tested]))
    return [
        replace(effect, p_holm=float(next(p_values)) if is_tested else 1.0)
        for effect, is_tested in zip(effects, tested, strict=True)
    ]


def _effects_of(pairs: Pairs, axis: str, value: object, reference: object) -> list[Effect]:
    """Return the effect over all pairs of a pool, and for each of several parts."""
    runs = [run for run, _ in pairs.values()]
    effects = []
    for dataset in pools(runs):
        pool = {k: p for k, p in pairs.items() if dataset in (None, p[0]["dataset"])}
        for part_dataset, fraction in _parts(pool, dataset):
            part = {
                key: pair
                for key, pair in pool.items()
                if part_dataset in (None, pair[0]["dataset"])
                and fraction in (None, pair[0]["fraction"])
            }
            effect = _effect(part, axis, value, reference)
            is_overall = (part_dataset, fraction) == (dataset, None)
            about = {"dataset": part_dataset, "fraction": fraction, "is_overall": is_overall}
            effects.append(replace(effect, **about))
    return effects


def _parts(pool: Pairs, dataset: str | None) -> Iterator[tuple[str | None, float | None]]:
    """Yield dataset and fraction of a pool as a whole, of each fraction, of each dataset."""
    yield dataset, None
    runs = [run for run, _ in pool.values()]
    fractions = sorted({run["fraction"] for run in runs}, reverse=True)
    if len(fractions) > 1:
        yield from ((dataset, fraction) for fraction in fractions)
    if dataset is None:
        yield from ((name, None) for name in datasets_of(runs))


def _effect(pairs: Pairs, axis: str, value: object, reference: object) -> Effect:
    """Return the effect over pairs, as one over all data."""
    known = {k: p for k, p in pairs.items() if not any(pd.isna(run["value"]) for run in p)}
    differences = paired_differences(
        {key: run["value"] for key, (run, _) in known.items()},
        {key: partner["value"] for key, (_, partner) in known.items()},
    )
    cells: dict[Key, list[float]] = defaultdict(list)
    for key, difference in differences.items():
        cells[key[:-1]].append(difference)  # all but the seed
    lost = [_diverged(pair) for pair in pairs.values()]
    found = list(differences.values())
    p_diverged = sign_test(lost.count((False, True)), lost.count((True, False)))
    return Effect(
        axis=axis,
        value=value,
        baseline=reference,
        is_overall=True,
        dataset=None,
        fraction=None,
        measure=measure_of(known[next(iter(known))][0]) if known else None,
        estimate=aggregate(list(cells.values()), seed=BOOTSTRAP_SEED) if found else None,
        share_improved=share_improved(found) if found else None,
        num_pairs=len(pairs),
        num_diverged=sum(own for own, _ in lost),
        num_diverged_baseline=sum(partner for _, partner in lost),
        p_value=signed_rank_test(found) if found else p_diverged,
        p_diverged=p_diverged,
    )


def _diverged(pair: tuple[Run, Run]) -> tuple[bool, bool]:
    run, partner = pair
    return run["status"] == "diverged", partner["status"] == "diverged"
