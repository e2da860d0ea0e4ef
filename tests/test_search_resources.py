"""Tests of rayoff.search.resources: what a trial may ask of Ray."""

from typing import Any

import pytest

from rayoff.errors import StudyError
from rayoff.search import Resources


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpu_per_trial": 1.5}, "whole number, but got 1.5. Did you mean 1?"),
        ({"gpu_per_trial": -0.5}, "--gpu-per-trial must be a share"),
        ({"cpus_per_trial": 0}, "--cpus-per-trial must be at least 1 but got 0"),
        ({"max_concurrent": 0}, "--max-concurrent must be at least 1 but got 0"),
    ],
)
def test_resources_that_ray_could_not_grant_are_refused(
    asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError) as error:
        Resources(**asked)
    assert message in str(error.value)


@pytest.mark.parametrize("gpus", [0.0, 0.25, 1.0, 2.0])
def test_shares_of_one_gpu_and_whole_gpus_are_granted(gpus: float) -> None:
    assert Resources(gpu_per_trial=gpus).on({"CPU": 8.0})["gpu"] == gpus


def test_without_a_wish_a_trial_takes_a_quarter_of_a_gpu_where_there_is_one() -> None:
    assert Resources().on({"CPU": 8.0, "GPU": 2.0}) == {"cpu": 1.0, "gpu": 0.25}
    assert Resources().on({"CPU": 8.0}) == {"cpu": 1.0, "gpu": 0.0}
