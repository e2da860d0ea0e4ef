"""Paths such as ``critic.norm``: the fields of ``TrialConfig``, flat and nested."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Any, Literal, get_type_hints

from rayoff.config import AGENT_CONFIGS, TrialConfig
from rayoff.errors import StudyError
from rayoff.study.design import Scalar, did_you_mean


@cache
def field_types() -> dict[str, Any]:
    """Return the annotation of every scalar field by path, over all algorithms.

    A hyperparameter that several algorithms have has one type in all of them.
    """
    types = {"algorithm": Literal[tuple(AGENT_CONFIGS)]}
    for name, annotation in get_type_hints(TrialConfig).items():
        if is_dataclass(annotation):
            types |= _annotations(name, annotation)
    for config in AGENT_CONFIGS.values():
        types |= _annotations("agent", config)
    own = ("num_steps", "batch_size", "precision")
    return types | {name: get_type_hints(TrialConfig)[name] for name in own}


@cache
def algorithms_with(path: str) -> tuple[str, ...]:
    """Return the algorithms in whose configuration ``path`` is a field."""
    owner, _, name = path.partition(".")
    if owner != "agent":
        return tuple(AGENT_CONFIGS)
    return tuple(key for key, config in AGENT_CONFIGS.items() if name in get_type_hints(config))


def check_path(path: str) -> None:
    """Check that ``path`` names a field of a trial.

    Raises:
        StudyError: no algorithm has the field; the message names the nearest one.
    """
    if path not in field_types():
        raise StudyError(f"{path!r} is not a field of a trial.{_hint(path)}")


def flatten(config: TrialConfig) -> dict[str, Scalar]:
    """Return every scalar of a configuration by path; the seeds, a tuple, are left out."""
    flat = flatten_values(asdict(config))
    return {path: value for path, value in flat.items() if path != "seeds"}


def flatten_values(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their path, as ``critic.norm``.

    Args:
        config: of a trial, as JSON has it, whichever version of rayoff wrote it.
        prefix: of all paths.
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flatten_values(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def config_from_dict(values: Mapping[str, Any]) -> TrialConfig:
    """Return the configuration of a nested dict, the inverse of ``dataclasses.asdict``.

    Args:
        values: fields by name, ``algorithm`` among them; what is left out has its default.

    Raises:
        StudyError: the algorithm or a key is unknown.
    """
    algorithm = values.get("algorithm", TrialConfig.algorithm)
    if algorithm not in AGENT_CONFIGS:
        hint = did_you_mean(str(algorithm), AGENT_CONFIGS)
        raise StudyError(
            f"algorithm must be one of {', '.join(AGENT_CONFIGS)} but got {algorithm!r}.{hint}"
        )
    hints = _trial_hints() | {"agent": AGENT_CONFIGS[algorithm]}
    parts: dict[str, Any] = {"algorithm": algorithm, "agent": AGENT_CONFIGS[algorithm]()}
    for name, value in values.items():
        if is_dataclass(hints.get(name)):
            _check_keys(f"{name}.", value, hints[name])
            parts[name] = hints[name](**value)
        else:
            parts[name] = tuple(value) if name == "seeds" else value
    _check_keys("", parts, TrialConfig)
    return TrialConfig(**parts)


def config_from_paths(values: Mapping[str, Any]) -> TrialConfig:
    """Return the configuration of a flat dict; hyperparameters of other algorithms are left out.

    Args:
        values: values by path, ``algorithm`` among them; ``seeds`` may be one too.
    """
    nested: dict[str, Any] = {}
    for path, value in values.items():
        owner, _, name = path.partition(".")
        if not name:
            nested[path] = value
        elif values["algorithm"] in algorithms_with(path):
            nested.setdefault(owner, {})[name] = value
    return config_from_dict(nested)


@cache
def _trial_hints() -> dict[str, Any]:
    return get_type_hints(TrialConfig)


def _hint(path: str) -> str:
    """Return which fields may have been meant: a namesake, a near word, or all of the owner's."""
    owner, _, leaf = path.rpartition(".")
    known = [*field_types(), "datasets", "seeds"]
    siblings = [name for name in known if name.startswith(f"{owner}.")]
    if owner and not siblings:
        return did_you_mean(path, known)
    near = difflib.get_close_matches(leaf, [_leaf(name) for name in siblings or known], n=1)
    exact = [name for name in known if _leaf(name) == leaf]
    names = exact or [name for name in siblings or known if _leaf(name) in near]
    if names:
        return f" Did you mean {' or '.join(repr(name) for name in names)}?"
    listed = f"The fields of {owner} are {', '.join(_leaf(name) for name in siblings)}."
    return f" {listed}" if siblings else " See them with: rayoff list axes"


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


def _annotations(owner: str, config: object) -> dict[str, Any]:
    return {f"{owner}.{name}": annotation for name, annotation in get_type_hints(config).items()}


def _check_keys(prefix: str, values: Mapping[str, Any], config: type) -> None:
    known = [f"{prefix}{entry.name}" for entry in fields(config)]
    for path in (f"{prefix}{name}" for name in values):
        if path not in known:
            raise StudyError(f"{path!r} is not a field of a trial.{did_you_mean(path, known)}")
