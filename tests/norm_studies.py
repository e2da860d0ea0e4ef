"""Studies of TD3 with two norms at two widths and fractions, which are planned but never run."""

import pytest

from rayoff.errors import StudyError
from rayoff.study import Axis, Scalar, Study, trials


def make(**changes: object) -> Study:
    """Return 2 norms x 2 widths x 2 fractions of TD3 with some parts replaced."""
    parts: dict[str, object] = {
        "name": "norms",
        "base": "td3",
        "axes": [
            Axis("critic.norm", ["none", "layer"]),
            Axis("critic.width", [256, 1024]),
            Axis("data.fraction", [1.0, 0.1]),
        ],
        "datasets": ["builtin:hopper-mixed"],
        "seeds": range(3),
        "baseline": {"critic.norm": "none", "critic.width": 256},
        "settings": {"agent.tau": 1.0},
        "file": "tune_spaces/norms.py",
    }
    return Study(**{**parts, **changes})  # pyright: ignore[reportArgumentType]


def one_axis(path: str, *values: Scalar, **changes: object) -> Study:
    """Return a study of one axis whose first value is the baseline."""
    baseline = {} if path == "data.fraction" else {path: values[0]}
    parts = {"axes": [Axis(path, values)], "baseline": baseline, "settings": {}}
    return make(**{**parts, **changes})


def message_of(study: Study) -> str:
    with pytest.raises(StudyError) as caught:
        trials(study)
    return str(caught.value)
