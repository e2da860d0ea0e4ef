r"""Which critic serves TD3+BC best: its norm, depth, width, ensemble and regularisers together?

A search for the best arm, not for what each choice does: a sampler proposes critics, each of which
is trained with 2 seeds; the best and TD3+BC's own are then trained again on fresh seeds. On other
data, which takes longer budgets:

    rayoff run architecture_search --set datasets=mujoco/hopper/medium-v0 --set num_steps=1e5 \
        --set evaluation.period=5e3 --set seem.period=2e3
"""

from rayoff.study import Point, Search, Study


def space(point: Point) -> None:
    """Ask for the critic; what has no effect at a point is not asked for."""
    norm = point.suggest_categorical("critic.norm", ["none", "layer", "group", "batch", "rms"])
    if norm != "none":
        point.suggest_categorical("critic.norm_position", ["before", "after"])
    point.suggest_categorical("critic.activation", ["relu", "elu", "silu", "mish"])
    point.suggest_int("critic.depth", 2, 3)
    point.suggest_int("critic.width", 64, 256, step=64)
    num_critics = point.suggest_int("critic.num_critics", 1, 4)
    if num_critics > 1:
        point.suggest_categorical("critic.reducer", ["min", "mean", "independent"])
    point.suggest_categorical("critic.dropout", [0.0, 0.01, 0.1])
    if point.suggest_categorical("regularizer.rd_weight", [0.0, 1e-4, 1e-3, 1e-2]) > 0:
        point.suggest_categorical("regularizer.rd_kernel", ["dot", "cosine", "mean_dot"])
    point.suggest_categorical("regularizer.weight_decay", [0.0, 1e-3, 1e-2, 1e-1])


def study() -> Study:
    """Return a search of 40 points, the baseline TD3+BC's own, on 1 dataset with 2 seeds."""
    return Study(
        name="architecture_search",
        base="td3_bc",
        axes=[],
        datasets=["builtin:hopper-mixed"],
        seeds=range(2),
        baseline={"critic.width": 256},
        search=Search(space=space, known_points=[{"critic.norm": "layer"}]),
        settings={
            "num_steps": 3_000,
            "seem.period": 150,
            "evaluation.period": 250,
            "evaluation.num_episodes": 3,
        },
    )
