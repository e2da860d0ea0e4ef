"""Tests of rayoff.report.caveats: what to know before the answer is believed."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_samples import results

from rayoff.report import find_effects, summarize
from rayoff.report.caveats import caveats


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Results of which nothing need be told."""
    folder = tmp_path_factory.mktemp("sound") / "a"
    return results(folder, fractions=(1.0,), seeds=range(5), norms=("layer",))


@pytest.mark.parametrize(
    ("options", "caveat"),
    [
        ({}, "only 2 run(s)"),
        ({"references": False}, "raw returns and never pooled"),
        ({"simulator": False}, "no score for mixed/hopper/replay-v0: gymnasium has no Hopper"),
        ({"mode": "observe"}, "The stopper only observed"),
        ({"mode": "off"}, "no run counts as diverged"),
        ({}, "share one subset"),
        ({}, "counts with the floor"),
    ],
)
def test_a_caveat_is_told_where_it_applies(
    tmp_path: Path, sound: pd.DataFrame, options: dict[str, Any], caveat: str
) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), **options)
    told = "\n".join(caveats(frame, summarize(frame), find_effects(frame)))
    assert caveat in told
    assert caveat not in "\n".join(caveats(sound, summarize(sound), find_effects(sound)))


def test_reference_scores_of_another_version_are_told(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,)).assign(score_source="d4rl_table")
    told = "\n".join(caveats(frame, summarize(frame), []))
    assert "mixed/hopper/replay-v0: reference returns are D4RL's" in told


def test_unequal_and_failed_runs_are_told(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,), seeds=(0, 1, 2))
    frame.loc[(frame["arm"] == "layer") & (frame["seed"] == 2), "status"] = "failed"
    told = "\n".join(caveats(frame, summarize(frame), []))
    assert "1 runs failed with an error" in told
    assert "Cells have from 2 to 3 runs." in told
