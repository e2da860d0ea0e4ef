"""Ray Tune by hand: trials of one gradient step, as its documentation begins.

Started by ``startup.py``; prints the seconds from the time in ``sys.argv[1]`` to each trial's
first gradient step, as JSON.
"""

import json
import sys
import time

from ray import tune


def train(config: dict[str, float]) -> None:
    """Take a gradient step of a small critic and report when."""
    import torch

    critic = torch.nn.Sequential(
        torch.nn.Linear(14, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1)
    )
    optimizer = torch.optim.Adam(critic.parameters(), config["learning_rate"])
    critic(torch.randn(256, 14)).square().mean().backward()
    optimizer.step()
    tune.report({"taken": time.time()})


def main() -> None:
    """Run as many trials as ``sys.argv[2]`` says."""
    started, num_trials = float(sys.argv[1]), int(sys.argv[2])
    tuner = tune.Tuner(
        train,
        param_space={"learning_rate": tune.loguniform(1e-4, 1e-3)},
        tune_config=tune.TuneConfig(num_samples=num_trials),
        run_config=tune.RunConfig(verbose=0),
    )
    results = tuner.fit()
    reports = [result.metrics for result in results if result.metrics is not None]
    print(json.dumps(sorted(report["taken"] - started for report in reports)))


if __name__ == "__main__":
    main()
