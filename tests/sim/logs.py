"""The files of audit logs on a disk that may lose power."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from relay.audit.check import SECTOR_BYTES
from relay.audit.folder import files_of, first_number


class Syncs:
    """How much of each file was ever synced, by what the program asked of the disk."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note what is synced while the block runs."""
        with patch.object(os, "fsync", self._noted(os.fsync)), patch.object(os, "fdatasync", self._noted(os.fdatasync)):
            yield

    def _noted(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def noted(handle: int) -> None:
            sync(handle)
            there = os.fstat(handle)
            self._sizes[there.st_ino] = there.st_size

        return noted

    def put_back(self, folder: Path, by: Path) -> None:
        """Make a log the copy of another one, durable as whoever puts back a home leaves it."""
        replace_log(folder, by)
        for path in files_of(folder):
            there = path.stat()
            self._sizes[there.st_ino] = there.st_size

    def lose_unsynced(self, folder: Path, dice: random.Random) -> None:
        """A power cut: what was not synced is cut somewhere, and some of its sectors were never written."""
        for path in files_of(folder):
            there = path.stat()
            synced = min(self._sizes.get(there.st_ino, 0), there.st_size)
            if synced == there.st_size:
                continue
            data = bytearray(path.read_bytes()[: dice.randint(synced, there.st_size)])
            for start in range(synced - synced % SECTOR_BYTES, len(data), SECTOR_BYTES):
                if dice.random() < 0.2:
                    begin, end = max(start, synced), min(start + SECTOR_BYTES, len(data))
                    data[begin:end] = bytes(end - begin)
            path.write_bytes(data)


def replace_log(folder: Path, by: Path) -> None:
    """Make a log the copy of another one."""
    shutil.rmtree(folder, ignore_errors=True)
    if by.exists():
        shutil.copytree(by, folder)


def edit(folder: Path, durable: int, dice: random.Random) -> None:
    """Change, take out or swap one of the first so many lines of a log, or cut the log off there."""
    number = dice.randint(1, durable)
    path = [one for one in files_of(folder) if first_number(one) <= number][-1]
    lines = path.read_bytes().splitlines(keepends=True)
    at = number - first_number(path)
    kind = dice.choice(("change", "drop", "swap", "cut"))
    if kind == "change":
        line, spot = bytearray(lines[at]), dice.randrange(len(lines[at]))
        line[spot] ^= 1 << dice.randrange(8)
        lines[at] = bytes(line)
    elif kind == "swap" and number < durable and at + 1 < len(lines):
        lines[at : at + 2] = [lines[at + 1], lines[at]]
    elif kind == "cut":
        lines = lines[:at]
        for later in files_of(folder):
            if first_number(later) > number:
                later.unlink()
    else:
        del lines[at]
    path.write_bytes(b"".join(lines))
