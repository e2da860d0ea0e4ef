"""Studies that train in seconds: real transitions of Pendulum, which needs no simulator."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rayoff.study import Axis, Study

NUM_EPISODES, EPISODE_STEPS = 10, 100


def write_pendulum(path: Path, *, references: bool = True) -> str:
    """Write episodes of a random policy as parquet and return their source."""
    environment = gymnasium.make("Pendulum-v1", max_episode_steps=EPISODE_STEPS)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for episode in range(NUM_EPISODES):
        observations, _ = environment.reset(seed=episode)
        for _ in range(EPISODE_STEPS):
            actions = rng.uniform(-1, 1, 1).astype(np.float32)
            following, rewards, terminated, truncated, _ = environment.step(2 * actions)
            rows.append(
                {
                    "observations": observations.tolist(),
                    "actions": actions.tolist(),
                    "rewards": float(rewards),
                    "terminations": terminated,
                    "truncations": truncated,
                    "episode": episode,
                    "next_observations": following.tolist(),
                }
            )
            observations = following
    about: dict[str, Any] = {
        "environment": "Pendulum-v1",
        "action_low": [-2.0],
        "action_high": [2.0],
    }
    if references:
        about |= {"ref_min": -1500.0, "ref_max": -150.0}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"rayoff": json.dumps(about)})
    pq.write_table(table, path)
    return f"parquet:{path}"


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
