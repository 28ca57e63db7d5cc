"""Prekeys: of each office the one of the highest rank, of our own each once and in order (D7, G14)."""

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys.prekeys import PrekeyRecord, make_prekey
from protocol.ids import OfficeId
from relay.store import prekeys
from relay.store.database import Txn
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

OFFICES = (world.CITY, world.COUNTY)
FEW = settings(max_examples=settings().max_examples // 4)


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


@cache
def prekey(office: OfficeId, epoch: int, later_us: int) -> PrekeyRecord:
    """A record of this epoch, valid from so much later on."""
    key = {world.CITY: world.CITY_KEY, world.COUNTY: world.COUNTY_KEY}[office]
    return make_prekey(
        key, network_id=world.NETWORK, office_id=office, suite=1, seed=bytes((epoch,)) * 32,
        now_us=world.NOW_US + later_us, epoch_seen=epoch - 1,
    )  # fmt: skip


@FEW
@example([(world.CITY, 1, 1), (world.CITY, 3, 1), (world.CITY, 2, 2)])
@example([(world.CITY, 3, 1), (world.CITY, 3, 2), (world.CITY, 3, 1)])
@given(st.lists(st.tuples(st.sampled_from(OFFICES), st.integers(1, 5), st.integers(1, 3)), max_size=8))
def test_g14_g16_the_record_of_the_highest_rank_is_kept_until_its_office_is_forgotten(
    store: InlineStore, heard: list[tuple[OfficeId, int, int]]
) -> None:
    def change(txn: Txn) -> None:
        highest: dict[OfficeId, tuple[int, int]] = {}
        for office, *rank in heard:
            taken = office not in highest or tuple(rank) > highest[office]
            assert prekeys.keep(txn, prekey(office, *rank)) is taken
            highest[office] = max((rank[0], rank[1]), highest.get(office, (0, 0)))
        for office in OFFICES:
            kept = prekey(office, *highest[office]).data if office in highest else None
            assert prekeys.record_of(txn, office) == kept
        assert sorted(prekeys.records(txn)) == sorted(prekey(one, *rank).data for one, rank in highest.items())
        prekeys.forget(txn, world.CITY)
        assert prekeys.record_of(txn, world.CITY) is None
        # Its epochs count from the beginning again.
        assert prekeys.keep(txn, prekey(world.CITY, 1, 1))

    tried(store, change)


@FEW
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(-1, 1)), max_size=8))
def test_g11_own_prekeys_are_held_once_in_order_until_their_time_has_come(
    store: InlineStore, steps: list[tuple[int, bool, int]]
) -> None:
    """A prekey is made for an epoch, or heard of only; its time comes then, earlier or later."""

    def change(txn: Txn) -> None:
        held: dict[int, int] = {}
        highest = 0
        assert prekeys.own_epoch(txn) == 0
        for epoch, made, forget in steps:
            if made:
                prekeys.keep_own(txn, bytes((epoch,)), epoch, txn.now_us + forget, b"seed", bytes((epoch,)) * 2)
                held |= {epoch: forget} if epoch > highest else {}
            else:
                prekeys.hear_own_epoch(txn, epoch)
            highest = max(highest, epoch)
            assert prekeys.own_epoch(txn) == highest
        own = [(bytes((epoch,)), b"seed", bytes((epoch,)) * 2) for epoch in sorted(held)]
        assert list(prekeys.own(txn)) == own
        due = {bytes((epoch,)) for epoch, forget in held.items() if forget <= 0}
        txn.erasures.clear()
        assert set(prekeys.forget_own(txn)) == due
        assert txn.erasures == (["own_prekeys"] if due else [])
        assert list(prekeys.own(txn)) == [one for one in own if one[0] not in due]
        assert prekeys.own_epoch(txn) == highest

    tried(store, change)


def test_g11_own_epochs_go_on_where_only_the_prekey_is_left(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        prekeys.keep_own(txn, b"p", 7, txn.now_us, b"seed", b"record")
        txn.connection.execute("DELETE FROM meta WHERE name = 'prekey_epoch'")
        assert prekeys.own_epoch(txn) == 7

    tried(store, change)


def test_g11_what_was_moved_aside_of_own_prekeys_goes_with_them(store: InlineStore) -> None:
    def damaged(txn: Txn) -> int:
        return int(
            txn.connection.execute("SELECT count(*) FROM damaged WHERE table_name = 'own_prekeys'").fetchone()[0]
        )

    def change(txn: Txn) -> None:
        row = ("own_prekeys", "70", 1, 0, b"columns")
        for table in ("own_prekeys", "letters"):
            txn.connection.execute(
                "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES (?, ?, ?, ?, ?)",
                (table, *row[1:]),
            )
        prekeys.keep_own(txn, b"p", 1, txn.now_us + 1, b"seed", b"record")
        assert prekeys.forget_own(txn) == []
        assert damaged(txn) == 1, "nothing was due"
        prekeys.keep_own(txn, b"q", 2, txn.now_us, b"seed", b"record")
        assert prekeys.forget_own(txn) == [b"q"]
        assert damaged(txn) == 0
        assert txn.connection.execute("SELECT count(*) FROM damaged").fetchone() == (1,)
        # Whoever deletes later pays no more than SQLite asks for.
        assert txn.connection.execute("PRAGMA secure_delete").fetchone() == (2,)

    tried(store, change)
