"""Every row under another storage key, and none lost with the old one (G1, G11)."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from keys.rows import RowCipher
from relay.daemon import MIGRATIONS
from relay.store import counters, resealing
from relay.store.damage import read_damage
from relay.store.database import Database, HomeInUse, Txn
from relay.store.resealing import reseal
from relay.store.stopped import ask
from relay.store.tables import EVENTS, META
from tests.inline_store import InlineStore
from tests.relay.store.place import HandClock, SystemEntropy

OLD, NEW, OTHER = (RowCipher(bytes([number]) * 32) for number in range(3))
OPENING = {"entropy": SystemEntropy(), "migrations": MIGRATIONS, "quota_bytes": 64 << 20}
FACTS = 7
NOW_US = 1_000


def open_store(folder: Path, cipher: RowCipher) -> InlineStore:
    database = Database.open(folder, cipher=cipher, ballast_bytes=0, **OPENING)  # type: ignore[arg-type]
    return InlineStore(database, HandClock())


def rotate(folder: Path, old: RowCipher = OLD, new: RowCipher = NEW) -> int:
    return reseal(folder, old, new, now_us=NOW_US, **OPENING)  # type: ignore[arg-type]


def remember(txn: Txn) -> None:
    for number in range(FACTS):
        counters.remember(txn, f"fact {number}", [number])
        event = {"seq": number + 1, "message_id": b"m" * 16, "office": b"o" * 16, "type": "accepted", "at_us": number}
        EVENTS.insert(txn, event, bytes([number]) * 700)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store that holds the same number of facts and of events, and is closed."""
    store = open_store(tmp_path, OLD)
    store.run(remember)
    store.close()
    return tmp_path


def held(folder: Path, cipher: RowCipher) -> tuple[list[object], list[object]]:
    """The facts and the numbers of the events that a key opens as they lie there."""

    def read(txn: Txn) -> tuple[list[object], list[object]]:
        txn.mender.tries_left = 0
        facts = [row["name"] for row in META.select(txn, order="name")]
        return facts, [row["seq"] for row in EVENTS.select(txn, order="seq")]

    return ask(folder, cipher, read)


ALL_HELD = [f"fact {number}" for number in range(FACTS)], list(range(1, FACTS + 1))
Change = Callable[[sqlite3.Connection], object]


def damage(folder: Path, *changes: Change) -> None:
    """With the relay down, behind its back."""
    connection = sqlite3.connect(folder / "relay.db")
    with connection:
        for change in changes:
            change(connection)
    connection.close()


def sql(text: str) -> Change:
    return lambda connection: connection.execute(text)


def flipped_body(connection: sqlite3.Connection) -> None:
    ((sealed,),) = connection.execute("SELECT sealed FROM events WHERE seq = 4")
    flipped = bytes((*sealed[:300], sealed[300] ^ 16, *sealed[301:]))
    connection.execute("UPDATE events SET sealed = ? WHERE seq = 4", (flipped,))


@pytest.mark.parametrize("rows", [1, 3, 500])
def test_g11_every_row_opens_under_the_new_key_alone(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(resealing, "SLICE_ROWS", rows)
    files = {path.name for path in folder.iterdir()}
    assert rotate(folder) == 2 * FACTS
    assert {path.name for path in folder.iterdir()} == files
    assert (held(folder, NEW), held(folder, OLD)) == (ALL_HELD, ([], []))
    # Whoever runs it again finds it done.
    assert rotate(folder) == 0
    assert held(folder, NEW) == ALL_HELD


@pytest.mark.parametrize("rows", [1, 3, 500])
def test_g01_g11_a_row_in_which_a_bit_flipped_is_mended_before_its_key_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Also where its rowid itself is wrong, so that it is met in another place than it belongs to."""
    monkeypatch.setattr(resealing, "SLICE_ROWS", rows)
    damage(
        folder, flipped_body, sql("UPDATE events SET seq = 9 WHERE seq = 1"),
        sql("UPDATE meta SET name = 'fact 7' WHERE name = 'fact 3'"), sql("UPDATE meta SET row_version = 3"),
    )  # fmt: skip
    assert rotate(folder) == 2 * FACTS - 1
    facts, events = ALL_HELD
    # The one with two wrong bits is not believed, and is not thrown away either.
    facts = [fact for fact in facts if fact != "fact 3"]
    assert (held(folder, NEW), held(folder, OLD)) == ((facts, events), ([], []))
    assert ask(folder, NEW, META.unverified_count) == FACTS
    found = ask(folder, NEW, partial(read_damage, since_us=NOW_US))
    assert (found.total, found.mended, found.tables) == (FACTS - 1 + 2, FACTS - 1 + 2, ("events", "meta"))


def test_g11_what_opens_under_neither_key_stays_as_it_is(folder: Path) -> None:
    damage(folder, sql("UPDATE events SET sealed = zeroblob(60) WHERE seq = 2"))
    assert rotate(folder, OTHER) == 0
    assert held(folder, OLD) == (ALL_HELD[0], [1, 3, 4, 5, 6, 7])
    assert ask(folder, OLD, EVENTS.unverified_count) == FACTS
    assert rotate(folder) == 2 * FACTS - 1


def test_g11_the_old_rows_are_in_no_file(folder: Path) -> None:
    before = ask(folder, OLD, lambda txn: txn.connection.execute("SELECT sealed FROM events").fetchall())
    rotate(folder)
    data = b"".join(path.read_bytes() for path in folder.iterdir())
    assert not [sealed for (sealed,) in before if sealed[24:48] in data or sealed[-24:] in data]


def test_g11_a_resealing_that_fails_changes_nothing_and_lets_the_next_one_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rotate(folder)
    assert held(folder, OLD) == ALL_HELD
    store = open_store(folder, OLD)
    with pytest.raises(HomeInUse):
        rotate(folder)
    store.close()
    assert rotate(folder) == 2 * FACTS
