"""Paths and commands as a reader can type them."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def shown(path: Path) -> str:
    """Return a path as it is typed: relative to the working directory if it is below."""
    here, path = Path.cwd(), path.absolute()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def typed(program: str, *arguments: str) -> str:
    """Return a command line that a shell in the working directory runs.

    Args:
        program: of this environment, ``rayoff`` or ``tensorboard``; it is named by its path
            where the search path does not lead to it, as in an environment not activated.
        arguments: of the program.
    """
    own = Path(sys.executable).parent / program
    found = shutil.which(program)
    if own.exists() and (found is None or not own.samefile(found)):
        near = os.path.relpath(own)
        # Without a slash, a shell would look on the search path.
        program = min(near if "/" in near else f"./{near}", str(own), key=len)
    return shlex.join([program, *arguments])
