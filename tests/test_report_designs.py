"""Tests of the report on designs: effects are of the pairs that a design has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_results import make_run_folder, write_trial

from rayoff.report import find_effects, headlines, write_report
from rayoff.report.interactions import find_interactions
from rayoff.report.waterfall import find_waterfalls
from rayoff.results import collect
from rayoff.study import Axis, Study, to_json

SCORES = {"none": 10.0, "layer": 30.0, "group": 25.0, "narrow": 26.5}
AXES = [Axis("critic.norm", ["none", "layer", "group"]), Axis("critic.width", [256, 64])]


def make_folder(folder: Path, design: Any) -> Path:  # noqa: ANN401 - a field of a study
    """Write invented results of a real study of 2 fractions and 3 seeds."""
    study = Study(
        name="designs",
        base="td3",
        axes=[*AXES, Axis("data.fraction", [1.0, 0.1])],
        datasets=["builtin:hopper-mixed"],
        seeds=range(3),
        baseline={"critic.norm": "none", "critic.width": 256},
        design=design,
        settings={"num_steps": 4000, "evaluation.period": 400},
    )
    folder.mkdir()
    (folder / "study.json").write_text(to_json(study))
    for index, trial in enumerate(json.loads((folder / "study.json").read_text())["trials"]):
        write_trial(folder, trial, np.random.default_rng(index))
    return folder


def known_scores(folder: Path) -> pd.DataFrame:
    """Return the results with scores that each step changes by a known amount."""
    frame = collect(folder).to_pandas()
    score = frame["config.critic.norm"].map(SCORES)
    score = score.where(frame["config.critic.width"] == 256, SCORES["narrow"])
    score = score + frame["seed"]  # the same in all arms: pairs cancel it
    return frame.assign(status="done", stop_step=None, score=score.where(frame["score"].notna()))


def found_effects(frame: pd.DataFrame) -> dict[tuple[str, Any, Any], tuple[float | None, int]]:
    return {
        (effect.name, effect.value, effect.baseline): (
            None if effect.estimate is None else round(effect.estimate.value, 6),
            effect.num_pairs,
        )
        for effect in find_effects(frame)
        if effect.is_overall
    }


def test_each_step_of_a_ladder_is_compared_with_the_step_before(tmp_path: Path) -> None:
    frame = known_scores(make_folder(tmp_path / "a", "ladder"))
    assert found_effects(frame) == {
        ("critic.norm", "layer", "none"): (20.0, 6),
        ("critic.norm", "group", "layer"): (-5.0, 6),
        ("critic.width", 64, 256): (1.5, 6),
    }
    subjects = [headline.subject for headline in headlines(frame, find_effects(frame))]
    assert subjects[1] == "critic.norm = group instead of layer"
    (reason,) = find_waterfalls(frame)
    assert "What each step adds" in str(reason)
    assert all("of the data" in str(one.second) for one in find_interactions(frame))


def test_one_at_a_time_compares_every_value_with_the_baseline(tmp_path: Path) -> None:
    frame = known_scores(make_folder(tmp_path / "a", "one_at_a_time"))
    assert found_effects(frame) == {
        ("critic.norm", "layer", "none"): (20.0, 6),
        ("critic.norm", "group", "none"): (15.0, 6),
        ("critic.width", 64, 256): (16.5, 6),
    }


def test_a_step_whose_reference_failed_has_no_effect_and_no_other_partner(tmp_path: Path) -> None:
    frame = known_scores(make_folder(tmp_path / "a", "ladder"))
    lost = frame["arm"] == "layer-width256"
    frame = frame.assign(status=frame["status"].where(~lost, "failed"))
    assert ("critic.width", 64, 256) in found_effects(frame)
    assert not [key for key in found_effects(frame) if "layer" in key]


def test_an_algorithm_that_is_a_step_brings_its_own_hyperparameters(tmp_path: Path) -> None:
    frame = collect(make_run_folder(tmp_path / "a", fractions=(1.0,))).to_pandas()
    other = frame["arm"] == "layer"
    frame = frame.assign(
        algorithm=frame["algorithm"].where(~other, "td3_bc"),
        reference=frame["reference"].mask(other, "none"),
    )
    frame["config.critic.norm"] = "none"
    frame["config.agent.bc_weight"] = other.map({True: 2.0, False: float("nan")})
    assert list(found_effects(frame)) == [("algorithm", "td3_bc", "td3")]


@pytest.mark.parametrize("design", ["ladder", "one_at_a_time"])
def test_the_report_of_a_design_is_written(design: str, tmp_path: Path) -> None:
    page = write_report(make_folder(tmp_path / "a", design)).read_text()
    assert "critic.norm = group instead of " in page
