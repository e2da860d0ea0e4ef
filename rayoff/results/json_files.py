"""JSON files of a run folder, with what to do where one cannot be read."""

import json
from pathlib import Path
from typing import Any

from rayoff.errors import ResultsError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a run folder.

    Raises:
        ResultsError: there is no such file, or it does not hold a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = "Give the folder that `rayoff run` printed, runs/<study>-<hash>."
        raise ResultsError(f"{path} was expected but got no such file. {hint}") from error
    except ValueError as error:
        raise ResultsError(f"{path} must hold JSON but got: {error}.") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path} must hold an object but got a {type(content).__name__}.")
    return content
