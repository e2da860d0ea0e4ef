"""What a search will do and cost, before anything starts."""

from rayoff.search.design_description import describe_count
from rayoff.search.packing import describe_packing
from rayoff.search.planning import (
    NUM_MEASURED_STEPS,
    Cost,
    describe_duration,
    trial_warnings,
)
from rayoff.search.space_description import describe_space
from rayoff.study import OBJECTIVES, Search, Study, foreseen_trials, study_hash
from rayoff.study.plan import cells_of
from rayoff.study.points import search_of

NUM_MEASURED_POINTS = 5
"""Points whose trials ``plan`` measures: the first ones are given, the others random."""


def describe_search_plan(study: Study, cost: Cost | None) -> str:
    """Return what is searched, how, for how long, and what is wrong with it, as text.

    Args:
        study: of a search.
        cost: as ``measure_cost`` gives it; None: not measured.

    Raises:
        StudyError: the study is invalid (see ``trials``).
        DatasetError: a fraction leaves less than a batch of data that is on this machine.
    """
    search = search_of(study)
    cells = cells_of(study)
    data = [f"{cell.dataset} at {cell.fraction:.3g}" for cell in cells]
    num_at_once = cost.packing.num_at_once if cost else None
    sections = {
        "space": describe_space(study),
        "data": data,
        "begin": [_beginning(study)],
        "seek": [_seek(search, num_at_once)],
        "then": [_confirmation(search)],
        "cost": _cost(study, cost),
        "pack": [describe_packing(cost.packing, cost.demand)] if cost else [],
        "warn": [*_warnings(search), *trial_warnings(study, foreseen_trials(study))],
    }
    lines = [
        f"study {study.name} ({study_hash(study)})  search of {_budget(search)}, each "
        f"{describe_count(len(cells), 'trial')} of {describe_count(len(study.seeds), 'seed')}"
    ]
    for name, texts in sections.items():
        repeated = name == "warn"
        lines += [f"  {name if i == 0 or repeated else '':6} {t}" for i, t in enumerate(texts)]
    return "\n".join(lines)


def _warnings(search: Search) -> list[str]:
    """Return what will be missing from the search itself."""
    starts, most = search.num_startup_points, search.num_points
    if search.sampler != "tpe" or most is None or starts < most:
        return []
    return [
        f"search.num_startup_points is {starts} of {most} points: all of them are random; lower it"
    ]


def _budget(search: Search) -> str:
    budgets = {
        "points": search.num_points,
        "hours": search.hours,
        "device-hours": search.device_hours,
    }
    told = [f"{most:g} {unit}" for unit, most in budgets.items() if most is not None]
    return f"{told[0]}{' or ' * bool(told[1:])}{' or '.join(told[1:])}"


def _beginning(study: Study) -> str:
    num_known = len(search_of(study).known_points)
    known = f", then {describe_count(num_known, 'known point')}" if num_known else ""
    return f"the baseline{known}"


def _seek(search: Search, num_at_once: int | None) -> str:
    aims = ", ".join(f"{OBJECTIVES[name]} {name}" for name in search.objectives)
    allowed = f"infeasible where more than {search.max_divergence_rate:.0%} of the runs diverge"
    told = f"{aims}; {allowed}; {search.sampler} with seed {search.seed}"
    if search.sampler == "random":
        return told
    told += f", of which the first {describe_count(search.num_startup_points, 'point')} at random"
    if num_at_once and num_at_once > 1:
        told += (
            f" and up to {num_at_once - 1} more, since {num_at_once} train at once and know "
            "nothing of one another's results"
        )
    return told


def _confirmation(search: Search) -> str:
    if not search.num_confirm_seeds:
        return "nothing: num_confirm_seeds is 0, and the winner's score is optimistic"
    seeds = describe_count(search.num_confirm_seeds, "fresh seed")
    return f"the winner and the baseline again on {seeds}, beyond the budget"


def _cost(study: Study, cost: Cost | None) -> list[str]:
    if cost is None:
        return ["not measured: the data is not on this machine"]
    search, num_at_once = search_of(study), cost.packing.num_at_once
    point_seconds = cost.trial_seconds * len(cells_of(study))
    per_point = (
        f"{describe_duration(point_seconds)} a point [measured: {NUM_MEASURED_STEPS} steps of "
        f"{NUM_MEASURED_POINTS} points here, without evaluations]"
    )
    if not num_at_once:
        return [f"{per_point}; none fits on this machine with these resources"]
    if search.num_points is None:
        return [f"{per_point}, {num_at_once} at once here"]
    rounds = -(-search.num_points * len(cells_of(study)) // num_at_once)
    total = describe_duration(rounds * cost.trial_seconds)
    return [f"{per_point}; {search.num_points} points, {num_at_once} at once here = {total}"]
