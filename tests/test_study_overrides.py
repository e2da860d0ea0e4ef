"""Tests of rayoff.study.overrides: what the command line changes, and the smoke version."""

import pytest
from norm_studies import make, message_of, one_axis

from rayoff.config import TD3Config
from rayoff.errors import StudyError
from rayoff.study import Axis, load_study, override, smoke, study_files, trials


def test_one_value_replaces_an_axis_and_leaves_the_baseline() -> None:
    study = override(make(), ["critic.width=64", "data.fraction=0.5"])
    assert {(t.config.critic.width, t.fraction) for t in trials(study)} == {(64, 0.5)}
    assert study.baseline == {"critic.norm": "none"}


def test_one_value_replaces_a_setting_or_makes_one() -> None:
    study = override(make(), ["agent.tau=0.005", "num_steps=100"])
    config = trials(study)[0].config
    assert config.agent == TD3Config(tau=0.005)
    assert config.num_steps == 100


def test_values_with_commas_replace_an_axis_in_its_place_and_keep_the_baseline() -> None:
    study = override(make(), ["critic.norm=layer, none, batch"])
    assert [axis.path for axis in study.axes] == [axis.path for axis in make().axes]
    assert study.axes[0].values == ("layer", "none", "batch")
    assert study.baseline["critic.norm"] == "none"


def test_values_with_commas_make_an_axis_whose_first_value_is_the_baseline() -> None:
    study = override(make(), ["agent.tau=0.005,1", "critic.norm=batch,layer"])
    assert study.axes[-1] == Axis("agent.tau", (0.005, 1.0))
    assert "agent.tau" not in study.settings
    assert study.baseline == {"critic.norm": "batch", "critic.width": 256, "agent.tau": 0.005}
    assert len(trials(study)) == 16


def test_the_algorithm_is_overridden_like_any_field() -> None:
    assert {t.config.algorithm for t in trials(override(make(), ["algorithm=td3_bc"]))} == {
        "td3_bc"
    }
    arms = {t.config.algorithm for t in trials(override(make(), ["algorithm=td3,td3_bc"]))}
    assert arms == {"td3", "td3_bc"}


@pytest.mark.parametrize(
    ("text", "seeds"), [("10", tuple(range(10))), ("3,5", (3, 5)), ("7,", (7,))]
)
def test_seeds_are_a_count_or_a_list(text: str, seeds: tuple[int, ...]) -> None:
    assert trials(override(make(), [f"seeds={text}"]))[0].config.seeds == seeds


def test_datasets_are_replaced() -> None:
    study = override(make(), ["datasets=mixed/hopper/replay-v0,builtin:hopper-mixed"])
    assert list(study.datasets) == ["mixed/hopper/replay-v0", "builtin:hopper-mixed"]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("critic.nrom=layer", "'critic.nrom' is not a field of a trial. Did you mean 'critic.n"),
        ("critic.norm=layernorm", "but got 'layernorm'. Did you mean 'layer'?"),
        ("critic.norm=none,layernorm", "but got 'layernorm'. Did you mean 'layer'?"),
        ("critic.norm", "An override must be key=value but got 'critic.norm'."),
        ("dataset=a", "Did you mean 'datasets'?"),
        ("seeds=-1", "seeds must be a count, or integers with commas between them, but got '-1'."),
        ("data.source=a", "by the study's datasets, or by --set datasets=..."),
        ("data.fraction=2", "data.fraction must be less than or equal to 1 but got '2'."),
    ],
)
def test_a_wrong_override_is_quoted(assignment: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        override(make(), [assignment])
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"\n  --set {assignment}")


def test_what_is_wrong_only_in_the_whole_quotes_the_override_too() -> None:
    study = override(make(), ["critic.norm=none,group", "critic.width=100"])
    assert "\n  --set critic.width=100, in trial group_hopper-mixed_1" in message_of(study)
    study = override(make(), ["stopper.mode=off", "stopper.horizon_fraction=0.5"])
    assert message_of(study).endswith("\n  --set stopper.horizon_fraction=0.5")


def test_a_setting_of_the_file_that_an_override_leaves_without_effect_is_dropped() -> None:
    study = make(settings={"stopper.num_fitted": 6, "agent.tau": 1.0})
    quiet = override(study, ["stopper.mode=off"])
    assert quiet.settings == {"agent.tau": 1.0, "stopper.mode": "off"}
    trials(quiet)


def test_a_setting_that_never_had_an_effect_stays_an_error_under_overrides() -> None:
    study = override(make(settings={"critic.num_groups": 8}), ["num_steps=100"])
    assert message_of(study).endswith("tune_spaces/norms.py, setting critic.num_groups")


@pytest.mark.parametrize("name", study_files())
def test_every_study_has_a_smoke_version_of_two_trials(name: str) -> None:
    study = load_study(name)
    small_study = smoke(study)
    small = trials(small_study)
    if small_study.search is None:
        assert len(small) == 2
    else:  # the second one is found by its sampler
        assert (len(small), small_study.search.num_points) == (1, 2)
    for trial in small:
        config = trial.config
        assert (config.num_steps, config.seeds, trial.fraction) == (200, (0,), 1.0)
        assert trial.dataset == "builtin:hopper-mixed"
        assert 0 < config.seem.period <= 100
        assert config.evaluation.num_episodes == 1
    full = trials(study)[0].config
    kept = ("algorithm", "agent", "critic", "actor", "batch_size")
    assert all(getattr(small[0].config, part) == getattr(full, part) for part in kept)


def test_smoke_leaves_out_what_has_no_effect_in_its_two_arms() -> None:
    study = make(
        base="td3",
        axes=[Axis("critic.norm", ["none", "layer", "group"])],
        baseline={"critic.norm": "none"},
        settings={
            "critic.num_groups": 8,
            "data.fraction": 0.01,
            "data.unit": "episode",
            "evaluation.environment": "HalfCheetah-v5",
        },
    )
    assert {trial.config.critic.norm for trial in trials(smoke(study))} == {"none", "layer"}
    assert (
        smoke(study)
        .settings.keys()
        .isdisjoint({"critic.num_groups", "data.unit", "evaluation.environment"})
    )


def test_smoke_works_without_a_critic_and_without_axes() -> None:
    (trial,) = trials(smoke(make(base="bc", axes=[], baseline={}, settings={})))
    assert trial.config.algorithm == "bc"


def test_smoke_checks_the_whole_study_first() -> None:
    with pytest.raises(StudyError, match="Did you mean 'layer'"):
        smoke(one_axis("critic.norm", "none", "batch", "layerr"))
