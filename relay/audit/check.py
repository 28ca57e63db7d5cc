"""Whether a log is whole: every line's hash, every signed head, and the marks that others remember (G15).

What a crash may leave is told from what it cannot: lines are appended and a mark enters the store only after they are
durable, so only the very end, behind that mark, may be torn: a last line without its LF, or blocks that stayed zero.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keys.roster.directory import Directory
from keys.signing import AUDIT, open_record
from protocol.audit import GENESIS, LINE_BYTES, START, AuditHead, Mark, decode_head, require_next, split_line
from protocol.errors import RemoteError
from protocol.ids import Digest, KeyId, OfficeId, digest_text
from protocol.limits import RECORD_BYTES
from relay.audit.entry import HEAD, PURGED, is_note, read_body
from relay.audit.folder import files_of, first_number, lines_of

SLICE_LINES: Final = 2_000
"""Lines between two pauses of a check: about 10 ms."""
SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all."""
PROBLEMS_LISTED: Final = 100
"""Most problems that a report names; more are as bad."""

VerifyHead = Callable[[bytes], AuditHead]
"""The head in a signed record; raises `RemoteError`."""


def head_verifier(directory: Directory, office: OfficeId) -> VerifyHead:
    """Verifies heads by the keys that the directory names for an office, old ones too: a log is read for years."""
    record = directory.by_id(office)
    keys = {} if record is None else {key.key_id: key.public for key in record.keys}

    def public_for(key_id: KeyId) -> bytes:
        if key_id not in keys:
            raise RemoteError("UNKNOWN_KEY", "no key of this office in the directory")
        return keys[key_id]

    def verify(data: bytes) -> AuditHead:
        head = decode_head(open_record(data, AUDIT, public_for, max_bytes=RECORD_BYTES))
        if head.network != directory.network_id:
            raise RemoteError("WRONG_NETWORK", "a head of another network's log")
        if head.office != office:
            raise RemoteError("UNKNOWN_OFFICE", "a head of another office's log")
        return head

    return verify


@dataclass(frozen=True, slots=True)
class Anchor:
    """A mark that is remembered elsewhere: `source` says by whom. A count of 0 stands for any line with that hash."""

    source: str
    mark: Mark


def given(marks: Iterable[Mark]) -> list[Anchor]:
    """Heads that somebody brought."""
    return [Anchor(f"given head {number}", mark) for number, mark in enumerate(marks, 1)]


@dataclass(slots=True)
class Walk:
    """Goes through lines in order and notes what is wrong. `mark` is where it stands, None where nobody knows."""

    verify_head: VerifyHead
    anchors: Sequence[Anchor] = ()
    mark: Mark | None = START
    first: int | None = None
    heads: int = 0
    purged: int = 1
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    _where: str = ""
    _expected: int | None = None
    _says_purged: int = 1
    _at: Mapping[int, list[Anchor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at: dict[int, list[Anchor]] = {}
        for anchor in self.anchors:
            at.setdefault(anchor.mark.count, []).append(anchor)
        self._at = at

    def begin_file(self, path: Path) -> None:
        """The next lines are those of this file."""
        self._where, self._expected, self._says_purged = path.name, first_number(path), 1
        if self.first is None:
            self.first = self._expected
            if self._expected > 1:
                self.mark = None
        elif self.mark is not None and self._expected != self.mark.count + 1:
            what = "MISSING" if self._expected > self.mark.count else "TWICE"
            self._problem(what, f"the file begins with line {self._expected}, the one before ends at {self.mark.count}")
            self.mark = None

    def take(self, line: bytes) -> None:
        """One line with its LF."""
        first, self._expected = self._expected, None
        try:
            number, body, claimed = split_line(line)
        except RemoteError as error:
            after = "" if self.mark is None else f" after line {self.mark.count}"
            self._problem("CHANGED", f"{error.detail}{after}")
            self.mark = None
            return
        head = self._head_of(number, body, must=first is not None)
        before = head.mark if self.mark is None and first is not None and head is not None else self.mark
        if before is not None:
            self._compare(number, body, claimed, before)
            if head is not None and head.mark != before:
                self._problem("BAD_HEAD", f"line {number} signs another log than the one before it")
        if first not in (None, number):
            self._problem("BROKEN", f"the file begins with line {number}")
        # A chain takes lines from anybody, so only a head right behind it, in the same file, vouches for a purge: the
        # relay signs none there by itself.
        if head is not None:
            self.purged = max(self.purged, self._says_purged)
        self._says_purged = self._purged_of(body) if is_note(number, body, PURGED) else 1
        self.mark = Mark(number, claimed)
        self._meet(self.mark)

    def finish(self) -> None:
        """All lines were taken: what is remembered elsewhere must have been among them."""
        first, self._where = self.first or 1, ""
        if first > self.purged:
            self._problem("MISSING", f"lines before {first} are gone, and no line says that their retention ended")
        last = 0 if self.mark is None else self.mark.count
        for anchor in self.anchors:
            if anchor.source in self.seen or 0 < anchor.mark.count < first:
                continue
            if anchor.mark.count == 0:
                if anchor.mark.head != GENESIS:
                    self._problem("UNKNOWN_HEAD", f"no line has the hash {digest_text(anchor.mark.head)}")
            elif anchor.mark.count > last:
                self._problem("CUT", f"the log ends at line {last}, {anchor.source} knows of {anchor.mark.count}")
            else:
                self._problem("CHANGED", f"line {anchor.mark.count} is not the one that {anchor.source} knows")

    def _compare(self, number: int, body: bytes, claimed: Digest, before: Mark) -> None:
        try:
            require_next(number, body, claimed, before)
        except RemoteError as error:
            self._problem("BROKEN" if number != before.count + 1 else "CHANGED", error.detail)

    def _meet(self, mark: Mark) -> None:
        """Anchors at this line are as remembered, or not."""
        for anchor in self._at.get(mark.count, ()):
            if anchor.mark == mark:
                self.seen.add(anchor.source)
        for anchor in self._at.get(0, ()):
            if anchor.mark.head == mark.head:
                self.seen.add(anchor.source)

    def _head_of(self, number: int, body: bytes, *, must: bool) -> AuditHead | None:
        """The verified head in a line that is one; a file `must` begin with one."""
        if not is_note(number, body, HEAD):
            if must:
                self._problem("BAD_HEAD", f"line {number} begins a file without a signed head")
            return None
        try:
            record = read_body(body).get("record")
            head = self.verify_head(bytes.fromhex(record if isinstance(record, str) else ""))
        except (RemoteError, ValueError) as error:
            code = error.code if isinstance(error, RemoteError) else "MALFORMED"
            self._problem("BAD_HEAD", f"line {number} holds no head signed by this office: {code}")
            return None
        self.heads += 1
        return head

    def _purged_of(self, body: bytes) -> int:
        try:
            first = read_body(body).get("first")
        except RemoteError:
            return 1
        return first if type(first) is int else 1

    def _problem(self, code: str, text: str) -> None:
        if len(self.problems) < PROBLEMS_LISTED:
            self.problems.append(f"{code} {self._where}: {text}" if self._where else f"{code}: {text}")


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `torn_bytes` is an end that a crash left and the next start cuts off; no problem."""

    first: int
    mark: Mark
    files: int
    heads: int
    torn_bytes: int
    against: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "ok": self.ok,
            "first": self.first,
            "count": self.mark.count,
            "head": digest_text(self.mark.head),
            "files": self.files,
            "signed_heads": self.heads,
            "torn_bytes": self.torn_bytes,
            "against": list(self.against),
            "problems": list(self.problems),
        }


class Check:
    """One check of the files of a log, in slices.

    `durable` is the mark in the store: behind it, at the very end, a tear is no problem. `until` bounds the check of a
    log that is being written: what is behind it is not looked at.
    """

    def __init__(self, files: Sequence[Path], walk: Walk, durable: Mark, until: Mark | None = None) -> None:
        self._files = files
        self.walk = walk
        self._durable = durable
        self._until = until
        self.torn_at: int | None = None
        self.torn_bytes = 0

    def slices(self) -> Iterator[None]:
        """Look at everything, with a pause after each slice."""
        left = SLICE_LINES
        for path in self._files:
            self.walk.begin_file(path)
            last = path == self._files[-1]
            for at, line in self._lines(path):
                if last and self._is_torn(at, line):
                    self.torn_at, self.torn_bytes = at, path.stat().st_size - at
                    return
                self.walk.take(line)
                left -= 1
                if left == 0:
                    left = SLICE_LINES
                    yield
                if self._until is not None and self.walk.mark is not None and self.walk.mark.count >= self._until.count:
                    return

    def report(self) -> Report:
        """What was found; after the last slice."""
        self.walk.finish()
        mark = self.walk.mark or START
        return Report(
            self.walk.first or 1, mark, len(self._files), self.walk.heads, self.torn_bytes,
            tuple(sorted(self.walk.seen)), tuple(self.walk.problems),
        )  # fmt: skip

    def _lines(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Every line with its place in the file; a file that cannot be read is a problem of the log."""
        at = 0
        try:
            with path.open("rb") as file:
                for line in lines_of(file):
                    yield at, line
                    at += len(line)
        except OSError as error:
            self.walk.problems.append(f"UNREADABLE {path.name}: {error.strerror}")

    def _is_torn(self, at: int, line: bytes) -> bool:
        """Whether a crash may have left this: the beginning of the next line, then nothing, or zeros up to a sector's
        end; and nothing that was durable is missing before it.
        """
        mark = self.walk.mark
        if mark is None or mark.count < self._durable.count:
            return False
        written, zero, rest = line.partition(b"\0")
        ours = b'{"n":%d,"did":"' % (mark.count + 1)
        if not written.startswith(ours) and not ours.startswith(written):
            return False
        if not zero:
            return not line.endswith(b"\n") and len(line) < LINE_BYTES
        behind = rest.lstrip(b"\0")
        return not behind or (at + len(line) - len(behind)) % SECTOR_BYTES == 0


def check_folder(folder: Path, walk: Walk, durable: Mark, until: Mark | None = None) -> Check:
    """A check of all files of a folder."""
    return Check(files_of(folder), walk, durable, until)
