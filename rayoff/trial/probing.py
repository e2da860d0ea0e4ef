"""Readings of the critic on the probe: SEEM, and the size of Q beside it.

Shapes: K runs, N critics, M probe rows, S observation, A action.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rayoff.agents import Agent
from rayoff.config import SeemConfig
from rayoff.data import Rows
from rayoff.networks import Critic
from rayoff.seem import read_seem


class Probe:
    """The fixed rows on which all critics of a trial are read.

    Attributes:
        observations: s, (K, M, S), as the agent sees them.
        actions: a, (K, M, A).
        next_observations: s', (K, M, S).
        terminations: 1 where the episode ended by itself, (K, M).
    """

    def __init__(self, rows: Rows, config: SeemConfig, num_runs: int, discount: float) -> None:
        """Draw the probe rows from the trained rows, once, by the probe's own seed."""
        num_rows = min(config.num_rows, len(rows))
        rng = np.random.default_rng(config.probe_seed)
        chosen = rng.choice(len(rows), num_rows, replace=False)
        taken = rows.take(torch.from_numpy(np.sort(chosen)).to(rows.values.device))

        def stacked(column: Tensor) -> Tensor:
            return column.contiguous().expand(num_runs, *[-1] * column.dim())

        self.observations = stacked(taken.observations)
        self.actions = stacked(taken.actions)
        self.next_observations = stacked(taken.next_observations)
        self.terminations = stacked(taken.terminations)
        self._config, self._discount = config, discount

    def read(self, agent: Agent, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Return the readings of these runs, or all, by metric name; none without a critic.

        ``critic/q_abs`` is mean |Q| over the probe rows and ``critic/q_max`` the largest,
        both of the member where it is largest; ``critic/q_std`` is the members' spread;
        ``critic/q_policy`` is mean Q at the policy's actions; ``critic/parameter_norm`` spans
        all members.
        """
        if agent.critic is None:
            return {}
        critic = agent.critic
        chosen = list(range(len(self.observations)) if runs is None else runs)
        with torch.no_grad():
            q = critic(self.observations, self.actions)  # (K, N, M)
            size = q.abs()
            actions = agent.act(self.observations)
            next_actions = agent.act(self.next_observations)
            squares = sum(p.square().flatten(1).sum(1) for p in critic.parameters())
            reading = {
                "critic/q_abs": size.mean(-1).amax(1),
                "critic/q_max": size.amax((1, 2)),
                "critic/q_std": q.std(1, correction=0).mean(-1),
                "critic/q_policy": critic(self.observations, actions).mean((1, 2)),
                "critic/parameter_norm": torch.as_tensor(squares).sqrt(),
            }
        seem = self._read_seem(critic, next_actions[chosen], chosen)
        return {name: value[chosen] for name, value in reading.items()} | seem

    def _read_seem(
        self, critic: Critic, next_actions: Tensor, runs: list[int]
    ) -> dict[str, Tensor]:
        """Return SEEM of these runs, of which the next actions are given.

        On a CPU each is read by itself: so its bits do not depend on which others are due.
        An accelerator reads them at once, and may round otherwise beside others.
        """
        at_once = 1 if next_actions.device.type == "cpu" else len(runs)
        parts = []
        for first in range(0, len(runs), at_once):
            some = slice(first, first + at_once)
            num_runs = len(runs[some])
            rows = self.observations, self.actions, self.next_observations, self.terminations
            # all runs have the same rows
            s, a, next_s, terminations = (column[:num_runs] for column in rows)
            parts.append(
                read_seem(
                    critic,
                    s,
                    a,
                    next_s,
                    next_actions[some],
                    discount=self._discount,
                    terminations=terminations if self._config.mask_terminations else None,
                    critics=self._config.critics,
                    runs=runs[some],
                )
            )
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
