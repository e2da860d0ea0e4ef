"""LayerNorm on the toy maze under SGD: five seeds that stay bounded, and the same without it.

Source: Yue et al. 2023, arXiv 2310.04411: LayerNorm removes the divergence.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from toy_maze import make_critic, make_maze, read, train

from laws.checks import Check, Finding, around
from rayoff.config import Norm
from rayoff.plots.style import arm_styles

SEEDS = (111, 233, 1, 2, 3)
LEARNING_RATE = 2e-2


class Course(NamedTuple):
    """How the five runs went."""

    q_abs: NDArray[np.float64]
    """|mean Q| before each update, (T, K)."""
    seem_steps: list[int]
    """When SEEM was read [step], (R,)."""
    seem: NDArray[np.float64]
    """Over the Frobenius norm, (R, K)."""


def run(norm: Norm, num_steps: int, period: int) -> Course:
    """Train all seeds, stacked, and read SEEM every ``period`` steps."""
    maze, critic = make_maze(), make_critic(SEEDS, norm=norm)
    optimizer = torch.optim.SGD(critic.parameters(), lr=LEARNING_RATE)
    q, steps, seem = [], [], []
    for step, moment in enumerate(train(critic, maze, optimizer, num_steps)):
        q.append(moment.q.mean(-1).abs())
        if step % period == 0:
            steps.append(step)
            seem.append(read(critic, maze, moment)["seem/normalized"])
    return Course(torch.stack(q).double().numpy(), steps, torch.stack(seem).double().numpy())


def passages(course: Course) -> list[int]:
    """Return when each run's |Q| passes 1e6 [step]; the number of steps where it never does."""
    far = ~(course.q_abs <= 1e6)  # nan is far
    return np.where(far.any(0), far.argmax(0), len(far)).tolist()


def examine() -> Finding:
    """Return what is found of R7."""
    plain, normalized = run("none", 600, period=5), run("layer", 5000, period=20)
    crashes = passages(plain)
    check = partial(Check, "R7")
    checks = [
        check(
            "LayerNorm: largest |Q| of 5 seeds, 5,000 steps",
            "17 to 39",
            float(normalized.q_abs.max()),
            high=60,
        ),
        check(
            "LayerNorm: largest |Q| at the end",
            "1.3 to 6.6",
            float(normalized.q_abs[-1].max()),
            high=10,
        ),
        check(
            "LayerNorm: largest normalised SEEM",
            "0.006 to 0.013",
            float(normalized.seem.max()),
            high=0.02,
        ),
        check("plain, seed 111: |Q| passes 1e6 [step]", "305", crashes[0], **around(305, 3)),
        check("plain, seed 233: |Q| passes 1e6 [step]", "142", crashes[1], **around(142, 3)),
    ]
    return Finding(checks, {"laws-layer-norm": draw(plain, normalized)})


def draw(plain: Course, normalized: Course) -> Figure:
    """Return |Q| and SEEM of all runs over training, each until |Q| passes 1e6."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = arm_styles(["no norm", "LayerNorm"])
    for course, (name, style) in zip((plain, normalized), styles.items(), strict=True):
        read_at = np.array(course.seem_steps)
        for run, end in enumerate(passages(course)):
            label = name if run == 0 else None
            # evenly spaced in the logarithm, as the axis is, and dense towards the crash
            steps = np.union1d(np.geomspace(1, end, 100).astype(int), np.arange(end - 10, end))
            steps = steps[(steps > 0) & (steps < end)]
            left.loglog(steps, course.q_abs[steps, run], color=style.color, lw=1, label=label)
            seen = (read_at > 0) & (read_at < end)
            seem = course.seem[seen, run]
            right.semilogx(read_at[seen], seem, color=style.color, lw=1, label=label)
    left.set(xlabel="gradient step", ylabel="|mean Q|")
    right.set(xlabel="gradient step", ylabel="SEEM / ||A||")
    right.legend(fontsize=8)
    return figure
