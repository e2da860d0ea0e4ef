"""The trials of a study that are known before it starts, whatever its mode."""

from rayoff.study.checks import check_values
from rayoff.study.design import Study
from rayoff.study.plan import (
    PlannedTrial,
    enumerate_trials,
    factorial_trials,
    inert_everywhere,
)
from rayoff.study.points import on_fresh_seeds
from rayoff.study.search_checks import many_points, search_trials


def trials(study: Study) -> list[PlannedTrial]:
    """Return all trials of a factorial, the baseline's first, or those of a search's baseline.

    Raises:
        StudyError: the study is wrong: see ``factorial_trials`` and ``search_trials``.
    """
    return factorial_trials(study) if study.search is None else search_trials(study)


def foreseen_trials(study: Study) -> list[PlannedTrial]:
    """Return all trials of a factorial, or those of many points that a search may come to.

    Where more runs confirm a point than evaluate it, its trials on fresh seeds are among them.

    Raises:
        StudyError: as for ``trials``.
    """
    if study.search is None:
        return factorial_trials(study)
    foreseen = [trial for point in many_points(study) for trial in point.trials]
    if study.search.num_confirm_seeds > len(study.seeds):
        foreseen += on_fresh_seeds(study, foreseen)
    return foreseen


def inert_paths(study: Study) -> set[str]:
    """Return the axes and settings that change nothing in any trial that can be foreseen.

    Raises:
        StudyError: a value of the study is wrong.
    """
    if study.search is None:
        checked = check_values(study)
        return set(inert_everywhere(checked, enumerate_trials(checked)))
    return set(inert_everywhere(study, foreseen_trials(study)))
