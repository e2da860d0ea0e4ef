"""Tests of the house: which module may import which, what stays light, and safe names."""

import ast
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import rayoff

PACKAGE = Path(rayoff.__file__).parent
ROOT = Path(__file__).parent.parent
TUNE = ROOT / "rayoff" / "tune.py"

# From the ground up. A module imports from lower floors only.
FLOORS = (
    ("batch", "draws", "config", "errors", "files", "inference", "observations"),
    ("networks", "regularizers", "seem", "forecast", "divergence", "stats"),
    ("data", "evaluation", "checkpoint", "provenance"),
    ("agents",),
    ("study",),
    ("trial",),
    ("search", "callbacks", "stopper"),
    ("results",),
    ("report", "plots"),
    ("inspection", "workbench"),
    ("tune",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SAME_FLOOR = {
    ("batch", "draws"),
    ("divergence", "forecast"),
    ("regularizers", "networks"),
    ("seem", "networks"),
    ("callbacks", "stopper"),
    ("search", "callbacks"),
    ("search", "stopper"),
    ("report", "plots"),
}

ROOMS_WITH_RAY = {"search", "callbacks", "stopper", "tune"}
ROOMS_WITHOUT_TORCH = {"config", "errors", "stats", "study", "results", "report", "plots"}
SIMULATORS_AND_READERS = {"gymnasium", "minari", "h5py"}


class Import(NamedTuple):
    """One import: who imports what, and whether it happens as the module is loaded."""

    importer: str
    imported: str
    at_load: bool

    @property
    def package(self) -> str:
        return self.imported.partition(".")[0]


def room(module: str) -> str:
    """Return "networks" for ``rayoff.networks.linear``."""
    return module.split(".")[1]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name != "rayoff":
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports_of(name: str, tree: ast.Module) -> Iterator[Import]:
    deferred = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) or is_type_checking(node)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node not in deferred)
        elif isinstance(node, ast.ImportFrom) and node.module == "rayoff":
            for alias in node.names:
                yield Import(name, f"rayoff.{alias.name}", node not in deferred)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield Import(name, node.module, node not in deferred)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


MODULES = dict(modules())
IMPORTS = [one for name, tree in MODULES.items() for one in imports_of(name, tree)]
OURS = [
    one
    for one in IMPORTS
    if one.imported.startswith("rayoff.") and one.imported != "rayoff.__version__"
]


def test_every_module_stands_on_a_floor() -> None:
    assert {room(name) for name in (*MODULES, *(one.imported for one in OURS))} <= set(FLOOR)


def test_imports_are_found_so_that_the_checks_below_check_something() -> None:
    edges = {(room(one.importer), room(one.imported)) for one in OURS}
    assert {("study", "config"), ("agents", "networks"), ("batch", "draws")} <= edges
    assert any(one.package == "minari" and not one.at_load for one in IMPORTS)


def test_imports_between_rooms_go_downward() -> None:
    edges = {(room(one.importer), room(one.imported)) for one in OURS}
    upward = {
        (importer, imported)
        for importer, imported in edges
        if importer != imported
        and FLOOR[importer] <= FLOOR[imported]
        and (importer, imported) not in SAME_FLOOR
    }
    assert not upward


def test_imports_are_absolute() -> None:
    relative = [
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_ray_is_imported_by_its_adapters_alone() -> None:
    users = {room(one.importer) for one in IMPORTS if one.package == "ray"}
    assert users <= ROOMS_WITH_RAY


def test_what_reads_studies_and_results_does_not_import_torch() -> None:
    users = {room(one.importer) for one in IMPORTS if one.package == "torch"}
    assert not users & ROOMS_WITHOUT_TORCH


def test_simulators_and_dataset_readers_are_imported_where_they_are_used() -> None:
    at_load = [one for one in IMPORTS if one.at_load and one.package in SIMULATORS_AND_READERS]
    assert not at_load


def test_studies_import_the_study_module_only() -> None:
    studies = [path for path in (ROOT / "tune_spaces").glob("*.py") if path.stem != "__init__"]
    assert studies
    for path in studies:
        found = imports_of(path.stem, ast.parse(path.read_text(encoding="utf-8")))
        assert {one.imported for one in found} == {"rayoff.study"}, path.name


def test_no_module_shadows_the_standard_library_or_a_dependency() -> None:
    # `python rayoff/tune.py` puts rayoff/ first on sys.path, on Ray's workers too.
    ours = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    installed = set(importlib.metadata.packages_distributions()) - {"rayoff", "tune_spaces"}
    assert {"config", "study"} <= ours
    assert not ours & (sys.stdlib_module_names | installed)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("rayoff", ("numpy", "pandas", "pyarrow", "torch", "ray", "gymnasium")),
        ("rayoff.config", ("numpy", "torch", "ray")),
        ("rayoff.study", ("numpy", "torch", "ray", "gymnasium", "pydantic")),
        ("rayoff.tune", ("numpy", "pyarrow", "torch", "ray", "pydantic")),
        ("rayoff.data", ("torch", "ray", "pandas", *sorted(SIMULATORS_AND_READERS))),
        ("rayoff.results", ("torch", "ray")),
        ("rayoff.report", ("torch", "ray")),
        ("rayoff.trial", ("ray", "optuna", "tensorboard", *sorted(SIMULATORS_AND_READERS))),
    ],
)
def test_importing_a_module_does_not_load(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted(set({absent}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert rayoff.__version__ == project["version"]


def test_the_command_defines_no_class() -> None:
    # `ray submit` runs it as __main__, whose classes workers cannot import.
    tree = ast.parse(TUNE.read_text(encoding="utf-8"))
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_the_command_runs_as_a_script_from_another_folder(tmp_path: Path) -> None:
    assert_shows_help(TUNE, tmp_path)


def test_the_command_runs_when_its_file_is_copied_alone(tmp_path: Path) -> None:
    # This is what `ray submit` does: one file in the home of the head node.
    assert_shows_help(Path(shutil.copy(TUNE, tmp_path)), tmp_path)


def assert_shows_help(script: Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {"plan", "run", "resume", "report"} <= set(done.stdout.replace(",", " ").split())
