"""Which normalisation keeps a critic alive, and on how little of the data?

SEEM's X% study (Yue et al. 2023, arXiv 2310.04411, section 5) with TD3 that neither clones nor
lags its target, over five norms. On Minari's data, for instance:

    rayoff run critic_norm --set datasets=mujoco/hopper/medium-v0 --set data.fraction=1.0,0.1,0.01
"""

from rayoff.study import Axis, Study


def study() -> Study:
    """Return a full factorial: 5 norms x 3 fractions, 1 dataset, 2 seeds."""
    return Study(
        name="critic_norm",
        base="td3",
        axes=[
            Axis("critic.norm", ["none", "layer", "batch", "spectral", "weight"]),
            Axis("data.fraction", [1.0, 0.1, 0.02]),  # 1% of the built-in data is below a batch
        ],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"critic.norm": "none"},
        settings={
            "agent.tau": 1.0,
            "num_steps": 4_000,
            "seem.period": 100,
            "evaluation.period": 2_000,
        },
    )
