"""Real transitions of a pendulum under random torques: no simulator of robots is needed.

Torques are drawn uniformly from the whole range; rewards lie in [-16.3, 0].
"""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUM_EPISODES = 10


def write_pendulum(path: Path, *, episode_steps: int = 100, references: bool = True) -> str:
    """Write episodes of Gymnasium's Pendulum-v1 as Parquet and return their source.

    Args:
        path: of the file.
        episode_steps: length of each of the 10 episodes [step].
        references: whether the file tells the returns that score 0 and 100.
    """
    environment = gymnasium.make("Pendulum-v1", max_episode_steps=episode_steps)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for episode in range(NUM_EPISODES):
        observations, _ = environment.reset(seed=episode)
        for _ in range(episode_steps):
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
