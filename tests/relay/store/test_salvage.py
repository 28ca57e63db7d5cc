"""A database with any flipped bit opens: its rows are salvaged, none of them is wrong, and little is lost (G1, G3)."""

import asyncio
import errno
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from keys.primitives import sha256
from keys.rows import RowCipher
from protocol.ids import message_id_text, uuid7
from relay.daemon import MIGRATIONS
from relay.draft import Draft
from relay.store import counters
from relay.store.damage import SALVAGED, was_moved_aside
from relay.store.database import DAMAGED_NAME, DATABASE_NAME, PAGE_BYTES, SUSPECT_NAME, Database, StoreUnusable
from relay.store.group import StoreFailed
from relay.store.salvage import open_store
from relay.store.tables import ALL, COUNTERS, SENT
from tests.inline_store import InlineStore
from tests.sim.network import Network
from tests.sim.test_remains import send_into_an_outage
from tests.sim.test_scenes import COUNTY, play
from tests.sim.virtual import START_US, OfficeClock, SeededEntropy, Time

CIPHER = RowCipher(sha256(COUNTY.encode()))
MESSAGES = 12
FAR = "320900-GO"

Content = dict[tuple[str, tuple[Any, ...]], Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A store as a kill leaves it, the same after its log was brought home, and what it holds."""

    log: bytes
    before: bytes
    whole: bytes
    content: Content


def opened(folder: Path, cipher: RowCipher = CIPHER) -> Database:
    return open_store(
        folder, cipher=cipher, entropy=SeededEntropy("salvage"), migrations=MIGRATIONS, quota_bytes=1 << 30,
        ballast_bytes=0, now_us=START_US,
    )  # fmt: skip


def content(database: Database) -> Content:
    """Every row that opens, by table and key."""
    found = {}
    for table in ALL:
        for _, *stored in database.connection.execute(table.slice_sql, (-(2**63), 1_000_000)).fetchall():
            row = table.open_stored(CIPHER, stored)
            if row is not None:
                found[table.name, tuple(stored[: len(table.key)])] = row
    return found


def closed(database: Database) -> int:
    """How many rows do not open."""
    rows = [
        (table, stored)
        for table in ALL
        for _, *stored in database.connection.execute(table.slice_sql, (-(2**63), 1_000_000)).fetchall()
    ]
    return sum(table.open_stored(CIPHER, stored) is None for table, stored in rows)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The county's store amid its work, some of it on overflow pages."""
    folder = tmp_path_factory.mktemp("kept")

    async def scene(network: Network) -> None:
        await send_into_an_outage(network)
        county = network.offices[COUNTY]
        for number in range(MESSAGES):
            id_ = message_id_text(uuid7(START_US, bytes([3, number]) * 5))
            await county.service.send([Draft(id=id_, to=[FAR], title="report", body="水" * 200 * number)])
        await asyncio.sleep(1)
        for path in county._place.glob(f"{DATABASE_NAME}*"):
            shutil.copy(path, folder)

    play(scene)
    before, log = (folder / DATABASE_NAME).read_bytes(), (folder / f"{DATABASE_NAME}-wal").read_bytes()
    database = opened(folder)
    found = content(database)
    assert database.problems == ()
    database.close()
    return Kept(log, before, (folder / DATABASE_NAME).read_bytes(), found)


def lay(folder: Path, data: bytes) -> Path:
    (folder / DATABASE_NAME).write_bytes(data)
    return folder


@st.composite
def places(draw: st.DrawFn) -> tuple[float, int]:
    """(which page, offset): most of them where a page says what it is and where its rows are."""
    offset = draw(
        st.one_of(st.integers(0, 11), st.integers(100, 111), st.integers(8, 80), st.integers(0, PAGE_BYTES - 1))
    )
    return draw(st.floats(0, 1, exclude_max=True)), offset


@given(places(), st.integers(0, 7))
@settings(max_examples=40)
def test_g01_g03_g16_a_store_with_any_flipped_bit_opens_and_nothing_in_it_is_wrong(
    kept: Kept, tmp_path_factory: pytest.TempPathFactory, place: tuple[float, int], bit: int
) -> None:
    rotten = bytearray(kept.whole)
    page = int(place[0] * (len(rotten) // PAGE_BYTES))
    rotten[page * PAGE_BYTES + place[1]] ^= 1 << bit
    folder = lay(tmp_path_factory.mktemp("rotten"), bytes(rotten))
    if int.from_bytes(rotten[60:64], "big") > 1:
        # A newer program's: nobody may take what this one knows of it for all that there is.
        with pytest.raises(StoreUnusable, match="STORE_NEWER"):
            opened(folder)
        return
    database = opened(folder)
    found = content(database)
    lost = kept.content.keys() - found.keys()
    assert all(kept.content.get(key) == row for key, row in found.items())
    assert len(lost) <= 1
    assert (folder / DAMAGED_NAME).exists() == any("salvaged" in problem for problem in database.problems)
    assert database.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",) or lost
    database.close()


@given(st.floats(0, 1, exclude_max=True), st.sampled_from((b"\0", b"\xff")))
@settings(max_examples=15)
def test_g01_g03_g16_a_store_with_a_page_of_nothing_opens_and_says_so(
    kept: Kept, tmp_path_factory: pytest.TempPathFactory, which: float, nothing: bytes
) -> None:
    page = int(which * (len(kept.whole) // PAGE_BYTES))
    rotten = kept.whole[: page * PAGE_BYTES] + nothing * PAGE_BYTES + kept.whole[(page + 1) * PAGE_BYTES :]
    database = opened(lay(tmp_path_factory.mktemp("rotten"), rotten))
    found = content(database)
    assert all(kept.content.get(key) == row for key, row in found.items())
    assert len(found) > len(kept.content) // 2
    lost = len(kept.content.keys() - found.keys())
    # Of a body's last page SQLite knows nothing: its row does not open when it is read.
    assert not lost or any("salvaged" in problem for problem in database.problems) or lost == closed(database) == 1
    database.close()


def test_g01_what_the_log_holds_is_salvaged_too(kept: Kept, tmp_path: Path) -> None:
    folder = lay(tmp_path, kept.before)
    (folder / f"{DATABASE_NAME}-wal").write_bytes(kept.log)
    (folder / SUSPECT_NAME).touch()
    database = opened(folder)
    assert content(database) == kept.content
    assert not (folder / SUSPECT_NAME).exists()
    database.close()


def test_g01_what_the_log_holds_is_salvaged_also_where_sqlite_reads_nothing(kept: Kept, tmp_path: Path) -> None:
    """Which cannot bring its log home then, and the first page with its name is not in it."""
    (working := tmp_path / "working").mkdir()
    store = InlineStore(opened(lay(working, kept.whole)), OfficeClock(Time()))
    store.run(lambda txn: counters.count(txn, {"accepted": 1}))
    (folder := tmp_path / "killed").mkdir()
    for path in working.glob(f"{DATABASE_NAME}*"):
        shutil.copy(path, folder)
    expected = content(store.database)
    store.close()
    lay(folder, b"nothing of SQLite's" + (folder / DATABASE_NAME).read_bytes()[19:])
    database = opened(folder)
    assert content(database) == expected != kept.content
    assert "salvaged" in database.problems[0]
    database.close()


def test_g01_a_page_that_makes_no_sense_when_it_is_read_is_salvaged_at_the_next_start(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened(lay(tmp_path, kept.whole))
    query = "SELECT rootpage FROM sqlite_schema WHERE name = 'counters'"
    (root,) = database.connection.execute(query).fetchone()
    database.close()
    rotten = bytearray(kept.whole)
    rotten[(root - 1) * PAGE_BYTES] = 0xFF
    lay(tmp_path, bytes(rotten))
    # As if it were too large to be checked at each start.
    monkeypatch.setattr("relay.store.database.CHECKED_AT_START_BYTES", 0)
    store = InlineStore(opened(tmp_path), OfficeClock(Time()))
    # SQLite does not commit after it has met such a page: the daemon ends, and whoever starts it again salvages.
    with pytest.raises(StoreFailed, match="malformed"):
        store.run(COUNTERS.select)
    store.close()
    database = opened(tmp_path)
    assert content(database) == kept.content
    store = InlineStore(database, OfficeClock(Time()))
    assert store.run(lambda txn: was_moved_aside(txn, SENT.name, SALVAGED))
    store.close()


def test_g16_a_damaged_database_that_opens_is_used_where_there_is_no_room_for_another(
    kept: Kept, tmp_path: Path
) -> None:
    (lay(tmp_path, kept.whole) / SUSPECT_NAME).touch()
    with patch("relay.store.salvage.make_empty", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        database = opened(tmp_path)
    assert content(database) == kept.content
    assert "No space left" in database.problems[-1]
    database.close()
    # It is tried again at the next start.
    database = opened(tmp_path)
    assert "salvaged" in database.problems[0]
    database.close()


def test_a_database_of_somebody_else_is_left_as_it_is(kept: Kept, tmp_path: Path) -> None:
    foreign = bytearray(kept.whole)
    foreign[68] ^= 1
    folder = lay(tmp_path, bytes(foreign))
    # Nor is it tried to mend it.
    with (
        patch("relay.store.salvage.Mender.mend", side_effect=AssertionError),
        pytest.raises(StoreUnusable, match="STORE_FOREIGN"),
    ):
        opened(folder, RowCipher(bytes(32)))
    assert [path.name for path in folder.iterdir() if path.name != "lock"] == [DATABASE_NAME]
    assert (folder / DATABASE_NAME).read_bytes() == foreign


def test_g11_a_salvaged_database_goes_when_a_prekey_is_forgotten(kept: Kept, tmp_path: Path) -> None:
    folder = lay(tmp_path, kept.whole)
    (folder / SUSPECT_NAME).touch()
    database = opened(folder)
    assert (folder / DAMAGED_NAME).exists()
    store = InlineStore(database, OfficeClock(Time()))
    store.run(lambda txn: txn.erasures.append("own_prekeys"))
    assert not (folder / DAMAGED_NAME).exists()
    store.close()


def flip(folder: Path, table: str, *rows_bits: int) -> None:
    """Flip so many bits in the sealed body of the first row of a table, so many in the second, and so on."""
    with closing(sqlite3.connect(folder / DATABASE_NAME, isolation_level=None)) as connection:
        found = connection.execute(f"SELECT rowid, sealed FROM {table} ORDER BY rowid").fetchall()  # noqa: S608
        for (rowid, sealed), bits in zip(found, rows_bits, strict=False):
            rotten = bytearray(sealed)
            for bit in range(bits):
                rotten[20 + bit] ^= 1
            connection.execute(f"UPDATE {table} SET sealed = ? WHERE rowid = ?", (bytes(rotten), rowid))  # noqa: S608


NOTE = "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES (?, ?, ?, ?, ?)"
NO_SENSE = "a page made no sense when it was read"
LOOKED_FOR = ("sent", "recipients", "held", "inbox", "numbers", "streams")


def test_g01_what_came_of_a_salvage_is_told_in_numbers(kept: Kept, tmp_path: Path) -> None:
    lay(tmp_path, kept.whole)
    flip(tmp_path, "events", 1, 2, 1)
    noted = [("held", "ab", 5, 1, b"kept"), ("sent", "cd", 7, 0, b"")]
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as connection:
        connection.executemany(NOTE, [*noted, ("nothing", "ef", 9, 0, b"of ours")])
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'counters'").fetchone()
    # The first two places of rows on a page lead nowhere.
    rotten = bytearray((tmp_path / DATABASE_NAME).read_bytes())
    rotten[(root - 1) * PAGE_BYTES + 8 : (root - 1) * PAGE_BYTES + 12] = b"\x0f\xff" * 2
    damaged = bytes(rotten)
    lay(tmp_path, damaged)
    # What a salvage left that was cut off.
    for name in (SUSPECT_NAME, "relay.db.salvaged", "relay.db.salvaged-wal"):
        (tmp_path / name).write_bytes(b"nothing")
    structlog.reset_defaults()  # simulations before this one have silenced it
    with capture_logs() as logs:
        database = opened(tmp_path)
    whole = len(kept.content)
    numbers = f"rows were salvaged into a new database: {whole - 3} kept, 4 could not be read"
    assert database.problems[0] == numbers
    told = {"event": "store_salvaged", "log_level": "error", "kept": whole - 3, "mended": 2, "lost": 4}
    assert told in logs
    assert len(content(database)) == whole - 3
    assert content(database).items() <= kept.content.items()
    notes = database.connection.execute("SELECT table_name, key_text, found_at_us, mended, columns FROM damaged")
    assert notes.fetchall() == [*noted, *((name, SALVAGED, START_US, 0, b"") for name in LOOKED_FOR)]
    database.close()
    assert {path.name for path in tmp_path.iterdir()} == {DATABASE_NAME, DAMAGED_NAME, "lock"}
    assert (tmp_path / DAMAGED_NAME).read_bytes() == damaged
    # Once more: the newer damaged file takes the place of the older.
    damaged = (tmp_path / DATABASE_NAME).read_bytes()
    (tmp_path / SUSPECT_NAME).touch()
    database = opened(tmp_path)
    assert len(content(database)) == whole - 3
    assert (tmp_path / DAMAGED_NAME).read_bytes() == damaged
    database.close()


@pytest.mark.parametrize(("commits", "found"), [(-1, 0), (1, 1), (2**62 - 1, 2**62 - 1), (2**62, 0)])
def test_g12_a_salvaged_home_goes_on_counting_its_commits(kept: Kept, tmp_path: Path, commits: int, found: int) -> None:
    lay(tmp_path, kept.whole)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE life SET commits = ?", (commits,))
    (tmp_path / SUSPECT_NAME).touch()
    database = opened(tmp_path)
    assert database.connection.execute("SELECT commits FROM life").fetchall() == [(found,)]
    assert "0 could not be read" in database.problems[0]
    database.close()


def of_code(code: int) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("it does not open")
    error.sqlite_errorcode = code
    return error


def opened_after(folder: Path, error: Exception) -> Database:
    """Opened where the first try fails."""
    errors, real = [error], Database.open

    def fail_once(*args: Any, **kwargs: Any) -> Database:
        if errors:
            raise errors.pop()
        return real(*args, **kwargs)

    with patch.object(Database, "open", fail_once):
        return opened(folder)


@pytest.mark.parametrize(
    "error",
    [
        StoreUnusable("STORE_FOREIGN", "what"), StoreUnusable("STORE_SETTINGS", "what"),
        of_code(sqlite3.SQLITE_CORRUPT | 1 << 8), of_code(sqlite3.SQLITE_NOTADB), of_code(sqlite3.SQLITE_ERROR),
    ],
)  # fmt: skip
def test_g16_what_may_come_from_damage_is_salvaged(kept: Kept, tmp_path: Path, error: Exception) -> None:
    database = opened_after(lay(tmp_path, kept.whole), error)
    assert content(database) == kept.content
    assert database.problems == (database.problems[0], str(error))
    database.close()


def test_g01_a_log_that_sqlite_does_not_bring_home_is_salvaged(kept: Kept, tmp_path: Path) -> None:
    (lay(tmp_path, kept.before) / f"{DATABASE_NAME}-wal").write_bytes(kept.log)
    database = opened_after(tmp_path, of_code(sqlite3.SQLITE_NOTADB))
    assert content(database) == kept.content
    database.close()


def test_g16_where_neither_opens_nothing_has_changed(kept: Kept, tmp_path: Path) -> None:
    lay(tmp_path, kept.whole)
    with (
        patch("relay.store.salvage.make_empty", side_effect=OSError(errno.ENOSPC, "No space left on device")),
        pytest.raises(OSError, match="No space left"),
    ):
        opened_after(tmp_path, of_code(sqlite3.SQLITE_CORRUPT))
    database = opened(tmp_path)
    assert content(database) == kept.content
    assert database.problems == ()
    database.close()


@pytest.mark.parametrize(
    "error",
    [
        StoreUnusable("STORE_NEWER", "what"), StoreUnusable("STORE_MIGRATIONS", "what"),
        of_code(sqlite3.SQLITE_IOERR | 1 << 8), of_code(sqlite3.SQLITE_FULL), sqlite3.DatabaseError("of the module"),
    ],
)  # fmt: skip
def test_g01_what_does_not_come_from_damage_is_raised(kept: Kept, tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        opened_after(lay(tmp_path, kept.whole), error)
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_NAME]


def test_g16_a_store_without_a_row_is_used_as_it_is(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / SUSPECT_NAME).touch()
    database = opened(tmp_path)
    assert database.problems == (NO_SENSE,)
    database.close()
    assert {path.name for path in tmp_path.iterdir()} == {DATABASE_NAME, SUSPECT_NAME, "lock"}


def test_g01_a_mended_log_is_told(kept: Kept, tmp_path: Path) -> None:
    log = bytearray(kept.log)
    log[len(log) // 2] ^= 1
    (lay(tmp_path, kept.before) / f"{DATABASE_NAME}-wal").write_bytes(log)
    database = opened(tmp_path)
    assert content(database) == kept.content
    assert database.problems == ("a flipped bit of the write-ahead log was mended",)
    database.close()
