"""HOME/journal of a network administrator's directory: who did what and when, a line of JSON each, chained.

Each line has `prev`, SHA-256 of the line before, so that a line that was changed or taken out is noticed by whoever
kept a later one. It is for the administrators' own memory; what counts is in the signed files.
"""

import fcntl
import json
import os
import pwd
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from keys.files.private_files import fsync_directory
from relay.times import time_text

JOURNAL: Final = "journal"
FIRST: Final = "0" * 64


def note_act(home: Path, act: str, done: bool, holders: Sequence[str], version: int) -> None:
    """Append a line, durably; after a line that a power cut tore, in its place. Raises `OSError`."""
    path = home / JOURNAL
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        # Two administrators at once: whoever reads the last line appends before another does.
        fcntl.flock(file, fcntl.LOCK_EX)
        data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        file.truncate(len(whole))
        lines = whole.splitlines()
        said = {
            "v": 1,
            "at": time_text(time.time_ns() // 1_000),
            "by": _user(),
            "act": act,
            "state": "done" if done else "pending",
            "holders": list(holders),
            "version": version,
            "prev": sha256(lines[-1]).hexdigest() if lines else FIRST,
        }
        file.write(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if not lines:
        fsync_directory(home)


def read_journal(home: Path) -> tuple[list[dict[str, Any]], int | None]:
    """(the lines, the number of the first one that does not fit the one before it, or None)."""
    path = home / JOURNAL
    lines = path.read_bytes().splitlines() if path.exists() else []
    found: list[dict[str, Any]] = []
    broken = None
    before = FIRST
    for number, line in enumerate(lines, start=1):
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("prev") != before:
            broken = broken or number
        if isinstance(said, dict):
            found.append(said)
        before = sha256(line).hexdigest()
    return found, broken


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
