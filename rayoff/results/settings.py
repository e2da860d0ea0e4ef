"""Settings of trials as columns of the results."""

from dataclasses import asdict
from typing import Any

import pyarrow as pa

from rayoff.config import AGENT_CONFIGS, TrialConfig
from rayoff.study.paths import flatten_values

_IDENTITY_PATHS = ("algorithm", "data.source", "data.fraction", "seeds")


def default_setting(algorithm: str, column: str) -> Any:  # noqa: ANN401
    """Return the default of a setting; None where an algorithm has no such setting.

    Args:
        algorithm: a key of ``rayoff.agents``.
        column: of the results, such as ``config.critic.norm``.
    """
    return _defaults({"algorithm": algorithm}).get(column.removeprefix("config."))


def config_columns(configs: list[dict[str, Any]]) -> list[tuple[str, pa.DataType, list[Any]]]:
    """Return name, type and one value per trial of every setting worth a column.

    Those are worth one that differ between trials or from their algorithm's default.

    Args:
        configs: flat settings of each trial.
    """
    paths = dict.fromkeys(path for config in configs for path in config)
    defaults = [_defaults(config) for config in configs]
    columns = []
    for path in paths:
        used = [
            (c[path], d.get(path)) for c, d in zip(configs, defaults, strict=True) if path in c
        ]
        varied = any(value != used[0][0] for value, _ in used)
        if path in _IDENTITY_PATHS or not (varied or any(v != default for v, default in used)):
            continue
        kind = _arrow_type([value for value, _ in used])
        values = [config.get(path) for config in configs]
        if kind == pa.string():
            values = [None if value is None else str(value) for value in values]
        columns.append((f"config.{path}", kind, values))
    return columns


def _defaults(config: dict[str, Any]) -> dict[str, Any]:
    algorithm = config.get("algorithm", TrialConfig().algorithm)
    agent = AGENT_CONFIGS.get(algorithm, type(TrialConfig().agent))
    return flatten_values(asdict(TrialConfig(algorithm=algorithm, agent=agent())))


def _arrow_type(values: list[Any]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    natives = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    if kinds == {int, float}:
        return pa.float64()
    return natives.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()
