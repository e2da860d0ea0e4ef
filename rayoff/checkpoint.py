"""Checkpoints: tensors as safetensors, all else as JSON beside them; nothing is pickled.

A folder holds ``checkpoint.json`` and the weights file that it names, by the hash of its
content. The JSON is renamed into place last, so a writer that dies at any moment leaves the
previous checkpoint whole; a copy that broke off is found out by the hash. The files are read
without rayoff by any safetensors reader and by any JSON reader that knows ``NaN`` and
``Infinity``, as Python's does.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import safetensors.torch
import torch
from torch import Tensor

from rayoff.errors import CheckpointError
from rayoff.files import replacing

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

_SIDECAR = "checkpoint.json"
_FORMAT = 2


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint, in place of the one that the folder may hold.

    Args:
        folder: made where it is missing; must have no other writer.
        tensors: any shapes, dtypes, layouts and devices; values are kept bit by bit.
        state: what JSON keeps as it is; floats are exact, inf and nan included.

    Raises:
        TypeError: a value of ``state`` would not come back from JSON as it is.
    """
    _check_json(dict(state), "state")
    # Views that share memory are stored as the separate tensors that they will be when read.
    data = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    )
    digest = hashlib.sha256(data).hexdigest()
    weights = f"weights-{digest[:16]}.safetensors"
    sidecar = {"format": _FORMAT, "weights": weights, "sha256": digest, "state": dict(state)}
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / weights, data)
    _write(folder / _SIDECAR, json.dumps(sidecar, indent=1).encode())
    for old in [*folder.glob("weights-*.safetensors"), *folder.glob("*.tmp")]:
        if old.name != weights:
            old.unlink()


def load_checkpoint(
    folder: Path, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, on ``device``, and the state that ``save_checkpoint`` was given.

    Raises:
        CheckpointError: there is no checkpoint, a file of it is missing or damaged, or it was
            written by another version.
    """
    sidecar = _read_sidecar(folder / _SIDECAR)
    weights = folder / str(sidecar["weights"])
    remedy = f"Remove {folder}, and resume from an earlier checkpoint or begin anew."
    try:
        data = weights.read_bytes()
    except FileNotFoundError:
        message = f"{folder / _SIDECAR} names {weights.name}, but it is not there. {remedy}"
        raise CheckpointError(message) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != sidecar["sha256"]:
        raise CheckpointError(
            f"{weights} must have the SHA-256 {sidecar['sha256']}, but got {digest} of "
            f"{len(data):,} bytes: it is damaged, or its copy broke off. {remedy}"
        )
    tensors = safetensors.torch.load(data)
    return {name: tensor.to(device) for name, tensor in tensors.items()}, sidecar["state"]


def flatten_state(state: Mapping[Any, Any]) -> tuple[dict[str, Tensor], JSON]:
    """Return the tensors of a nested state by name, and the JSON that leads back to it.

    A name is the path to its tensor, as in ``critic_optimizer.state.0.exp_avg``.

    Args:
        state: dicts (keys str or int), lists and tuples of tensors, numbers, strings, None:
            what the ``state_dict`` of modules and optimizers consists of.

    Raises:
        TypeError: the state holds something else.
        ValueError: two tensors have the same path, as under the keys 0 and "0".
    """
    tensors: dict[str, Tensor] = {}

    def encode(value: Any, path: str) -> JSON:  # noqa: ANN401 - any state
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Tensor):
            if path in tensors:
                raise ValueError(f"Each tensor must have a path of its own, but got two {path}.")
            tensors[path] = value
            return {"tensor": path}
        if isinstance(value, list | tuple):
            items = [encode(item, f"{path}.{i}") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, Mapping) and all(isinstance(key, str | int) for key in value):
            prefix = f"{path}." if path else ""
            return {"dict": [[key, encode(v, f"{prefix}{key}")] for key, v in value.items()]}
        raise TypeError(f"{path} must be a tensor, number, str, list or dict, but got {value!r}.")

    return tensors, encode(state, "")


def unflatten_state(tensors: Mapping[str, Tensor], structure: JSON) -> Any:  # noqa: ANN401
    """Return the state that ``flatten_state`` took apart: equal values, types and key types.

    Subclasses of dict come back as dict. ``tensors`` may hold others besides.

    Raises:
        CheckpointError: ``tensors`` lacks one that the structure names.
    """
    if isinstance(structure, list):
        return [unflatten_state(tensors, item) for item in structure]
    if not isinstance(structure, dict):
        return structure
    (kind, content), *_ = structure.items()
    if kind == "tensor":
        if content not in tensors:
            raise CheckpointError(
                f"The checkpoint must hold the tensor {content}, but does not: it belongs to "
                "another configuration. Begin the trial anew."
            )
        return tensors[str(content)]
    decoded = unflatten_state(tensors, content)
    return tuple(decoded) if kind == "tuple" else dict(decoded)


def _check_json(value: object, path: str) -> None:
    """Raise TypeError, naming the path, if JSON would turn ``value`` into something else."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, item in value.items():
            _check_json(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_json(item, f"{path}.{i}")
    elif value is not None and not isinstance(value, bool | int | float | str):
        raise TypeError(
            f"{path} must be what JSON keeps as it is (None, bool, int, float, str, list, dict "
            f"with keys of str), but got {value!r}. Pass it through flatten_state."
        )


def _write(path: Path, data: bytes) -> None:
    """Write a file that is either whole or not there."""
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may keep the rename and lose the content


def _read_sidecar(path: Path) -> dict[str, Any]:
    """Return the content of a sidecar, checked to be one of ours."""
    if not path.exists():
        raise CheckpointError(
            f"{path} must exist, but {path.parent} holds no checkpoint. Name another folder, or "
            "train anew."
        )
    try:
        sidecar = json.loads(path.read_bytes())
        version, _ = sidecar["format"], (sidecar["weights"], sidecar["sha256"], sidecar["state"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} must be a checkpoint's JSON, but got {error!r} on reading it. Remove "
            f"{path.parent}, and resume from an earlier checkpoint or begin anew."
        ) from error
    if version != _FORMAT:
        raise CheckpointError(
            f"{path} must have format {_FORMAT}, but got {version!r}. Read it with the version "
            "of rayoff that wrote it (provenance.json of its run)."
        )
    return sidecar
