"""The answer in sentences, made from numbers by rule."""

from collections import Counter
from typing import NamedTuple

import pandas as pd

from rayoff.report.effects import HELPS, MIN_UNTIED_PAIRS, TOO_FEW, Effect
from rayoff.report.searches import SearchResults, describe_change
from rayoff.report.tables import format_fraction, format_interval, format_number
from rayoff.results import count_runs, winner

MAX_HEADLINES = 12
"""Comparisons that are told in sentences; all are in the table of effects."""


class Headline(NamedTuple):
    """One sentence of the answer, in three parts."""

    subject: str
    """What was compared: ``critic.norm = layer instead of none``."""
    verdict: str
    """``helps``, ``hurts``, ``no difference shown``, ``too few runs``; empty without pairs."""
    numbers: str
    """What the verdict rests on."""

    def __str__(self) -> str:
        """Return the whole sentence."""
        return f"{self.subject}: {self.verdict}. {self.numbers}".replace(": . ", ": ")


def headlines(frame: pd.DataFrame, effects: list[Effect]) -> list[Headline]:
    """Return one sentence for each choice that was compared, of very many the largest.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        effects: of those results, as ``find_effects`` returns them.
    """
    told = told_effects(effects)
    if not told:
        return _describe_arms(frame)
    found = [_describe(effect, effects) for effect in told]
    num_overall = sum(effect.is_overall for effect in effects)
    if num_more := num_overall - len(told):
        rest = f"Their differences are smaller; the table of effects has all {num_overall}."
        found.append(Headline(f"{num_more} more comparisons", "", rest))
    return found


def told_effects(effects: list[Effect]) -> list[Effect]:
    """Return the effects that headlines tell, in their order: of very many the largest.

    Args:
        effects: as ``find_effects`` returns them.
    """
    overall = [effect for effect in effects if effect.is_overall]
    told = sorted(overall, key=_size, reverse=True)[:MAX_HEADLINES]
    return [effect for effect in overall if effect in told]


def search_headlines(search: SearchResults, effects: list[Effect]) -> list[Headline]:
    """Return what a search found: its winner, on fresh seeds where it has been confirmed.

    Args:
        search: as far as it has gone.
        effects: of the winner and the baseline on fresh seeds; none before they have ended.
    """
    best = winner(search.points)
    if best is None:
        why = "None of them is feasible so far." if search.num_ended else "None has ended yet."
        return [Headline(f"{search.num_ended} points", "", why)]
    change = describe_change(best, search.points)
    subject = f"Best of {search.num_ended} points, number {best['point']}: {change}"
    searched = f"score {format_number(best['score'])} in the search"
    fresh = search.confirmed.set_index("point")["fresh_score"].to_dict()
    told = [effect for effect in effects if effect.is_overall and effect.estimate is not None]
    if best["point"] not in fresh:
        why = "optimistic, since it was chosen for that; not confirmed on fresh seeds yet"
        found = [Headline(subject, "", f"{searched}: {why}.")]
    elif not told:
        found = [Headline(subject, "", f"{searched}, {fresh[best['point']]:.1f} on fresh seeds.")]
    else:
        found = [
            Headline(
                f"{subject}, {effect.dataset}" if len(told) > 1 else subject,
                effect.verdict,
                f"{_difference(effect)} {effect.measure} over the baseline on fresh seeds, "
                f"better in {effect.share_improved:.0%} of {effect.num_pairs} matched pairs; "
                f"{searched}, {fresh[best['point']]:.1f} on fresh seeds.",
            )
            for effect in told
        ]
    if len(search.objectives) > 1:
        numbers = ", ".join(map(str, search.front["point"]))
        names = " and ".join(name.replace("_", " ") for name in search.objectives)
        found.append(Headline(f"No point beats these in {names}", "", f"Points {numbers}."))
    return found


def _size(effect: Effect) -> float:
    """Return how far an effect is from none: in the measure, or without in rates of divergence."""
    if effect.estimate is not None:
        return abs(effect.estimate.value)
    return abs(effect.num_diverged - effect.num_diverged_baseline) / max(effect.num_pairs, 1)


def _describe(effect: Effect, effects: list[Effect]) -> Headline:
    subject = f"{effect.name} = {effect.value} instead of {effect.baseline}"
    if effect.dataset is not None and len({e.dataset for e in effects if e.is_overall}) > 1:
        subject += f", {effect.dataset}"
    parts = []
    if effect.estimate is not None and effect.share_improved is not None:
        parts.append(
            f"{_difference(effect)} {effect.measure}, better in {effect.share_improved:.0%} "
            f"of {effect.estimate.num_runs} matched pairs"
        )
        parts += _at_smallest_fraction(effect, effects)
    lost = f"{effect.num_diverged} of {effect.num_pairs} runs diverged"
    same = effect.num_diverged == effect.num_diverged_baseline
    lost += " either way" if same else f" instead of {effect.num_diverged_baseline}"
    if not same and effect.num_pairs >= MIN_UNTIED_PAIRS:
        lost += f" (sign test p = {effect.p_diverged:.2g})"
    verdict = effect.verdict
    if verdict not in (effect.survival_verdict, TOO_FEW) and effect.survival_verdict:
        told = "fewer" if effect.survival_verdict == HELPS else "more"
        verdict += f" in {effect.measure}, but {told} runs diverge"
    return Headline(subject, verdict, "; ".join([*parts, lost]) + ".")


def _at_smallest_fraction(effect: Effect, effects: list[Effect]) -> list[str]:
    """Return what the effect is where data is scarcest, if it was asked at several fractions."""
    same = (effect.axis, effect.value, effect.dataset)
    parts = [e for e in effects if (e.axis, e.value, e.dataset) == same and e.fraction is not None]
    if not parts or parts[-1].estimate is None:
        return []
    return [
        f"at {format_fraction(parts[-1].fraction or 0.0)} of the data {_difference(parts[-1])}"
    ]


def _difference(effect: Effect) -> str:
    estimate = effect.estimate
    assert estimate is not None
    return format_interval(estimate.value, estimate.low, estimate.high, sign="+")


def _describe_arms(frame: pd.DataFrame) -> list[Headline]:
    """Return what is known of each arm where no two runs can be compared."""
    ended, lost = Counter[str](), Counter[str]()
    for cell in count_runs(frame).to_dict(orient="records"):
        ended[cell["arm"]] += cell["done"] + cell["diverged"]
        lost[cell["arm"]] += cell["diverged"]
    return [Headline(arm, "", f"{lost[arm]} of {ended[arm]} runs diverged.") for arm in ended]
