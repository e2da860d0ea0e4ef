"""The datasets of a study, read and checked before anything is made or started."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from rayoff.data import check_preparation, check_source, load_table, read_metadata
from rayoff.errors import StudyError
from rayoff.evaluation import check_environment
from rayoff.study import PlannedTrial, Study, foreseen_trials


def load_study_tables(study: Study) -> dict[str, pa.Table]:
    """Return each dataset of a study by its source, fit for every trial that can be foreseen.

    Raises:
        DatasetError: as for ``load_tables``.
        StudyError: a search would have no scores to go by.
    """
    foreseen = foreseen_trials(study)
    tables = load_tables(foreseen)
    if study.search is not None:
        check_scores(foreseen, tables)
    return tables


def load_tables(planned: Sequence[PlannedTrial]) -> dict[str, pa.Table]:
    """Return each dataset by its source, once it is known that every trial can be made from it.

    Raises:
        DatasetError: a dataset cannot be read, or not prepared (see ``check_preparation``).
    """
    sources = list(dict.fromkeys(trial.dataset for trial in planned))
    for source in sources:  # all of them, before the first is downloaded
        check_source(source)
    tables = {source: load_table(source) for source in sources}
    for source, table in tables.items():
        check_cuts(planned, source, table)
    return tables


def check_scores(planned: Sequence[PlannedTrial], tables: Mapping[str, pa.Table]) -> None:
    """Check that the trials of a search can be evaluated, and compared where data differs.

    Args:
        planned: trials of the search.
        tables: datasets by source.

    Raises:
        StudyError: a search would have no scores to go by.
    """
    from rayoff.trial import choose_environment  # torch, which a mistake should not wait for

    for source, table in tables.items():
        config = next(trial.config for trial in planned if trial.dataset == source)
        metadata = read_metadata(table)
        environment = choose_environment(config.evaluation.environment, metadata)
        reason = "evaluation.period is 0" if not config.evaluation.period else None
        reason = reason or (f"{source} names no environment" if environment is None else None)
        reason = reason or (check_environment(environment) if environment else None)
        if reason is not None:
            raise StudyError(f"A search must have scores to compare points by, but {reason}.")
        if len(tables) > 1 and metadata.ref_min is None and config.data.ref_min is None:
            raise StudyError(
                "Over several datasets a point is worth its mean score, but "
                f"{source} has no reference scores. Set data.ref_min and data.ref_max, or "
                "search on one dataset."
            )


def check_cuts(planned: Sequence[PlannedTrial], source: str, table: pa.Table) -> None:
    """Check that every trial on a dataset can be made from it.

    Raises:
        DatasetError: as ``check_preparation``.
    """
    own = [trial.config for trial in planned if trial.dataset == source]
    for data, batch_size in dict.fromkeys((config.data, config.batch_size) for config in own):
        check_preparation(table, data, batch_size)
