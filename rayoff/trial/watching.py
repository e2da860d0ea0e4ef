"""The runs of a trial under watch: when each is probed, and what its monitor makes of it.

A run is probed and judged at steps that follow from its own past alone. So it is judged alike
alone and beside others, of which a suspect one is probed more often.

Shapes: K runs.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rayoff.agents import Agent
from rayoff.config import TD3Config, TrialConfig
from rayoff.data import DatasetFacts, Rows
from rayoff.divergence import RunMonitor, q_bound
from rayoff.draws import Draws
from rayoff.forecast import choose_law
from rayoff.trial.probing import Probe


class Watch:
    """The probe of a trial and a monitor for each of its runs.

    Attributes:
        probe: the rows on which critics are read.
        bound: largest |Q| that the rewards allow [reward].
    """

    def __init__(self, config: TrialConfig, facts: DatasetFacts, rows: Rows) -> None:
        """Draw the probe rows, and begin to watch.

        Args:
            config: of the trial.
            facts: of the data.
            rows: what the trial trains on.
        """
        self._config = config
        agent, num_runs = config.agent, len(config.seeds)
        # an agent that bootstraps nothing has no discount
        discount = agent.discount if isinstance(agent, TD3Config) else 0.0
        self.probe = Probe(rows, config.seem, num_runs, discount)
        self.bound = q_bound(facts.reward_max_abs, discount)
        self._monitors = [self._make_monitor() for _ in config.seeds]
        self._audited = _draw_audited(config, rows.values.device)

    def _make_monitor(self) -> RunMonitor:
        config, agent = self._config, self._config.agent
        optimizer, tau = "adam", 1.0
        if isinstance(agent, TD3Config):
            # CrossQ's joint pass bootstraps from the online critic: no target lags
            joint = config.critic.norm == "batch_joint"
            optimizer, tau = agent.optimizer, 1.0 if joint else agent.tau
        return RunMonitor(
            config.stopper,
            q_bound=self.bound,
            num_steps=config.num_steps,
            law=choose_law(optimizer, tau),
            num_layers=config.critic.depth + 1,
            period=max(1, config.seem.period),  # 0 never probes: nothing is observed
        )

    @property
    def _judges(self) -> bool:
        """Whether runs are judged at all."""
        config = self._config
        has_critic = isinstance(config.agent, TD3Config)
        return has_critic and bool(config.seem.period) and config.stopper.mode != "off"

    def training(self) -> list[int]:
        """Return the runs that have not been stopped."""
        return [run for run in range(len(self._monitors)) if not self.is_stopped(run)]

    def is_stopped(self, run: int) -> bool:
        """Whether the stopper has ended a run."""
        acts = self._config.stopper.mode == "stop" and not self._audited[run]
        return acts and self._monitors[run].verdict.stop

    def next_reading(self, step: int) -> int:
        """Return the first step after ``step`` at which a run that trains is to be read."""
        return min(next_multiple(step, self._period(run)) for run in self.training())

    def due(self, step: int) -> list[int]:
        """Return the runs that are to be read at ``step``; at the end of the budget, all."""
        finished = step >= self._config.num_steps
        return [r for r in self.training() if finished or step % self._period(r) == 0]

    def _period(self, run: int) -> int:
        """Return the steps between the probes of a run: fewer while it is suspect."""
        period, verdict = self._config.seem.period, self._monitors[run].verdict
        hurried = verdict.suspect and not verdict.stop
        return max(1, period // self._config.stopper.probe_speedup) if hurried else period

    def read(
        self, step: int, agent: Agent, losses: Mapping[str, list[float]]
    ) -> dict[int, dict[str, Any]]:
        """Return the readings of the runs that are due, by run and metric, and judge them.

        Args:
            step: gradient steps taken [step].
            agent: is read, and left as it was.
            losses: other metrics that must be finite, by name, one value a run.
        """
        due = self.due(step)
        if not due:
            return {}
        tensors: dict[str, Tensor] = self.probe.read(agent, due)
        values = {name: value.tolist() for name, value in tensors.items()}
        readings = {}
        for index, run in enumerate(due):
            monitor = self._monitors[run]
            reading: dict[str, Any] = {name: value[index] for name, value in values.items()}
            if self._config.stopper.mode != "off":
                theirs = {name: value[run] for name, value in losses.items()}
                monitor.observe(step, reading | theirs)
            readings[run] = reading | {
                "critic/q_growth": monitor.growth,
                "critic/q_bound": self.bound,
            }
        return readings

    def verdict(self, run: int, *, finished: bool) -> dict[str, Any]:
        """Return what is known of a run by its last probe: the part of a row that judges it.

        Those are status, reason and stop step; whether it is suspect, and since when; what is
        foretold, and when |Q| was seen above the ceiling.

        What trained to its end is judged by its end: a run that was never stopped has diverged
        all the same if its |Q| ends far out, and one that was only observed or audited has not
        if its |Q| has come back; ``stopper/right`` tells whether its stop would have been.

        Args:
            run: its index.
            finished: whether the trial has used its budget.
        """
        monitor, verdict = self._monitors[run], self._monitors[run].verdict
        reason = verdict.reason
        was_right = None
        if finished and not self.is_stopped(run):
            reason = monitor.excess and (verdict.reason or monitor.excess)
            was_right = float(monitor.is_above_ceiling) if verdict.stop else None
        return {
            "status": "diverged" if reason else "done" if finished else "training",
            "reason": reason,
            "stop_step": verdict.stop_step,
            "stopper/suspect": float(verdict.suspect) if self._judges else None,
            "stopper/suspected_step": verdict.suspected_step,
            "stopper/passed_step": verdict.passed_step,
            "stopper/forecast_step": verdict.forecast_step,
            "stopper/forecast_low": verdict.forecast_low,
            "stopper/forecast_high": verdict.forecast_high,
            "stopper/right": was_right,
        }

    def state_dicts(self) -> list[dict[str, Any]]:
        """Return what the monitors know, as JSON can hold it."""
        return [monitor.state_dict() for monitor in self._monitors]

    def load_state_dicts(self, states: list[dict[str, Any]]) -> None:
        """Take over what the monitors of another trial of this configuration knew."""
        for monitor, state in zip(self._monitors, states, strict=True):
            monitor.load_state_dict(state)


def _draw_audited(config: TrialConfig, device: torch.device) -> list[bool]:
    """Return which runs would train on after a stop, (K,).

    The draw depends on the arm and the run's seed, so a run is audited alike alone and beside
    others, and a larger share audits the same runs and more.
    """
    arm = dataclasses.asdict(config) | {"seeds": (), "stopper": None}
    arm["data"] = arm["data"] | {"source": ""}  # a path would differ between machines
    stream = f"audit/{json.dumps(arm, sort_keys=True)}"
    seeds = torch.tensor(config.seeds, dtype=torch.int64, device=device)
    drawn = Draws(seeds, torch.zeros((), dtype=torch.int64, device=device)).uniform(stream, ())
    return (drawn < config.stopper.audit_fraction).tolist()


def next_multiple(step: int, period: int) -> int:
    """Return the smallest multiple of ``period`` above ``step``."""
    return (math.floor(step / period) + 1) * period
