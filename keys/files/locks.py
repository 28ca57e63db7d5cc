"""One run at a time in a directory, whoever runs: flock(2) on the directory itself, which ends with the process."""

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOOK_S: Final = 0.05
"""How often it is tried."""


@contextmanager
def locked(directory: Path, patience_s: float = math.inf, busy: Exception | None = None) -> Iterator[None]:
    """Nobody else is between the same two lines for this directory. Raises `busy` when another run is not done in that
    many seconds, `OSError`.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        given_up_s = time.monotonic() + patience_s
        while not _is_taken(descriptor):
            if busy is not None and time.monotonic() >= given_up_s:
                raise busy
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
