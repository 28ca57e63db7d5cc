"""Sets of files that change together: numbered directories, each whole or absent.

A generation is written under a hidden name, fsynced file by file, and renamed; a crash leaves the ones before.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keys.files.private_files import fsync_directory, make_private_directory

GENERATION_BYTES: Final = 8 * 1024 * 1024
"""Longest file of a generation: twice the largest directory."""

_NUMBER: Final = re.compile(r"[0-9]{8}")


def list_generations(parent: Path) -> list[Path]:
    """The generations in a directory, newest first; [] when there is no such directory."""
    if not parent.is_dir():
        return []
    return sorted((path for path in parent.iterdir() if _NUMBER.fullmatch(path.name)), reverse=True)


def read_generation(generation: Path) -> dict[str, bytes]:
    """The files of a generation by name; raises `OSError`. What they contain is for the caller to verify."""
    files: dict[str, bytes] = {}
    for path in sorted(generation.iterdir()):
        with path.open("rb") as file:
            files[path.name] = file.read(GENERATION_BYTES)
    return files


def write_generation(parent: Path, files: Mapping[str, bytes], *, keep: int) -> Path:
    """Make these files the newest generation, durably, and remove all but the newest `keep`.

    Raises `OSError`; then the older generations are untouched.
    """
    make_private_directory(parent)
    before = list_generations(parent)
    number = int(before[0].name) + 1 if before else 1
    hidden = parent / f".new-{os.urandom(6).hex()}"
    hidden.mkdir(mode=0o700)
    try:
        for name, data in files.items():
            descriptor = os.open(hidden / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        fsync_directory(hidden)
        # A directory is never renamed over another that has files, so a second writer fails here.
        generation = hidden.rename(parent / f"{number:08d}")
    except OSError:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    fsync_directory(parent)
    for old in (*list_generations(parent)[keep:], *parent.glob(".new-*")):
        shutil.rmtree(old, ignore_errors=True)
    return generation
