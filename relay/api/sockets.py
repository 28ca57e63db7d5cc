"""Unix sockets below HOME/run, in a home of any length.

`sun_path` holds 107 bytes; a home may have 200. Both ends therefore go through a descriptor of the
directory: `/proc/self/fd/N/api.sock` is short whatever the home is called.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import Refused

API_SOCKET: Final = "api.sock"
ADMIN_SOCKET: Final = "admin.sock"
API_MODE: Final = 0o660
ADMIN_MODE: Final = 0o600
BACKLOG: Final = 512
PROBE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound, not yet listening socket, and the inode by which its file is known again."""

    socket: socket.socket
    directory: Path
    name: str
    inode: int

    def remove(self) -> None:
        """Removes the file, unless another process has put its own there meanwhile."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _directory(self.directory) as folder:
            if os.stat(self.name, dir_fd=folder, follow_symlinks=False).st_ino == self.inode:
                os.unlink(self.name, dir_fd=folder)


def bind_socket(directory: Path, name: str, mode: int, group: int | None = None) -> Listener:
    """Binds `directory/name` with exactly this mode and group; the directory must exist.

    A socket file that nobody answers on is replaced. Raises `Refused` HOME_IN_USE when somebody answers,
    FILE_EXISTS when the name is taken by something that is no socket, CANNOT_WRITE when it cannot be made.
    """
    try:
        with _directory(directory) as folder:
            _remove_stale(folder, name)
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            # The mode must be right from the first instant, hence umask and not chmod.
            before = os.umask(0o777 & ~mode)
            try:
                made.bind(_short(folder, name))
            finally:
                os.umask(before)
            if group is not None:
                os.chown(name, -1, group, dir_fd=folder, follow_symlinks=False)
            inode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except OSError as error:
        raise Refused("CANNOT_WRITE", f"{name}: {error.strerror}") from error
    return Listener(made, directory, name, inode)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _short(folder: int, name: str) -> str:
    return f"/proc/self/fd/{folder}/{name}"


def _remove_stale(folder: int, name: str) -> None:
    """Makes room for a new socket file; see `bind_socket`."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise Refused("FILE_EXISTS", f"{name} is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(_short(folder, name))
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        else:
            raise Refused("HOME_IN_USE", f"somebody answers on {name}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
