"""One SQLite database, one connection (DESIGN D10): opening, settings, migrations, lock, space.

SQLite releases of 3.7.0 to 3.51.2 can corrupt a WAL database that two connections checkpoint at once. A lock
file keeps a second relay out, and exclusive locking mode keeps every other program out while we run.
"""

import fcntl
import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.files.private_files import erase, overwrite
from keys.rows import RowCipher
from protocol.lanes import Lane
from relay.admission import NOTHING, Share, SpaceState, admits, space_state
from relay.ports import Entropy
from relay.store.ballast import Ballast, sync_directory
from relay.store.mending import Mender
from relay.store.wal import log_of, mend_wal

DATABASE_NAME: Final = "relay.db"
LOCK_NAME: Final = "lock"
DAMAGED_NAME: Final = "relay.db.damaged"
"""A database whose rows were salvaged (`relay.store.salvage`)."""
SUSPECT_NAME: Final = "suspect"
"""An empty file: SQLite met a page that makes no sense, so that the next start salvages, whatever the size."""
START_NAME: Final = "start.sql"
"""Beside the migrations: what is made in memory at every start."""
APPLICATION_ID: Final = 0x595A4831
"""`YZH1`: what `file` and SQLite show for our databases."""

PAGE_BYTES: Final = 4096
JOURNAL_BYTES: Final = 64 * 1024 * 1024
CACHE_KIB: Final = 16 * 1024
"""Page cache: SQLite's default of 2 MiB spills large groups; memory is bounded to 200 MiB (G13)."""
CHECKPOINT_ROWS: Final = 1000
"""Rows changed between checkpoints: about 1,000 pages of small rows, at most 48 MiB of the largest."""

CHECKED_AT_START_BYTES: Final = 256 * 1024 * 1024
"""Largest database whose pages are checked at a start: about 0.3 s. A larger one would delay it (G16); its rows prove
themselves when they are read, and `fsck` checks the rest."""

_FIRST_SQL: Final = """
    CREATE TABLE damaged (
        number INTEGER PRIMARY KEY, table_name TEXT NOT NULL, key_text TEXT NOT NULL,
        found_at_us INTEGER NOT NULL, mended INTEGER NOT NULL, columns BLOB NOT NULL
    ) STRICT;
    -- One row: how many groups of changes were committed since the home began.
    CREATE TABLE life (one INTEGER PRIMARY KEY CHECK (one = 1), commits INTEGER NOT NULL) STRICT;
    INSERT INTO life VALUES (1, 0);
"""
"""What every database has whatever its schema."""
_MIGRATION: Final = re.compile(r"([0-9]{4})[a-z0-9_-]*\.sql")


class HomeInUse(Exception):
    """Another process holds the store (exit 73)."""


class StoreUnusable(Exception):
    """The store cannot be opened safely. `code` is UPPER_SNAKE and stable, `detail` says why in English."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Space:
    """Room in the store, all in bytes; see `relay.admission.admits` for the meaning of each."""

    used_bytes: int
    quota_bytes: int
    free_bytes: int
    ballast_bytes: int

    def admits(self, lane: Lane, share: Share = NOTHING) -> bool:
        """Whether a new message of this lane may be accepted now, of an office that has `share` here."""
        return admits(lane, self.used_bytes, self.quota_bytes, self.free_bytes, self.ballast_bytes, share)

    @property
    def state(self) -> SpaceState:
        """The word for `status`."""
        return space_state(self.used_bytes, self.quota_bytes, self.free_bytes, self.ballast_bytes)


@dataclass(frozen=True, slots=True)
class Txn:
    """What a change or query works with. `now_us` and `space` are taken once for a whole group.

    `commits` is the home's count of commits once this group is durable, if it changes anything.
    `set_asides` collects the moves of damaged rows; they are made after the change, even if it raises.
    `mender` tries to mend them first. `erasures` names tables from which secrets were deleted: after the commit the
    write-ahead log, which still shows them, is overwritten.
    """

    connection: sqlite3.Connection
    cipher: RowCipher
    entropy: Entropy
    now_us: int
    space: Space
    mender: Mender = field(default_factory=Mender)
    commits: int = 0
    set_asides: list[Callable[[], None]] = field(default_factory=list)
    erasures: list[str] = field(default_factory=list)


class StoreLock:
    """The lock file of a store; held until `release` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Raises `HomeInUse`."""
        self._handle = os.open(directory / LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            raise HomeInUse(str(directory)) from error

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._handle)


class Database:
    """The open database. All methods belong to the one thread that opened it."""

    def __init__(
        self, connection: sqlite3.Connection, lock: StoreLock, cipher: RowCipher, entropy: Entropy,
        quota_bytes: int, ballast: Ballast, log_path: Path,
    ) -> None:  # fmt: skip
        self.connection = connection
        self._lock = lock
        self._cipher = cipher
        self._entropy = entropy
        self._quota_bytes = quota_bytes
        self._log_path = log_path
        self.ballast = ballast
        self.problems: tuple[str, ...] = ()
        """What the check of the pages found."""
        self.mended_bits = 0
        """Flipped bits of the write-ahead log that were mended."""
        self.checkpoint_due = False
        self._checkpointed_at = connection.total_changes
        self._mender = Mender()
        self._erasures: list[str] = []
        self._log_shows_secrets = False
        self._begun_at = connection.total_changes
        self.commits = _commits(connection)
        """How many groups were committed since the home began; never more than is durable (G12)."""

    @classmethod
    def open(
        cls, directory: Path, *, cipher: RowCipher, entropy: Entropy, migrations: Path, quota_bytes: int,
        ballast_bytes: int,
    ) -> "Database":  # fmt: skip
        """Lock, create if missing, prove the settings, migrate.

        The pages of a store that is not too large are checked; `problems` says what was found.
        Raises `HomeInUse`, `StoreUnusable`, `sqlite3.Error`, `OSError`.
        """
        lock = StoreLock(directory)
        connection = None
        try:
            path = directory / DATABASE_NAME
            unclean = _is_left_over(path)
            mended = mend_wal(path, PAGE_BYTES)
            _create_private(path)
            connection = _connect(path)
            _configure(connection, quota_bytes)
            _migrate(connection, migrations)
            sync_directory(directory)
            ballast = Ballast(directory, ballast_bytes)
            database = cls(connection, lock, cipher, entropy, quota_bytes, ballast, log_of(path))
            # The log of a process that was killed may show what it deleted.
            database._log_shows_secrets = unclean
            database.ballast.restore()
            if path.stat().st_size <= CHECKED_AT_START_BYTES:
                database.problems = quick_check(connection)
            database.problems += _count_shares(connection, migrations)
            database.mended_bits = mended
            return database
        except BaseException:
            if connection is not None:
                connection.close()
            lock.release()
            raise

    def begin(self, now_us: int) -> Txn:
        """Start the transaction of a group."""
        if self.ballast.held_bytes < self.ballast.size_bytes:
            self.ballast.restore()
        txn = Txn(self.connection, self._cipher, self._entropy, now_us, self.space(), self._mender, self.commits + 1)
        self._erasures = txn.erasures
        self.connection.execute("BEGIN IMMEDIATE")
        self._begun_at = self.connection.total_changes
        return txn

    def commit(self) -> None:
        """Make the transaction durable, and count it if it changed anything: returns after the fsync of the WAL."""
        commits = self.commits
        if self.connection.total_changes != self._begun_at:
            # The column may have been lifted by a change (`relay.store.lives`); damaged, it never falls while we run.
            counted = "UPDATE life SET commits = max(commits, ?) + 1 RETURNING commits"
            ((commits,),) = self.connection.execute(counted, (self.commits,)).fetchall()
        self.connection.execute("COMMIT")
        self.commits = commits
        rows = self.connection.total_changes - self._checkpointed_at
        # Each commit adds some 60 KiB to the WAL; on the ballast it must be used again at once instead of growing.
        short = self.ballast.held_bytes < self.ballast.size_bytes
        self._log_shows_secrets |= bool(self._erasures)
        self.checkpoint_due = self._log_shows_secrets or rows >= (1 if short else CHECKPOINT_ROWS)

    def roll_back(self) -> None:
        """Undo the open transaction, if SQLite has not done so already."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Bring the WAL into the database; wanted when `checkpoint_due`. Raises `sqlite3.OperationalError`, `OSError`.

        SQLite's automatic checkpoint hides its errors, also a failed fsync; this one is asked for and seen.
        """
        self._checkpointed_at = self.connection.total_changes
        self.checkpoint_due = False
        if self._log_shows_secrets:
            self._erase_log()
        else:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _erase_log(self) -> None:
        """Empty the WAL, overwritten first: to be cut off does not take its blocks from the disk (D7)."""
        ((busy, *_),) = self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        if busy:
            return
        # All of it is in the database and synced: from here on the log may be lost at any moment.
        overwrite(self._log_path)
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        erase(self._log_path.with_name(DAMAGED_NAME))
        self._log_shows_secrets = False

    def suspect(self) -> None:
        """SQLite met a page that makes no sense: the next start makes a new database of the rows. Raises `OSError`."""
        self._log_path.with_name(SUSPECT_NAME).touch(mode=0o600)

    def give_way(self) -> None:
        """After SQLite found no room: give up the ballast, unless it was the quota that ran out."""
        if self.ballast.free_bytes() - self.ballast.held_bytes < self.ballast.size_bytes:
            self.ballast.give_up()

    def space(self) -> Space:
        """Room now; pages of deleted rows count as free."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (unused,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        used_bytes = (pages - unused) * PAGE_BYTES
        return Space(used_bytes, self._quota_bytes, self.ballast.free_bytes(), self.ballast.size_bytes)

    def close(self) -> None:
        """Close the connection, which brings the WAL home, and let the next process in."""
        try:
            self.connection.close()
        finally:
            self._lock.release()


def make_empty(path: Path, migrations: Path, quota_bytes: int) -> sqlite3.Connection:
    """A new database at a path where there is none. Raises `sqlite3.Error`, `OSError`."""
    _create_private(path)
    connection = _connect(path)
    try:
        _configure(connection, quota_bytes)
        _migrate(connection, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _commits(connection: sqlite3.Connection) -> int:
    """The count of commits. A damaged one that is too low shows when neighbours know better: like a restored home."""
    row = connection.execute("SELECT commits FROM life").fetchone()
    if row is None:
        connection.execute("INSERT INTO life VALUES (1, 0)")
    return 0 if row is None else max(0, row[0])


def quick_check(connection: sqlite3.Connection) -> tuple[str, ...]:
    """What SQLite finds wrong with its pages; empty when all is well."""
    return tuple(line for (line,) in connection.execute("PRAGMA quick_check(20)") if line != "ok")


def decode_text(data: bytes) -> str:
    """Text of a column. A flipped bit may leave no UTF-8: lone surrogates then let the row through to be judged."""
    return data.decode("utf-8", "surrogateescape")


def _is_left_over(path: Path) -> bool:
    """Whether the last process ended without closing the database: its WAL is still there."""
    log_path = log_of(path)
    return log_path.exists() and log_path.stat().st_size > 0


def _create_private(path: Path) -> None:
    """Make an empty file if there is none, with mode 0600 in any case; SQLite gives its WAL the same mode."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that leaves transactions to us."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, cached_statements=512)
    connection.text_factory = decode_text
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing: what a kill left in the write-ahead log is read and stays there."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = decode_text
    return connection


def _configure(connection: sqlite3.Connection, quota_bytes: int) -> None:
    """Set what the store relies on and read back what it cannot do without (reliability, section 7)."""
    quota_pages = max(quota_bytes // PAGE_BYTES, 1)
    for setting in (
        "locking_mode = EXCLUSIVE",
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        f"cache_size = -{CACHE_KIB}",
        "temp_store = MEMORY",
        "secure_delete = FAST",
        f"journal_size_limit = {JOURNAL_BYTES}",
        "wal_autocheckpoint = 0",
        f"max_page_count = {quota_pages}",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "page_size": PAGE_BYTES, "trusted_schema": 0}
    for name, value in wanted.items():
        (found,) = connection.execute(f"PRAGMA {name}").fetchone()
        if found != value:
            raise StoreUnusable("STORE_SETTINGS", f"{name} is {found!r}, not {value!r}")


def _migrate(connection: sqlite3.Connection, migrations: Path) -> None:
    """Bring the schema up to date: NNNN.sql takes it from version NNNN - 1 to NNNN, each in one transaction."""
    scripts = {int(match[1]): path for path in migrations.iterdir() if (match := _MIGRATION.fullmatch(path.name))}
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if identity == 0 and objects == 0:
        _run_script(connection, f"{_FIRST_SQL} PRAGMA application_id = {APPLICATION_ID};")
    elif identity != APPLICATION_ID:
        raise StoreUnusable("STORE_FOREIGN", f"{DATABASE_NAME} was not made by this program")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = max(scripts, default=0)
    if sorted(scripts) != list(range(1, newest + 1)):
        raise StoreUnusable("STORE_MIGRATIONS", "the numbers of the migrations have a hole")
    if version > newest:
        raise StoreUnusable("STORE_NEWER", f"the store has schema {version}, this program knows {newest}")
    for number in range(version + 1, newest + 1):
        _run_script(connection, f"{scripts[number].read_text('utf-8')}\n; PRAGMA user_version = {number};")


def _count_shares(connection: sqlite3.Connection, migrations: Path) -> tuple[str, ...]:
    """What is counted in memory, where the schema has such counts; what a page that makes no sense says of itself."""
    script = migrations / START_NAME
    try:
        connection.executescript(script.read_text("utf-8") if script.exists() else "")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return (str(error),)
    return ()


def _run_script(connection: sqlite3.Connection, statements: str) -> None:
    """Run all statements or none."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {statements} COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
