"""The audit's section of RESULTS.md: tables, figures, and the runs that defeat the rule."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from rayoff.config import StopperConfig
from stopping.calibration import Foretold, foretell
from stopping.figures import draw_calibration, draw_leads, draw_tradeoff, outcomes_of
from stopping.judgement import Outcome, held_apart, judge
from stopping.rules import OWN, Rule, Stops, list_rules, monitor_rule
from stopping.runs import Run

DEFAULTS = StopperConfig()


class Candidates(NamedTuple):
    """The rules of one family, and how each stops all runs."""

    rules: list[Rule]
    stops: list[Stops]


def examine(runs: Sequence[Run]) -> tuple[str, dict[str, Figure]]:
    """Return the text and the figures, by the name of their file, of a corpus."""
    real = [run for run in runs if run.described["environment"] != "maze"]
    maze = [run for run in runs if run.described["environment"] == "maze"]
    families = _decide_all(real)
    apart = {
        name: held_apart(*c, real, _other_environment, _environment)
        for name, c in families.items()
    }
    outcomes = {name: judge(real, stops) for name, (stops, _) in apart.items()}
    strict, _ = held_apart(*families[OWN], real, _all_unlike, _environment_setting_seed)
    default = monitor_rule().decide
    foretold = foretell(runs, DEFAULTS)
    text = "\n\n".join(
        [
            _describe_corpus(runs),
            "Thresholds chosen on one environment (fewest healthy runs killed, then most budget "
            "saved), judged on the other:",
            _outcome_table(outcomes),
            _chosen_table({name: chosen for name, (_, chosen) in apart.items()}),
            _dominance(outcomes),
            "Ours by other protocols:",
            _outcome_table(
                {
                    "environment, setting and seed all unseen": judge(real, strict),
                    "the defaults that rayoff ships, real data": judge(real, default(real)),
                    "the defaults, toy maze": judge(maze, default(maze)),
                }
            ),
            _describe_forecasts(foretold),
            _describe_defeats(real, default(real)),
            *(f"![{text}](figures/audit-{name}.svg)" for name, text in CAPTIONS.items()),
        ]
    )
    every = {name: c for name, c in families.items()}
    figures = {
        "tradeoff": draw_tradeoff(
            {name: outcomes_of(c.rules, c.stops, real)[name] for name, c in every.items()}
        ),
        "leads": draw_leads(real, {name: stops for name, (stops, _) in apart.items()}),
        "calibration": draw_calibration(foretold),
    }
    return text, figures


CAPTIONS = {
    "tradeoff": "Healthy runs killed against divergent runs caught and budget saved, a dot for "
    "each choice of thresholds, all real runs",
    "leads": "Divergent runs stopped by each share of the way to the crash, thresholds chosen on "
    "the other environment",
    "calibration": "The crash as foretold at a tenth of the ceiling, against the crash seen; the "
    "band is 25%",
}


def _decide_all(runs: Sequence[Run]) -> dict[str, Candidates]:
    families: dict[str, Candidates] = {}
    for rule in list_rules():
        candidates = families.setdefault(rule.family, Candidates([], []))
        candidates.rules.append(rule)
        candidates.stops.append(rule.decide(runs))
    return families


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
        "| environment | runs | diverged | passed the ceiling and came back |",
        "|---|---|---|---|",
    ]
    for name in ("hopper", "halfcheetah", "maze"):
        own = [run for run in runs if _environment(run) == name]
        lost = sum(run.diverged for run in own)
        back = sum(bool(np.isfinite(run.crash_step)) and not run.diverged for run in own)
        lines.append(f"| {name} | {len(own)} | {lost} | {back} |")
    return "\n".join(lines)


def _outcome_table(outcomes: Mapping[str, Outcome]) -> str:
    lines = [
        "| rule | divergent caught | healthy killed [upper 95%] "
        "| budget saved, median, mean | lead |",
        "|---|---|---|---|---|",
    ]
    for name, o in outcomes.items():
        lines.append(
            f"| {_escaped(name)} | {o.num_caught}/{o.num_diverged} ({o.caught:.0%}) "
            f"| {o.num_killed}/{o.num_healthy} [{o.killed_limit:.1%}] "
            f"| {o.saved:.0%}, {o.mean_saved:.0%} "
            f"| {'-' if np.isnan(o.lead) else format(o.lead, '.0%')} |"
        )
    return "\n".join(lines)


def _chosen_table(chosen: Mapping[str, Mapping[Hashable, Rule]]) -> str:
    lines = ["| rule | chosen on hopper | chosen on halfcheetah |", "|---|---|---|"]
    for name, rules in chosen.items():
        on = {"hopper": rules["halfcheetah"], "halfcheetah": rules["hopper"]}
        told = [", ".join(f"{k} {v:g}" for k, v in on[e].thresholds.items()) or "-" for e in on]
        lines.append(f"| {_escaped(name)} | {told[0]} | {told[1]} |")
    return "\n".join(lines)


def _dominance(outcomes: Mapping[str, Outcome]) -> str:
    own = outcomes[OWN]
    better = [
        name
        for name, o in outcomes.items()
        if name != OWN and o.num_killed < own.num_killed and o.mean_saved > own.mean_saved
    ]
    if better:
        return f"Fewer false kills and more budget saved than ours: {', '.join(better)}."
    return "No other rule has both fewer false kills and more budget saved than ours."


def _describe_forecasts(foretold: Sequence[Foretold]) -> str:
    lines = [
        "The step at which |Q| passes the ceiling, foretold at the first probe at which it is "
        "above a tenth of it:",
        "",
        "| runs | forecasts | median error | within 25% | interval holds the crash |",
        "|---|---|---|---|---|",
    ]
    kinds: dict[str, Callable[[Run], bool]] = {
        "Adam, real data": lambda r: (
            r.described["optimizer"] == "adam" and _environment(r) != "maze"
        ),
        "Adam, toy maze": lambda r: (
            r.described["optimizer"] == "adam" and _environment(r) == "maze"
        ),
        "SGD, real data": lambda r: (
            r.described["optimizer"] == "sgd" and _environment(r) != "maze"
        ),
        "SGD, toy maze": lambda r: r.described["optimizer"] == "sgd" and _environment(r) == "maze",
    }
    for name, is_kind in kinds.items():
        own = [f for f in foretold if is_kind(f.run)]
        if not own:
            continue
        errors = np.array([f.error for f in own])
        held = np.mean([f.is_within for f in own])
        lines.append(
            f"| {name} | {len(own)} | {np.median(errors):.0%} | {np.mean(errors <= 0.25):.0%} "
            f"| {held:.0%} |"
        )
    return "\n".join(lines)


def _describe_defeats(runs: Sequence[Run], stops: Stops) -> str:
    told = Counter[str]()
    for run, stop in zip(runs, stops, strict=True):
        if run.diverged == np.isfinite(stop):
            continue
        what = "missed" if run.diverged else "killed"
        choice = run.described["choice"].replace(f"source={run.described['dataset']} ", "")
        told[
            f"- {what}: {run.described['dataset']}, {choice}: |Q| over the bound "
            f"{np.nanmax(run.excess):.3g} at most, {run.excess[-1]:.3g} at the end"
        ] += 1
    if not told:
        return "No run defeats the defaults."
    return "\n".join(["The runs that defeat the defaults:", "", *sorted(told)])


def _escaped(name: str) -> str:
    """Return a name whose bars do not end a cell."""
    return name.replace("|", r"\|")
