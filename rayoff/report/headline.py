"""The answer in sentences, made from numbers by rule, and how to compute it again."""

from collections import Counter
from typing import NamedTuple

import pandas as pd

from rayoff.report.effects import TOO_FEW, Effect, matching_columns
from rayoff.report.tables import format_fraction, format_interval
from rayoff.results import count_runs


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
    """Return one sentence for each choice that was compared.

    Args:
        frame: results, as ``rayoff.results.read_results`` returns them.
        effects: of those results, as ``find_effects`` returns them.
    """
    overall = [effect for effect in effects if effect.fraction is None]
    return [_describe(effect, effects) for effect in overall] or _describe_arms(frame)


def recipe(frame: pd.DataFrame, effects: list[Effect]) -> str:
    """Return Python code that computes the first headline's number from ``results.parquet``.

    It does not import rayoff, so that the number can be checked without trusting it.

    Args:
        frame: results.
        effects: of those results.
    """
    if not effects:
        return _READ + _COUNTS
    effect = effects[0]
    keys = [effect.axis, *matching_columns(frame, effect.axis)]
    if effect.measure is None:
        return _READ + _DIVERGENCE.format(keys=keys, effect=effect)
    center = "trim_mean(difference.dropna(), 0.25)"
    is_iqm = effect.estimate is not None and effect.estimate.method.startswith("iqm")
    is_part = effect.dataset is not None and len(set(frame["dataset"])) > 1
    chosen = f'rows = rows[rows["dataset"] == {effect.dataset!r}]\n' if is_part else ""
    code = _READ + chosen + _SCORE.format(keys=keys, effect=effect)
    code += f"print({center if is_iqm else 'difference.mean()'})\n"
    return ("from scipy.stats import trim_mean\n" if is_iqm else "") + code


_READ = """\
import pandas as pd
rows = pd.read_parquet("results.parquet")
# A row is as it was at its step: the last one of a run says what became of it.
rows["status"] = rows.groupby(["trial", "seed"])["status"].transform("last")
rows = rows[rows["status"].isin(["done", "diverged"])]
"""
_COUNTS = """\
print(rows.drop_duplicates(["trial", "seed"])[["arm", "status"]].value_counts())
"""
_SCORE = """\
keys = {keys}
runs = rows.groupby(keys, dropna=False).agg(
    value=("{effect.measure}",
           lambda x: (v := x.dropna()).tail(min(10, (len(v) + 1) // 2)).mean()),
    floor=("floor_{effect.measure}", "first"), status=("status", "first"))
value = runs["value"].where(runs["status"] != "diverged", runs["floor"])
difference = value.loc[{effect.value!r}] - value.loc[{effect.baseline!r}]
"""
_DIVERGENCE = """\
keys = {keys}
runs = rows.drop_duplicates(keys).set_index(keys)
diverged = (runs["status"] == "diverged").astype(float).unstack("{effect.axis}")
print(diverged[[{effect.value!r}, {effect.baseline!r}]].dropna().sum())
"""


def _describe(effect: Effect, effects: list[Effect]) -> Headline:
    subject = f"{effect.name} = {effect.value} instead of {effect.baseline}"
    if effect.dataset is not None and len({e.dataset for e in effects}) > 1:
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
    if effect.estimate is None and effect.verdict != TOO_FEW:
        lost += f" (sign test p = {effect.p_value:.2g})"
    return Headline(subject, effect.verdict, "; ".join([*parts, lost]) + ".")


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
