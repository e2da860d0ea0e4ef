"""Tests of benchmarks/audit.py: that rules see no future, and are judged on runs held apart."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import audit
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from stopping.calibration import foretell
from stopping.judgement import dominates, held_apart, judge, judge_trials, upper_limit
from stopping.report import examine
from stopping.rules import Rule, Stops, list_rules
from stopping.runs import Run, load_runs

from rayoff.config import StopperConfig

STEPS = np.arange(100.0, 4001.0, 100.0)


def make_run(excess: NDArray[np.float64], seed: int = 0, **described: Any) -> Run:  # noqa: ANN401
    """Return a run with a bound of 50 whose |Q| over the bound is given; SEEM follows it."""
    about: dict[str, Any] = {
        "environment": "hopper",
        "dataset": "mixed/hopper/replay-v0",
        "choice": "td3",
        "optimizer": "adam",
        "tau": 1.0,
        "norm": "none",
        "depth": 2,
        "num_steps": 4000,
        "bound": 50.0,
        "seed": seed,
    }
    scores = np.where(STEPS % 500 == 0, 10.0 - np.minimum(excess, 9), np.nan)
    seem = np.minimum(excess / 100, 0.9)
    names = ("rate", "normalized", "row_normalized")
    signals = {f"{m}_{n}": seem for m in ("masked", "unmasked", "trimmed") for n in names}
    signals |= {"q_abs": 50 * excess, "q_max": 100 * excess, "loss": excess, "score": scores}
    return Run(about | described, STEPS, signals)


def diverging(pace: float = 1.0) -> NDArray[np.float64]:
    """Pass 1000 bounds at step 2,000 / pace."""
    return 1000 * (pace * STEPS / 2000) ** 3


def healthy(level: float = 0.5) -> NDArray[np.float64]:
    return level * (1 - np.exp(-STEPS / 800))


def make_corpus() -> list[Run]:
    return [
        make_run(curve, seed, environment=env, dataset=f"mixed/{env}/replay-v0", choice=choice)
        for env in ("hopper", "halfcheetah")
        for seed in (0, 1)
        for choice, curve in (
            ("td3 a", diverging(1.0 + 0.1 * seed)),
            ("td3 b", diverging(0.8 + 0.1 * seed)),
            ("td3 c", healthy(0.5)),
            ("td3 d", healthy(200.0)),
            ("td3 e", healthy(3.0)),
        )
    ]


def test_a_run_has_diverged_if_it_ends_above_the_ceiling() -> None:
    back = np.where(STEPS < 3000, diverging(), 1.0)
    assert make_run(diverging()).diverged
    assert make_run(diverging()).crash_step == 2100  # the first reading above it
    assert not make_run(healthy()).diverged
    assert not make_run(back).diverged
    assert make_run(back).crash_step == 2100
    assert make_run(np.where(STEPS < 3000, 1.0, np.nan)).diverged


@pytest.mark.parametrize("rule", list_rules(), ids=lambda r: f"{r.family} {r.thresholds}")
def test_no_rule_looks_into_the_future(rule: Rule) -> None:
    """What comes after a stop changes it for no run."""
    runs = make_corpus()
    stops = rule.decide(runs)
    for moment in (1000.0, 2500.0):
        before = moment >= STEPS
        changed = [
            replace(r, signals={n: np.where(before, s, 7.0) for n, s in r.signals.items()})
            for r in runs
        ]
        early = stops <= moment
        np.testing.assert_array_equal(rule.decide(changed)[early], stops[early])


def test_an_outcome_counts_what_it_says() -> None:
    runs = [make_run(diverging()), make_run(diverging()), make_run(healthy()), make_run(healthy())]
    outcome = judge(runs, np.array([1000.0, np.inf, 3000.0, np.inf]))
    assert (outcome.num_diverged, outcome.num_stopped, outcome.num_caught) == (2, 1, 1)
    assert (outcome.num_healthy, outcome.num_killed) == (2, 1)
    assert (outcome.saved, outcome.mean_saved) == (0.375, 0.375)
    assert outcome.lead == 1100
    late = judge(runs, np.array([2100.0, 4000.0, np.inf, np.inf]))
    assert (late.num_stopped, late.num_caught) == (2, 0)


def test_no_kill_in_150_leaves_less_than_a_fiftieth() -> None:
    assert upper_limit(0, 150) == pytest.approx(1 - 0.05 ** (1 / 150), abs=1e-6)
    assert upper_limit(0, 150) < 0.02 < upper_limit(0, 140)


def test_a_trial_is_spared_only_what_comes_after_its_last_run() -> None:
    runs = [make_run(diverging(), 0), make_run(diverging(), 1), make_run(healthy(), 0, choice="b")]
    both = judge_trials(runs, np.array([1000.0, 2000.0, np.inf]))
    assert both.mean_saved == 0.5
    assert judge_trials(runs, np.array([1000.0, np.inf, 1000.0])).mean_saved == 0
    assert (both.num_lost, both.num_healthy, both.num_killed) == (1, 1, 0)


def test_better_in_one_respect_and_worse_in_none_dominates() -> None:
    base = judge([make_run(diverging()), make_run(healthy())], np.array([1000.0, np.inf]))
    more = base._replace(mean_saved=base.mean_saved + 0.1)
    assert dominates(more, base)
    assert not dominates(base, more)
    assert not dominates(base, base)
    assert not dominates(more._replace(num_killed=1), base)


def test_thresholds_come_from_runs_that_are_unlike_the_judged() -> None:
    """One rule suits hopper, one halfcheetah: held apart, each judges the wrong one."""
    runs = make_corpus()
    is_hopper = np.array([run.described["environment"] == "hopper" for run in runs])
    lost = np.array([run.diverged for run in runs])

    def suits(mine: NDArray[np.bool_]) -> Stops:
        """Stop the divergent runs of one environment, and the healthy ones of the other."""
        return np.where(mine == lost, 500.0, np.inf)

    rules = [Rule("f", {"suits": name}, lambda _: np.empty(0)) for name in ("hopper", "cheetah")]
    stops, chosen = held_apart(
        rules,
        [suits(is_hopper), suits(~is_hopper)],
        runs,
        lambda seen, judged: seen.described["environment"] != judged.described["environment"],
        lambda run: run.described["environment"],
    )
    assert chosen["hopper"].thresholds == {"suits": "cheetah"}
    assert chosen["halfcheetah"].thresholds == {"suits": "hopper"}
    assert judge(runs, stops).num_stopped == 0
    assert judge(runs, stops).num_killed == int((~lost).sum())


def test_a_cubic_crash_is_foretold() -> None:
    (found,) = foretell([make_run(diverging(0.7)), make_run(healthy(500))], StopperConfig())
    assert found.made_at == 1400
    assert found.seen == pytest.approx(2000 / 0.7, rel=1e-3)
    assert found.predicted == pytest.approx(2000 / 0.7, rel=1e-6)
    assert found.by_age == pytest.approx(2000 / 0.7, rel=1e-6)
    assert found.is_within


def write_corpus(runs: Sequence[Run], path: Path) -> None:
    rows = [
        {**run.described, "step": int(step)} | {n: s[i] for n, s in run.signals.items()}
        for run in runs
        for i, step in enumerate(run.steps)
    ]
    pq.write_table(pa.Table.from_pylist(rows[::-1]), path)  # the order must not matter


def test_a_corpus_is_read_as_it_was_written(tmp_path: Path) -> None:
    runs = make_corpus()
    write_corpus(runs, tmp_path / "corpus.parquet")
    read = {
        (run.trial, run.described["seed"]): run for run in load_runs(tmp_path / "corpus.parquet")
    }
    assert len(read) == len(runs)
    for run in runs:
        ours = read[(run.trial, run.described["seed"])]
        assert ours.described == run.described
        np.testing.assert_array_equal(ours.steps, run.steps)
        assert ours.signals.keys() == run.signals.keys()
        for name, series in run.signals.items():
            np.testing.assert_array_equal(ours.signals[name], series)


def test_the_section_tells_every_table_and_replaces_itself(tmp_path: Path) -> None:
    maze = make_run(healthy(), environment="maze", dataset="maze-1", algorithm="q_learning")
    text, figures = examine([*make_corpus(), maze])
    assert "| rayoff | 8 (8) of 8 | 0 of 12 " in text
    assert set(figures) == {"tradeoff", "leads", "calibration"}
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n\n## Speed\n\nfast\n", encoding="utf-8")
    audit.write_section("first", page)
    audit.write_section("second", page)
    told = page.read_text(encoding="utf-8")
    assert told == f"# Results\n\n## Speed\n\nfast\n\n{audit.HEADING}\n\nsecond\n"
    page.write_text(f"a\n\n{audit.HEADING}\n\nold\n\n## Next\n\nb\n", encoding="utf-8")
    audit.write_section("new", page)
    assert page.read_text(encoding="utf-8") == f"a\n\n{audit.HEADING}\n\nnew\n\n## Next\n\nb\n"


def test_judging_writes_its_figures_beside_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maze = make_run(healthy(), environment="maze", dataset="maze-1", algorithm="q_learning")
    corpus, page = tmp_path / "corpus.parquet", tmp_path / "RESULTS.md"
    write_corpus([*make_corpus(), maze], corpus)
    page.write_text("# Results\n", encoding="utf-8")
    files = ["--corpus", str(corpus), "--results", str(page)]
    monkeypatch.setattr(sys, "argv", ["audit.py", "judge", *files])
    audit.main()
    assert audit.HEADING in page.read_text(encoding="utf-8")
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["audit-calibration.svg", "audit-leads.svg", "audit-tradeoff.svg"]
