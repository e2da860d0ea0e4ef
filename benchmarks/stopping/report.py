"""The audit's section of RESULTS.md: tables, figures, and the runs that defeat the rule."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from rayoff.config import StopperConfig
from stopping.calibration import Foretold, foretell
from stopping.figures import draw_calibration, draw_leads, draw_tradeoff, outcomes_of
from stopping.judgement import (
    Outcome,
    dominates,
    held_apart,
    judge,
    judge_trials,
    upper_limit,
)
from stopping.rules import OWN, Rule, Stops, list_rules, monitor_rule
from stopping.runs import Run

TRIALS_IN_VIEW = Path(__file__).with_name("in_view.txt")
"""Names of the trials that were in view when the rule was settled."""
SETTLED = {"num_confirmed": 2, "seem_held": 0.7, "horizon_fraction": 0.75}
"""Thresholds as they were when the other trials were trained."""

CAPTIONS = {
    "tradeoff": "Healthy runs killed against divergent runs caught and budget saved, a dot for "
    "each choice of thresholds, all real runs",
    "leads": "Divergent runs stopped by each share of the way to the crash, thresholds chosen on "
    "the other environment",
    "calibration": "The crash as foretold at a tenth of the ceiling, against the crash seen; the "
    "band is 25%",
}


INTRODUCTION = """\
```sh
export MINARI_DATASETS_PATH=../shared/data/minari
python benchmarks/audit.py collect --folder corpus   # about 70 minutes on two cores
python benchmarks/audit.py judge                     # needs audit.parquet alone
```

172 trials of TD3 and TD3+BC with two seeds each (`stopping/arms.py`), on the replay and medium
data of hopper and halfcheetah, trained in full for 4,000 to 8,000 steps with a reading every 100,
also while suspect, where a study would read five times as often;
and 17 settings of the toy maze with eight seeds each and 40 readings. A run has *diverged* if its
|Q| ended above 1000 times the bound max|r| / (1 - discount), or not finite; all others are
*healthy*, also those that ended at 900 times the bound, which a study's report would count as
diverged: there it is enough to end above 10 times the bound."""


class Candidates(NamedTuple):
    """The rules of one family, and how each stops all runs."""

    rules: list[Rule]
    stops: list[Stops]


def examine(runs: Sequence[Run]) -> tuple[str, dict[str, Figure]]:
    """Return the text and the figures, by the name of their file, of a corpus."""
    real = [run for run in runs if _environment(run) != "maze"]
    maze = [run for run in runs if _environment(run) == "maze"]
    in_view = set(TRIALS_IN_VIEW.read_text(encoding="utf-8").split())
    seen = [run for run in real if run.trial in in_view]
    unseen = [run for run in real if run.trial not in in_view]
    settled = monitor_rule(**SETTLED).decide
    told = ", ".join(f"{name} {value:g}" for name, value in SETTLED.items())
    families = _decide_all(real)
    apart, chosen = _hold_apart(families, real, _other_environment, _environment)
    strict, _ = _hold_apart(families, real, _all_unlike, _environment_setting_seed)
    shipped = monitor_rule().decide
    foretold = foretell(runs, StopperConfig())
    text = "\n\n".join(
        [
            INTRODUCTION,
            _describe_corpus(runs),
            "Thresholds chosen on one environment (fewest healthy runs killed, then most budget "
            "saved), judged on the other. *Caught* is stopped before the crash, in brackets also "
            "after it; the lead is from stop to crash. ASHA and the median stop low scores by "
            "design, of which a healthy critic may have one.",
            _outcome_table(apart, real),
            _dominance(apart, real),
            _chosen_table(chosen),
            "Thresholds chosen on runs of another environment, another half of the settings and "
            "another seed:",
            _outcome_table(strict, real),
            "The form of our rule and its grid were settled with part of the real runs in view, "
            "which flatters it above. The others were trained after that, and judged by the "
            f"thresholds as they then were ({told}):",
            _outcome_table({"real runs in view": settled(seen)}, seen),
            _outcome_table({"real runs trained after": settled(unseen)}, unseen),
            "The thresholds that rayoff ships were chosen on all real runs; the toy maze was not "
            "looked at:",
            _outcome_table({"real runs": shipped(real)}, real),
            _outcome_table({"toy maze": shipped(maze)}, maze),
            _describe_trials(real, shipped(real)),
            _describe_forecasts(runs, foretold),
            "The runs that defeat ours, with thresholds chosen on the other environment:",
            _describe_defeats(real, apart[OWN]),
            "And with those that are shipped, on real data and the toy maze:",
            _describe_defeats([*real, *maze], np.append(shipped(real), shipped(maze))),
            *(f"![{text}](figures/audit-{name}.svg)" for name, text in CAPTIONS.items()),
        ]
    )
    figures = {
        "tradeoff": draw_tradeoff(
            {name: outcomes_of(c.rules, c.stops, real)[name] for name, c in families.items()}
        ),
        "leads": draw_leads(real, apart),
        "calibration": draw_calibration(foretold),
    }
    return text, figures


def _decide_all(runs: Sequence[Run]) -> dict[str, Candidates]:
    families: dict[str, Candidates] = {}
    for rule in list_rules():
        candidates = families.setdefault(rule.family, Candidates([], []))
        candidates.rules.append(rule)
        candidates.stops.append(rule.decide(runs))
    return families


def _hold_apart(
    families: Mapping[str, Candidates],
    runs: Sequence[Run],
    is_unseen: Callable[[Run, Run], bool],
    group: Callable[[Run], Hashable],
) -> tuple[dict[str, Stops], dict[str, dict[Hashable, Rule]]]:
    """Return stops and chosen rules of each family, as ``held_apart``."""
    found = {
        name: held_apart(c.rules, c.stops, runs, is_unseen, group) for name, c in families.items()
    }
    return {n: stops for n, (stops, _) in found.items()}, {n: c for n, (_, c) in found.items()}


def _environment(run: Run) -> Hashable:
    return run.described["environment"]


def _other_environment(seen: Run, judged: Run) -> bool:
    return _environment(seen) != _environment(judged)


def _environment_setting_seed(run: Run) -> tuple[Hashable, Hashable, Hashable]:
    """Return the environment, the half of the settings, and the seed of a run."""
    setting = run.described["choice"].replace(run.described["dataset"], "")
    half = sum(setting.encode()) % 2
    return _environment(run), half, run.described["seed"]


def _all_unlike(seen: Run, judged: Run) -> bool:
    pairs = zip(_environment_setting_seed(seen), _environment_setting_seed(judged), strict=True)
    return all(a != b for a, b in pairs)


def _describe_corpus(runs: Sequence[Run]) -> str:
    lines = [
        "| environment | runs | diverged | ended above 10 bounds "
        "| passed the ceiling, came back |",
        "|---|---|---|---|---|",
    ]
    for name in ("hopper", "halfcheetah", "maze"):
        own = [run for run in runs if _environment(run) == name]
        lost = sum(run.diverged for run in own)
        far = sum(run.excess[-1] > 10 for run in own)
        back = sum(bool(np.isfinite(run.crash_step)) and not run.diverged for run in own)
        lines.append(f"| {name} | {len(own)} | {lost} | {far} | {back} |")
    return "\n".join(lines)


def _outcome_table(stops: Mapping[str, Stops], runs: Sequence[Run]) -> str:
    lines = [
        "| rule | divergent caught | healthy killed [upper 95%] "
        "| budget saved, median, mean | lead [steps] |",
        "|---|---|---|---|---|",
    ]
    for name, stopped in stops.items():
        o = judge(runs, stopped)
        lead = "-" if np.isnan(o.lead) else f"{o.lead:,.0f}"
        lines.append(
            f"| {_escaped(name)} | {o.num_caught} ({o.num_stopped}) of {o.num_diverged} "
            f"| {o.num_killed} of {o.num_healthy} [{o.killed_limit:.1%}] "
            f"| {o.saved:.0%}, {o.mean_saved:.0%} | {lead} |"
        )
    return "\n".join(lines)


def _chosen_table(chosen: Mapping[str, Mapping[Hashable, Rule]]) -> str:
    lines = ["| rule | chosen on hopper | chosen on halfcheetah |", "|---|---|---|"]
    for name, rules in chosen.items():
        on = {"hopper": rules["halfcheetah"], "halfcheetah": rules["hopper"]}
        told = [", ".join(f"{k} {v:g}" for k, v in on[e].thresholds.items()) or "-" for e in on]
        lines.append(f"| {_escaped(name)} | {told[0]} | {told[1]} |")
    return "\n".join(lines)


def _dominance(stops: Mapping[str, Stops], runs: Sequence[Run]) -> str:
    outcomes: dict[str, Outcome] = {name: judge(runs, stopped) for name, stopped in stops.items()}
    better = [name for name in outcomes if dominates(outcomes[name], outcomes[OWN])]
    if better:
        return f"No more false kills and no less budget saved than ours: {', '.join(better)}."
    return "No other rule kills no more healthy runs and saves no less than ours."


def _describe_trials(runs: Sequence[Run], stops: Stops) -> str:
    trials = judge_trials(runs, stops)
    limit = upper_limit(trials.num_killed, trials.num_healthy)
    return (
        "The two seeds of an arm are not independent. Counted by trial, an arm on a dataset with "
        f"its seeds: {trials.num_killed} of {trials.num_healthy} healthy trials lost a run "
        f"[upper 95%: {limit:.1%}]; {trials.num_lost} trials with a divergent run were spared "
        f"{trials.mean_saved:.0%} of their budget, as a trial ends with its last run."
    )


def _describe_forecasts(runs: Sequence[Run], foretold: Sequence[Foretold]) -> str:
    lines = [
        "The step at which |Q| passes the ceiling, foretold at the first probe at which it is "
        "above a tenth of it. *By age* takes the law to hold from the first step on, without a "
        "fit. Runs that jump past the ceiling between two probes, or pass it before five readings "
        "are there, have no forecast.",
        "",
        "| runs | forecasts | median error, by age | of the rest | within 25% "
        "| interval holds the crash, open end |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("adam, real data", "adam, toy maze", "sgd, real data", "sgd, toy maze"):
        own = [f for f in foretold if _kind(f.run) == name]
        num_lost = sum(run.diverged and _kind(run) == name for run in runs)
        if not own:
            lines.append(f"| {name} | 0 of {num_lost} | - | - | - | - |")
            continue
        errors = np.array([f.error for f in own])
        lines.append(
            f"| {name} | {len(own)} of {num_lost} | {np.median(errors):.0%}, "
            f"{np.median([f.error_of_age for f in own]):.0%} "
            f"| {np.median([f.error_of_rest for f in own]):.0%} | {np.mean(errors <= 0.25):.0%} "
            f"| {np.mean([f.is_within for f in own]):.0%}, "
            f"{np.mean([np.isinf(f.high) for f in own]):.0%} |"
        )
    return "\n".join(lines)


def _kind(run: Run) -> str:
    place = "toy maze" if _environment(run) == "maze" else "real data"
    return f"{run.described['optimizer']}, {place}"


def _describe_defeats(runs: Sequence[Run], stops: Stops) -> str:
    told = []
    for run, stop in zip(runs, stops, strict=True):
        if run.diverged == np.isfinite(stop):
            continue
        what = "missed" if run.diverged else "killed"
        dataset = run.described["dataset"]
        choice = run.described["choice"].replace(f"source={dataset} ", "")
        told.append(
            f"- {what}: {dataset}, seed {run.described['seed']}, {choice}: |Q| over the bound at "
            f"most {np.nanmax(run.excess):.3g}, {run.excess[-1]:.3g} at the end"
        )
    if not told:
        return "None: every divergent run is stopped, be it after the crash, and no healthy one."
    return "\n".join(sorted(told))


def _escaped(name: str) -> str:
    """Return a name whose bars do not end a cell."""
    return name.replace("|", r"\|")
