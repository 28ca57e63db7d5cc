"""Files that must not be read by others, torn by a crash or overwritten by mistake.

A file appears whole or not at all: it is written under a temporary name with mode 0600, fsynced, put in its
place in one step, and the directory is fsynced. Modes are checked before anything is read.
"""

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


_OVERWRITTEN_BYTES = 1024 * 1024
"""Bytes that are overwritten at a time."""
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
"""Of fcntl.h and linux/fs.h."""


class KeyFileError(Exception):
    """A key file that cannot be used, and what to do about it.

    `code`: KEY_FILE_MISSING, KEY_FILE_MODE, KEY_FILE_DAMAGED, KEY_FILE_KIND, KEY_FILE_NOT_OPENED or
    KEY_FILE_UNREADABLE. `path` is the file; `detail` says in English what was found; `hint` is the command
    to run, or "". Never carries secrets.
    """

    def __init__(self, code: str, path: Path, detail: str, *, hint: str = "") -> None:
        super().__init__(f"{code}: {path}: {detail}" + (f"; run: {hint}" if hint else ""))
        self.code = code
        self.path = path
        self.detail = detail
        self.hint = hint


def fsync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_directory(directory: Path) -> None:
    """Make the directory (and missing parents) with mode 0700, durably; an existing one is left as it is."""
    if directory.is_dir():
        return
    make_private_directory(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    fsync_directory(directory.parent)


@contextmanager
def whole_directory(target: Path, field: str) -> "Iterator[Path]":
    """A directory that appears under its name whole or not at all: what is made is made under the name given here.

    `target` must not exist, or be empty; when what is done with it fails, nothing is left. Raises `Refused`
    FILE_EXISTS about `field`, `OSError`.
    """
    require_empty(target, field)
    make_private_directory(target.parent)
    building = target.with_name(f".{target.name}.{os.urandom(6).hex()}.tmp")
    building.mkdir(mode=0o700)
    try:
        yield building
        # Over an empty directory this succeeds, over one that was filled meanwhile it fails.
        building.rename(target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    fsync_directory(target.parent)


def require_empty(target: Path, field: str) -> None:
    """Raise `Refused` FILE_EXISTS about `field` for anything but a directory that is empty, or nothing."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused("FILE_EXISTS", f"{target} exists and is not empty", field=field)


@contextmanager
def _temporary(path: Path, data: bytes) -> "Iterator[Path]":
    """A durable file with `data` and mode 0600 beside `path`; gone afterwards, unless it was renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(6).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_new(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that must not exist yet; missing directories are made with mode 0700.

    Raises `Refused` FILE_EXISTS, whoever was first; `OSError` when the disk does not take it.
    """
    make_private_directory(path.parent)
    with _temporary(path, data) as temporary:
        try:
            _name(temporary, path)
        except FileExistsError as error:
            raise Refused("FILE_EXISTS", f"{path} exists and is never overwritten", field=str(path)) from error
    fsync_directory(path.parent)


def _name(temporary: Path, path: Path) -> None:
    """Give a file a name that nothing has. Raises `FileExistsError`, or another `OSError`."""
    try:
        # A link is refused when the name is taken; a rename would overwrite it.
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        # FAT and exFAT know no links, and keys, requests and answers travel on such media. Network file systems know
        # links, and not this rename.
        _rename_new(temporary, path)


def _rename_new(old: Path, new: Path) -> None:
    """renameat2(2) with RENAME_NOREPLACE, which Python has no name for. Raises `OSError`."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(new))


def replace(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 in the place of what was there, in one step."""
    make_private_directory(path.parent)
    with _temporary(path, data) as temporary:
        temporary.rename(path)
    fsync_directory(path.parent)


def overwrite(path: Path) -> None:
    """Overwrite a file in place with zeros, durably, so that its blocks show nothing any more; its length stays.

    That reaches the old blocks on file systems that write in place (ext4, XFS), and not on those that copy on write
    (Btrfs, ZFS, snapshots). A solid-state disk may keep the old cells for a while, behind its own controller.
    Raises `OSError`.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        left, at = os.fstat(descriptor).st_size, 0
        while at < left:
            at += os.pwrite(descriptor, bytes(min(_OVERWRITTEN_BYTES, left - at)), at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def erase(path: Path) -> None:
    """Overwrite a file and remove it, durably; nothing happens when there is none. Raises `OSError`.

    Its name goes first, so that nobody finds it half overwritten. One that has another name is only unlinked: a writer
    that was killed between link and unlink leaves two names of what is in force.
    """
    gone = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    with suppress(FileNotFoundError):
        path.rename(gone)
        fsync_directory(path.parent)
        if gone.stat().st_nlink == 1:
            overwrite(gone)
        gone.unlink()
        fsync_directory(path.parent)


def tidy(folder: Path) -> None:
    """Erase what writers that were killed left in a folder: files that nobody will use, with keys in them (G11).

    Only whoever keeps other writers away may (`held` in keys/enrol/candidate.py). Raises `OSError`.
    """
    for path in (*folder.glob(".*.tmp"), *folder.glob(".*.old")):
        erase(path)


def read_private(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file that only its owner can read, in a directory that only its owner can change.

    Raises `KeyFileError` KEY_FILE_MISSING, KEY_FILE_MODE with the chmod to run, KEY_FILE_UNREADABLE, or
    KEY_FILE_DAMAGED for something longer than `max_bytes`.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise KeyFileError("KEY_FILE_MISSING", path, "there is no such file") from error
    except OSError as error:
        raise KeyFileError("KEY_FILE_UNREADABLE", path, os.strerror(error.errno or 0)) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise KeyFileError("KEY_FILE_UNREADABLE", path, "it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        _require_mode(path, found, 0o600)
        _require_mode(path.parent, path.parent.stat(), 0o700)
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise KeyFileError("KEY_FILE_DAMAGED", path, f"it is longer than {max_bytes} bytes")
    return data


def _require_mode(path: Path, found: os.stat_result, mode: int) -> None:
    """Refuse what others may read or change, and what belongs to another user (root's is taken)."""
    if stat.S_IMODE(found.st_mode) & 0o077:
        detail = f"mode {stat.S_IMODE(found.st_mode):04o} lets other users in"
        raise KeyFileError("KEY_FILE_MODE", path, detail, hint=f"chmod {mode:o} {path}")
    if os.geteuid() != 0 and found.st_uid not in (0, os.geteuid()):
        detail = f"it belongs to user {found.st_uid}, not to user {os.geteuid()}"
        raise KeyFileError("KEY_FILE_MODE", path, detail, hint=f"chown {os.geteuid()} {path}")


def credential(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file of a systemd credential, or None when the service was given none of that name."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory) / name if directory else None
    return path if path is not None and path.is_file() else None
