"""Tests of rayoff.report.headline: the sentences that answer a study."""

import re
from pathlib import Path

from report_samples import results

from rayoff.report import find_effects, headlines
from rayoff.report.headline import MAX_HEADLINES


def test_the_headline_says_what_was_compared_and_by_how_much(tmp_path: Path) -> None:
    frame = results(tmp_path / "a")
    effects = find_effects(frame)
    (headline,) = headlines(frame, effects)
    assert re.fullmatch(
        r"critic\.norm = layer instead of none: helps\. \+\S+ \[\+\S+, \+\S+\] score, better in "
        r"100% of 6 matched pairs; at 1% of the data \+\S+ \[\+\S+, \+\S+\]; "
        r"0 of 6 runs diverged instead of 6\.",
        str(headline),
    )


def test_of_very_many_comparisons_the_largest_are_told(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=range(256, 256 + 20), fractions=(0.1,))
    effects = find_effects(frame)
    *told, rest = headlines(frame, effects)
    assert len(told) == MAX_HEADLINES
    assert told[-1].subject == "critic.norm = layer instead of none"
    assert rest.subject == f"{20 - MAX_HEADLINES} more comparisons"


def test_without_a_simulator_the_headline_speaks_of_divergence(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", simulator=False)
    (headline,) = headlines(frame, find_effects(frame))
    assert str(headline) == (
        "critic.norm = layer instead of none: helps. "
        "0 of 6 runs diverged instead of 6 (sign test p = 0.031)."
    )


def test_one_arm_alone_is_described(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("none",))
    (headline,) = headlines(frame, [])
    assert str(headline) == "none: 6 of 6 runs diverged."
