"""Opening, settings, migrations, lock and space (D10, G13)."""

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.rows import RowCipher
from protocol.errors import Refused
from protocol.lanes import Lane
from relay.admission import admits, space_state
from relay.store import database as database_module
from relay.store.ballast import Ballast
from relay.store.database import HomeInUse, Space, StoreUnusable, make_empty
from relay.store.fsck import check
from relay.store.group import StoreFailed, checkpoint, commit_group
from tests.relay.store.place import LETTERS, STORAGE_KEY, Place, letter, writing

MIB = 1 << 20
SIZES = st.integers(0, 1 << 40)


def test_the_settings_hold(place: Place) -> None:
    store = place.open()
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "locking_mode": "exclusive",
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "page_size": 4096,
        "cache_size": -16 * 1024,
        "temp_store": 2,
        "secure_delete": 2,
        "wal_autocheckpoint": 0,
        "journal_size_limit": 64 * MIB,
        "max_page_count": place.quota_bytes // 4096,
        "application_id": 0x595A4831,
        "user_version": 1,
    }
    assert (store.database.checkpoint_due, store.database.mended_bits) == (False, 0)
    connection = store.database.connection
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    store.close()


def test_a_store_that_will_not_sync_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(sqlite3.Connection):
        def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
            return super().execute("PRAGMA synchronous = NORMAL" if sql == "PRAGMA synchronous = FULL" else sql)

    monkeypatch.setattr(database_module, "_connect", lambda path: sqlite3.connect(path, factory=Deaf))
    with pytest.raises(StoreUnusable, match="synchronous is 1") as caught:
        place.open()
    assert (caught.value.code, caught.value.detail) == ("STORE_SETTINGS", "synchronous is 1, not 2")


def test_a_second_opening_is_refused_in_this_and_in_another_process(place: Place) -> None:
    store = place.open()
    store.run(writing(1))
    with pytest.raises(HomeInUse, match=str(place.store)):
        place.open()
    with pytest.raises(HomeInUse):
        check(place.store, RowCipher(STORAGE_KEY), [LETTERS])
    foreign = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM letters')"
    tried = subprocess.run(
        [sys.executable, "-c", foreign, str(place.database)], capture_output=True, text=True, check=False
    )
    assert "database is locked" in tried.stderr, "exclusive locking keeps other programs out as well"
    store.close()
    place.open().close()


def test_an_opening_that_fails_lets_the_next_one_in(place: Place) -> None:
    place.database.mkdir()
    with pytest.raises(IsADirectoryError):
        place.open()
    place.database.rmdir()
    store = place.open()
    store.database.suspect()
    assert (place.store / "suspect").stat().st_mode & 0o777 == 0o600
    store.close()


def test_migrations_run_once_each_and_whole(place: Place) -> None:
    place.open().close()
    second = place.migrations / "0002-more.sql"
    second.write_text("CREATE TABLE more (id INTEGER) STRICT; CREATE TABLE letters (id INTEGER);")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        place.open()
    second.write_text("CREATE TABLE more (id INTEGER) STRICT -- no semicolon")
    store = place.open()
    assert store.database.connection.execute("PRAGMA user_version").fetchone() == (2,)
    store.close()
    second.unlink()
    with pytest.raises(StoreUnusable) as newer:
        place.open()
    assert newer.value.code == "STORE_NEWER"
    (place.migrations / "0003.sql").write_text("")
    with pytest.raises(StoreUnusable) as hole:
        place.open()
    assert hole.value.code == "STORE_MIGRATIONS"


def test_a_foreign_database_is_left_alone(place: Place) -> None:
    other = sqlite3.connect(place.database)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.close()
    with pytest.raises(StoreUnusable) as caught:
        place.open()
    assert caught.value.code == "STORE_FOREIGN"


def test_g13_a_full_quota_refuses_and_accepts_again_after_space_is_freed(place: Place) -> None:
    place.quota_bytes = 400_000
    store = place.open()
    outcomes = commit_group(store.database, [writing(number, bytes(4000)) for number in range(200)], 1)
    stored = [number for number, outcome in enumerate(outcomes) if outcome.error is None]
    assert {outcome.error.code for outcome in outcomes if isinstance(outcome.error, Refused)} == {"STORE_FULL"}
    assert 20 < len(stored) < 200
    assert [row["number"] for row in store.run(lambda txn: LETTERS.select(txn, order="number"))] == stored
    assert store.run(lambda txn: txn.space.state) == "full"
    store.run(lambda txn: [LETTERS.delete(txn, b"o" * 16, number) for number in stored[:20]])
    assert store.run(lambda txn: txn.space.state) == "ok"
    store.run(writing(2000, bytes(4000)))
    store.close()
    assert place.database.stat().st_size <= place.quota_bytes


def test_g13_a_change_that_does_not_fit_does_not_take_its_group_with_it(place: Place) -> None:
    place.quota_bytes = 400_000
    store = place.open()
    changes = [writing(number, bytes(size)) for number, size in enumerate((10, 500_000, 10))]
    outcomes = commit_group(store.database, changes, 1)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert [row["number"] for row in store.run(lambda txn: LETTERS.select(txn, order="number"))] == [0, 2]
    store.close()


def test_g13_the_ballast_is_given_up_on_a_full_disk_and_comes_back(place: Place) -> None:
    free = {"bytes": 64 * MIB}
    ballast = Ballast(place.store, MIB, lambda _: free["bytes"])
    assert (ballast.held_bytes, ballast.free_bytes()) == (0, 64 * MIB)
    ballast.restore()
    assert ballast.held_bytes == MIB
    assert (place.store / "ballast").stat().st_blocks * 512 >= MIB
    assert (place.store / "ballast").stat().st_mode & 0o777 == 0o600
    assert Ballast(place.store, MIB).held_bytes == MIB, "the file of an earlier run counts"
    assert ballast.free_bytes() == 65 * MIB
    for _ in range(2):
        ballast.give_up()
        assert ballast.held_bytes == 0
        assert not (place.store / "ballast").exists()
    free["bytes"] = 2 * MIB - 1
    ballast.restore()
    assert ballast.held_bytes == 0
    free["bytes"] = 2 * MIB
    ballast.restore()
    assert ballast.held_bytes == MIB


def test_g13_a_ballast_for_which_somebody_took_the_room_is_no_ballast(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = Ballast(place.store, MIB, lambda _: 64 * MIB)

    def full(handle: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", full)
    ballast.restore()
    assert ballast.held_bytes == 0
    assert not (place.store / "ballast").exists()
    monkeypatch.undo()
    ballast.restore()
    # Whoever deletes it by hand, or the directory, is in nobody's way.
    (place.store / "ballast").unlink()
    ballast.give_up()
    assert ballast.held_bytes == 0
    ballast._path = place.store / "gone" / "ballast"
    ballast.restore()
    assert ballast.held_bytes == 0


def test_g13_no_room_gives_the_ballast_up_only_when_the_disk_is_full(place: Place) -> None:
    place.ballast_bytes = MIB
    store = place.open()
    ballast = store.database.ballast
    store.database.give_way()
    assert ballast.held_bytes == MIB, "it was the quota"
    ballast._measure_free = lambda _: MIB
    store.database.give_way()
    assert ballast.held_bytes == MIB, "as much again is free"
    ballast._measure_free = lambda _: 0
    store.database.give_way()
    assert ballast.held_bytes == 0
    store.run(writing(1))
    assert ballast.held_bytes == 0, "there is still no room for it"
    ballast._measure_free = lambda _: 64 * MIB
    store.run(writing(2))
    assert ballast.held_bytes == MIB
    store.close()


def test_the_space_of_deleted_rows_counts_as_free_at_once(place: Place) -> None:
    store = place.open()
    empty = store.run(lambda txn: txn.space.used_bytes)
    store.run(writing(1, bytes(100_000)))
    assert store.run(lambda txn: txn.space.used_bytes) > empty + 90_000
    store.run(lambda txn: LETTERS.delete(txn, b"o" * 16, 1))
    assert store.run(lambda txn: txn.space.used_bytes) <= empty + 4096
    store.close()


def test_the_wal_is_brought_home_before_it_grows(place: Place) -> None:
    store = place.open()
    for start in range(0, 6000, 500):
        commit_group(store.database, [writing(start + step, b"x" * 200) for step in range(500)], 1)
        if store.database.checkpoint_due:
            checkpoint(store.database)
    assert place.database.with_name("relay.db-wal").stat().st_size < 4 * MIB
    store.close()


@pytest.mark.parametrize("short", [False, True])
def test_g13_the_log_is_brought_home_after_so_many_rows_and_at_once_on_the_ballast(
    place: Place, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    monkeypatch.setattr(database_module, "CHECKPOINT_ROWS", 10)
    place.ballast_bytes = MIB
    store = place.open()
    database, due = store.database, []
    if short:
        database.ballast.give_up()
        database.ballast._measure_free = lambda _: 0
    # Each group changes one row more than its letters, the count of commits, or none.
    for first, letters in enumerate((0, 4, 0, 3, 0, 1, 3, 5, 9, 8)):
        txn = database.begin(1)
        for number in range(letters):
            LETTERS.insert(txn, letter(100 * first + number), b"")
        database.commit()
        due.append(database.checkpoint_due)
        if database.checkpoint_due:
            database.checkpoint()
            assert database.checkpoint_due is False
    at_rows = [False, False, False, False, False, True, False, True, True, False]
    assert due == ([False, True, False, True, False, True, True, True, True, True] if short else at_rows)
    store.close()


def test_g11_a_log_that_shows_what_was_deleted_is_due_until_it_is_overwritten(place: Place) -> None:
    """Others may commit before anybody comes to it."""
    store = place.open()
    database, due = store.database, []
    for erasures in ([], ["letters"], []):
        database.begin(1).erasures.extend(erasures)
        database.commit()
        due.append(database.checkpoint_due)
    database.checkpoint()
    database.begin(1)
    database.commit()
    assert (due, database.checkpoint_due) == ([False, True, True], False)
    store.close()


def test_a_failed_commit_stops_the_store_for_good(place: Place) -> None:
    store = place.open()

    class Broken:
        """A connection whose disk fails at the commit."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
            if sql == "COMMIT":
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise error
            return self._connection.execute(sql, parameters)  # type: ignore[arg-type]

    connection = store.database.connection
    store.database.connection = Broken(connection)  # type: ignore[assignment]
    with pytest.raises(StoreFailed):
        store.run(writing(1))
    store.database.connection = connection
    with pytest.raises(StoreFailed):
        store.run(writing(1))
    store.close()


def test_g01_a_real_write_error_stops_the_store_and_keeps_what_was_answered(place: Place) -> None:
    store = place.open()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    answered, failure = 0, None
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, limits[1]))
    try:
        while answered < 1000:
            store.run(writing(answered, bytes(4000)))
            answered += 1
    except StoreFailed as error:
        failure = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "SQLITE_IOERR_WRITE" in str(failure)
    store.close()
    store = place.open()
    numbers = [row["number"] for row in store.run(partial(LETTERS.select, order="number"))]
    assert numbers[:answered] == list(range(answered))
    assert len(numbers) - answered in {0, 1}, "the failed one may be there: its outcome is unknown"
    store.close()


def test_a_store_that_was_not_closed_is_checked_when_it_opens_and_by_fsck(place: Place) -> None:
    store = place.open()
    for number in range(50):
        store.run(writing(number))
    killed = place.directory / "killed"
    shutil.copytree(place.store, killed)
    store.close()
    report = check(killed, RowCipher(STORAGE_KEY), [LETTERS])
    assert report.ok
    assert report.tables["letters"].rows == 50
    place.store = killed
    store = place.open()
    assert store.database.problems == ()
    assert store.run(LETTERS.unverified_count) == 50
    store.close()


@given(used=SIZES, quota=SIZES, free=SIZES, ballast=SIZES)
def test_g13_whoever_is_refused_first_never_outlives_a_more_urgent_lane(
    used: int, quota: int, free: int, ballast: int
) -> None:
    answers = [admits(lane, used, quota, free, ballast) for lane in Lane]
    assert answers == sorted(answers, reverse=True)
    assert answers[Lane.ROUTINE] == answers[Lane.BULK]
    state = space_state(used, quota, free, ballast)
    assert state == ("ok" if all(answers) else "low" if any(answers) else "full")


@given(used=SIZES, free=SIZES, more=SIZES, ballast=SIZES)
def test_g13_more_room_never_refuses(used: int, free: int, more: int, ballast: int) -> None:
    for lane in Lane:
        if admits(lane, used + more, 1 << 40, free, ballast):
            assert admits(lane, used, 1 << 40, free + more, ballast)


@given(used=SIZES, quota=SIZES, free=SIZES, ballast=SIZES)
def test_g13_the_space_of_a_group_answers_as_the_rules_do(used: int, quota: int, free: int, ballast: int) -> None:
    space = Space(used, quota, free, ballast)
    assert [space.admits(lane) for lane in Lane] == [admits(lane, used, quota, free, ballast) for lane in Lane]
    assert space.state == space_state(used, quota, free, ballast)


def test_an_empty_database_is_made_like_any_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_empty(place.database, place.migrations, 4096 * 50)
    names = ("journal_mode", "max_page_count", "user_version", "application_id")
    settings = [made.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert settings == ["wal", 50, 1, 0x595A4831]
    assert place.database.stat().st_mode & 0o777 == 0o600
    made.close()
    # Whoever fails leaves nothing open.
    left: list[sqlite3.Connection] = []
    monkeypatch.setattr(database_module, "_connect", lambda path: left.append(sqlite3.connect(path)) or left[0])
    with pytest.raises(FileNotFoundError):
        make_empty(place.store / "other.db", place.directory / "nowhere", 4096 * 50)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        left[0].execute("SELECT 1")


def test_g13_flash_lives_on_the_ballast_and_the_others_do_not() -> None:
    def let_in(used: int, free: int) -> list[str]:
        return [lane.label for lane in Lane if admits(lane, used, 100, free, 16 * MIB)]

    assert let_in(79, 33 * MIB) == ["flash", "urgent", "priority", "routine", "bulk"]
    assert let_in(80, 33 * MIB) == ["flash", "urgent", "priority"]
    assert let_in(0, 32 * MIB) == ["flash", "urgent", "priority"]
    assert let_in(90, 33 * MIB) == let_in(0, 16 * MIB) == let_in(0, 2 * MIB) == ["flash"]
    assert let_in(97, 33 * MIB) == let_in(0, MIB) == []


def test_a_missing_store_is_not_created_by_a_check(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check(tmp_path, RowCipher(STORAGE_KEY), [LETTERS])
    assert list(tmp_path.iterdir()) == []
