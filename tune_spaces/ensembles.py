"""Does an ensemble keep the critic alive without normalisation?

More members, and three ways to make one target of them: the minimum (TD3, SAC-N) is the more
pessimistic the more there are, the mean only averages errors out, and independent targets (MSG)
leave each member alone with its own. Without cloning and without a lagging target, so that
nothing else holds the critic.
"""

from rayoff.study import Axis, Study


def study() -> Study:
    """Return a full factorial: 3 sizes x 3 reducers x 2 fractions, 1 dataset, 2 seeds."""
    return Study(
        name="ensembles",
        base="td3",
        axes=[
            Axis("critic.num_critics", [2, 5, 10]),
            Axis("critic.reducer", ["min", "mean", "independent"]),
            Axis("data.fraction", [1.0, 0.1]),
        ],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"critic.num_critics": 2, "critic.reducer": "min"},
        settings={
            "agent.tau": 1.0,
            "num_steps": 4_000,
            "seem.period": 100,
            "evaluation.period": 2_000,
        },
    )
