"""Tests of rayoff.trial.clocks on a clock that tells what it is asked to."""

import itertools
import json

import pytest

from rayoff.trial import clocks
from rayoff.trial.clocks import Activity, Clocks


def spend(known: Clocks, *spent: tuple[Activity, float]) -> None:
    """Let activities take their seconds [s], with an hour that counts as nothing after each."""
    with pytest.MonkeyPatch.context() as patched:
        passed = [step for _, seconds in spent for step in (seconds, 3600.0)]
        now = iter(list(itertools.accumulate([100.0, *passed])))
        patched.setattr(clocks.time, "perf_counter", lambda: next(now))
        for activity, _ in spent:
            with known.running(activity):
                pass


def test_time_is_told_by_activity_in_sum_and_by_the_share_of_the_device() -> None:
    known = Clocks(device_share=0.25)
    spend(known, ("train", 2.0), ("probe", 1.0), ("train", 6.0), ("evaluation", 4.0))
    assert known.metrics(400) == {
        "seconds": 13.0,
        "time/train_seconds": 8.0,
        "time/probe_seconds": 1.0,
        "time/evaluation_seconds": 4.0,
        "time/device_seconds": 3.25,
        "time/steps_per_second": 50.0,
    }


def test_a_trial_goes_on_with_another_share_of_a_device() -> None:
    before, after = Clocks(device_share=0.25), Clocks(device_share=1.0)
    spend(before, ("train", 8.0))
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    spend(after, ("train", 3.0))
    told = after.metrics(1)
    assert (told["seconds"], told["time/device_seconds"]) == (11.0, 5.0)


def test_before_the_first_step_nothing_was_spent() -> None:
    assert set(Clocks().metrics(0).values()) == {0.0}
