"""What all tests share: one thread of torch, since the suite runs in several processes; a Ray."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def float64() -> Iterator[None]:
    """Make float64 the dtype of new tensors."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Start a Ray whose workers can import what the tests import."""
    import ray

    tests = Path(__file__).parent
    importable = os.pathsep.join(map(str, [tests, tests.parent / "benchmarks"]))
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets' paths must be short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": importable}},
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


# A busy machine is no failure, and a failure should come again: no deadline, no chance.
settings.register_profile("rayoff", deadline=None, derandomize=True)
settings.load_profile("rayoff")
