"""Tests of rayoff.study.plan: the trials of a study, their order and their names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from norm_studies import make, one_axis

from rayoff.config import TD3BCConfig, TD3Config, TrialConfig
from rayoff.study import Axis, flatten, trials, varied_paths


def test_trials_are_the_product_of_arms_datasets_and_fractions() -> None:
    study = make(datasets=["builtin:hopper-mixed", "mixed/halfcheetah/replay-v0"])
    planned = trials(study)
    points = {
        (t.config.critic.norm, t.config.critic.width, t.dataset, t.fraction) for t in planned
    }
    assert len(planned) == len(points) == 2 * 2 * 2 * 2
    for trial in planned:
        assert trial.config.data.source == trial.dataset
        assert trial.config.data.fraction == trial.fraction
        assert trial.config.seeds == (0, 1, 2)


def test_settings_reach_every_trial_and_what_is_not_stated_has_its_default() -> None:
    for trial in trials(make()):
        assert trial.config.agent == TD3Config(tau=1.0)
        assert trial.config.actor == TrialConfig().actor


def test_the_baseline_is_first_and_the_others_keep_the_order_of_the_axes() -> None:
    study = make(baseline={"critic.norm": "layer", "critic.width": 1024})
    arms = list(dict.fromkeys(trial.arm for trial in trials(study)))
    assert arms == ["layer-width1024", "none-width256", "none-width1024", "layer-width256"]
    assert trials(study) == trials(study)


def test_an_algorithm_axis_gives_each_trial_its_own_hyperparameters() -> None:
    study = one_axis("algorithm", "td3", "td3_bc", settings={"agent.bc_weight": 0.5})
    plain, cloned = trials(study)[0], trials(study)[-1]
    assert (plain.arm, cloned.arm) == ("td3", "td3_bc")
    assert plain.config.agent == TD3Config()
    assert cloned.config.agent == TD3BCConfig(bc_weight=0.5)


def test_a_study_without_axes_is_one_trial_named_after_its_algorithm() -> None:
    (trial,) = trials(make(axes=[], baseline={}))
    assert trial.trial_id == "td3_hopper-mixed_1"


def test_varied_paths_are_what_differs_between_trials() -> None:
    study = make(datasets=["a", "b"], axes=[Axis("critic.norm", ["none"]), *make().axes[1:]])
    planned = [flatten(trial.config) for trial in trials(study)]
    differing = {path for path in planned[0] if len({values[path] for values in planned}) > 1}
    assert varied_paths(study) == ["critic.width", "data.fraction", "data.source"]
    assert set(varied_paths(study)) == differing


@pytest.mark.parametrize(
    ("axes", "last"),
    [
        ([Axis("critic.norm", ["none", "layer"])], "layer"),
        ([Axis("critic.num_critics", [2, 10])], "critics10"),
        ([Axis("regularizer.rd_weight", [0.0, 1e-5])], "rd_weight1e-05"),
        ([Axis("num_steps", [1000, 1_000_000])], "steps1000000"),
        ([Axis("seem.mask_terminations", [True, False])], "mask_terminations=false"),
        (
            [Axis("critic.norm", ["none", "layer"]), Axis("actor.norm", ["none", "layer"])],
            "critic.norm=layer-actor.norm=layer",
        ),
        (
            [Axis("critic.width", [64, 256]), Axis("actor.width", [64, 256])],
            "critic.width256-actor.width256",
        ),
    ],
)
def test_an_arm_is_named_by_its_varied_values(axes: list[Axis], last: str) -> None:
    study = make(axes=axes, baseline={axis.path: axis.values[0] for axis in axes})
    assert trials(study)[-1].arm == last


@pytest.mark.parametrize(
    ("source", "slug"),
    [
        ("builtin:hopper-mixed", "hopper-mixed"),
        ("mixed/hopper/replay-v0", "hopper-replay-v0"),
        ("D4RL/antmaze/umaze-diverse-v1", "antmaze-umaze-diverse-v1"),
        ("hdf5:/data/d4rl/hopper_medium-v2.hdf5", "hopper-medium-v2"),
        ("parquet:tables/mine.parquet", "mine"),
        ("pen", "pen"),
    ],
)
def test_a_source_has_a_short_name(source: str, slug: str) -> None:
    assert trials(make(datasets=[source]))[0].trial_id == f"none-width256_{slug}_1"


def test_sources_of_one_name_are_told_apart() -> None:
    planned = trials(make(datasets=["hdf5:a/data.hdf5", "hdf5:b/data.hdf5", "parquet:data"]))
    assert len({trial.trial_id for trial in planned}) == len(planned) == 24


@given(
    datasets=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3, unique=True),
    fractions=st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=3, unique=True),
    environments=st.lists(st.text(), min_size=1, max_size=3, unique=True),
)
def test_trial_ids_are_unique_short_and_safe_for_files(
    datasets: list[str], fractions: list[float], environments: list[str]
) -> None:
    axes = [
        Axis("evaluation.environment", environments),
        Axis("regularizer.rd_kernel", ["dot", "cosine"]),
        Axis("critic.initialization", ["small_output", "orthogonal"]),
        Axis("critic.reducer", ["independent", "min"]),
        Axis("data.fraction", fractions),
    ]
    baseline = {axis.path: axis.values[0] for axis in axes[:-1]}
    settings = {"regularizer.rd_weight": 1e-3}
    planned = trials(make(axes=axes, baseline=baseline, datasets=datasets, settings=settings))
    ids = [trial.trial_id for trial in planned]
    assert len(set(ids)) == len(ids) == 8 * len(environments) * len(datasets) * len(fractions)
    assert all(re.fullmatch(r"[A-Za-z0-9._=-]{1,60}", trial_id) for trial_id in ids)
