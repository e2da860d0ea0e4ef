"""Steps per second of d3rlpy's TD3+BC; run by the peers' own interpreter.

d3rlpy pins another Gymnasium, so it has an environment of its own (``make benchmark``).
Prints one JSON object with ``steps_per_second``, sampling from its replay buffer included.
"""

import json
import sys
import time

import d3rlpy  # pyright: ignore[reportMissingImports] - in an environment of its own
import numpy as np
import torch


def main() -> None:
    """Time ``sys.argv[1]`` seconds of updates on random transitions of Hopper's shape."""
    seconds = float(sys.argv[1])
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    num_rows = 10_000
    dataset = d3rlpy.dataset.MDPDataset(
        observations=rng.standard_normal((num_rows, 11), dtype=np.float32),
        actions=rng.uniform(-1, 1, (num_rows, 3)).astype(np.float32),
        rewards=rng.standard_normal((num_rows, 1), dtype=np.float32),
        terminals=(np.arange(num_rows) % 500 == 499).astype(np.float32),
    )
    agent = d3rlpy.algos.TD3PlusBCConfig(batch_size=256).create(device="cpu:0")
    agent.build_with_dataset(dataset)
    steps, started = 0, time.process_time()
    while True:
        if steps == 20:  # warm-up
            started = time.process_time()
        agent.update(dataset.sample_transition_batch(256))
        steps += 1
        elapsed = time.process_time() - started
        if steps > 20 and elapsed > seconds:
            break
    print(json.dumps({"steps_per_second": (steps - 20) / elapsed}))


if __name__ == "__main__":
    main()
