"""What a study can be made of: datasets, studies, algorithms and fields."""

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from rayoff import config
from rayoff.config import AGENT_CONFIGS, TrialConfig
from rayoff.data import list_datasets
from rayoff.study import OBJECTIVES, Search, flatten, load_study, search, study_files
from rayoff.study.paths import field_types
from rayoff.study.search_checks import FIELDS

Entries = Iterator[tuple[str, str]]
"""Pairs of a name and what it is."""


def datasets() -> Entries:
    """Yield sources that need no download, with their size."""
    for source, num_steps in list_datasets():
        yield source, f"{num_steps:,} transitions"


def studies() -> Entries:
    """Yield studies by name, with their question."""
    for name, path in study_files().items():
        yield name, load_study(path).question.partition("\n")[0]


def agents() -> Entries:
    """Yield algorithms, with the first sentence on them."""
    for name, kind in AGENT_CONFIGS.items():
        yield name, (kind.__doc__ or "").partition("\n")[0]


def axes() -> Entries:
    """Yield the fields of a trial and of a search: what each may be, [default] and meaning."""
    meanings, defaults = _meanings(config), flatten(TrialConfig())
    owners = {name: type(value).__name__ for name, value in vars(TrialConfig()).items()}
    for path, annotation in field_types().items():
        owner, _, name = path.rpartition(".")
        kinds = [kind.__name__ for kind in AGENT_CONFIGS.values()]
        places = kinds if owner == "agent" else [owners.get(owner, "TrialConfig"), "NetworkConfig"]
        meaning = next((meanings[p, name] for p in places if (p, name) in meanings), "")
        default = f" [{defaults[path]}]" if path in defaults else ""
        yield path, f"{_allowed(annotation)}{default}: {meaning}"
    yield from _search_fields()


CATALOG: dict[str, Callable[[], Entries]] = {
    "datasets": datasets,
    "studies": studies,
    "agents": agents,
    "axes": axes,
}
"""Everything that can be listed, by its name on the command line."""


def _search_fields() -> Entries:
    """Yield the fields of a search that the command line may change."""
    meanings = _meanings(search)
    allowed = {name: _allowed(annotation) for name, (annotation, _) in FIELDS.items()}
    allowed["objectives"] = ", ".join(OBJECTIVES)
    for field in fields(Search):
        if field.name in allowed:
            default: Any = field.default
            told = ", ".join(default) if field.name == "objectives" else default
            meaning = meanings["Search", field.name]
            yield f"search.{field.name}", f"{allowed[field.name]} [{told}]: {meaning}"


def _allowed(annotation: object) -> str:
    """Return the choices of a field, or its type."""
    if get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    return (
        getattr(annotation, "__name__", str(annotation))
        if not get_args(annotation)
        else str(annotation)
    )


def _meanings(module: ModuleType) -> dict[tuple[str, str], str]:
    """Return the text under each field of a module's classes, by class and field."""
    found = {}
    for owner in ast.parse(inspect.getsource(module)).body:
        if not isinstance(owner, ast.ClassDef):
            continue
        for field, text in zip(owner.body, owner.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ):
                    found[owner.name, name] = " ".join(meaning.split())
    return found
