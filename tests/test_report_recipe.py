"""Tests of rayoff.report.recipe: a few lines of pandas compute the first number again."""

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_results import make_run_folder

from rayoff.report import Effect, find_effects
from rayoff.report.exports import write_table
from rayoff.report.headline import headlines, told_effects
from rayoff.report.recipe import full_recipe, short_recipe
from rayoff.report.tallies import runs
from rayoff.results import read_results, write_results

Recipe = Callable[[pd.DataFrame, list[Effect]], str]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seeds": range(5)},
        {"references": False, "datasets": ("hopper", "ant")},
        {"widths": (256, 64)},
    ],
)
def test_the_recipe_computes_the_headlines_number(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = make_run_folder(tmp_path / "a", fractions=(1.0, 0.1), **options)
    effects = find_effects(read_results(write_results(folder)))
    assert effects[0].estimate is not None
    for make in (full_recipe, short_recipe):
        assert float(run_recipe(make, folder)) == pytest.approx(effects[0].estimate.value)


def test_of_very_many_comparisons_the_recipe_computes_the_first_that_is_told(
    tmp_path: Path,
) -> None:
    folder = make_run_folder(tmp_path / "a", widths=range(256, 256 + 20), fractions=(0.1,))
    frame = read_results(write_results(folder))
    frame["score"] += 100.0 * (frame["config.critic.width"] > 258)  # so that 257 is not told
    told = told_effects(find_effects(frame))
    first, estimate = headlines(frame, find_effects(frame))[0], told[0].estimate
    assert estimate is not None
    assert f"{estimate.value:+.1f}" in first.numbers
    assert "257" not in str(first)
    assert f"value.loc[{told[0].value!r}] - value.loc[{told[0].baseline!r}]" in full_recipe(
        frame, told
    )


@pytest.mark.parametrize("make", [full_recipe, short_recipe])
def test_the_recipe_matches_runs_that_lack_a_setting(tmp_path: Path, make: Recipe) -> None:
    folder = make_run_folder(tmp_path / "a", widths=(256, 64), fractions=(0.1,))
    frame = read_results(write_results(folder))
    # as a coefficient of a regulariser that only some arms have
    frame["config.critic.rd_weight"] = np.where(frame["config.critic.width"] == 64, 0.1, np.nan)
    frame.to_parquet(folder / "results.parquet")
    effects = [e for e in find_effects(frame) if e.name == "critic.norm"]
    assert effects[0].num_pairs == 4
    assert effects[0].estimate is not None
    write_table(folder / "tables", runs(frame))
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(make(frame, effects), {})
    assert float(printed.getvalue()) == pytest.approx(effects[0].estimate.value)


@pytest.mark.parametrize("make", [full_recipe, short_recipe])
def test_the_recipe_counts_where_there_is_no_score(tmp_path: Path, make: Recipe) -> None:
    folder = make_run_folder(tmp_path / "a", simulator=False)
    assert re.findall(r"(layer|none) +(\d)", run_recipe(make, folder)) == [
        ("layer", "0"),
        ("none", "6"),
    ]


@pytest.mark.parametrize("make", [full_recipe, short_recipe])
def test_the_recipe_of_one_arm_counts_its_runs(tmp_path: Path, make: Recipe) -> None:
    folder = make_run_folder(tmp_path / "a", norms=("none",))
    assert re.search(r"none( +diverged)? +6", run_recipe(make, folder))


def run_recipe(make: Recipe, folder: Path) -> str:
    frame = read_results(write_results(folder))
    write_table(folder / "tables", runs(frame))
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(make(frame, find_effects(frame)), {})
    return printed.getvalue()
