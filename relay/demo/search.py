"""A search for plain bytes in files."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


def files_of(directory: Path) -> list[Path]:
    """The regular files below a directory, with all that a running program keeps there now."""
    return [
        path
        for folder, _, names in os.walk(directory)
        for name in names
        if (path := Path(folder) / name).is_file() and not path.is_symlink()
    ]


def marks_in(paths: Iterable[Path], marks: Sequence[bytes]) -> int:
    """How many of the marks occur in at least one of the files."""
    found: set[bytes] = set()
    for path in paths:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            # A broker or a database has just removed it.
            continue
        found.update(mark for mark in marks if mark in data)
    return len(found)
