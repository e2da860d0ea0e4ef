"""Tests of rayoff.study.resolved: a study as JSON and back, and its hash."""

import json
import re

import pytest
from norm_studies import make

from rayoff.errors import StudyError
from rayoff.study import config_from_dict, from_json, override, study_hash, to_json, trials


def test_a_resolved_study_gives_the_study_and_its_trials_back() -> None:
    study = override(make(question="Why?"), ["num_steps=100"])
    resolved = json.loads(to_json(study))
    assert from_json(to_json(study)) == study
    assert resolved["question"] == "Why?"
    assert [config_from_dict(t["config"]) for t in resolved["trials"]] == [
        trial.config for trial in trials(study)
    ]
    assert set(resolved["trials"][0]) == {"trial_id", "arm", "dataset", "fraction", "config"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.pop("seeds"), "must have the key 'seeds'"),
        (lambda v: v.update(axis=[]), "'axis' is not a key of a study. Did you mean 'axes'?"),
        (lambda v: v.update(axes=3), "An axis must have the keys path and values but got 3"),
        (lambda v: v.update(axes=[{"path": "critic.norm"}]), "An axis must have the keys"),
        (lambda v: v.update(seeds=[7]), "they differ: it was edited, or written by another"),
        (lambda v: v["trials"].pop(), "they differ"),
        (lambda v: v["settings"].update({"agent.tau": 2.0}), "agent.tau must be less than or"),
    ],
)
def test_a_resolved_study_that_was_edited_is_refused(edit: object, message: str) -> None:
    assert callable(edit)
    values = json.loads(to_json(make()))
    edit(values)
    with pytest.raises(StudyError, match=re.escape(message)):
        from_json(json.dumps(values))


def test_a_resolved_study_that_is_no_json_says_where() -> None:
    with pytest.raises(StudyError, match=r"must be JSON but got .* line 1 column 2"):
        from_json("{oops")
    with pytest.raises(StudyError, match="must be a JSON object but got 3"):
        from_json("3")


def test_the_hash_is_of_the_trials_and_not_of_the_words() -> None:
    hash_ = study_hash(make())
    assert re.fullmatch("[0-9a-f]{7}", hash_)
    assert hash_ == study_hash(make(question="Why?", file="elsewhere.py"))
    assert hash_ == study_hash(make(settings={"agent.tau": 1.0, "num_steps": 1_000_000}))
    assert hash_ == study_hash(from_json(to_json(make())))
    others = [
        make(seeds=range(4)),
        make(settings={}),
        make(datasets=["a"]),
        make(baseline={"critic.norm": "layer", "critic.width": 256}),
        make(name="other"),
    ]
    assert len({study_hash(study) for study in [make(), *others]}) == 6
