"""What does each component add on the way from TD3 to a TD3+BC that scarce data does not break?

Cloning, LayerNorm and a larger ensemble are added to TD3 one by one. Each step is compared with
the one before, so that four arms say what eight would.
"""

from rayoff.study import Axis, Study


def study() -> Study:
    """Return a ladder of 4 arms x 2 fractions, 1 dataset, 2 seeds."""
    return Study(
        name="cloning_ladder",
        base="td3",
        design="ladder",
        axes=[
            Axis("algorithm", ["td3", "td3_bc"]),
            Axis("critic.norm", ["none", "layer"]),
            Axis("critic.num_critics", [2, 5]),
            Axis("data.fraction", [1.0, 0.1]),
        ],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"algorithm": "td3", "critic.norm": "none", "critic.num_critics": 2},
        settings={
            "agent.tau": 1.0,
            "num_steps": 4_000,
            "seem.period": 100,
            "evaluation.period": 1_000,
        },
    )
