"""Tests of rayoff.study.trials: trials that contradict themselves, or that nothing tells apart."""

import pytest
from norm_studies import make, message_of, one_axis

from rayoff.study import Axis, Scalar, trials


@pytest.mark.parametrize(
    ("settings", "message", "place"),
    [
        (
            {"actor.norm": "group", "actor.width": 100},
            "actor.num_groups must divide actor.width, 100, but got 16. Did you mean 20?",
            "setting actor.width, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"actor.norm": "batch_joint"},
            "actor.norm must not be batch_joint: it joins data and policy actions, which only a "
            "critic sees. Did you mean 'batch'?",
            "setting actor.norm, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"data.ref_min": 3.0},
            "data.ref_min and data.ref_max must be given together but got 3.0 and None.",
            "setting data.ref_min, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"data.ref_min": 3.0, "data.ref_max": 3.0},
            "data.ref_min must be below data.ref_max, 3.0, but got 3.0.",
            "setting data.ref_min, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"stopper.confirm_factor": 0.5},
            "The stopper's suspect_factor, confirm_factor, ceiling_factor must rise but got "
            "3, 0.5, 1000.",
            "setting stopper.confirm_factor, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"stopper.suspect_factor": 20.0},
            "The stopper's suspect_factor, confirm_factor, ceiling_factor must rise but got "
            "20, 10, 1000.",
            "setting stopper.suspect_factor, in trial none-width256_hopper-mixed_1",
        ),
        (
            {"batch_size": 1, "actor.norm": "batch"},
            "batch_size must be at least 2 while actor.norm is batch, which takes the variance "
            "over the batch, but got 1.",
            "setting batch_size, in trial none-width256_hopper-mixed_1",
        ),
    ],
)
def test_a_contradiction_is_named(settings: dict[str, Scalar], message: str, place: str) -> None:
    assert message_of(make(settings=settings)) == f"{message}\n  tune_spaces/norms.py, {place}"


def test_a_contradiction_in_one_trial_is_found() -> None:
    message = message_of(one_axis("critic.width", 256, 100, settings={"critic.norm": "group"}))
    assert message.endswith("axis 1, in trial width100_hopper-mixed_1")


@pytest.mark.parametrize(
    ("base", "settings", "path", "reason"),
    [
        ("bc", {"critic.width": 64}, "critic.width", "algorithm is 'bc'. Set algorithm to td3 or"),
        ("bc", {"stopper.mode": "off"}, "stopper.mode", "algorithm is 'bc'"),
        ("bc", {"seem.period": 10}, "seem.period", "algorithm is 'bc'"),
        ("bc", {"regularizer.rd_weight": 1.0}, "regularizer.rd_weight", "algorithm is 'bc'"),
        ("bc", {"data.reward_scale": 2.0}, "data.reward_scale", "algorithm is 'bc'"),
        ("bc", {"agent.tau": 1.0}, "agent.tau", "algorithm is 'bc'. Set algorithm to td3 or td3_"),
        ("td3", {"agent.bc_weight": 1.0}, "agent.bc_weight", "algorithm is 'td3'. Set algorithm"),
        ("td3", {"critic.num_groups": 8}, "critic.num_groups", "critic.norm is 'none'. Set crit"),
        ("td3", {"actor.norm_layers": "last"}, "actor.norm_layers", "actor.norm is 'none'"),
        (
            "td3",
            {"critic.norm": "spectral", "critic.norm_position": "after"},
            "critic.norm_position",
            "critic.norm is 'spectral'. Set critic.norm to layer, batch, group or rms, or leave",
        ),
        (
            "td3",
            {"critic.norm": "layer", "critic.norm_layers": "first", "critic.depth": 1},
            "critic.norm_layers",
            "critic.depth is 1. Set critic.depth to 2 or more",
        ),
        ("td3", {"critic.lcb_weight": 1.0}, "critic.lcb_weight", "critic.reducer is 'min'. Set"),
        (
            "td3",
            {"critic.num_critics": 1, "critic.reducer": "mean"},
            "critic.reducer",
            "critic.num_critics is 1",
        ),
        (
            "td3",
            {"regularizer.rd_kernel": "cosine"},
            "regularizer.rd_kernel",
            "regularizer.rd_weight is 0.0. Set regularizer.rd_weight to more than 0",
        ),
        (
            "td3",
            {"stopper.mode": "off", "stopper.horizon_fraction": 0.5},
            "stopper.horizon_fraction",
            "stopper.mode is 'off'",
        ),
        (
            "td3",
            {"seem.period": 0, "stopper.horizon_fraction": 0.5},
            "stopper.horizon_fraction",
            "seem.period is 0",
        ),
        (
            "td3",
            {"evaluation.period": 0, "evaluation.num_episodes": 3},
            "evaluation.num_episodes",
            "evaluation.period is 0",
        ),
        ("td3", {"data.unit": "episode"}, "data.unit", "data.fraction is 1.0"),
    ],
)
def test_a_setting_without_effect_says_why_and_what_to_do(
    base: str, settings: dict[str, Scalar], path: str, reason: str
) -> None:
    message = message_of(make(base=base, axes=[], baseline={}, settings=settings))
    assert message.startswith(f"{path} has no effect while {reason}")
    assert message.endswith(f"or leave {path} out.\n  tune_spaces/norms.py, setting {path}")


def test_a_setting_with_an_effect_in_one_trial_is_allowed() -> None:
    trials(one_axis("critic.norm", "none", "group", settings={"critic.num_groups": 8}))
    trials(one_axis("data.fraction", 1.0, 0.1, settings={"data.unit": "episode"}))
    trials(one_axis("algorithm", "bc", "td3", settings={"agent.tau": 1.0}))


def test_an_axis_without_effect_in_any_trial_names_every_value_that_stands_in_its_way() -> None:
    axes = [Axis("critic.norm", ["none", "layer"]), Axis("critic.num_groups", [8, 16])]
    message = message_of(make(axes=axes, baseline={"critic.norm": "none", "critic.num_groups": 8}))
    assert message == (
        "critic.num_groups has no effect while critic.norm is 'layer' or 'none'. "
        "Set critic.norm to group, or leave critic.num_groups out."
        "\n  tune_spaces/norms.py, axis 2"
    )


def test_two_trials_that_would_be_the_same_are_both_named() -> None:
    axes = [Axis("critic.norm", ["none", "group"]), Axis("critic.num_groups", [8, 16])]
    message = message_of(make(axes=axes, baseline={"critic.norm": "none", "critic.num_groups": 8}))
    assert message == (
        "Trials none-groups8_hopper-mixed_1 and none-groups16_hopper-mixed_1 must differ but are "
        "the same: critic.num_groups has no effect while critic.norm is 'none'. "
        "Ask about the two axes in separate studies.\n  tune_spaces/norms.py, axis 2"
    )
