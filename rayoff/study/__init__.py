"""A study: the question, its axes, and the trials that answer it.

A study file in ``tune_spaces/`` returns a ``Study``; ``trials`` checks every value of it and
turns it into a list of configurations. Nothing here imports torch or ray, so that a mistake
in a study is reported at once.
"""

from rayoff.study.design import Axis, Scalar, Study
from rayoff.study.loading import load_study, study_files
from rayoff.study.overrides import override, smoke
from rayoff.study.paths import config_from_dict, flatten
from rayoff.study.plan import PlannedTrial, varied_paths
from rayoff.study.resolved import from_json, study_hash, to_json
from rayoff.study.search import OBJECTIVES, Search
from rayoff.study.sources import with_absolute_sources
from rayoff.study.space import Point
from rayoff.study.trials import foreseen_trials, trials

__all__ = [
    "OBJECTIVES",
    "Axis",
    "PlannedTrial",
    "Point",
    "Scalar",
    "Search",
    "Study",
    "config_from_dict",
    "flatten",
    "foreseen_trials",
    "from_json",
    "load_study",
    "override",
    "smoke",
    "study_files",
    "study_hash",
    "to_json",
    "trials",
    "varied_paths",
    "with_absolute_sources",
]
