"""A trial: the K runs of one arm, trained, probed, evaluated, saved and loaded.

Plain Python, no ray: a trial runs in a debugger. A row describes one run at one step; the rows
are all that leaves a trial, and they are kept in its checkpoints.

Shapes: K runs, E episodes, S observation, A action.
"""

import dataclasses
import itertools
import json
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from rayoff.agents import make_agent
from rayoff.checkpoint import flatten_state, load_checkpoint, save_checkpoint, unflatten_state
from rayoff.config import TrialConfig
from rayoff.data import prepare
from rayoff.draws import Draws
from rayoff.errors import CheckpointError
from rayoff.networks import check_precision, enable_fast_products, keep_freed_memory
from rayoff.trial.agent_state import agent_state, load_agent_state
from rayoff.trial.clocks import Clocks
from rayoff.trial.evaluating import Evaluations
from rayoff.trial.exporting import check_policies, export_policies
from rayoff.trial.replay import Replay, make_draws
from rayoff.trial.sampling import Sampler
from rayoff.trial.watching import Watch, next_multiple

Row = dict[str, Any]
"""One run at one step: seed, step, seconds, status, reason, stop_step, evaluated, eval_skipped,
and metrics by their namespaced names, all as they were at that step."""


class Trial:
    """K runs of one arm on one dataset at one fraction.

    Attributes:
        step: gradient steps taken by each run [step].
        facts: what the trial learns from.
        normalizer: how the agent sees observations.
        agent: what is trained.
        watch: the probe, and what is made of its readings.
        evaluations: what the policies earn.
    """

    def __init__(
        self,
        config: TrialConfig,
        table: pa.Table,
        device: str = "cpu",
        *,
        eager: bool = False,
        num_workers: int = 0,
        overlap: bool = False,
        device_share: float = 1.0,
    ) -> None:
        """Prepare the data, the agent with its initial weights, the probe and the evaluation.

        Args:
            config: the arm, its data and its seeds.
            table: the dataset, as ``load_table`` returns it; only read.
            device: where everything is computed.
            eager: train operation by operation, for a debugger; the results are the same.
            num_workers: processes that evaluate; 0: the trial does so itself.
            overlap: whether training goes on meanwhile. Reports are the same, in the same order,
                but from an evaluation on they are held back until the next one is due.
            device_share: what the trial has of a GPU, or without one its CPU cores: its wall
                time multiplied by it is its ``time/device_seconds``.

        Raises:
            DatasetError: the fraction leaves less than a batch.
            StudyError: the device does not have the precision.
            ValueError: the agent would be evaluated by other policies than it acts by.
        """
        check_precision(config.precision, device)
        if device == "cpu":
            enable_fast_products()
            keep_freed_memory()
        self.config, self.device = config, device
        prepared = prepare(table, config.data, config.batch_size, device)
        self.facts = prepared.facts
        self.normalizer = prepared.normalizer
        seeds = torch.tensor(config.seeds, dtype=torch.int64, device=device)
        start = torch.zeros((), dtype=torch.int64, device=device)
        sizes = self.facts.observation_size, self.facts.action_size
        self.agent = make_agent(config, *sizes, Draws(seeds, start))
        self._draws = make_draws(seeds, start.clone())
        sampler = Sampler(prepared.rows, config.batch_size)
        self._replay = Replay(
            self.agent, sampler, self._draws, precision=config.precision, eager=eager
        )
        self.watch = Watch(config, self.facts, prepared.rows)
        self.evaluations = Evaluations(config, self.facts, num_workers)
        if self.evaluations.period is not None:
            check_policies(self.agent, len(config.seeds), self.facts.observation_size)
        self._overlaps = overlap
        self.step = 0
        self._history: list[Row] = []
        self._waiting: list[list[Row]] = []
        self._complete_reports: deque[list[Row]] = deque()
        self._clocks = Clocks(device_share)

    @property
    def num_training(self) -> int:
        """Runs that have not been stopped."""
        return len(self.watch.training())

    @property
    def done(self) -> bool:
        """Whether the budget is used or no run is left to train, and all is reported."""
        return self._is_trained and not self._complete_reports

    @property
    def _is_trained(self) -> bool:
        return self.step >= self.config.num_steps or self.num_training == 0

    def advance(self) -> list[Row]:
        """Train on to the next report, and return its rows, one for each run that it is about.

        A report is due at each run's probes, at each evaluation and at the end of the budget.

        Raises:
            ValueError: the trial is done.
        """
        if self.done:
            raise ValueError(f"A trial must not be done to advance, but it is, at {self.step}.")
        while not self._complete_reports:
            self._train()
        rows = self._complete_reports.popleft()
        self._history += rows
        return rows

    def _train(self) -> None:
        """Train on to the next report, and let it go unless it waits for an evaluation."""
        target = self._next_report()
        with self._clocks.running("train"):
            self._replay.advance(target - self.step)
            self.step = target
            metrics = {name: value.tolist() for name, value in self._replay.info.items()}
        training = self.watch.training()
        readings = self._read_probe()
        evaluates = self.evaluations.is_due(self.step)
        if evaluates:
            self._complete()
            self._start_evaluation()
        rows = [
            self._make_row(run, metrics, readings.get(run, {}))
            for run in training
            if evaluates or run in readings or self.step >= self.config.num_steps
        ]
        self._waiting.append(rows)
        if self.evaluations.awaited is None or not self._overlaps or self._is_trained:
            self._complete()

    def _next_report(self) -> int:
        """Return the step of the next report."""
        due = [self.config.num_steps]
        if self.evaluations.period is not None:
            due.append(next_multiple(self.step, self.evaluations.period))
        if self._is_watched:
            due.append(self.watch.next_reading(self.step))
        return min(due)

    @property
    def _is_watched(self) -> bool:
        return bool(self.config.seem.period) and self.agent.critic is not None

    def _read_probe(self) -> dict[int, dict[str, Any]]:
        """Return the readings of the runs whose probe is due, by run and metric."""
        if not self._is_watched:
            return {}
        with self._clocks.running("probe"):
            losses = {"critic/loss": self._replay.info["critic/loss"].tolist()}
            return self.watch.read(self.step, self.agent, losses)

    def _start_evaluation(self) -> None:
        """Begin to evaluate the policies as they are."""
        with self._clocks.running("evaluation"):
            policies = export_policies(self.agent, self.normalizer)
            self.evaluations.start(policies, self.step)

    def _complete(self) -> None:
        """Give the reports that wait for an evaluation what it tells, and let them go."""
        evaluated_step = self.evaluations.awaited
        if evaluated_step is not None:
            with self._clocks.running("evaluation"):
                metrics = self.evaluations.finish()
            for row in itertools.chain(*self._waiting):
                if row["step"] == evaluated_step:
                    run = self.config.seeds.index(row["seed"])
                    row.update({name: values[run] for name, values in metrics.items()})
                    row["evaluated"] = True
                if row["step"] == self.step:  # nothing was trained meanwhile
                    row.update(self._clocks.metrics(self.step))
        self._complete_reports += self._waiting
        self._waiting.clear()

    def _make_row(self, run: int, metrics: dict[str, list[Any]], reading: dict[str, Any]) -> Row:
        """Return the row of one run from metrics of all and what its probe told."""
        return {
            "seed": self.config.seeds[run],
            "step": self.step,
            "evaluated": False,
            "eval_skipped": self.evaluations.skipped,
            **{name: values[run] for name, values in metrics.items()},
            **reading,
            **self._clocks.metrics(self.step),
            "time/replayed": float(self._replay.obstacle is None),
            **self.watch.verdict(run, finished=self.step >= self.config.num_steps),
        }

    @property
    def rows(self) -> list[Row]:
        """Every row so far, in order of step and seed; the last one of a run says how it is."""
        return list(self._history)

    def save(self, folder: Path) -> None:
        """Write everything that the trial needs to go on into ``folder``.

        An evaluation that was begun is waited for.
        """
        self._complete()
        tensors, agent = flatten_state(agent_state(self.agent))
        state = {
            "config": self._config_as_json(),
            "agent": agent,
            "step": self.step,
            "rows": [*self._history, *itertools.chain(*self._complete_reports)],
            "clocks": self._clocks.state_dict(),
            "monitors": self.watch.state_dicts(),
        }
        save_checkpoint(folder, tensors, state)

    def _config_as_json(self) -> dict[str, object]:
        """Return the configuration as JSON holds it: tuples as lists."""
        return json.loads(json.dumps(dataclasses.asdict(self.config)))

    def load(self, folder: Path) -> None:
        """Go on from what ``save`` wrote.

        Raises:
            CheckpointError: the folder holds no whole checkpoint, or one of another trial.
        """
        self._complete()
        self._complete_reports.clear()
        tensors, state = load_checkpoint(folder, self.device)
        if state["config"] != self._config_as_json():
            raise CheckpointError(
                f"{folder} must hold a checkpoint of this trial's configuration but got another. "
                "Run the changed study in a folder of its own."
            )
        load_agent_state(self.agent, unflatten_state(tensors, state["agent"]))
        self.step, self._history = state["step"], state["rows"]
        self._clocks.load_state_dict(state["clocks"])
        self._draws.seek(self.step)
        self.watch.load_state_dicts(state["monitors"])
