"""Tests of rayoff.trial on toy dynamics where the plain critic diverges, and on Pendulum."""

import copy
import math
import operator
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from toy_dynamics import write_dynamics
from toy_pendulum import write_pendulum

from rayoff.config import (
    ActorConfig,
    BCConfig,
    CriticConfig,
    DataConfig,
    EvaluationConfig,
    Norm,
    Precision,
    SeemConfig,
    StopperConfig,
    TD3BCConfig,
    TD3Config,
    TrialConfig,
)
from rayoff.data import load_table, prepare
from rayoff.draws import Draws
from rayoff.errors import CheckpointError
from rayoff.trial import Row, Trial
from rayoff.trial.sampling import Sampler

CLOCKED = ("seconds", "time/")
UNSCALED = ("seem/value", "seem/rate")  # near 0 beside ||A||: only their ratio to it is stable


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return load_table(write_dynamics(tmp_path_factory.mktemp("data") / "dynamics.parquet"))


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return load_table(write_pendulum(tmp_path_factory.mktemp("data") / "pendulum.parquet"))


def make_config(**changes: Any) -> TrialConfig:  # noqa: ANN401 - fields of TrialConfig
    """Return a trial whose plain critic diverges within its 600 steps."""
    fields: dict[str, Any] = {
        "algorithm": "td3",
        "agent": TD3Config(tau=1.0, learning_rate=3e-3),
        "actor": ActorConfig(width=64),
        "critic": CriticConfig(width=64),
        "seem": SeemConfig(period=20, num_rows=32),
        "stopper": StopperConfig(),
        "evaluation": EvaluationConfig(period=0),
        "num_steps": 600,
        "batch_size": 64,
        "seeds": (0, 1),
    }
    return TrialConfig(**fields | changes)


def finish(trial: Trial) -> list[Row]:
    while not trial.done:
        trial.advance()
    return trial.rows


def states_of(rows: list[Row]) -> set[str]:
    """Return the states of the rows, with the steps at which a run is done or diverged."""
    states = [(row["status"], f" at {row['step']}") for row in rows]
    return {state + ("" if state == "training" else at) for state, at in states}


def unclocked(rows: list[Row]) -> list[Row]:
    """Return the rows without what a clock wrote."""
    return [{k: v for k, v in row.items() if not k.startswith(CLOCKED)} for row in rows]


def test_a_diverging_run_is_stopped_with_a_reason_before_it_blows_up(table: pa.Table) -> None:
    trial = Trial(make_config(), table)

    rows = finish(trial)

    last = {row["seed"]: row for row in rows}
    assert {row["status"] for row in last.values()} == {"diverged"}
    assert trial.num_training == 0
    assert trial.step < trial.config.num_steps
    for row in last.values():
        assert row["step"] == row["stop_step"]
        assert np.isfinite(row["critic/q_abs"])
        assert "forecast to pass" in row["reason"] or "times the bound" in row["reason"]


def test_layer_norm_keeps_the_critic_within_its_bound(table: pa.Table) -> None:
    trial = Trial(make_config(critic=CriticConfig(width=64, norm="layer")), table)

    rows = finish(trial)

    assert states_of(rows) == {"training", "done at 600"}
    assert max(row["critic/q_abs"] for row in rows if "critic/q_abs" in row) < trial.watch.bound
    assert trial.step == 600


def test_observe_trains_on_and_records_what_stop_would_have_done(table: pa.Table) -> None:
    stopped = Trial(make_config(), table)
    observed = Trial(make_config(stopper=StopperConfig(mode="observe")), table)

    rows_stopped, rows_observed = finish(stopped), finish(observed)

    assert observed.step == 600
    verdicts = [
        {(row["seed"], row["stop_step"], row["reason"]) for row in rows}
        for rows in (rows_stopped, rows_observed)
    ]
    assert verdicts[0] == verdicts[1]


def test_a_row_holds_what_was_known_at_its_step_and_never_changes(table: pa.Table) -> None:
    trial = Trial(make_config(stopper=StopperConfig(mode="observe"), seeds=(0, 1, 2)), table)
    told: list[Row] = []
    while not trial.done:
        told += copy.deepcopy(trial.advance())
    assert trial.rows == told

    ceiling = StopperConfig().ceiling_factor * trial.watch.bound
    for seed in trial.config.seeds:
        rows = [row for row in told if row["seed"] == seed]
        last = rows[-1]
        crash = next(row["step"] for row in rows if row["critic/q_abs"] > ceiling)
        assert last["stopper/suspected_step"] < last["stop_step"] < 600
        for row in rows:
            step = row["step"]
            begun, stopped = step >= last["stopper/suspected_step"], step >= last["stop_step"]
            assert row["stopper/suspect"] <= begun
            assert (row["stopper/suspected_step"] is not None) == begun
            assert (row["status"], row["reason"] is not None, row["stop_step"]) == (
                ("diverged", True, last["stop_step"]) if stopped else ("training", False, None)
            )
            assert row["stopper/passed_step"] == (crash if step >= crash else None)
            assert (row["stopper/right"] is not None) == (step == 600)
        foretold = {row["stopper/forecast_step"] for row in rows}
        assert len(foretold) > 1  # it is not filled back


def test_audited_runs_train_on_and_tell_whether_their_stop_was_right(table: pa.Table) -> None:
    audited = Trial(make_config(stopper=StopperConfig(audit_fraction=1)), table)
    observed = Trial(make_config(stopper=StopperConfig(mode="observe")), table)

    rows_audited, rows_observed = finish(audited), finish(observed)

    assert audited.step == 600
    assert unclocked(rows_audited) == unclocked(rows_observed)
    last = {row["seed"]: row for row in rows_audited}
    for row in last.values():
        is_lost = row["critic/q_abs"] > 1000 * audited.watch.bound
        assert row["stopper/right"] == float(is_lost)
        assert row["stop_step"] < 600


def test_about_the_share_that_was_asked_for_is_audited(table: pa.Table) -> None:
    stopper = StopperConfig(audit_fraction=0.3)
    config = make_config(seeds=tuple(range(40)), num_steps=20, stopper=stopper)
    alone = [
        Trial(replace(config, seeds=(seed,)), table).watch._audited == [True] for seed in range(40)
    ]
    assert Trial(config, table).watch._audited == alone
    assert 4 <= sum(alone) <= 20  # 12 expected, three standard deviations: 8.7
    fewer = Trial(replace(config, stopper=replace(stopper, audit_fraction=0.1)), table)
    assert all(map(operator.ge, alone, fewer.watch._audited))


def test_a_run_that_was_wrongly_given_up_counts_as_done(table: pa.Table) -> None:
    """An eager rule takes the first growth of a sound critic for its ruin."""
    eager = StopperConfig(
        mode="observe",
        suspect_factor=1e-3,
        confirm_factor=1e-3,
        diverged_factor=1.0,
        ceiling_factor=0.6,
        fit_fraction=0.01,
        num_confirmed=1,
        seem_held=0.0,
        horizon_fraction=1.0,
    )
    critic = CriticConfig(width=64, norm="layer")
    trial = Trial(make_config(critic=critic, stopper=eager), table)

    last = {row["seed"]: row for row in finish(trial)}

    for row in last.values():
        assert row["stop_step"] < 600
        assert (row["status"], row["reason"], row["stopper/right"]) == ("done", None, 0.0)


def test_mode_off_never_judges(table: pa.Table) -> None:
    rows = finish(Trial(make_config(stopper=StopperConfig(mode="off"), num_steps=200), table))
    assert states_of(rows) == {"training", "done at 200"}
    judged = ("stop_step", "stopper/suspect", "stopper/suspected_step", "stopper/passed_step")
    assert {row[name] for row in rows for name in judged} == {None}


@pytest.mark.parametrize(
    ("norm", "precision"),
    [
        ("none", "float32"),
        ("layer", "float32"),
        ("batch", "float32"),
        ("spectral", "float32"),
        ("layer", "bfloat16"),
    ],
)
def test_interrupted_and_resumed_equals_undisturbed(
    table: pa.Table, tmp_path: Path, norm: Norm, precision: Precision
) -> None:
    critic = CriticConfig(width=64, norm=norm, dropout=0.1)
    config = make_config(critic=critic, num_steps=200, precision=precision)
    undisturbed = finish(Trial(config, table))
    first = Trial(config, table)
    while first.step < 60:
        first.advance()
    first.save(tmp_path / "checkpoint")
    first.advance()  # lost with the process

    second = Trial(config, table)
    second.load(tmp_path / "checkpoint")

    assert second.step == first.step - 20 == 60
    assert unclocked(finish(second)) == unclocked(undisturbed)


def test_a_resume_in_the_midst_of_a_suspicion_changes_no_verdict(
    table: pa.Table, tmp_path: Path
) -> None:
    config = make_config(stopper=StopperConfig(audit_fraction=0.5), seeds=(0, 1, 2))
    undisturbed = finish(Trial(config, table))
    suspected = min(row["stopper/suspected_step"] or math.inf for row in undisturbed)
    stopped = min(row["stop_step"] or math.inf for row in undisturbed)
    assert suspected < stopped < math.inf
    trial = Trial(config, table)
    for moment in (suspected + 1, stopped):
        while trial.step < moment:
            trial.advance()
        trial.save(tmp_path / str(moment))
        trial = Trial(config, table)
        trial.load(tmp_path / str(moment))
    assert unclocked(finish(trial)) == unclocked(undisturbed)


def test_a_suspect_run_is_judged_alike_alone_and_beside_others(table: pa.Table) -> None:
    """Others must neither hurry nor delay its probes."""
    config = make_config(stopper=StopperConfig(mode="observe"), seeds=(0, 1, 2, 3))
    stacked = finish(Trial(config, table))
    judged = ("step", "status", "stop_step", "stopper/suspected_step", "stopper/right")
    for seed in config.seeds:
        alone = finish(Trial(replace(config, seeds=(seed,)), table))
        ours = [row for row in stacked if row["seed"] == seed]
        assert [[row[n] for n in judged] for row in ours] == [
            [row[n] for n in judged] for row in alone
        ]
        assert ours[-1]["stop_step"] is not None


def test_a_stopped_run_stays_stopped_after_a_restore(table: pa.Table, tmp_path: Path) -> None:
    first = Trial(make_config(), table)
    while first.num_training == 2 and not first.done:
        first.advance()
    first.save(tmp_path)

    second = Trial(make_config(), table)
    second.load(tmp_path)

    assert second.num_training == first.num_training == 1
    assert second.rows == first.rows


def test_a_checkpoint_of_another_configuration_is_refused(table: pa.Table, tmp_path: Path) -> None:
    Trial(make_config(), table).save(tmp_path)
    other = Trial(replace(make_config(), num_steps=700), table)
    with pytest.raises(CheckpointError, match="of this trial's configuration"):
        other.load(tmp_path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_each_run_of_a_trial_equals_the_run_alone(table: pa.Table, precision: Precision) -> None:
    config = make_config(
        algorithm="td3_bc",
        agent=TD3BCConfig(),
        critic=CriticConfig(width=64, norm="layer"),
        num_steps=60,
        seeds=(3, 7, 11),
        precision=precision,
    )
    stacked = finish(Trial(config, table))
    for seed in config.seeds:
        alone = finish(Trial(replace(config, seeds=(seed,)), table))
        ours = [row for row in stacked if row["seed"] == seed]
        for row, expected in zip(ours, alone, strict=True):
            assert row.keys() == expected.keys()
            for name in row:
                compared = "/" in name and not name.startswith(CLOCKED + UNSCALED)
                if compared and row[name] is not None:
                    assert row[name] == pytest.approx(expected[name], rel=2e-4, abs=1e-5), name


def test_bc_has_no_critic_to_probe_and_reports_at_evaluations(pendulum: pa.Table) -> None:
    evaluation = EvaluationConfig(period=100, num_episodes=1)
    config = make_config(algorithm="bc", agent=BCConfig(), num_steps=250, evaluation=evaluation)
    rows = finish(Trial(config, pendulum))
    assert sorted({row["step"] for row in rows}) == [100, 200, 250]
    assert all(row["evaluated"] for row in rows)
    assert states_of(rows) == {"training", "done at 250"}
    assert {row["stopper/suspect"] for row in rows} == {None}
    assert not any(name.startswith(("critic/", "seem/")) for row in rows for name in row)
    for row in rows:  # the references of the file are -1500 and -150
        expected = 100 * (row["eval/return"] + 1500) / (1500 - 150)
        assert row["eval/score"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        (EvaluationConfig(period=0), "evaluation.period is 0"),
        (EvaluationConfig(environment="NoSuch-v5"), "NoSuch"),
    ],
)
def test_without_evaluation_training_goes_on_and_the_rows_say_why(
    table: pa.Table, evaluation: EvaluationConfig, reason: str
) -> None:
    trial = Trial(make_config(evaluation=evaluation, num_steps=40), table)
    rows = finish(trial)
    assert trial.step == 40
    assert all(reason in row["eval_skipped"] and not row["evaluated"] for row in rows)


def test_a_run_that_ends_far_above_its_bound_has_diverged_though_nothing_stopped_it(
    table: pa.Table,
) -> None:
    stopper = StopperConfig(horizon_fraction=1e-9, num_above_ceiling=1000)
    trial = Trial(make_config(seeds=(0,), stopper=stopper, num_steps=300), table)
    rows = finish(trial)
    assert trial.step == 300
    assert rows[-1]["critic/q_abs"] > 10 * trial.watch.bound
    assert states_of(rows) == {"training", "diverged at 300"}
    assert {row["stop_step"] for row in rows} == {None}
    assert "at the last probe, step 300" in rows[-1]["reason"]


def test_suspicion_raises_the_probing_rate(table: pa.Table) -> None:
    rows = finish(Trial(make_config(seeds=(0,)), table))
    steps = [row["step"] for row in rows]
    suspected = next(s for row in rows if (s := row["stopper/suspected_step"]) is not None)
    gaps = np.diff([step for step in steps if step >= suspected])
    assert gaps[0] == 20 // StopperConfig().probe_speedup


def test_growth_is_the_slope_of_log_q_against_log_step(table: pa.Table) -> None:
    stopper = StopperConfig(mode="observe", probe_speedup=1)
    rows = finish(Trial(make_config(seeds=(0,), stopper=stopper, num_steps=200), table))
    window = rows[-StopperConfig().num_fitted :]
    steps, sizes = ([row[name] for row in window] for name in ("step", "critic/q_abs"))
    slope = np.polyfit(np.log(steps), np.log(sizes), 1)[0]
    assert window[-1]["critic/q_growth"] == pytest.approx(slope)
    assert rows[0]["critic/q_growth"] is None


def test_a_number_that_is_not_finite_ends_its_run_alone(table: pa.Table) -> None:
    trial = Trial(make_config(critic=CriticConfig(width=64, norm="layer"), num_steps=60), table)
    parameter = next(trial.agent.critic.parameters()) if trial.agent.critic else None
    assert parameter is not None
    trial.advance()
    assert trial.rows[0].keys() >= {"critic/q_abs", "critic/q_max", "critic/loss"}
    with torch.no_grad():
        parameter[0] = torch.nan  # the first run's alone

    rows = finish(trial)

    last = {row["seed"]: row for row in rows}
    assert last[0]["status"] == "diverged"
    assert last[0]["reason"] == "|Q| is no longer finite at step 40"
    assert last[1]["status"] == "done"
    assert np.isfinite(last[1]["critic/q_abs"])


def test_batches_are_whole_rows_of_the_fraction(table: pa.Table) -> None:
    data = DataConfig(fraction=0.2, observation_normalization="none")
    prepared = prepare(table, data, batch_size=64)
    transitions = prepared.transitions
    sampler = Sampler(prepared.rows, batch_size=64)
    draws = Draws(torch.tensor([5, 6]), torch.tensor(0))

    batch = sampler.sample(draws)

    known = {tuple(row): i for i, row in enumerate(transitions.observations.tolist())}
    for run in range(2):
        rows = [known[tuple(row)] for row in batch.observations[run].tolist()]
        for name in ("actions", "rewards", "next_observations", "terminations"):
            torch.testing.assert_close(
                getattr(batch, name)[run], getattr(transitions, name)[rows], rtol=0, atol=0
            )
        assert len(set(rows)) > 32  # with replacement, from 200 rows
    assert not torch.equal(batch.observations[0], batch.observations[1])


def test_a_trial_runs_without_ray() -> None:
    code = "import sys, rayoff.trial; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
