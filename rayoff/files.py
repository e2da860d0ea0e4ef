"""Files that readers see whole, old or new, also where their writer is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write a file, which takes the place of ``path`` once it is written.

    It lies beside it under a hidden name that ends with ``.tmp``. An error takes it away; a kill
    leaves it.

    Args:
        path: of the file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file that takes the place of ``path`` at once; see ``replacing``.

    Args:
        path: of the file; its folder is made.
        content: text is written as UTF-8.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
