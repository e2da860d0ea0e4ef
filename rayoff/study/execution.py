"""Running the text of a study file, and saying where it goes wrong."""

import builtins
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from inspect import cleandoc
from types import ModuleType
from typing import Any

from rayoff.errors import StudyError
from rayoff.study.design import Axis, Study, did_you_mean
from rayoff.study.search import Search

_CLASSES = {"Study": Study, "Axis": Axis, "Search": Search}
_NAMES = (*_CLASSES, "Point")


def execute(text: str, file: str, shown: str | None = None) -> Study:
    """Return what the function ``study`` of a file returns, with its question and its text.

    Args:
        text: of the file.
        file: its path, which tracebacks have.
        shown: the path as a reader writes it; None: as ``file``.

    Raises:
        StudyError: the text raises, or defines no function ``study`` that returns a ``Study``.
    """
    shown = shown or file
    module = ModuleType("study")
    module.__file__ = file
    try:
        exec(compile(text, file, "exec"), module.__dict__)
        make = getattr(module, "study", None)
        study = make() if callable(make) else None
    except Exception as error:
        where = f"{shown}, line {line_of(error, file) or 1}"
        raise StudyError(f"{described(error, vars(module))}\n  {where}") from error
    if not isinstance(study, Study):
        raise StudyError(
            "A study file must define study() -> Study but got "
            f"{'no such function' if make is None else repr(study)}.\n  {shown}"
        )
    question = cleandoc(module.__doc__ or "")
    return replace(study, file=shown, question=question, text=text)


def described(error: Exception, names: Mapping[str, Any]) -> str:
    """Return what went wrong in a study file, with the nearest name that would have been right.

    Args:
        error: what it raised.
        names: what the file defines.
    """
    text = str(error)
    if isinstance(error, StudyError):
        return text
    if isinstance(error, SyntaxError):
        return f"The study file is not valid Python: {error.msg}."
    if keyword := re.search(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text
    ):
        owner, word = keyword.groups()
        known = [entry.name for entry in fields(_CLASSES[owner])] if owner in _CLASSES else []
        return f"{owner} has no field {word!r}.{did_you_mean(word, known)}"
    return f"{type(error).__name__}: {text}.{did_you_mean(*_words(error, names))}"


def line_of(error: Exception, file: str) -> int | None:
    """Return the line of a file at which an error was raised, None where it was not in it."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename == file), None)


def _words(error: Exception, names: Mapping[str, Any]) -> tuple[str, Iterable[str]]:
    """Return the name that was not found, and those that it may have been meant for."""
    if isinstance(error, NameError):
        return str(error.name), [*names, *vars(builtins)]
    if isinstance(error, AttributeError):
        return str(error.name), dir(error.obj)
    if missing := re.match(r"cannot import name '(\w+)' from 'rayoff.study'", str(error)):
        return missing[1], _NAMES
    return "", []
