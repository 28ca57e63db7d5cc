"""One flipped bit of a WAL is mended, wherever it is; a log that was cut short stays short (G1, G3)."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store.database import PAGE_BYTES
from relay.store.wal import FRAME_HEADER_BYTES, HEADER_BYTES, mend_wal

ROWS = 5


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and its WAL of so many commits, as a kill leaves them."""
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
    return folder


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


@given(st.sampled_from(("anywhere", "frame header", "file header")), st.integers(0, 1 << 40), st.integers(0, 7))
def test_g01_g03_any_flipped_bit_of_the_wal_is_mended(
    kept: Path, tmp_path_factory: pytest.TempPathFactory, what: str, spot: int, bit: int
) -> None:
    database, wal = (kept / "relay.db").read_bytes(), (kept / "relay.db-wal").read_bytes()
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
    if place < HEADER_BYTES or place % 4 < 2 or (place % 4 == 2 and bit < 7):
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
