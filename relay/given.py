"""Files that the user names: read whole, up to a limit, whatever stands under the name."""

import os
import stat
from pathlib import Path
from typing import Final

from protocol.errors import Refused

PASSPHRASE_BYTES: Final = 4_096
"""Longest file that is read for its first line."""


def read_given(path: Path, field: str, limit: int) -> bytes:
    """The bytes of a file, at most `limit` and one more: a huge one costs no memory, and its reader sees that it is.

    A pipe that somebody writes to, such as `<(command)`, is read to its end; one without a writer counts as empty.
    Raises `Refused` FILE_MISSING, NOT_PERMITTED or FILE_UNREADABLE about `field`.
    """
    try:
        # Without O_NONBLOCK a named pipe that nobody writes to would hang here for ever, with it an ordinary file is
        # read as always.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise Refused("FILE_MISSING", str(path), field=field) from None
    except PermissionError:
        raise Refused("NOT_PERMITTED", str(path), field=field) from None
    except OSError as error:
        raise Refused("FILE_UNREADABLE", f"{path}: {error.strerror}", field=field) from None
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        os.close(descriptor)
        raise Refused("FILE_UNREADABLE", f"{path}: neither a file nor a pipe", field=field)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            return stream.read(limit + 1)
        except OSError as error:
            raise Refused("FILE_UNREADABLE", f"{path}: {error.strerror}", field=field) from None


def read_passphrase(file: Path) -> bytes:
    """The first line of the file. Raises like `read_given`, and `Refused` BAD_FIELD when it is empty."""
    passphrase = read_given(file, "passphrase_file", PASSPHRASE_BYTES).split(b"\n", 1)[0].rstrip(b"\r")
    if not passphrase:
        raise Refused("BAD_FIELD", "the passphrase file is empty", field="passphrase_file")
    return passphrase
