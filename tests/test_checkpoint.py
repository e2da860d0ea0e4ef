"""Tests of rayoff.checkpoint: bit-exact, and whole whenever the writer dies."""

import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rayoff.checkpoint import flatten_state, load_checkpoint, save_checkpoint, unflatten_state
from rayoff.errors import CheckpointError

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.uint8, torch.bool,
]  # fmt: skip


def raw_bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().flatten().view(torch.uint8).tolist())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back_bit_by_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 256, (4, 3, 8), dtype=torch.uint8, generator=generator)
    tensor = bits % 2 == 1 if dtype == torch.bool else bits.view(dtype)  # nan payloads included

    save_checkpoint(tmp_path, {"x": tensor}, {})
    loaded = load_checkpoint(tmp_path)[0]["x"]

    assert (loaded.dtype, loaded.shape) == (tensor.dtype, tensor.shape)
    assert raw_bytes(loaded) == raw_bytes(tensor)


def test_scalars_empty_tensors_and_views_of_one_memory_come_back(tmp_path: Path) -> None:
    x = torch.arange(6.0, requires_grad=True)
    tensors = {
        "scalar": torch.tensor(7.0),
        "empty": torch.empty(0, 3),
        "no rows": torch.empty(0),
        "rows": x.view(2, 3),
        "transposed": x.view(2, 3).t(),
        "expanded": x[:1].expand(4),
        "same": x,
        "again": x,
    }
    save_checkpoint(tmp_path, tensors, {})
    loaded, _ = load_checkpoint(tmp_path)

    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor)
    loaded["same"][0] = 9
    assert loaded["again"][0] == 0


FLOATS = [0.1, -0.0, 1 / 3, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 1e16]


def test_state_comes_back_exactly_with_its_floats(tmp_path: Path) -> None:
    state = {
        "floats": FLOATS,
        "integer": 2**63 + 1,
        "nested": {"": [None, True, False, [], {}], "ünï\n": "text \ud7ff"},
        "kept as float": 3.0,
    }
    save_checkpoint(tmp_path, {}, state)
    _, loaded = load_checkpoint(tmp_path)

    floats = zip(loaded.pop("floats"), state.pop("floats"), strict=True)
    assert all(struct.pack("d", a) == struct.pack("d", b) for a, b in floats)
    assert loaded == state
    assert isinstance(loaded["kept as float"], float)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"betas": (0.9, 0.999)}, r"state\.agent\.betas must .* got \(0\.9, 0\.999\)"),
        ({0: 1.0}, r"state\.agent must .* got \{0: 1\.0\}"),
        ([1, torch.ones(1)], r"state\.agent\.1 must .* got tensor"),
    ],
)
def test_state_that_json_would_change_is_refused(tmp_path: Path, value: object, path: str) -> None:
    with pytest.raises(TypeError, match=path):
        save_checkpoint(tmp_path, {}, {"agent": value})
    assert list(tmp_path.iterdir()) == []


def test_a_nested_state_comes_back_with_the_types_of_its_values_and_keys(tmp_path: Path) -> None:
    state = {
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 10: {}}, "betas": (0.9, (1,))},
        "list": [torch.ones(2), None, "x", [True]],
        "dict": {"tensor": "not one", "tuple": [1]},
    }
    tensors, structure = flatten_state(state)
    assert set(tensors) == {"optimizer.state.0.step", "list.0"}

    save_checkpoint(tmp_path, tensors, {"structure": structure})
    tensors, loaded = load_checkpoint(tmp_path)
    restored = unflatten_state(tensors, loaded["structure"])

    assert torch.equal(restored["optimizer"]["state"][0].pop("step"), torch.tensor(3.0))
    assert torch.equal(restored["list"].pop(0), torch.ones(2))
    state["optimizer"]["state"][0].pop("step")
    state["list"].pop(0)
    assert restored == state
    assert isinstance(restored["optimizer"]["betas"], tuple)
    assert restored["list"][2][0] is True


def test_states_that_cannot_be_told_apart_or_stored_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got two a\.0"):
        flatten_state({"a": {0: torch.ones(1), "0": torch.ones(1)}})
    with pytest.raises(TypeError, match=r"^a\.b\.0 must be a tensor, .* but got \{1\}"):
        flatten_state({"a": {"b": [{1}]}})


def test_a_tensor_that_the_structure_names_must_be_there() -> None:
    tensors, structure = flatten_state({"critic": {"weight": torch.ones(1)}})
    tensors["other"] = tensors.pop("critic.weight")
    with pytest.raises(CheckpointError, match=r"must hold the tensor critic\.weight"):
        unflatten_state(tensors, structure)


def build(optimizer: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    if optimizer == "adam":
        return model, torch.optim.Adam(model.parameters(), lr=3e-4)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(16, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_training_goes_on_bit_by_bit_from_a_checkpoint(tmp_path: Path, name: str) -> None:
    model, optimizer = build(name)
    train(model, optimizer, range(7))
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    tensors, structure = flatten_state(state)
    save_checkpoint(tmp_path, tensors, {"agent": structure, "step": 7})

    tensors, loaded = load_checkpoint(tmp_path)
    restored = unflatten_state(tensors, loaded["agent"])
    resumed, resumed_optimizer = build(name)
    resumed.load_state_dict(restored["model"])
    resumed_optimizer.load_state_dict(restored["optimizer"])
    for pair in ((model, optimizer), (resumed, resumed_optimizer)):
        train(*pair, range(7, 14))

    before, after = model.state_dict(), resumed.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert str(optimizer.state_dict()) == str(resumed_optimizer.state_dict())


def test_a_new_checkpoint_takes_the_place_of_the_old_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoint"
    for step in (1, 2, 2):
        save_checkpoint(folder, {"x": torch.full((3,), step)}, {"step": step})
    (folder / "left by a dead writer.tmp").touch()
    save_checkpoint(folder, {"x": torch.full((3,), 3)}, {"step": 3})

    tensors, state = load_checkpoint(folder)
    assert (tensors["x"].tolist(), state) == ([3, 3, 3], {"step": 3})
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".safetensors"]


KILLED_AT_EVERY_FILE_OPERATION = """
import json, os, signal, sys
from pathlib import Path
import torch
from rayoff.checkpoint import load_checkpoint, save_checkpoint

folder = Path(sys.argv[1])

def save(step):
    save_checkpoint(folder, {"x": torch.full((1000,), float(step))}, {"step": step})

def die_at(operation):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event == "open" or event.startswith("os."):
            seen += 1
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

save(0)
for operation in range(1, 100):
    if (child := os.fork()) == 0:
        die_at(operation)
        save(operation)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    tensors, state = load_checkpoint(folder)
    killed, values = os.WIFSIGNALED(status), tensors["x"].unique().tolist()
    print(json.dumps([operation, killed, state["step"], values]))
    if not killed:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_writer_killed_at_any_file_operation_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    outcomes = [json.loads(line) for line in run(KILLED_AT_EVERY_FILE_OPERATION, tmp_path)]

    last_whole = 0
    for operation, killed, step, values in outcomes:
        assert step in (last_whole, operation)
        assert values == [step]
        last_whole = step
        assert killed == (operation < len(outcomes))
    assert len(outcomes) > 4
    assert outcomes[0][2] == 0  # killed before it had written anything
    assert outcomes[-1][2] == len(outcomes)  # not killed


KILLED_HALFWAY_THROUGH_A_FILE = """
import resource, signal, sys
from pathlib import Path
import torch
from rayoff.checkpoint import save_checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
num_weights, num_letters = map(int, sys.argv[2:])
save_checkpoint(Path(sys.argv[1]), {"x": torch.ones(num_weights)}, {"step": "1" * num_letters})
print("survived")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
@pytest.mark.parametrize("sizes", [(1000, 1), (1, 3000)], ids=["weights", "sidecar"])
def test_a_writer_killed_halfway_through_a_file_leaves_the_previous_checkpoint(
    tmp_path: Path, sizes: tuple[int, int]
) -> None:
    save_checkpoint(tmp_path, {"x": torch.zeros(1000)}, {"step": 0})

    assert run(KILLED_HALFWAY_THROUGH_A_FILE, tmp_path, *sizes, check=False) == []

    assert [path.stat().st_size for path in tmp_path.glob("*.tmp")] == [2000]
    tensors, state = load_checkpoint(tmp_path)
    assert (state, tensors["x"].tolist()) == ({"step": 0}, [0.0] * 1000)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
def test_a_full_disk_leaves_the_previous_checkpoint_and_no_half_file(tmp_path: Path) -> None:
    import resource

    save_checkpoint(tmp_path, {"x": torch.zeros(1000)}, {"step": 0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path, {"x": torch.ones(1000)}, {"step": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    tensors, state = load_checkpoint(tmp_path)
    assert (state, tensors["x"].tolist()) == ({"step": 0}, [0.0] * 1000)
    assert list(tmp_path.glob("*.tmp")) == []


def run(program: str, *arguments: object, check: bool = True) -> list[str]:
    """The lines that a program prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.splitlines()


def cut_weights(folder: Path) -> None:
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])


def flip_a_bit(folder: Path) -> None:
    (weights,) = folder.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def remove_weights(folder: Path) -> None:
    (weights,) = folder.glob("*.safetensors")
    weights.unlink()


def cut_sidecar(folder: Path) -> None:
    path = folder / "checkpoint.json"
    path.write_bytes(path.read_bytes()[:-1])


def edit_sidecar(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


DAMAGES = {
    "cut weights": (cut_weights, r"weights-\w+\.safetensors must have the SHA-256 .*Remove"),
    "bit flipped": (flip_a_bit, r"weights-\w+\.safetensors must have the SHA-256 .*Remove"),
    "no weights": (remove_weights, r"checkpoint\.json names weights-\w+\.safetensors, but"),
    "cut sidecar": (cut_sidecar, r"checkpoint\.json must be .* but got JSONDecodeError.*Remove"),
    "no sidecar": (lambda folder: (folder / "checkpoint.json").unlink(), r"holds no checkpoint\."),
    "earlier format": (lambda folder: edit_sidecar(folder, {"format": 1}), "format 2, but got 1"),
    "later format": (lambda folder: edit_sidecar(folder, {"format": 3}), "format 2, but got 3"),
    "not ours": (lambda folder: (folder / "checkpoint.json").write_text("[]"), r"TypeError"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_with_its_file_and_what_to_do(
    tmp_path: Path, damage: str
) -> None:
    save_checkpoint(tmp_path, {"x": torch.ones(3)}, {"step": 1})
    inflict, message = DAMAGES[damage]
    inflict(tmp_path)

    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_does_not_exist_holds_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no checkpoint\. Name another folder"):
        load_checkpoint(tmp_path / "nowhere")


def test_the_files_can_be_read_without_rayoff(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    save_checkpoint(tmp_path, {"x": torch.tensor([1.0, 2.0])}, {"step": 5, "score": math.inf})

    sidecar = json.loads((tmp_path / "checkpoint.json").read_text())
    assert sidecar["state"] == {"step": 5, "score": math.inf}
    assert load_file(tmp_path / sidecar["weights"])["x"].tolist() == [1.0, 2.0]


@pytest.mark.gpu
def test_tensors_are_loaded_onto_the_device_that_is_asked_for(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"x": torch.arange(5.0, device="cuda")}, {})
    loaded = load_checkpoint(tmp_path, "cuda")[0]["x"]
    assert loaded.is_cuda
    assert loaded.tolist() == [0, 1, 2, 3, 4]
