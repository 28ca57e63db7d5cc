"""A file that only takes up room, to be given up when the disk is full (DESIGN D10).

A SQLite database in WAL mode on a full disk cannot even delete: every change needs new WAL pages. Giving up
the ballast makes room for book-keeping and for flash messages until an administrator frees space.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILE_NAME: Final = "ballast"

_RETURN_FACTOR: Final = 2
"""The ballast is made again only when this many times its size is free, so that it does not flap."""


def free_bytes_of(directory: Path) -> int:
    """Bytes an ordinary user may still write to the file system of `directory`."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable: fsync of a file does not cover its directory entry."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Ballast:
    """The ballast file of one store. `size_bytes` is what it should take up, 0 for none."""

    def __init__(self, directory: Path, size_bytes: int, measure_free: Callable[[Path], int] = free_bytes_of) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._measure_free = measure_free
        self.size_bytes = size_bytes
        self.held_bytes = self._measure_held()

    def free_bytes(self) -> int:
        """Free disk in bytes, including what the ballast holds."""
        return self._measure_free(self._directory) + self.held_bytes

    def give_up(self) -> None:
        """Delete the file, if there is one. Raises `OSError`."""
        if self.held_bytes:
            self._path.unlink(missing_ok=True)
            sync_directory(self._directory)
            self.held_bytes = 0

    def restore(self) -> None:
        """Make the file again if it is missing or short and there is room: `held_bytes` says whether it is complete."""
        if self.held_bytes >= self.size_bytes or self.free_bytes() < _RETURN_FACTOR * self.size_bytes:
            return
        try:
            self._fill()
            self.held_bytes = self.size_bytes
        except OSError:
            # Somebody else took the room meanwhile: half a ballast is worth less than the space.
            self._path.unlink(missing_ok=True)
            self.held_bytes = 0

    def _fill(self) -> None:
        """Reserve the blocks and make the reservation durable."""
        handle = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            os.posix_fallocate(handle, 0, self.size_bytes)
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_directory(self._directory)

    def _measure_held(self) -> int:
        """Bytes that the file of an earlier run takes up."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0
