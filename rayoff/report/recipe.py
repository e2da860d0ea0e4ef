"""How to compute the answer's first number again, with pandas alone."""

import pandas as pd

from rayoff.report.effects import Effect
from rayoff.report.matching import axes_of, matching_columns


def full_recipe(frame: pd.DataFrame, effects: list[Effect]) -> str:
    """Return Python code that computes the first headline's number from ``results.parquet``.

    It does not import rayoff, so that the number can be checked without trusting it.

    Args:
        frame: results.
        effects: of those results, as ``told_effects`` returns them.
    """
    if not effects:
        return _READ + _COUNTS
    effect = effects[0]
    keys = [effect.axis, *matching_columns(axes_of(frame), effect.axis)]
    read = _READ + "".join(
        f"rows = rows[rows[{column!r}] == {value!r}]\n"
        for column, value in _chosen(frame, effect).items()
    )
    if effect.measure is None:
        return read + _DIVERGENCE.format(keys=keys, effect=effect)
    center = "trim_mean(difference.dropna(), 0.25)"
    is_iqm = effect.estimate is not None and effect.estimate.method.startswith("iqm")
    code = read + _SCORE.format(keys=keys, effect=effect)
    code += f"print({center if is_iqm else 'difference.mean()'})\n"
    return ("from scipy.stats import trim_mean\n" if is_iqm else "") + code


def short_recipe(frame: pd.DataFrame, effects: list[Effect]) -> str:
    """Return three lines of pandas that compute the same number from ``tables/runs.parquet``.

    Args:
        frame: results.
        effects: of those results, as ``told_effects`` returns them.
    """
    read = 'import pandas as pd\nruns = pd.read_parquet("tables/runs.parquet")'
    if not effects:
        return f'{read}\nprint(runs.groupby("arm")["diverged"].agg(["sum", "size"]))\n'
    effect = effects[0]
    wanted = "diverged" if effect.measure is None else "value"
    conditions = ["status != 'training'"]
    conditions += [f"{name} == {value!r}" for name, value in _chosen(frame, effect).items()]
    keys = [*matching_columns(axes_of(frame), effect.axis), effect.axis]
    read += f'.query("{" and ".join(conditions)}").set_index(\n'
    read += f"    {keys})[{wanted!r}].unstack()\n"
    if effect.measure is None:
        return f"{read}print(runs[[{effect.value!r}, {effect.baseline!r}]].dropna().sum())\n"
    difference = f"(runs[{effect.value!r}] - runs[{effect.baseline!r}]).dropna()"
    if effect.estimate is not None and effect.estimate.method.startswith("iqm"):
        middle = "d.sort_values()[len(d) // 4 : len(d) - len(d) // 4].mean()"
        return f"{read}print({difference}.pipe(lambda d: {middle}))\n"
    return f"{read}print({difference}.mean())\n"


def _chosen(frame: pd.DataFrame, effect: Effect) -> dict[str, str]:
    """Return the values of columns to which an effect is limited."""
    chosen = {}
    if effect.dataset is not None and len(set(frame["dataset"])) > 1:
        chosen["dataset"] = effect.dataset
    if set(frame["phase"].dropna()) == {"confirm"}:
        chosen["phase"] = "confirm"
    return chosen


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
