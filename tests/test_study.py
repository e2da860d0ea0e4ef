"""Tests of rayoff.study as a whole: every study of the project, planned without torch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rayoff.study import flatten, load_study, study_files, trials

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", study_files())
def test_every_study_opens_with_its_question_and_can_be_planned(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert study.question.partition("\n")[0].endswith("?")
    assert trials(study)[0].arm == trials(replace(study, datasets=["a"]))[0].arm
    for axis in study.arm_axes:
        assert flatten(trials(study)[0].config)[axis.path] == study.baseline[axis.path]


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from rayoff.study import *; smoke(override(load_study('quickstart'), "
        "['seeds=3'])); print({'torch', 'ray', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()"
