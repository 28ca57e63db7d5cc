"""The log itself: appends lines to files, makes them durable, begins new files. Belongs to one thread.

Lines are durable when `sync` returned. Whatever fails is an OSError; the next call mends what it left, by writing the
lines that were not durable once more, so that a log on a full or failing disk carries on when the disk does.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from protocol.audit import LINE_BYTES, Mark
from protocol.errors import Refused
from relay.audit.check import Anchor, Check, VerifyHead, Walk
from relay.audit.entry import HEAD, PURGED, head_note, read_line, write_line
from relay.audit.folder import create_file, delete_files, files_of, first_number, write_all
from relay.audit.notes import RELAY, Note
from relay.times import parse_time_us

SignHead = Callable[[Mark, int], bytes]
"""The office's signed record of a head: at this mark, at this time."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the end of the log looked like at the start: problems, and bytes that a crash had torn."""

    problems: tuple[str, ...] = ()
    torn_bytes: int = 0


class AuditLog:
    """An open log."""

    def __init__(self, folder: Path, sign_head: SignHead, mark: Mark) -> None:
        """For `open`."""
        self._folder = folder
        self._sign_head = sign_head
        self._path = folder
        self._handle = -1
        self._size = 0
        self._broken = False
        self._unsynced: list[Note] = []
        self._durable_size = 0
        self.mark = mark
        self.durable = mark
        self.unsigned = 0
        """Lines since the last signed head."""
        self.problems: list[str] = []
        """What was changed under our hands."""

    @classmethod
    def open(
        cls, folder: Path, sign_head: SignHead, verify_head: VerifyHead, stored: Mark, now_us: int
    ) -> tuple[Self, Found]:
        """Go on where the log ended. A torn end is cut off; a damaged one is left as it is and a new file begun.

        `stored` is the mark in the store. Raises `OSError`.
        """
        files = files_of(folder)[-1:]
        size = files[0].stat().st_size if files else 0
        walk = Walk(verify_head, (Anchor("the store", stored),) if stored.count else ())
        check = Check(files, walk, stored)
        for _ in check.slices():
            pass
        problems = list(walk.problems)
        mark = walk.mark
        if stored.count and not walk.seen and stored.count >= (walk.first or 1):
            last = 0 if mark is None else mark.count
            problems.append(f"CUT: the log ends at line {last}, or is another one; the store knows of {stored.count}")
            mark = stored
        mark = mark or stored
        log = cls(folder, sign_head, mark)
        if not files or problems:
            log._begin_file(now_us)
        elif not log._go_on(files[0], size, check.torn_at):
            problems.append(_changed(files[0]))
            log._begin_file(now_us)
        found = Found(tuple(problems), check.torn_bytes)
        log._say_what_was_found(found, mark.count - stored.count, now_us)
        return log, found

    def append(self, notes: Sequence[Note]) -> None:
        """Write notes; they survive a kill of the process now, and a power cut after `sync`. Raises `OSError`."""
        self._mend()
        data, mark = _write_lines(notes, self.mark)
        self._attempt(lambda: write_all(self._handle, data))
        self._size += len(data)
        self._unsynced += notes
        self.mark = mark
        self.unsigned += len(notes)

    def sign_head(self, now_us: int) -> None:
        """Put a signed head behind the last line. Raises `OSError`."""
        self.append([self._head_note(now_us)])
        self.unsigned = 0

    def sync(self, now_us: int) -> Mark:
        """Make all lines durable; the mark behind them. Raises `OSError`."""
        self._mend()
        if self._was_changed():
            self._leave_file(now_us)
        if self._unsynced:
            self._attempt(lambda: os.fdatasync(self._handle))
        self._is_durable()
        return self.durable

    def rotate(self, largest_bytes: int, now_us: int) -> None:
        """Begin a new file when this one is large enough. Raises `OSError`."""
        if self._size >= largest_bytes:
            self.sync(now_us)
            self._begin_file(now_us)

    def purge(self, before_us: int, now_us: int) -> int:
        """Delete whole files whose newest line is older; the log says so first, signed. How many; raises `OSError`."""
        files = files_of(self._folder)
        # A file's last line is as old as the next one's first.
        old = [path for path, later in pairwise(files) if _began_us(later, now_us) < before_us]
        if not old:
            return 0
        path = self._path
        self.append([Note(now_us, RELAY, PURGED, {"first": first_number(files[len(old)])})])
        self.sign_head(now_us)
        self.sync(now_us)
        if self._path != path:
            # Another program touched the file, and the notes went into a new one without that head: another day.
            return 0
        delete_files(old)
        return len(old)

    def signed_head(self, now_us: int) -> bytes:
        """The office's signature over the log as it is."""
        return self._sign_head(self.mark, now_us)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _head_note(self, now_us: int) -> Note:
        return head_note(self.signed_head(now_us), now_us)

    def _begin_file(self, now_us: int) -> None:
        """A new file that begins with a signed head over all before it."""
        line, mark = write_line(self._head_note(now_us), self.mark)
        _set_aside(self._folder / f"{mark.count:012}.jsonl", now_us)
        path = create_file(self._folder, mark.count, line)
        self._open(path)
        self.mark, self._size, self.unsigned = mark, len(line), 0
        self._is_durable()

    def _leave_file(self, now_us: int) -> None:
        """A file that another program touched is left as it is; what was not yet durable goes into a new one."""
        path, notes = self._path, [note for note in self._unsynced if note.did != HEAD]
        self.mark = self.durable
        self._begin_file(now_us)
        self.problems.append(_changed(path))
        self.append(notes)

    def _go_on(self, path: Path, size: int, torn_at: int | None) -> bool:
        """Append to the file that is there, without its torn end; not when it is another size than was looked at."""
        self._open(path)
        if os.fstat(self._handle).st_size != size:
            return False
        if torn_at is not None:
            os.ftruncate(self._handle, torn_at)
        os.fsync(self._handle)
        self._size = size if torn_at is None else torn_at
        self._is_durable()
        return True

    def _open(self, path: Path) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.close()
        self._path, self._handle = path, handle
        self._broken = False

    def _say_what_was_found(self, found: Found, unknown: int, now_us: int) -> None:
        if unknown > 0:
            # Written before a crash, or by somebody else while we were down: a reader should know which they are.
            self.append([Note(now_us, RELAY, "found", {"lines": unknown})])
        if found.torn_bytes:
            self.append([Note(now_us, RELAY, "torn", {"bytes": found.torn_bytes})])
        if found.problems:
            self.append([Note(now_us, RELAY, "damaged", {"problems": len(found.problems)})])

    def _is_durable(self) -> None:
        self._unsynced.clear()
        self.durable, self._durable_size = self.mark, self._size

    def _was_changed(self) -> bool:
        """Whether the file is not the one that we wrote: shorter, longer, replaced or gone."""
        ours = os.fstat(self._handle)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or ours.st_size != self._size

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError:
            self._broken = True
            raise

    def _mend(self) -> None:
        """After a failure: cut what may be half written, and write again what is not known to be durable."""
        if not self._broken:
            return
        data, _ = _write_lines(self._unsynced, self.durable)
        os.ftruncate(self._handle, self._durable_size)
        write_all(self._handle, data)
        os.fsync(self._handle)
        self._size = self._durable_size + len(data)
        self._is_durable()
        self._broken = False


def _write_lines(notes: Sequence[Note], after: Mark) -> tuple[bytes, Mark]:
    """The lines of notes that follow `after`, and the mark behind them."""
    lines = []
    for note in notes:
        line, after = write_line(note, after)
        lines.append(line)
    return b"".join(lines), after


def _changed(path: Path) -> str:
    return f"CHANGED {path.name}: another program wrote, cut or removed it"


def _set_aside(path: Path, now_us: int) -> None:
    """A file that stands where a new one must begin holds nothing that was ever durable; it is kept all the same."""
    if path.exists():
        path.rename(path.with_suffix(f".{now_us}.damaged"))


def _began_us(path: Path, unknown_us: int) -> int:
    """The time of a file's first line; `unknown_us` where it cannot be read, so that nothing is deleted for it."""
    with path.open("rb") as file:
        at = read_line(file.readline(LINE_BYTES)).get("at")
    try:
        return parse_time_us(at, field="at") if isinstance(at, str) else unknown_us
    except Refused:
        return unknown_us
