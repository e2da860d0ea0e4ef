"""Tests of rayoff.report.headline: the sentences that answer a study."""

import re
from dataclasses import replace
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
        r"0 of 6 runs diverged instead of 6 \(sign test p = 0\.031\)\.",
        str(headline),
    )


def test_survival_is_told_where_scores_show_no_difference(tmp_path: Path) -> None:
    frame = results(tmp_path / "a")
    (overall, *_) = find_effects(frame)
    assert overall.estimate is not None
    unsure = replace(overall, estimate=overall.estimate._replace(low=-1.0))
    (headline,) = headlines(frame, [unsure])
    assert headline.verdict == "no difference shown in score, but fewer runs diverge"
    worse = replace(unsure, num_diverged=6, num_diverged_baseline=0)
    (headline,) = headlines(frame, [worse])
    assert headline.verdict == "no difference shown in score, but more runs diverge"
    (headline,) = headlines(frame, [replace(unsure, p_diverged=0.06)])
    assert headline.verdict == "no difference shown"
    better = replace(overall, num_diverged=6, num_diverged_baseline=0)
    (headline,) = headlines(frame, [better])
    assert headline.verdict == "helps in score, but more runs diverge"


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
