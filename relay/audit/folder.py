"""HOME/audit: files of lines, each named by the number of its first line, `000000000001.jsonl`."""

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from protocol.audit import LINE_BYTES
from relay.store.ballast import sync_directory

FOLDER: Final = "audit"
"""Where in the home it is."""
FILE_NAME: Final = re.compile(r"([0-9]{12,18})\.jsonl")


def first_number(path: Path) -> int:
    """The number of a file's first line, by its name."""
    return int(path.stem)


def files_of(folder: Path) -> list[Path]:
    """The log's files in order; none when there is no folder."""
    try:
        found = [path for path in folder.iterdir() if FILE_NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=first_number)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, each with its LF. What is longer than a line may be comes in pieces, and so does a last
    line without an LF: neither is a line of a log, and no memory is taken for it.
    """
    while line := file.readline(LINE_BYTES):
        yield line


def create_file(folder: Path, first: int, data: bytes) -> Path:
    """A new file that holds `data`, durable under its name at once or not there at all; raises `OSError`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{first:012}.jsonl"
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.rename(path)
    sync_directory(folder)
    return path


def write_all(handle: int, data: bytes) -> None:
    """Write every byte; raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def delete_files(paths: list[Path]) -> None:
    """Remove files for good; raises `OSError`."""
    for path in paths:
        path.unlink(missing_ok=True)
    if paths:
        sync_directory(paths[0].parent)


def last_lines(folder: Path, most: int, after: int = 0) -> list[bytes]:
    """The last lines of the log whose number is above `after`, oldest first, damaged ones as they are."""
    found: list[bytes] = []
    for path in reversed(files_of(folder)):
        with path.open("rb") as file:
            found = [*deque(lines_of(file), most - len(found)), *found]
        if len(found) >= most or first_number(path) <= after + 1:
            break
    return [line for line in found if _number(line) > after]


def _number(line: bytes) -> int:
    digits = line[5:24].partition(b",")[0]
    return int(digits) if line.startswith(b'{"n":') and digits.isdigit() else 1 << 62
