"""Studies that train in seconds, on the pendulum's transitions."""

from typing import Any

from rayoff.study import Axis, Study


def make_study(source: str, **changes: Any) -> Study:  # noqa: ANN401 - fields of a study
    """Return a study of two arms at two fractions; ``changes`` replace its fields.

    With tau 1, this step size and a low ceiling the plain critic is lost within the budget in
    some runs; LayerNorm's in none.
    """
    settings = {
        "agent.tau": 1.0,
        "agent.learning_rate": 1e-2,
        "num_steps": 200,
        "batch_size": 64,
        "critic.width": 32,
        "actor.width": 32,
        "seem.period": 20,
        "seem.num_rows": 32,
        "stopper.suspect_factor": 0.1,
        "stopper.confirm_factor": 0.2,
        "stopper.diverged_factor": 0.2,
        "stopper.ceiling_factor": 0.4,
        "evaluation.period": 50,
        "evaluation.num_episodes": 1,
    }
    fields: dict[str, Any] = {
        "name": "tiny",
        "base": "td3",
        "axes": [Axis("critic.norm", ["none", "layer"]), Axis("data.fraction", [1.0, 0.5])],
        "datasets": [source],
        "seeds": range(2),
        "baseline": {"critic.norm": "none"},
        "settings": settings | changes.pop("settings", {}),
    }
    return Study(**fields | changes)


_FILE = '''"""Does the command work?"""

from rayoff.study import Axis, Study


def study() -> Study:
    return Study(
        name="NAME",
        base="td3",
        axes=[Axis("critic.norm", ["none", "layer"])],
        datasets=["parquet:pendulum.parquet"],
        seeds=range(2),
        baseline={"critic.norm": "none"},
        settings={
            "num_steps": NUM_STEPS,
            "batch_size": 64,
            "critic.width": 32,
            "actor.width": 32,
            "seem.period": 20,
            "seem.num_rows": 32,
            "stopper.mode": "observe",
            "evaluation.period": EVALUATION_PERIOD,
            "evaluation.num_episodes": 1,
        },
    )
'''


def study_text(name: str, *, num_steps: int, evaluation_period: int) -> str:
    """Return the text of a file with a study on ``pendulum.parquet`` in the working directory."""
    text = _FILE.replace("EVALUATION_PERIOD", str(evaluation_period))
    return text.replace("NUM_STEPS", str(num_steps)).replace("NAME", name)
