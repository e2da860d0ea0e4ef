"""How far replayed steps are from eager ones: loss curves over many steps.

Shapes: K runs, T steps.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from speed.cases import Case, start

ROUNDING = 2.0**-23
"""Relative distance of neighbouring float32 numbers."""


class Agreement(NamedTuple):
    """Largest relative differences over the loss curves of all runs."""

    replayed: float
    """Of replayed steps to eager ones."""
    rounding: float
    """Of eager steps to such whose initial weights are a rounding further: what a difference
    that is nothing but rounding grows to over as many steps."""


def measure_agreement(case: Case, num_steps: int) -> Agreement:
    """Return how far the loss curves of a case, replayed, are from those of eager steps."""
    eager = case.eagerly()
    expected = loss_curves(eager, num_steps)
    return Agreement(
        relative_difference(loss_curves(case, num_steps), expected),
        relative_difference(loss_curves(eager, num_steps, nudge=ROUNDING), expected),
    )


def loss_curves(case: Case, num_steps: int, nudge: float = 0.0) -> dict[str, Tensor]:
    """Return every loss at every step from which it is known, each (T, K).

    Args:
        case: what is trained.
        num_steps: T, gradient steps of each run.
        nudge: share of themselves by which the initial weights are moved.
    """
    agent, replay = start(case)
    for network in (agent.actor, agent.critic):
        for parameter in network.parameters() if network is not None else ():
            parameter.data.mul_(1 + nudge)
    seen: dict[str, list[Tensor]] = {}
    for _ in range(num_steps):
        replay.advance(1)
        for name, value in replay.info.items():
            if name.endswith("/loss"):
                seen.setdefault(name, []).append(value)
    if replay.obstacle is not None and not case.eager:
        raise RuntimeError(f"{case} must be replayed but is not: {replay.obstacle}.")
    return {name: torch.stack(values) for name, values in seen.items()}


def relative_difference(curves: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the largest difference over the size of what is expected; inf where one is nan.

    A loss that crosses zero would make any difference look large there, so its size is taken
    to be at least its mean over the curve.
    """
    assert curves.keys() == expected.keys()
    worst = 0.0
    for name, theirs in expected.items():
        size = theirs.abs()
        difference = ((curves[name] - theirs).abs() / size.maximum(size.mean(0))).max()
        worst = max(worst, float(difference.nan_to_num(torch.inf)))
    return worst
