"""What tests share: one thread of torch, since several processes run them; a Ray and a study."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tiny_studies import make_study

from rayoff.study import Study


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
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write random episodes of the pendulum and return them as a source."""
    from toy_pendulum import write_pendulum

    return write_pendulum(tmp_path_factory.mktemp("data") / "pendulum.parquet")


@pytest.fixture(scope="module")
def study(source: str) -> Study:
    """Return a study of two arms at two fractions of the pendulum."""
    return make_study(source)


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
