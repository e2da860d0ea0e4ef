"""Does LayerNorm keep a critic alive when data is scarce?

SEEM's experiment in four minutes on two cores: TD3 without cloning and without a lagging target,
on the data that the package carries and on a tenth of it.
"""

from rayoff.study import Axis, Study


def study() -> Study:
    """Return a full factorial: 2 norms x 2 fractions, 1 dataset, 2 seeds."""
    return Study(
        name="quickstart",
        base="td3",
        axes=[
            Axis("critic.norm", ["none", "layer"]),
            Axis("data.fraction", [1.0, 0.1]),
        ],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"critic.norm": "none"},
        settings={
            "agent.tau": 1.0,
            "num_steps": 4_000,
            "seem.period": 100,
            "evaluation.period": 1_000,
            "evaluation.num_episodes": 5,
        },
    )
