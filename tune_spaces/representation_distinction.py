"""Does representation distinction do for a critic what LayerNorm does, and do the two add up?

RD (Ma et al. 2023) keeps the features of policy actions apart from those of the data, the
generalisation on which SEEM blames divergence. Its weight is crossed with LayerNorm because
normalised features have larger dot products: the same weight then bears more. The target lags
as usual (tau 0.005), and the data is scarce.
"""

from rayoff.study import Axis, Study


def study() -> Study:
    """Return a full factorial: 4 weights x 2 norms, 1 dataset at 10%, 2 seeds."""
    return Study(
        name="representation_distinction",
        base="td3",
        axes=[
            Axis("regularizer.rd_weight", [0.0, 1e-4, 1e-3, 1e-2]),
            Axis("critic.norm", ["none", "layer"]),
        ],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"regularizer.rd_weight": 0.0, "critic.norm": "none"},
        settings={
            "data.fraction": 0.1,
            "num_steps": 20_000,
            "seem.period": 500,
        },
    )
