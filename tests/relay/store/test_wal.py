"""One flipped bit of a WAL is mended, wherever it is; a log that was cut short stays short (G1, G3)."""

import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store import wal
from relay.store.database import PAGE_BYTES
from relay.store.wal import FRAME_HEADER_BYTES, HEADER_BYTES, mend_wal, write_home

ROWS = 5
SIZE = FRAME_HEADER_BYTES + PAGE_BYTES
LOGS = ("relay.db-wal", "big.db-wal")
"""The log as SQLite wrote it here, and as it writes it on a machine of the other order."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and its WAL of so many commits, as a kill leaves them, in both orders."""
    folder = tmp_path_factory.mktemp("wal")
    path = folder / "live.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
    for number in range(ROWS):
        connection.execute("INSERT INTO t VALUES (?, randomblob(900))", (number,))
    for name in ("live.db", "live.db-wal"):
        (folder / name.replace("live", "relay")).write_bytes((folder / name).read_bytes())
    connection.close()
    log = (folder / "relay.db-wal").read_bytes()
    for name, order in zip(LOGS, "<>", strict=True):
        (folder / name).write_bytes(summed(log, order))
    return folder


def summed(log: bytes, order: str) -> bytes:
    """A log with its checksums in an order of bytes, and with a salt that sets the highest bits of the first."""
    data = bytearray(log)
    data[3] = data[3] & 0xFE | (order == ">")
    data[20:24] = bytes(4)
    sums = (0, 0)
    for salt in range(1 << 10):
        data[16:20] = salt.to_bytes(4, "big")
        sums = sum_of(data[:24], order, (0, 0))
        if min(sums) >> 31:
            break
    struct.pack_into(">II", data, 24, *sums)
    for start in range(HEADER_BYTES, len(data), SIZE):
        data[start + 8 : start + 16] = data[16:24]
        sums = sum_of(data[start : start + 8] + data[start + FRAME_HEADER_BYTES : start + SIZE], order, sums)
        struct.pack_into(">II", data, start + 16, *sums)
    return bytes(data)


def sum_of(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """The checksum as SQLite's documentation of its file format has it."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) % 2**32
        second = (second + words[at + 1] + first) % 2**32
    return first, second


def lay(kept: Path, folder: Path, log: bytes) -> Path:
    """The database with another log; the path of the database."""
    (folder / "relay.db").write_bytes((kept / "relay.db").read_bytes())
    (folder / "relay.db-wal").write_bytes(log)
    return folder / "relay.db"


def flipped(log: bytes, place: int, *bits: int) -> bytes:
    rotten = bytearray(log)
    for bit in bits:
        rotten[place + bit // 8] ^= 1 << bit % 8
    return bytes(rotten)


def frames(folder: Path, database: bytes, wal: bytes) -> int:
    """How many frames SQLite takes from a WAL."""
    path = folder / "relay.db"
    path.write_bytes(database)
    path.with_name("relay.db-wal").write_bytes(wal)
    connection = sqlite3.connect(path)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        _, found, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(found)
    finally:
        connection.close()


@given(
    st.sampled_from(LOGS),
    st.sampled_from(("anywhere", "frame header", "file header")),
    st.integers(0, 1 << 40),
    st.integers(0, 7),
)
def test_g01_g03_any_flipped_bit_of_the_wal_is_mended(
    kept: Path, tmp_path_factory: pytest.TempPathFactory, name: str, what: str, spot: int, bit: int
) -> None:
    database, wal = (kept / "relay.db").read_bytes(), (kept / name).read_bytes()
    place = spot % len(wal)
    if what == "frame header":
        frame, offset = divmod(spot, FRAME_HEADER_BYTES)
        count = (len(wal) - HEADER_BYTES) // (FRAME_HEADER_BYTES + PAGE_BYTES)
        place = HEADER_BYTES + frame % count * (FRAME_HEADER_BYTES + PAGE_BYTES) + offset
    elif what == "file header":
        place = spot % HEADER_BYTES
    rotten = bytearray(wal)
    rotten[place] ^= 1 << bit
    folder = tmp_path_factory.mktemp("rotten")
    (folder / "relay.db").write_bytes(database)
    path = folder / "relay.db-wal"
    path.write_bytes(rotten)
    assert mend_wal(folder / "relay.db", PAGE_BYTES) == 1
    assert sorted(folder.iterdir()) == [folder / "relay.db", path]
    mended = path.read_bytes()
    whole = (len(wal) - HEADER_BYTES) // (FRAME_HEADER_BYTES + PAGE_BYTES)
    assert frames(folder, database, mended) == whole
    # A page is as it was written or as it was found, and never a third thing.
    for start in range(HEADER_BYTES + FRAME_HEADER_BYTES, len(wal), SIZE):
        assert mended[start : start + PAGE_BYTES] in (one[start : start + PAGE_BYTES] for one in (wal, rotten))
    in_word = 8 * (place % 4 if name == LOGS[0] else 3 - place % 4) + bit
    if place < HEADER_BYTES or in_word < 23:
        # In the highest nine bits of a word the checksum may not tell where (Fibonacci's numbers come again modulo 2^9
        # after 768 of them, and a page has 1,024 words); elsewhere all is as it was, but for the last word of the last
        # frame, which nothing follows.
        assert mended == wal or place >= len(wal) - PAGE_BYTES - FRAME_HEADER_BYTES


@pytest.mark.parametrize("bit", range(8))
def test_g01_a_page_whose_number_is_in_doubt_stays_where_it_was(kept: Path, tmp_path: Path, bit: int) -> None:
    """The lowest byte of a page's number is the highest of a word, where the checksum does not tell."""
    wal = (kept / "relay.db-wal").read_bytes()
    (tmp_path / "relay.db").write_bytes((kept / "relay.db").read_bytes())
    size, known = FRAME_HEADER_BYTES + PAGE_BYTES, set[bytes]()
    for start in range(HEADER_BYTES, len(wal) - size, size):
        number = wal[start : start + 4]
        if number in known or number == b"\0\0\0\1":
            rotten = bytearray(wal)
            rotten[start + 3] ^= 1 << bit
            path = tmp_path / "relay.db-wal"
            path.write_bytes(rotten)
            assert mend_wal(tmp_path / "relay.db", PAGE_BYTES) == 1
            assert path.read_bytes() == wal
        known.add(number)


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("bit", [0, 7, 12, 22])
def test_g01_a_bit_of_a_checksum_is_told_from_one_of_what_it_covers(
    kept: Path, tmp_path: Path, name: str, bit: int
) -> None:
    """The last word that is covered changes the checksum like a bit of the second half of the checksum itself."""
    log = (kept / name).read_bytes()
    at = bit if name == LOGS[0] else 8 * (3 - bit // 8) + bit % 8
    header, frame = HEADER_BYTES - 12, HEADER_BYTES + 16
    for place, flips in ((header, at), (header + 4, bit), (header + 8, bit), (frame, bit), (frame + 4, bit),
                         (HEADER_BYTES + SIZE - 4, at), (HEADER_BYTES + FRAME_HEADER_BYTES, at)):  # fmt: skip
        path = lay(kept, tmp_path, flipped(log, place, flips))
        assert mend_wal(path, PAGE_BYTES) == 1
        assert (tmp_path / "relay.db-wal").read_bytes() == log


@pytest.mark.parametrize("word", [256, 640])
def test_g01_a_bit_of_a_page_is_told_from_the_highest_of_the_checksum(kept: Path, tmp_path: Path, word: int) -> None:
    """The two words of a page that change it like a bit of its first byte."""
    log = (kept / LOGS[0]).read_bytes()
    path = lay(kept, tmp_path, flipped(log, HEADER_BYTES + FRAME_HEADER_BYTES + 4 * word + 3, 0))
    assert mend_wal(path, PAGE_BYTES) == 1
    assert (tmp_path / "relay.db-wal").read_bytes() == log


def test_a_log_is_looked_at_that_has_a_frame_and_is_not_too_large(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = flipped((kept / LOGS[0]).read_bytes(), HEADER_BYTES + 100, 0)
    assert mend_wal(tmp_path / "relay.db", PAGE_BYTES) == 0
    assert mend_wal(lay(kept, tmp_path, flipped(log[:HEADER_BYTES], 5, 0)), PAGE_BYTES) == 0
    for largest, count in ((len(log) - 1, 0), (len(log), 1)):
        monkeypatch.setattr(wal, "CHECKED_BYTES", largest)
        assert mend_wal(lay(kept, tmp_path, log), PAGE_BYTES) == count


def test_g01_nothing_is_written_but_the_piece_with_the_flipped_bit(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[int, int]] = []
    monkeypatch.setattr("os.pwrite", lambda _, data, place: written.append((len(data), place)))
    log = (kept / LOGS[0]).read_bytes()
    assert mend_wal(lay(kept, tmp_path, flipped(log, 2 * PAGE_BYTES + 100, 0)), PAGE_BYTES) == 1
    assert written == [(PAGE_BYTES, 2 * PAGE_BYTES)]


def test_a_page_is_read_from_the_database_or_there_is_none(kept: Path, tmp_path: Path) -> None:
    data = (kept / "relay.db").read_bytes() + b"x" * PAGE_BYTES * 2
    assert wal._page_of(tmp_path / "relay.db", PAGE_BYTES, 1) == b""
    (tmp_path / "relay.db").write_bytes(data)
    for number in (1, 2):
        place = (number - 1) * PAGE_BYTES
        assert wal._page_of(tmp_path / "relay.db", PAGE_BYTES, number) == data[place : place + PAGE_BYTES]


@pytest.mark.parametrize("cut", [1, SIZE - 1])
def test_g01_a_log_that_was_cut_short_is_mended_up_to_its_end(kept: Path, tmp_path: Path, cut: int) -> None:
    log = (kept / LOGS[0]).read_bytes()[:-cut]
    path = lay(kept, tmp_path, flipped(log, HEADER_BYTES + SIZE - 4, 0))
    assert mend_wal(path, PAGE_BYTES) == 1
    assert (tmp_path / "relay.db-wal").read_bytes() == log


@pytest.mark.parametrize(("name", "byte"), [(LOGS[0], 3), (LOGS[1], 0)])
def test_g03_where_the_checksum_does_not_tell_the_page_is_taken_as_it_is(
    kept: Path, tmp_path: Path, name: str, byte: int
) -> None:
    """The highest bits of two words of a page that are 768 words apart."""
    log = (kept / name).read_bytes()
    rotten = flipped(log, HEADER_BYTES + FRAME_HEADER_BYTES + 4 * 768 + byte, 0)
    path = lay(kept, tmp_path, rotten)
    assert mend_wal(path, PAGE_BYTES) == 1
    mended = (tmp_path / "relay.db-wal").read_bytes()
    assert (
        mended[HEADER_BYTES + FRAME_HEADER_BYTES :][:PAGE_BYTES]
        == rotten[HEADER_BYTES + FRAME_HEADER_BYTES :][:PAGE_BYTES]
    )
    assert frames(tmp_path, path.read_bytes(), mended) == (len(log) - HEADER_BYTES) // SIZE


def small(*frames: tuple[int, int, bytes]) -> bytearray:
    """A log of pages of eight bytes, as far as sense goes: (number, commit, page)."""
    return bytearray(bytes(HEADER_BYTES) + b"".join(struct.pack(">II16x8s", *frame) for frame in frames))


PAGES = {2: b"abcdefgh", 3: b"ijklmnop"}
SMALL = FRAME_HEADER_BYTES + 8


@pytest.mark.parametrize(
    ("log", "sense"),
    [
        ([(2, 0, b"abcdxxxx")], (True, 4)),
        ([(4, 0, b"abcdxxxx")], (True, 0)),
        ([(0, 0, b"XXXXxxxx")], (False, 0)),
        ([(1 << 31, 0, b"abcdxxxx")], (True, 0)),
        # A commit leaves at least its own pages, and those before it.
        ([(2, 1, b"abcdefgh")], (False, 8)),
        ([(2, 2, b"abcdefgh")], (True, 8)),
        ([(2, 1 << 24 | 1, b"abcdefgh")], (True, 8)),
        ([(5, 0, b""), (2, 4, b"abcdefgh")], (False, 8)),
        ([(5, 0, b""), (2, 5, b"abcdefgh")], (True, 8)),
        # The earlier version of a page is the latest in the log.
        ([(3, 0, b"aaaaaaaa"), (3, 0, b"bbbbbbbb"), (2, 0, b"cccccccc"), (3, 0, b"bbbabcbb")], (True, 6)),
    ],
)
def test_g01_a_frame_makes_sense_where_its_page_is_like_the_one_before(
    log: list[tuple[int, int, bytes]], sense: tuple[bool, int]
) -> None:
    data = small(*log)
    assert wal._sense(data, len(data) - SMALL, SMALL, lambda number: PAGES.get(number, b"")) == sense


@pytest.mark.parametrize(
    ("frame", "bits", "bit"),
    [
        # Page 2 or 3; the whole database of 4 or 5 pages; nothing in the header.
        ((2, 0, PAGES[3]), [200, 24], 24),
        ((3, 0, PAGES[3]), [24], None),
        ((2, 5, PAGES[2]), [56], None),
        ((2, 0, PAGES[3]), [200, 64], None),
    ],
)
def test_g01_a_bit_of_a_frames_header_is_flipped_where_that_makes_more_sense(
    frame: tuple[int, int, bytes], bits: list[int], bit: int | None
) -> None:
    data = small(frame)
    before = bytes(data)
    assert wal._of_header(data, HEADER_BYTES, bits, SMALL, lambda number: PAGES.get(number, b"")) == bit
    assert data == before


@pytest.mark.parametrize("has_database", [True, False])
def test_g01_a_log_is_mended_whatever_has_become_of_its_database(
    kept: Path, tmp_path: Path, has_database: bool
) -> None:
    log = (kept / LOGS[0]).read_bytes()
    path = lay(kept, tmp_path, flipped(log, HEADER_BYTES + 100, 0))
    path.write_bytes(b"\xff" * PAGE_BYTES)
    if not has_database:
        path.unlink()
    assert mend_wal(path, PAGE_BYTES) == 1
    assert (tmp_path / "relay.db-wal").read_bytes() == log


def test_g16_what_sqlite_takes_is_not_computed_once_more(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[bytes] = []
    whole = wal._flipped_in_frame
    monkeypatch.setattr(
        wal, "_flipped_in_frame", lambda frame, *rest: (looked_at.append(frame), whole(frame, *rest))[1]
    )
    log = (kept / LOGS[0]).read_bytes()
    assert mend_wal(lay(kept, tmp_path, log), PAGE_BYTES) == 0
    assert not looked_at
    rotten = flipped(log, len(log) - SIZE, 0)
    assert mend_wal(lay(kept, tmp_path, rotten), PAGE_BYTES) == 1
    commits = [start for start in range(HEADER_BYTES, len(log) - SIZE, SIZE) if any(log[start + 4 : start + 8])]
    assert b"".join(looked_at) == rotten[commits[-1] + SIZE :]


@pytest.mark.parametrize("bits", [(64, 65), (64, 127), (127, 100)])
def test_a_frame_of_another_log_is_the_end_of_this_one(kept: Path, tmp_path: Path, bits: tuple[int, int]) -> None:
    """Its salts differ in more than a bit."""
    rotten = flipped((kept / LOGS[0]).read_bytes(), HEADER_BYTES + SIZE, *bits)
    assert mend_wal(lay(kept, tmp_path, rotten), PAGE_BYTES) == 0
    assert (tmp_path / "relay.db-wal").read_bytes() == rotten


@pytest.mark.parametrize("name", LOGS)
def test_g01_what_was_committed_comes_home_as_sqlite_brings_it(kept: Path, tmp_path: Path, name: str) -> None:
    """However much of the log there is, and up to a frame that is not right."""
    log = (kept / name).read_bytes()
    ends = range(HEADER_BYTES, len(log) + 1, SIZE)
    states = set()
    for part in (*(log[:end] for end in ends), *(log[: end - 1] for end in ends), flipped(log, len(log) // 2, 5)):
        for folder in (tmp_path / "ours", tmp_path / "theirs"):
            folder.mkdir(exist_ok=True)
            path = lay(kept, folder, part)
        frames(folder, path.read_bytes(), part)
        write_home(tmp_path / "ours" / "relay.db", PAGE_BYTES)
        brought = (tmp_path / "ours" / "relay.db").read_bytes()
        assert brought == path.read_bytes()
        assert (tmp_path / "ours" / "relay.db-wal").stat().st_size in (0, HEADER_BYTES - 1)
        states.add(brought)
    assert len(states) > ROWS


@pytest.mark.parametrize("place", [0, 3, 7, 11])
def test_a_log_that_is_none_of_ours_is_left_as_it_is(kept: Path, tmp_path: Path, place: int) -> None:
    """Its magic, its version or its size of pages is another, and its checksums are right."""
    whole = (kept / LOGS[0]).read_bytes()
    log = flipped(summed(flipped(whole, place, 2), "<"), len(whole) - SIZE, 0)
    path = lay(kept, tmp_path, log)
    assert mend_wal(path, PAGE_BYTES) == 0
    write_home(path, PAGE_BYTES)
    assert (path.read_bytes(), (tmp_path / "relay.db-wal").read_bytes()) == ((kept / "relay.db").read_bytes(), log)
    (tmp_path / "relay.db-wal").unlink()
    write_home(path, PAGE_BYTES)
    assert list(tmp_path.iterdir()) == [path]


@given(data=st.data())
@settings(max_examples=settings().max_examples // 5 * 2)
def test_a_log_that_was_never_written_whole_is_left_as_it_is(
    kept: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    wal = (kept / "relay.db-wal").read_bytes()
    path = tmp_path_factory.mktemp("torn") / "relay.db-wal"
    path.with_name("relay.db").write_bytes((kept / "relay.db").read_bytes())
    place = data.draw(st.integers(HEADER_BYTES + 1, len(wal) - 512))
    torn = wal[:place] + bytes(data.draw(st.sampled_from((0, 512)))) + wal[place + 512 :]
    path.write_bytes(data.draw(st.sampled_from((wal[:place], torn, wal))))
    before = path.read_bytes()
    assert mend_wal(path.with_name("relay.db"), PAGE_BYTES) == 0
    assert path.read_bytes() == before


def test_without_repair_the_rows_after_a_flipped_bit_are_forgotten(kept: Path, tmp_path: Path) -> None:
    """What all this is for."""
    database, wal = (kept / "relay.db").read_bytes(), (kept / "relay.db-wal").read_bytes()
    rotten = bytearray(wal)
    rotten[len(wal) // 2] ^= 4
    assert frames(tmp_path, database, bytes(rotten)) < (len(wal) - HEADER_BYTES) // (FRAME_HEADER_BYTES + PAGE_BYTES)
