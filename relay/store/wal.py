"""Mends a WAL in which one bit flipped, before SQLite reads it (G1, G3).

SQLite takes the first frame whose checksum is wrong for the end of the log, as after a power cut, and forgets what
follows, all of it committed. Its checksum is linear, so a single flipped bit shows where it is, or, in the highest nine
bits of a word, that there is one: then the page is taken as it is, and the rows on it are judged by themselves, unless
the frame's header makes less sense as it is. What was never written whole differs in many bits and stays the log's end.
What SQLite itself takes needs no second look: only what lies behind it is computed here, a hundred times as slowly.
Format: https://www.sqlite.org/fileformat2.html
"""

import os
import sqlite3
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from operator import eq
from pathlib import Path
from typing import Final, TypeAlias

MAGIC: Final = 0x377F0682
"""The lowest bit says that checksums are of big-endian words; SQLite writes them in the order of the machine."""
VERSION: Final = 3_007_000
HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
CHECKED_BYTES: Final = 32 * 1024 * 1024
"""Largest WAL that is looked at: 0.6 s where all of it is. Checkpoints keep it far smaller unless every row is of the
largest.
"""
_LAST_FRAME: Final = slice(16, 20)
"""Where the WAL's index has the number of the last frame that SQLite takes, in the order of the machine."""
_MASK: Final = 0xFFFF_FFFF

_Sums: TypeAlias = tuple[int, int]
_PageOf: TypeAlias = Callable[[int], bytes]


def log_of(database: Path) -> Path:
    """The write-ahead log of a database."""
    return database.with_name(database.name + "-wal")


def mend_wal(database: Path, page_bytes: int) -> int:
    """Put right what single flipped bits broke in the WAL of a database, durably; how many bits. Raises `OSError`."""
    path = log_of(database)
    if not path.exists() or not HEADER_BYTES < path.stat().st_size <= CHECKED_BYTES:
        return 0
    found = path.read_bytes()
    data = bytearray(found)
    count = _mend(data, page_bytes, partial(_page_of, database, page_bytes), _frames_taken(database))
    if count:
        handle = os.open(path, os.O_WRONLY)
        try:
            for start in range(0, len(data), page_bytes):
                if data[start : start + page_bytes] != found[start : start + page_bytes]:
                    os.pwrite(handle, data[start : start + page_bytes], start)
            os.fsync(handle)
        finally:
            os.close(handle)
    return count


def _frames_taken(database: Path) -> int:
    """How many frames SQLite takes as they are; 0 where it cannot say. It only reads: nothing is brought home."""
    index = database.with_name(database.name + "-shm")
    # An index that is there already may be another program's.
    is_ours = not index.exists()
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            return int.from_bytes(index.read_bytes()[_LAST_FRAME], sys.byteorder)
    except (sqlite3.Error, OSError):
        return 0
    finally:
        if is_ours:
            index.unlink(missing_ok=True)


def write_home(database: Path, page_bytes: int) -> None:
    """Bring what was committed in its WAL into a database and empty the WAL, durably: a checkpoint that asks nothing of
    the pages. Begun again after a cut it does the same. Raises `OSError`.
    """
    path = log_of(database)
    data = bytearray(path.read_bytes()) if path.exists() else bytearray()
    if len(data) < HEADER_BYTES or not _is_header(data[:HEADER_BYTES], page_bytes):
        return
    handle = os.open(database, os.O_WRONLY)
    try:
        for number, page in _committed(data, page_bytes).items():
            os.pwrite(handle, page, (number - 1) * page_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)
    handle = os.open(path, os.O_WRONLY)
    try:
        os.truncate(handle, 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def _committed(data: bytearray, page_bytes: int) -> dict[int, bytes]:
    """The pages of all whole commits by their number, each as it was written last."""
    pages, open_pages = dict[int, bytes](), dict[int, bytes]()
    header, size, sums = data[:HEADER_BYTES], FRAME_HEADER_BYTES + page_bytes, _sums_after(data, 0)
    for start in range(HEADER_BYTES, len(data) - size + 1, size):
        frame = data[start : start + size]
        if _flipped_in_frame(frame, header, sums) != []:
            break
        sums = _sums_after(data, start)
        open_pages[int.from_bytes(frame[:4], "big")] = bytes(frame[FRAME_HEADER_BYTES:])
        # What a commit says of itself, never zero, is how large it leaves the database.
        if frame[4:8] != bytes(4):
            pages |= open_pages
            open_pages = {}
    return pages


def _page_of(database: Path, page_bytes: int, number: int) -> bytes:
    """A page as the database has it, empty for one that it has not."""
    if not database.exists():
        return b""
    with database.open("rb") as file:
        file.seek((number - 1) * page_bytes)
        return file.read(page_bytes)


def _mend(data: bytearray, page_bytes: int, page_of: _PageOf, right: int) -> int:
    """Mend in memory, behind so many frames that are known to be right; how many bits had flipped."""
    bits = _flipped_in_header(data[:HEADER_BYTES], page_bytes)
    if bits is None:
        return 0
    size = FRAME_HEADER_BYTES + page_bytes
    count = len(bits[:1])
    bit = _likeliest(data, 0, bits, HEADER_BYTES, size)
    if bit is not None:
        _flip(data, 0, bit)
    # The chain of checksums as it was written, and, after a page that is taken as it is, as it has to be.
    begin = HEADER_BYTES + right * size
    sums = told = _sums_after(data, begin - size if right else 0)
    for start in range(begin, len(data) - size + 1, size):
        bits = _flipped_in_frame(data[start : start + size], data[:HEADER_BYTES], sums)
        if bits is None:
            break
        count += len(bits[:1])
        bit = _likeliest(data, start, bits, start + size, size)
        if bits and bit is None:
            bit = _of_header(data, start, bits, size, page_of)
        if bit is not None:
            _flip(data, start, bit)
        as_it_is = told != sums or (bits and bit is None)
        sums = _sums_after(data, start)
        told = _retell(data, start, size, told) if as_it_is else sums
    return count


def _likeliest(data: bytearray, start: int, bits: Sequence[int], following: int, size: int) -> int | None:
    """Of bits that explain a wrong checksum equally well, the one to flip back; None for none, or for too many.

    A bit of the checksum itself is told from one in the page by the next frame, which goes on from it.
    """
    sums_at = 8 * (16 if start else 24)
    for bit in [one for one in bits if one >= sums_at and one < sums_at + 64]:
        _flip(data, start, bit)
        rest = data[following : following + size]
        fits = len(rest) < size or _flipped_in_frame(rest, data[:HEADER_BYTES], _sums_after(data, start)) == []
        _flip(data, start, bit)
        if fits:
            return bit
    others = [one for one in bits if not sums_at <= one < sums_at + 64]
    return others[0] if len(others) == 1 else None


def _of_header(data: bytearray, start: int, bits: Sequence[int], size: int, page_of: _PageOf) -> int | None:
    """Of bits that explain a wrong checksum equally well, the one in the header that makes more sense flipped."""
    for bit in [one for one in bits if one < 64]:
        as_it_is = _sense(data, start, size, page_of)
        _flip(data, start, bit)
        flipped = _sense(data, start, size, page_of)
        _flip(data, start, bit)
        if flipped > as_it_is:
            return bit
    return None


def _sense(data: bytearray, start: int, size: int, page_of: _PageOf) -> tuple[bool, int]:
    """Whether page number and commit can be, and how many bytes are those of the page's earlier version.

    A commit leaves a database that has all the pages of its log. A page that was never written is like nothing.
    """
    number, commit = struct.unpack_from(">II", data, start)
    latest = {struct.unpack_from(">I", data, at)[0]: at for at in range(HEADER_BYTES, start, size)}
    before = page_of(number) if number else b""
    if number in latest:
        before = bytes(data[latest[number] + FRAME_HEADER_BYTES : latest[number] + size])
    like = sum(map(eq, data[start + FRAME_HEADER_BYTES : start + size], before))
    return number > 0 and (commit == 0 or commit >= max([number, *latest])), like


def _retell(data: bytearray, start: int, size: int, sums: _Sums) -> _Sums:
    """Store the checksum that a frame has to have after those before it."""
    order = ">" if data[3] & 1 else "<"
    first, second = _checksum(_words(data[start : start + size], order), sums)
    struct.pack_into(">II", data, start + 16, first, second)
    return first, second


def _sums_after(data: bytearray, start: int) -> _Sums:
    """The checksum that a header or a frame has stored, from which the next one goes on."""
    first, second = struct.unpack_from(">II", data, start + 16 if start else 24)
    return first, second


def _flip(data: bytearray, start: int, bit: int) -> None:
    data[start + bit // 8] ^= 1 << bit % 8


def _flipped_in_header(header: bytearray, page_bytes: int) -> list[int] | None:
    """The bits of the file's header that may have flipped, none when it is right, None when it is none of ours."""
    if _is_header(header, page_bytes):
        return []
    found = []
    for bit in range(8 * HEADER_BYTES):
        _flip(header, 0, bit)
        if _is_header(header, page_bytes):
            found.append(bit)
        _flip(header, 0, bit)
    return found or None


def _flipped_in_frame(frame: bytearray, header: bytearray, sums: _Sums) -> list[int] | None:
    """The bits of a frame that may have flipped, none when it is right, None when it is no frame of this log."""
    order = ">" if header[3] & 1 else "<"
    words = _words(frame, order)
    computed, stored = _checksum(words, sums), struct.unpack_from(">II", frame, 16)
    wrong_salts = int.from_bytes(frame[8:16], "little") ^ int.from_bytes(header[16:24], "little")
    if computed == stored:
        if wrong_salts.bit_count() > 1:
            return None
        return [64 + wrong_salts.bit_length() - 1] if wrong_salts else []
    if wrong_salts:
        return None
    found = []
    wrong_sums = int.from_bytes(frame[16:24], "little") ^ int.from_bytes(struct.pack(">II", *computed), "little")
    if wrong_sums.bit_count() == 1:
        found.append(128 + wrong_sums.bit_length() - 1)
    difference = (stored[0] - computed[0]) & _MASK, (stored[1] - computed[1]) & _MASK
    return found + _locate(words, difference, order) or None


def _locate(words: Sequence[int], difference: _Sums, order: str) -> list[int]:
    """Which bits, flipped back, change the checksum by just this difference."""
    # What one more in a word adds to the two sums, from the last word to the first: neighbours of Fibonacci's numbers.
    even, odd = (1, 1), (0, 1)
    found = []
    for pair in reversed(range(0, len(words), 2)):
        for word, (first, second) in ((pair, even), (pair + 1, odd)):
            for bit in range(32):
                step = -1 << bit if words[word] >> bit & 1 else 1 << bit
                if (step * first & _MASK, step * second & _MASK) == difference:
                    place = 4 * word + (bit // 8 if order == "<" else 3 - bit // 8)
                    # The checksum covers the first 8 bytes of the frame's header, and its page.
                    found.append(8 * (place if place < 8 else place + FRAME_HEADER_BYTES - 8) + bit % 8)
        even, odd = _earlier(even), _earlier(odd)
    return found


def _earlier(effect: _Sums) -> _Sums:
    """The effect of a word on the sums, seen from one pair of words later."""
    first, second = effect
    first = (first + second) & _MASK
    return first, (second + first) & _MASK


def _is_header(header: bytearray, page_bytes: int) -> bool:
    """Whether these 32 bytes begin a WAL."""
    magic, version, size = struct.unpack(">III", header[:12])
    if magic & ~1 != MAGIC or version != VERSION or size != page_bytes:
        return False
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", header[:24])
    return _checksum(words, (0, 0)) == struct.unpack(">II", header[24:HEADER_BYTES])


def _words(frame: bytearray, order: str) -> tuple[int, ...]:
    covered = frame[:8] + frame[FRAME_HEADER_BYTES:]
    return struct.unpack(f"{order}{len(covered) // 4}I", covered)


def _checksum(words: Sequence[int], sums: _Sums) -> _Sums:
    first, second = sums
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
