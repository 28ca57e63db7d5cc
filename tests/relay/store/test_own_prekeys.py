"""Our own prekeys in the store: kept once, counted for ever, and deleted so that nothing of them stays (D7, G11)."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.daemon import MIGRATIONS
from relay.store import prekeys
from relay.store.database import DATABASE_NAME, Txn
from relay.store.wal import log_of
from tests.inline_store import InlineStore
from tests.relay.store.place import Place

RECORD = bytes(range(256)) * 26
"""As long as a record with both signatures."""


def open_place(folder: str) -> Place:
    place = Place(Path(folder))
    place.migrations = MIGRATIONS
    return place


def keep(store: InlineStore, epoch: int, forget_us: int) -> None:
    def change(txn: Txn) -> None:
        prekeys.keep_own(txn, bytes((epoch,)) * 16, epoch, forget_us, bytes((epoch,)) * 32, RECORD)

    store.run(change)


def sealed_rows(store: InlineStore) -> dict[int, bytes]:
    found = store.run(lambda txn: txn.connection.execute("SELECT epoch, sealed FROM own_prekeys").fetchall())
    return dict(found)


def found_on_disk(place: Place, sealed: bytes) -> list[str]:
    """Files that hold 24 bytes of it: the sealed seed lies behind the salt, the record on pages of its own."""
    pieces = [sealed[at : at + 24] for at in (0, 24, 48, *range(96, len(sealed) - 24, 700))]
    return [path.name for path in place.store.iterdir() if any(piece in path.read_bytes() for piece in pieces)]


@settings(max_examples=settings().max_examples // 7 + 1)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=14), st.integers(0, 30))
def test_g11_what_is_forgotten_leaves_nothing_in_any_file(lives: list[int], at: int) -> None:
    """However many come and go: pages that were split or joined on the way, and the log, show nothing either."""
    with tempfile.TemporaryDirectory() as folder:
        place = open_place(folder)
        store = place.open()
        rows: dict[int, bytes] = {}
        ends: dict[int, int] = {}
        for epoch, life in enumerate(lives, 1):
            place.clock.us = epoch
            ends[epoch] = epoch + life
            keep(store, epoch, epoch + life)
            rows |= sealed_rows(store)
            store.run(prekeys.forget_own)
        place.clock.us += at
        store.run(prekeys.forget_own)
        held = sealed_rows(store).keys()
        assert held == {epoch for epoch, end in ends.items() if end > place.clock.us}
        for epoch, sealed in rows.items():
            assert bool(found_on_disk(place, sealed)) == (epoch in held), epoch
        assert store.run(prekeys.own_epoch) == len(lives)
        store.close()


def test_g11_the_log_is_overwritten_before_it_is_cut_off(tmp_path: Path) -> None:
    """To be cut off takes no block of it from the disk."""
    place = open_place(str(tmp_path))
    store = place.open()
    keep(store, 1, 10)
    log, cut = log_of(place.store / DATABASE_NAME), list[bytes]()

    def look(statement: str) -> None:
        if "TRUNCATE" in statement:
            cut.append(log.read_bytes())

    store.database.connection.set_trace_callback(look)
    place.clock.us = 11
    store.run(prekeys.forget_own)
    assert [(len(data) > len(RECORD), any(data)) for data in cut] == [(True, False)]
    assert log.stat().st_size == 0
    store.close()


def test_g12_an_epoch_that_was_used_is_never_used_again(tmp_path: Path) -> None:
    place = open_place(str(tmp_path))
    store = place.open()
    keep(store, 3, 10)
    store.run(lambda txn: prekeys.hear_own_epoch(txn, 7))
    store.run(lambda txn: prekeys.hear_own_epoch(txn, 5))
    assert store.run(prekeys.own_epoch) == 7
    keep(store, 7, 10)
    assert sealed_rows(store).keys() == {3}
    place.clock.us = 11
    assert store.run(prekeys.forget_own) == [bytes((3,)) * 16]
    keep(store, 3, 10_000_000)
    assert sealed_rows(store).keys() == set()
    store.close()
    store = place.open()
    assert store.run(prekeys.own_epoch) == 7
    store.close()


@pytest.mark.parametrize("after", [1, 2, 3])
def test_g11_a_kill_between_deletion_and_erasure_is_made_good_by_the_next_start(tmp_path: Path, after: int) -> None:
    place = open_place(str(tmp_path))
    store = place.open()
    for epoch in range(1, after + 1):
        keep(store, epoch, 10)
    rows = sealed_rows(store)
    place.clock.us = 11
    database = store.database
    txn = database.begin(11)
    assert len(prekeys.forget_own(txn)) == after
    database.commit()
    # Killed here: the log still shows them.
    saved = {path.name: path.read_bytes() for path in place.store.iterdir() if path.is_file()}
    store.close()
    for name, data in saved.items():
        (place.store / name).write_bytes(data)
    assert found_on_disk(place, rows[1])
    store = place.open()
    store.run(lambda txn: txn.connection.execute("UPDATE life SET commits = commits"))
    assert [found_on_disk(place, sealed) for sealed in rows.values()] == [[]] * after
    store.close()
