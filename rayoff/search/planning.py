"""What a study will do and cost, before anything starts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import NamedTuple

import pyarrow as pa
import torch

from rayoff.config import TrialConfig
from rayoff.data import check_source, list_datasets, load_table, read_metadata
from rayoff.divergence import earliest_stop
from rayoff.errors import DatasetError, StudyError
from rayoff.evaluation import check_environment
from rayoff.networks import check_precision
from rayoff.search.demand import measure_demand
from rayoff.search.design_description import describe_design
from rayoff.search.machine import gpu_memory, machine_resources
from rayoff.search.packing import Demand, Packing, describe_packing, pack
from rayoff.search.resources import Resources
from rayoff.search.tables import check_cuts
from rayoff.study import PlannedTrial, Study, trials
from rayoff.trial import Row, Trial, choose_environment

NUM_MEASURED_STEPS = 20
"""Gradient steps of the first trial that ``plan`` takes to measure the cost of one."""

_NUM_FIRST_STEPS = 10
"""Steps before them, in which a trial records its step: a cost of each trial, not of each step."""

_CLAIM_SEEDS, _BOOTSTRAP_SEEDS = 10, 5


class Cost(NamedTuple):
    """What a study takes on this machine."""

    trial_seconds: float
    """Training of one trial with its probes [s]; evaluations come on top."""
    packing: Packing
    """How trials would share this machine."""
    demand: Demand
    """What the largest of them takes of memory."""


def describe_plan(study: Study, resources: Resources, cost: Cost | None) -> str:
    """Return what the study is, its axes, its cost and what is wrong with it, as text.

    Args:
        study: to be described.
        resources: of each trial.
        cost: as ``measure_cost`` gives it; None: not measured.

    Raises:
        StudyError: the study is invalid (see ``trials``).
        DatasetError: a fraction leaves less than a batch of data that is on this machine.
    """
    planned = trials(study)
    lines = [*describe_design(study, planned), *_cost_lines(planned, cost)]
    if cost is not None:
        lines.append(f"  pack   {describe_packing(cost.packing, cost.demand)}")
    lines += [f"  warn   {warning}" for warning in warnings(study, planned)]
    return "\n".join(lines)


def measure_cost(
    planned: Sequence[PlannedTrial], resources: Resources, num_measured: int = 1
) -> Cost | None:
    """Train a few steps of the first trials here and return what the study would take.

    Returns None where their data is not on this machine.

    Args:
        planned: trials of the study, or such as it may have.
        resources: of each.
        num_measured: trials that are measured; the cost is their mean.

    Raises:
        StudyError: the runs of a trial have no room together on a GPU of this machine.
    """
    measured = planned[:num_measured]
    own = {trial.dataset for trial in measured}
    if not all(_is_here(source) for source in own):
        return None
    sources = dict.fromkeys(trial.dataset for trial in planned)
    tables = {
        source: load_table(source)
        for source in sources
        if source in own or (_is_here(source) and _defect(source) is None)
    }
    here = [trial for trial in planned if trial.dataset in tables]
    machine = machine_resources()
    demand = measure_demand(here, tables)
    packing = pack(resources, machine, demand, gpu_memory() if machine["GPU"] else None)
    device = "cuda" if packing.request["gpu"] and machine["GPU"] else "cpu"
    threads_before = torch.get_num_threads()
    torch.set_num_threads(min(resources.cpus_per_trial, int(machine["CPU"])))
    try:
        seconds = [_measure(one.config, tables[one.dataset], device) for one in measured]
    finally:
        torch.set_num_threads(threads_before)
    return Cost(sum(seconds) / len(seconds), packing, demand)


def _measure(config: TrialConfig, table: pa.Table, device: str) -> float:
    """Return what a trial would take to train, with its probes [s]."""
    _train(config, table, device, _NUM_FIRST_STEPS)  # pays for what torch prepares once
    few, more = (
        _train(config, table, device, num_steps)
        for num_steps in (_NUM_FIRST_STEPS, _NUM_FIRST_STEPS + NUM_MEASURED_STEPS)
    )
    num_steps, period = config.num_steps, config.seem.period
    num_probes = -(-num_steps // period) if period else 0
    of_few, of_more = few["time/train_seconds"], more["time/train_seconds"]
    of_step = max(0.0, of_more - of_few) / NUM_MEASURED_STEPS
    seconds = of_few + of_step * (num_steps - _NUM_FIRST_STEPS)
    return seconds + more["time/probe_seconds"] * num_probes


def _train(config: TrialConfig, table: pa.Table, device: str, num_steps: int) -> Row:
    """Return the row of a trial that takes a few steps, probes once and evaluates never."""
    period = num_steps if config.seem.period else 0
    config = replace(
        config,
        num_steps=num_steps,
        seem=replace(config.seem, period=period),
        evaluation=replace(config.evaluation, period=0),
        precision="float32" if _precision_warning(config, device) else config.precision,
    )
    return Trial(config, table, device).advance()[0]


def warnings(study: Study, planned: Sequence[PlannedTrial]) -> list[str]:
    """Return what will be missing from the answer of a factorial, one sentence each.

    Raises:
        DatasetError: a fraction leaves less than a batch of data that is on this machine.
    """
    found = trial_warnings(study, planned)
    num_seeds = len(study.seeds)
    if num_seeds < _BOOTSTRAP_SEEDS:
        found.append(
            f"{num_seeds} seed{'s' * (num_seeds > 1)}: too few for a bootstrap, so intervals are "
            f"of the mean (pooled t); take {_CLAIM_SEEDS} seeds for a claim"
        )
    elif num_seeds < _CLAIM_SEEDS:
        found.append(
            f"{num_seeds} seeds: an interval named 95% covers about 90%; {_CLAIM_SEEDS} give 94%"
        )
    return found


def trial_warnings(study: Study, planned: Sequence[PlannedTrial]) -> list[str]:
    """Return what trials will lack: data, scores, forecasts, a precision; one sentence each.

    Raises:
        DatasetError: a fraction leaves less than a batch of data that is on this machine.
    """
    found = [text for source in study.datasets for text in _dataset_warnings(source, planned)]
    if too_late := _stopper_warning(planned[0].config):
        found.append(too_late)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lacking = (_precision_warning(trial.config, device) for trial in planned)
    return found + [f"this machine has no GPU: {text}" for text in {*lacking} - {None}]


def _cost_lines(planned: Sequence[PlannedTrial], cost: Cost | None) -> list[str]:
    if cost is None:
        return ["  cost   not measured: the data of the first trial is not on this machine"]
    per_trial = (
        f"{len(planned)} x {describe_duration(cost.trial_seconds)} "
        f"[measured: {NUM_MEASURED_STEPS} steps of one trial here, without evaluations]"
    )
    num_at_once, request = cost.packing.num_at_once, cost.packing.request
    if not num_at_once:
        return [f"  cost   {per_trial}; none fits on this machine with these resources"]
    rounds = -(-len(planned) // num_at_once)
    total = f"{num_at_once} at once here = {describe_duration(rounds * cost.trial_seconds)}"
    share = f"{request['cpu']:g} CPU"
    if request["gpu"]:
        gpu_seconds = len(planned) * cost.trial_seconds * request["gpu"]
        share += f" and {request['gpu']:g} GPU"
        total += f", {gpu_seconds / 3600:.1f} GPU-h"
    return [f"  cost   {per_trial} / {total} at {share} per trial"]


def _stopper_warning(config: TrialConfig) -> str | None:
    """Return that probes are too rare for a forecast, None if they are not."""
    stopper, num_steps, period = config.stopper, config.num_steps, config.seem.period
    if stopper.mode == "off" or not period or not hasattr(config.agent, "discount"):
        return None
    first = earliest_stop(stopper, num_steps, period)
    if first < num_steps:
        return None
    return (
        f"seem.period is {period:,} of {num_steps:,} steps: no run can be stopped by a forecast "
        f"before step {first:,.0f}; lower it to num_steps / 40 = {max(1, num_steps // 40):,}"
    )


def _precision_warning(config: TrialConfig, device: str) -> str | None:
    """Return that a device does not have the precision of a trial, None if it has."""
    try:
        check_precision(config.precision, device)
    except StudyError as error:
        return str(error)
    return None


def _dataset_warnings(source: str, planned: Sequence[PlannedTrial]) -> Iterable[str]:
    if defect := _defect(source):
        yield defect
        return
    if not _is_here(source):
        near = get_close_matches(source, [name for name, _ in list_datasets()], n=1, cutoff=0.9)
        hint = f". Did you mean {near[0]!r}, which is here?" if near else ""
        yield f"{source} is not on this machine: it will be downloaded when the study runs{hint}"
        return
    config = next(trial.config for trial in planned if trial.dataset == source)
    table = load_table(source)
    check_cuts(planned, source, table)
    metadata = read_metadata(table)
    if metadata.ref_min is None and config.data.ref_min is None:
        yield f"{source} has no reference scores: results are raw returns and are not pooled"
    environment = choose_environment(config.evaluation.environment, metadata)
    if environment is None:
        yield f"{source} names no environment: there will be no scores"
    elif reason := check_environment(environment):
        yield f"{source}: no scores, since {reason}"


def _defect(source: str) -> str | None:
    """Return why a dataset cannot be read, None if it can, or may be once it is downloaded."""
    try:
        check_source(source)
    except DatasetError as error:
        return str(error)
    return None


def _is_here(source: str) -> bool:
    """Return whether a dataset can be read without a download."""
    if source.partition(":")[0] in ("hdf5", "parquet"):
        return True
    return source in dict(list_datasets())


def describe_duration(seconds: float) -> str:
    """Return a duration with the unit that suits it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
