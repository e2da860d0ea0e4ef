"""Which files a report wrote, so that the next one takes away those that it no longer writes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from rayoff.files import replace_file

MANIFEST = "report.sha256"
"""In the folder of a report: digest and path of its files, as ``sha256sum --check`` reads them."""


def update_manifest(folder: Path, written: Iterable[Path]) -> None:
    """Note which files a report wrote, and remove those that only the one before it wrote.

    A file that was changed since then is somebody's own, and stays.

    Args:
        folder: of the report.
        written: its files, in the folder.
    """
    digests = {path.relative_to(folder).as_posix(): _digest(path) for path in written}
    for name, digest in _read(folder / MANIFEST).items():
        path = folder / name
        if name not in digests and path.is_file() and _digest(path) == digest:
            path.unlink()
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    replace_file(folder / MANIFEST, "".join(lines))


def _read(manifest: Path) -> dict[str, str]:
    """Return the digests of an earlier report's files by path, none where there was no report.

    What lies outside the folder, no report has written.
    """
    if not manifest.exists():
        return {}
    lines = manifest.read_text(encoding="utf-8").splitlines()
    digests = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    return {name: digest for name, digest in digests.items() if _is_inside(PurePosixPath(name))}


def _is_inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
