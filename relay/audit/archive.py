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
from typing import Any, BinaryIO, Final

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
TRUST_BYTES: Final = 4 * DIRECTORY_BYTES
"""Most trust files that are read of an archive, and their bytes: as much as evidence may bring."""


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
        except (tarfile.TarError, RemoteError) as error:
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
    """Head and trust files; the lines go into `place`. Raises `TarError`, `RemoteError`, `OSError`."""
    head = b""
    trust: dict[str, bytes] = {}
    with path.open("rb") as archive:
        for full_name, size in _entries(archive):
            folder, _, name = full_name.rpartition("/")
            if full_name == HEAD_FILE and size <= RECORD_BYTES:
                head = b"".join(_content(archive, size))
            elif folder == "trust" and size + sum(map(len, trust.values())) <= TRUST_BYTES and len(trust) < TRUST_FILES:
                trust[name] = b"".join(_content(archive, size))
            elif folder == "audit" and FILE_NAME.fullmatch(name) and not (place / name).exists():
                with (place / name).open("xb") as file:
                    file.writelines(_content(archive, size))
            else:
                raise RemoteError("MALFORMED", "a file that does not belong there")
    return head, trust


def _entries(archive: BinaryIO) -> Iterator[tuple[str, int]]:
    """Names and sizes of the files of an archive, each to be read with `_content` before the next is asked for.

    Nothing but plain files as `archive_bytes` writes them: `tarfile` follows sizes below zero round and round, takes
    kilobytes for sparse gigabytes, and each long name that follows another a level deeper.
    """
    while header := archive.read(tarfile.BLOCKSIZE):
        if header == bytes(tarfile.BLOCKSIZE):
            return
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except ValueError as error:
            raise RemoteError("MALFORMED", "a header that makes no sense") from error
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.size < 0:
            raise RemoteError("MALFORMED", "something else than a file")
        yield entry.name, entry.size
    raise RemoteError("MALFORMED", "it breaks off")


def _content(archive: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes of one file in pieces, and over what fills its last block. Raises `RemoteError` when it is cut."""
    left = size
    while left:
        data = archive.read(min(left, PIECE_BYTES))
        if not data:
            raise RemoteError("MALFORMED", "it breaks off")
        left -= len(data)
        yield data
    archive.read(-size % tarfile.BLOCKSIZE)
