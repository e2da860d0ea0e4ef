"""Tables of passes in Markdown."""

from collections.abc import Iterable, Sequence

from speed.cases import Case
from speed.passes import PEERS, Pass, median

PEER_TABLE_CASES = tuple(
    Case(num_seeds=num_seeds, width=width, eager=eager)
    for width in (256, 64)
    for eager in (False, True)
    for num_seeds in (1, 8)
)
"""What stands beside the peers: td3_bc, replayed and eager."""

_PEER_NAMES = {"d3rlpy": "d3rlpy", "jax": "JAX, compiled"}


def rate(case: str | Case, one: Pass) -> float:
    """Return run-steps per second of a contender in a pass."""
    return one[case]["steps_per_second"]


def share(case: Case, one: Pass) -> float:
    """Return the share of the product's rate that a case's own products take in a pass."""
    limit = one[case.limit]["gflop_per_second"]
    return rate(case, one) * one[case]["mflop"] / 1e3 / limit


def agents_table(passes: Sequence[Pass], cases: Iterable[Case]) -> str:
    """Return a table of agents: speed, counted work, share of the limit and memory."""
    lines = [
        "| agent | networks | seeds | device | run-steps/s | MFLOP a run-step "
        "| share of the product's rate | memory [MiB] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        figures = [one[case] for one in passes]
        eager = ", eager" if case.eager or any(one["obstacle"] for one in figures) else ""
        lines.append(
            f"| {case.algorithm}{eager} | {case.network} | {case.num_seeds} | {case.device} "
            f"| {median(passes, lambda one, case=case: rate(case, one)):,.0f} "
            f"| {figures[0]['mflop']:.1f} "
            f"| {median(passes, lambda one, case=case: share(case, one)):.0%} "
            f"| {median(passes, lambda one, case=case: one[case]['mebibytes']):,.0f} |"
        )
    return "\n".join(lines)


def peers_table(passes: Sequence[Pass]) -> str:
    """Return the table of td3_bc beside its products alone and the peers that were run."""
    limit = median(passes, lambda one: one[Case().limit]["gflop_per_second"])
    lines = [
        f"| contender | median of {len(passes)} passes |",
        "|---|---|",
        f"| 256 x 256 x 256 product | {limit:.0f} GFLOP/s |",
    ]
    peers = [name for name in PEERS if name in passes[0]]
    labels: dict[str | Case, str] = {"products": "the products of a step alone"}
    labels |= {case: _label(case) for case in PEER_TABLE_CASES}
    labels |= {name: _PEER_NAMES[name] for name in peers}
    wide = Case()
    for contender, label in labels.items():
        # the peers and the products alone are of the same step as the wide networks'
        case = contender if isinstance(contender, Case) else wide
        speed = median(passes, lambda one, contender=contender: rate(contender, one))
        of_limit = median(
            passes,
            lambda one, contender=contender, case=case: (
                share(case, one) * rate(contender, one) / rate(case, one)
            ),
        )
        lines.append(
            f"| {label} | {speed:.0f} run-steps/s, {of_limit:.0%} of the product's rate |"
        )
    return "\n".join([*lines, *_ratios(passes, peers)])


def _label(case: Case) -> str:
    network = "" if case.width == 256 else f", {case.network}"
    return f"rayoff, {case.seeds_in_words}{network}{', eager' if case.eager else ''}"


def _ratios(passes: Sequence[Pass], peers: Iterable[str]) -> list[str]:
    """Return lines of ratios, each the median of those within a pass."""
    one, eight = Case(), Case(num_seeds=8)
    pairs: dict[str, tuple[str | Case, str | Case]] = {}
    for replayed in (case for case in PEER_TABLE_CASES if not case.eager):
        eager = Case(num_seeds=replayed.num_seeds, width=replayed.width, eager=True)
        seeds = "1 seed" if replayed.num_seeds == 1 else f"{replayed.num_seeds} seeds"
        network = "" if replayed.width == 256 else f", {replayed.network}"
        pairs[f"replayed over eager, {seeds}{network}"] = replayed, eager
    pairs["8 seeds over 1, per seed"] = eight, one
    pairs |= {f"1 seed over {_PEER_NAMES[peer]}": (one, peer) for peer in peers}
    return [
        f"| {label} | {median(passes, lambda p, a=ours, b=theirs: rate(a, p) / rate(b, p)):.2f} |"
        for label, (ours, theirs) in pairs.items()
    ]
