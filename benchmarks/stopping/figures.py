"""Figures of the audit."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from rayoff.plots.style import ARM_COLORS, BASELINE_COLOR, REFERENCE_COLOR
from stopping.calibration import Foretold
from stopping.judgement import Outcome, judge
from stopping.rules import OWN, Rule, Stops
from stopping.runs import Run


def draw_tradeoff(outcomes: Mapping[str, Sequence[Outcome]]) -> Figure:
    """Return the share of healthy runs killed against budget saved, a dot per threshold."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for family, color in _colors(outcomes).items():
        killed = [o.num_killed / o.num_healthy for o in outcomes[family]]
        marks = {"color": color, "s": 26 if family == OWN else 12, "zorder": 3, "label": family}
        left.scatter(killed, [o.stopped for o in outcomes[family]], **marks)
        right.scatter(killed, [o.mean_saved for o in outcomes[family]], **marks)
    for axes, label in ((left, "divergent runs stopped"), (right, "mean share of budget saved")):
        axes.set_xscale("symlog", linthresh=0.01, linscale=0.4)
        axes.set(xlabel="healthy runs killed", ylabel=label, xlim=(-0.002, 1), ylim=(-0.02, 1.02))
        axes.set_xticks([0, 0.01, 0.1, 1], ["0", "1%", "10%", "100%"])
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, fontsize=8)
    return figure


def draw_leads(runs: Sequence[Run], stops: Mapping[str, Stops]) -> Figure:
    """Return how many divergent runs are stopped by each share of their way to the crash."""
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots()
    lost = np.array([run.diverged for run in runs])
    crash = np.array([run.crash_step for run in runs])[lost]
    for family, color in _colors(stops).items():
        share = np.sort(stops[family][lost] / crash)
        heights = np.arange(1, len(share) + 1) / len(share)
        width = 2.4 if family == OWN else 1.2
        axes.step(share, heights, where="post", color=color, label=family, lw=width)
    axes.axvline(1, color=REFERENCE_COLOR, lw=0.8, ls="--")
    axes.set(xlim=(0, 2), ylim=(0, 1.02), ylabel="divergent runs stopped")
    axes.set_xlabel("stop, over the step at which |Q| passes 1000 times its bound")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def draw_calibration(foretold: Sequence[Foretold]) -> Figure:
    """Return the foretold crash against the one that was seen, with its interval."""
    figure = Figure(figsize=(3.8, 3.6), layout="constrained")
    axes = figure.subplots()
    groups = {f"{o}, {_target(t)}": (o, t) for o in ("adam", "sgd") for t in (True, False)}
    for index, (label, (optimizer, lags)) in enumerate(groups.items()):
        chosen = [
            f
            for f in foretold
            if f.run.described["optimizer"] == optimizer and (f.run.described["tau"] < 1) == lags
        ]
        if not chosen:
            continue
        seen = np.array([f.seen for f in chosen])
        predicted = np.array([f.predicted for f in chosen])
        color = ARM_COLORS[index]
        low, high = np.array([[f.low, min(f.high, 1e6)] for f in chosen]).T
        axes.vlines(seen, low, high, color=color, lw=0.6, alpha=0.5)
        axes.scatter(seen, predicted, s=10, color=color, label=label, zorder=3)
    ends = np.array([100, 1e4])
    axes.plot(ends, ends, color=REFERENCE_COLOR, lw=0.8)
    axes.fill_between(ends, 0.75 * ends, 1.25 * ends, color=BASELINE_COLOR, alpha=0.15, lw=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="step of the crash, seen", ylabel="foretold at a tenth of the ceiling")
    axes.legend(fontsize=8, loc="upper left")
    return figure


def outcomes_of(
    rules: Sequence[Rule], stops: Sequence[Stops], runs: Sequence[Run]
) -> dict[str, list[Outcome]]:
    """Return what each rule achieves on all runs, by family."""
    outcomes: dict[str, list[Outcome]] = {}
    for rule, stopped in zip(rules, stops, strict=True):
        outcomes.setdefault(rule.family, []).append(judge(runs, stopped))
    return outcomes


def _colors(families: Mapping[str, object]) -> dict[str, str]:
    """Return a colour for each family; ours is black, and drawn last."""
    others = [family for family in families if family != OWN]
    palette = [*ARM_COLORS, "#8C510A", "#762A83", "#1B7837", BASELINE_COLOR, "#B2182B"]
    return {**dict(zip(others, palette[: len(others)], strict=True)), OWN: "#000000"}


def _target(lags: bool) -> str:
    return "lagging target" if lags else "copied target"
