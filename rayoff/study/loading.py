"""Finding a study by its name or path."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from rayoff.errors import StudyError
from rayoff.study.design import Study, did_you_mean, located
from rayoff.study.execution import execute
from rayoff.study.resolved import from_json


def load_study(name_or_path: str | Path) -> Study:
    """Return a study by the name of its file, or from a path.

    Args:
        name_or_path: ``quickstart`` for ``tune_spaces/quickstart.py``, of the working directory
            or else of the installed package; a ``.py`` file; a resolved ``study.json``; or the
            run folder that holds one.

    Raises:
        StudyError: there is no such study, its file raises (the message names the line), or it
            defines no function ``study`` that returns a ``Study``.
    """
    path = _find(str(name_or_path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"A study must be a readable text file but got {error}.") from error
    if path.suffix == ".json":
        with located(_shown(path)):
            return replace(from_json(text), file=_shown(path))
    return execute(text, str(path), _shown(path))


def study_files() -> dict[str, Path]:
    """Return the study files by name: those of the working directory, then of the package."""
    folders = [Path("tune_spaces")]
    spec = importlib.util.find_spec("tune_spaces")
    if spec is not None and spec.submodule_search_locations:
        folders += [Path(folder) for folder in spec.submodule_search_locations]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            if not path.stem.startswith("_"):
                found.setdefault(path.stem, path)
    return found


def _find(name: str) -> Path:
    path = Path(name)
    if (path / "study.json").is_file():
        return path / "study.json"
    if path.suffix in (".py", ".json") or "/" in name:
        if path.is_file():
            return path
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*")))
        raise StudyError(f"A study must be a file or a run folder but {name!r} is neither.{near}")
    studies = study_files()
    if name not in studies:
        raise StudyError(
            f"No study is named {name!r}.{did_you_mean(name, studies)}\n"
            f"  tune_spaces/ has {', '.join(sorted(studies))}"
        )
    return studies[name]


def _shown(path: Path) -> str:
    """Return a path as a reader would write it: from the working directory or the package."""
    absolute = path.resolve()
    if absolute.is_relative_to(Path.cwd()):
        return str(absolute.relative_to(Path.cwd()))
    return f"tune_spaces/{path.name}" if path.parent.name == "tune_spaces" else str(absolute)
