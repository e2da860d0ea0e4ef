"""Tests of rayoff.report.effects: differences of matched runs, and the verdict on them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_samples import results, runs_by_hand
from scipy import stats as scipy_stats
from synthetic_results import make_run_folder

from rayoff.report import Effect, effects_table, find_effects, headlines
from rayoff.results import read_results, write_results
from rayoff.stats import Estimate, holm


def test_an_effect_is_the_mean_difference_of_matched_runs(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "a", datasets=("hopper", "ant"), seeds=(0, 1, 2))
    cells = runs_by_hand(write_results(folder))
    differences = {
        (dataset, fraction): [
            run["value"] - partner["value"]
            for run, partner in zip(runs, cells["none", dataset, fraction], strict=True)
        ]
        for (arm, dataset, fraction), runs in cells.items()
        if arm == "layer"
    }
    effects = {(e.dataset, e.fraction): e for e in find_effects(read_results(folder))}
    fractions = [(None, 1.0), (None, 0.1), (None, 0.01)]
    assert list(effects) == [(None, None), *fractions, ("hopper", None), ("ant", None)]
    for (dataset, fraction), effect in effects.items():
        chosen = [
            found
            for key, found in differences.items()
            if dataset in (None, key[0]) and fraction in (None, key[1])
        ]
        assert effect.is_overall == ((dataset, fraction) == (None, None))
        assert effect.num_pairs == 3 * len(chosen)
        assert effect.estimate is not None
        assert effect.estimate.value == pytest.approx(np.mean(chosen))
        spread = np.sqrt(np.mean([np.var(d, ddof=1) for d in chosen]) / effect.num_pairs)
        half = scipy_stats.t.ppf(0.975, 2 * len(chosen)) * spread
        assert effect.estimate.low == pytest.approx(np.mean(chosen) - half)
        assert effect.share_improved == 1.0
        assert (effect.num_diverged, effect.num_diverged_baseline) == (0, effect.num_pairs)
        assert effect.verdict == "helps"


def test_runs_are_matched_on_every_other_choice(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=(256, 64), fractions=(0.1,))
    effects = {(effect.name, effect.value): effect for effect in find_effects(frame)}
    assert set(effects) == {("critic.norm", "layer"), ("critic.width", 64)}
    assert effects["critic.norm", "layer"].num_pairs == 4  # at both widths
    width = effects["critic.width", 64]
    assert width.baseline == 256
    assert (width.num_diverged, width.num_diverged_baseline) == (2, 2)


def test_an_arm_that_differs_in_two_choices_is_compared_as_a_whole(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", widths=(256, 64), fractions=(0.1,))
    frame = frame.loc[frame["arm"].isin(["none", "layer-w64"])]
    (effect,) = find_effects(frame)
    assert (effect.name, effect.value, effect.baseline) == ("arm", "layer-w64", "none")


def test_algorithms_are_compared_despite_their_own_hyperparameters(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    is_bc = frame["arm"] == "layer"
    frame["algorithm"] = frame["algorithm"].where(~is_bc, "bc")
    frame["config.agent.tau"] = frame["config.agent.tau"].where(~is_bc)
    frame["config.critic.norm"] = "none"
    (effect,) = find_effects(frame)
    assert (effect.name, effect.value, effect.num_pairs) == ("algorithm", "bc", 2)


def test_raw_returns_are_never_pooled(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", references=False, datasets=("hopper", "ant"))
    overall = [effect for effect in find_effects(frame) if effect.fraction is None]
    assert [(effect.dataset, effect.measure) for effect in overall] == [
        ("hopper", "return"),
        ("ant", "return"),
    ]
    assert "instead of none, ant: helps. +" in str(headlines(frame, find_effects(frame))[1])


def test_runs_that_still_train_have_no_effect_yet(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", fractions=(0.1,))
    frame.loc[(frame["arm"] == "layer") & (frame["seed"] == 0), "status"] = "training"
    (effect,) = find_effects(frame)
    assert effect.num_pairs == 1


def effect(**fields: Any) -> Effect:  # noqa: ANN401
    known: dict[str, Any] = {
        **{"axis": "config.critic.norm", "value": "layer", "baseline": "none", "dataset": None},
        **{"fraction": None, "measure": "score", "share_improved": 0.5, "num_pairs": 6},
        **{"num_diverged": 0, "num_diverged_baseline": 0, "p_value": 1.0, "is_overall": True},
    }
    return Effect(**(known | fields))


@pytest.mark.parametrize(
    ("low", "high", "num_pairs", "verdict"),
    [
        (0.1, 2.0, 5, "helps"),
        (-2.0, -0.1, 5, "hurts"),
        (-1.0, 1.0, 5, "no difference shown"),
        (0.0, 0.0, 5, "no difference shown"),
        (0.1, 2.0, 4, "too few runs"),
        (math.nan, math.nan, 9, "too few runs"),
    ],
)
def test_the_interval_decides_the_verdict(
    low: float, high: float, num_pairs: int, verdict: str
) -> None:
    estimate = Estimate(1.0, low, high, "mean, pooled t", num_pairs)
    assert effect(estimate=estimate).verdict == verdict


@pytest.mark.parametrize(
    ("lost", "lost_baseline", "p_value", "num_pairs", "verdict"),
    [
        (0, 6, 0.03, 6, "helps"),
        (6, 0, 0.03, 6, "hurts"),
        (0, 5, 0.0625, 5, "too few runs"),
        (3, 4, 1.0, 9, "no difference shown"),
    ],
)
def test_without_scores_divergence_decides_the_verdict(
    lost: int, lost_baseline: int, p_value: float, num_pairs: int, verdict: str
) -> None:
    tried = effect(
        measure=None,
        estimate=None,
        num_pairs=num_pairs,
        num_diverged=lost,
        num_diverged_baseline=lost_baseline,
        p_value=p_value,
        p_diverged=p_value,
    )
    assert tried.verdict == verdict


def test_effects_are_exported_with_their_verdicts(tmp_path: Path) -> None:
    frame = results(tmp_path / "a")
    table = effects_table(find_effects(frame))
    assert table["fraction"].tolist() == ["all", "1", "0.1", "0.01"]
    assert table["verdict"].tolist() == ["helps"] + ["too few runs"] * 3


def test_holm_corrects_for_the_effects_that_were_tested(tmp_path: Path) -> None:
    frame = results(tmp_path / "a", norms=("none", "layer", "weight"), seeds=range(5))
    effects = find_effects(frame.loc[(frame["seed"] < 2) | (frame["fraction"] != 0.01)])
    tested = [effect for effect in effects if effect.verdict != "too few runs"]
    assert 0 < len(tested) < len(effects)
    assert [e.p_holm for e in tested] == pytest.approx(list(holm([e.p_value for e in tested])))
    assert {e.p_holm for e in effects if e not in tested} == {1.0}
    assert any(e.survives for e in tested)
    assert not all(e.survives for e in tested)
