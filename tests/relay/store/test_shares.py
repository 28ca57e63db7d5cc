"""What every office has here is counted right, whatever comes, goes, fails, rots or is killed (SPEC M95, G13)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.rows import RowCipher
from protocol.content import content_digest
from protocol.copy import copy_digest
from protocol.ids import Digest, Epoch, MessageId, OfficeId, StartId
from protocol.lanes import Lane
from protocol.life import Life
from protocol.limits import EPOCH_BYTES, START_BYTES
from protocol.parcel import OWN, Parcel
from relay.admission import Share
from relay.daemon import MIGRATIONS
from relay.store import held, inbox, lives, retention, sent, shares
from relay.store.damage import move_aside
from relay.store.database import Database, Space, Txn
from relay.store.inbox import Received
from relay.store.retention import Keeping
from relay.store.sent import Accepted
from relay.store.shares import ENTRY_BYTES
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import BUNDLE, LATER, PREPARED, office_store, tried
from tests.relay.store.test_held import parcels
from tests.sim.virtual import OfficeClock, SeededEntropy, Time

IDS = tuple(MessageId(bytes((n,)) * 16) for n in range(1, 5))
ROWS = (
    "SELECT share, lane, size FROM held UNION ALL SELECT sender, lane, size FROM inbox "
    "UNION ALL SELECT x'', lane, size FROM sent"
)
FEW = settings(max_examples=settings().max_examples // 4)
Work = Callable[[Txn], object]


class _Undone(Exception):
    """What a change raises that is undone."""


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def counted(txn: Txn) -> dict[tuple[bytes, int], tuple[int, int]]:
    """Entries and bytes of each office on each lane."""
    rows = txn.connection.execute("SELECT office, lane, entries, bytes FROM shares").fetchall()
    return {(office, lane): (entries, size) for office, lane, entries, size in rows if entries or size}


def there(txn: Txn) -> dict[tuple[bytes, int], tuple[int, int]]:
    """The same by looking at every row."""
    entries, sizes = Counter[tuple[bytes, int]](), Counter[tuple[bytes, int]]()
    for office, lane, size in txn.connection.execute(ROWS).fetchall():
        entries[office, lane] += 1
        sizes[office, lane] += size
    return {key: (entries[key], sizes[key]) for key in entries}


def received(message_id: MessageId, lane: Lane, *, refused: bool = False) -> Work:
    message = Received(
        sender=world.CITY, message_id=message_id, lane=lane, state="refused" if refused else "new", received_us=0,
        flags=0, digest=content_digest(BUNDLE.record), bundle=BUNDLE, outer=b"outer", witnessed_us=0,
    )  # fmt: skip
    return lambda txn: inbox.insert(txn, message, Digest(message_id * 2), 0)


def done(message_id: MessageId) -> Work:
    def work(txn: Txn) -> None:
        inbox.take(txn, 10, 0)
        inbox.acknowledge(txn, world.CITY, message_id)

    return work


WORKS = st.one_of(
    parcels().map(lambda wanted: lambda txn: held.hold(txn, wanted)),
    st.integers(0, 11).map(lambda number: lambda txn: held.forget(txn, copy_digest(bytes((number,))))),
    st.builds(received, st.sampled_from(IDS), st.sampled_from(Lane), refused=st.booleans()),
    st.sampled_from(IDS).map(done),
    st.sampled_from(IDS).map(
        lambda one: lambda txn: inbox.bury(txn, world.PROVINCE, one, Lane.URGENT, Digest(bytes(32)), 0)
    ),
    st.builds(
        lambda one, lane: lambda txn: sent.accept(txn, [replace(PREPARED, message_id=one, lane=lane)], LATER),
        st.sampled_from(IDS), st.sampled_from(Lane),
    ),
    st.just(
        lambda txn: txn.connection.execute("UPDATE recipients SET stage = 2").rowcount
        and retention.purge(replace(txn, now_us=txn.now_us + (1 << 50)), Keeping(0, 0, 1 << 52))
    ),
)  # fmt: skip


@FEW
@given(works=st.lists(st.tuples(WORKS, st.booleans()), max_size=12))
def test_g13_what_each_office_has_is_what_its_rows_say(store: InlineStore, works: list[tuple[Work, bool]]) -> None:
    def change(txn: Txn) -> None:
        for work, undone in works:
            before = counted(txn)
            txn.connection.execute("SAVEPOINT one")
            try:
                work(txn)
                if undone:
                    raise _Undone
            except Exception:  # noqa: BLE001 - also of what the store itself refuses nothing may be counted
                txn.connection.execute("ROLLBACK TO one")
                assert counted(txn) == before
            txn.connection.execute("RELEASE one")
            assert counted(txn) == there(txn)

    tried(store, change)


def _open(folder: Path) -> InlineStore:
    database = Database.open(
        folder, cipher=RowCipher(bytes(32)), entropy=SeededEntropy("shares"), migrations=MIGRATIONS,
        quota_bytes=1 << 30, ballast_bytes=0,
    )  # fmt: skip
    return InlineStore(database, OfficeClock(Time()))


def test_g13_a_start_counts_what_is_there_and_no_damaged_row_stops_it(tmp_path: Path) -> None:
    store = _open(tmp_path)
    store.run(lambda txn: lives.begin(txn, Life(Epoch(bytes(EPOCH_BYTES))), StartId(bytes(START_BYTES)), 0))
    for work in (received(IDS[0], Lane.FLASH), received(IDS[1], Lane.BULK, refused=True), received(IDS[2], Lane.BULK)):
        store.run(work)
    store.run(lambda txn: sent.accept(txn, [PREPARED], LATER))
    before = store.run(counted)
    assert set(before) == {(world.CITY, 0), (world.CITY, 4), (OWN, 3)}
    assert store.run(lambda txn: shares.of(txn, world.CITY).whole) == sum(
        ENTRY_BYTES * entries + size for (office, _), (entries, size) in before.items() if office == world.CITY
    )
    store.close()
    store = _open(tmp_path)
    assert store.run(counted) == before
    # A flipped bit makes the size of one row enormous; what is counted of it is bounded.
    store.run(lambda txn: txn.connection.execute("UPDATE inbox SET size = 1 << 60 WHERE message_id = ?", (IDS[0],)))
    store.close()
    store = _open(tmp_path)
    assert store.run(lambda txn: shares.of(txn, world.CITY)).by_lane[Lane.FLASH] == (1 << 20) + ENTRY_BYTES
    rowid = store.run(lambda txn: txn.connection.execute("SELECT rowid FROM inbox WHERE size > 1000000").fetchone()[0])
    store.run(lambda txn: move_aside(txn, "inbox", rowid, "key"))
    store.close()
    store = _open(tmp_path)
    assert store.run(counted) == store.run(there) == {key: one for key, one in before.items() if key[1]}
    store.close()


def test_g13_whose_share_a_parcel_takes() -> None:
    base = Parcel(Digest(bytes(32)), 0, Lane.ROUTINE, world.COUNTY, world.PROVINCE, 1, (), is_origin=True)
    assert base.share == OWN
    assert replace(base, kind=1).share == world.PROVINCE
    assert replace(base, is_origin=False).share == world.PROVINCE
    carried = replace(base, is_origin=False, witnessed_us=0)
    assert [carried.share, replace(carried, kind=1).share] == [world.COUNTY] * 2


def test_g13_this_office_is_one_of_them_but_for_its_flash(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        sent.accept(txn, [PREPARED], LATER)
        own = shares.of(txn, OWN).whole
        short = replace(txn, space=Space(own, own * 5 // 4 + own * 5 // 40, 1 << 60, 0))
        asked = [replace(PREPARED, message_id=IDS[lane], lane=lane) for lane in (Lane.ROUTINE, Lane.FLASH)]
        refused, accepted = sent.accept(short, asked, LATER).results
        assert (getattr(refused, "code", None), type(accepted)) == ("STORE_FULL", Accepted)
        assert shares.admits(short, Lane.ROUTINE, world.CITY)
        assert (short.space.state, shares.state(short)) == ("ok", "low")
        assert shares.state(txn) == "ok"

    tried(store, change)


def test_g13_what_a_count_has_lost_lets_in(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        txn.connection.execute("INSERT INTO shares VALUES (?, 77, 1, 1), (?, NULL, 1, 1)", (world.CITY, world.CITY))
        assert shares.of(txn, OfficeId(world.CITY)) == Share((0, 0, 0, 0, 0))

    tried(store, change)
