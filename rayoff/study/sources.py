"""Files of data that a study names by paths."""

from dataclasses import replace
from pathlib import Path

from rayoff.study.design import Study


def with_absolute_sources(study: Study) -> Study:
    """Return a study whose files of data have absolute paths: trials run in other folders."""
    return replace(study, datasets=[_absolute(source) for source in study.datasets])


def _absolute(source: str) -> str:
    kind, _, path = source.partition(":")
    is_file = kind in ("hdf5", "parquet")
    return f"{kind}:{Path(path).expanduser().absolute()}" if is_file else source
