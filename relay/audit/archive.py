"""A whole log as one file that needs nobody else: a tar archive, written and read in pieces (CONTRACT section 8).

head.cbor            the office's signature over how many lines there are and the hash of the last
trust/…              the network's trust files, by which that signature is verified
audit/*.jsonl        the lines
"""

import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from keys.roster.directory import Directory
from keys.signing import UnverifiedRecord
from protocol.audit import START, decode_head
from protocol.errors import RemoteError
from protocol.limits import DIRECTORY_BYTES, RECORD_BYTES
from relay.audit.check import Anchor, Walk, check_folder, head_verifier
from relay.audit.folder import FILE_NAME
from relay.evidence import anchored_directory, find_anchor

HEAD_FILE: Final = "head.cbor"
PIECE_BYTES: Final = 64 * 1024
TRUST_FILES: Final = 1_000
"""Most trust files that are read of an archive."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of an archive: the first `size` bytes of a path, or bytes."""

    name: str
    size: int
    source: Path | bytes


def pieces_of(trust: Mapping[str, bytes], head: bytes, files: Sequence[tuple[Path, int]]) -> list[Piece]:
    """The files of an archive, in order; `files` are those of the log with their sizes at this moment."""
    small = [(HEAD_FILE, head), *((f"trust/{name}", data) for name, data in sorted(trust.items()))]
    lines = [Piece(f"audit/{path.name}", size, path) for path, size in files]
    return [Piece(name, len(data), data) for name, data in small] + lines


def archive_bytes(pieces: Sequence[Piece]) -> Iterator[bytes]:
    """The archive, in pieces. Raises `OSError`."""
    for piece in pieces:
        entry = tarfile.TarInfo(piece.name)
        entry.size, entry.mode = piece.size, 0o600
        yield entry.tobuf(tarfile.USTAR_FORMAT)
        yield from _padded(piece)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _padded(piece: Piece) -> Iterator[bytes]:
    if isinstance(piece.source, bytes):
        yield piece.source
    else:
        left = piece.size
        with piece.source.open("rb") as file:
            while left and (data := file.read(min(left, PIECE_BYTES))):
                left -= len(data)
                yield data
        # A file that became shorter meanwhile must not shift those behind it; the check finds the zeros.
        yield bytes(left)
    yield bytes(-piece.size % tarfile.BLOCKSIZE)


def check_archive(path: Path, root: str | None, home: Path | None, known: Sequence[Anchor] = ()) -> dict[str, Any]:
    """Check an archive offline against a root file, a root's fingerprint, or the home's pinned root.

    `known` are heads from elsewhere. Gives the object of a check with `anchored`, `root_fingerprint` and `office`.
    """
    problems: list[str] = []
    found: dict[str, Any] = {
        "ok": False, "anchored": False, "root_fingerprint": None, "office": None, "problems": problems,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="relay-audit-") as place:
        try:
            head, trust = _unpack(path, Path(place))
        except (tarfile.TarError, EOFError, RemoteError) as error:
            problems.append(f"MALFORMED: not an audit archive: {error}")
            return found
        anchor = find_anchor(root, home)
        directory = anchored_directory(trust, anchor, found, problems)
        if directory is not None:
            found |= _check(Path(place), head, directory, known, found, problems)
        if anchor is None:
            problems.append("UNANCHORED: no root to check against; give --root or a home")
    found["ok"] = not problems
    return found


def _check(
    place: Path,
    head: bytes,
    directory: Directory,
    known: Sequence[Anchor],
    found: dict[str, Any],
    problems: list[str],
) -> dict[str, Any]:
    """The lines, against the signature that came with them."""
    try:
        office = decode_head(UnverifiedRecord(head, max_bytes=RECORD_BYTES).payload).office
        verify = head_verifier(directory, office)
        mark = verify(head).mark
    except RemoteError as error:
        problems.append(f"BAD_HEAD {HEAD_FILE}: {error.code}")
        return {}
    record = directory.by_id(office)
    anchors = (*((Anchor("the signed head", mark),) if mark != START else ()), *known)
    check = check_folder(place, Walk(verify, anchors), mark)
    for _ in check.slices():
        pass
    report = check.report()
    problems += report.problems
    return report.as_json() | {
        "office": office.hex() if record is None else record.address,
        "anchored": found["anchored"],
        "root_fingerprint": found["root_fingerprint"],
        "problems": problems,
    }


def _unpack(path: Path, place: Path) -> tuple[bytes, dict[str, bytes]]:
    """Head and trust files; the lines go into `place`. Raises `TarError`, `EOFError`, `RemoteError`, `OSError`."""
    head = b""
    trust: dict[str, bytes] = {}
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            folder, _, name = entry.name.rpartition("/")
            if file is None:
                raise RemoteError("MALFORMED", "something else than a file")
            if entry.name == HEAD_FILE and entry.size <= RECORD_BYTES:
                head = file.read()
            elif folder == "trust" and entry.size <= DIRECTORY_BYTES and len(trust) < TRUST_FILES:
                trust[name] = file.read()
            elif folder == "audit" and FILE_NAME.fullmatch(name):
                _copy(file, place / name)
            else:
                raise RemoteError("MALFORMED", "a file that does not belong there")
    return head, trust


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("xb") as file:
        while data := source.read(PIECE_BYTES):
            file.write(data)
