"""What happened is told in order, to whoever asks, and no number is given twice (G8, G15)."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.ids import MessageId
from relay.store import events
from relay.store.damage import count_damaged
from relay.store.database import Txn
from relay.store.events import Event
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

OFFICES = (world.CITY, world.COUNTY, world.PROVINCE)
IDS = tuple(MessageId(bytes((n,)) * 16) for n in (1, 2))
TYPES = ("accepted", "custody", "delivered")
EVENTS = st.builds(
    Event, message_id=st.sampled_from(IDS), office=st.sampled_from(OFFICES), type=st.sampled_from(TYPES),
    at_us=st.integers(0, 1 << 50), by=st.sampled_from(OFFICES), verified=st.booleans(),
    code=st.sampled_from(("", "BUSY")), detail=st.text(max_size=5), record=st.binary(max_size=5),
    proof=st.binary(max_size=5),
)  # fmt: skip


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


@settings(max_examples=settings().max_examples // 4)
@given(
    st.lists(st.lists(EVENTS, max_size=4), max_size=4),
    st.integers(0, 8),
    st.integers(1, 5),
    st.sets(st.sampled_from(OFFICES), min_size=1),
    st.sets(st.sampled_from(TYPES), min_size=1),
)
def test_g08_all_that_happened_is_told_in_order(
    store: InlineStore, batches: list[list[Event]], after: int, limit: int, offices: set[bytes], types: set[str]
) -> None:
    def change(txn: Txn) -> None:
        told: list[Event] = []
        for batch in batches:
            numbered = [replace(event, seq=len(told) + at) for at, event in enumerate(batch, 1)]
            assert events.append(txn, batch) == numbered
            told += numbered
            assert events.last_seq(txn) == len(told)
        assert events.after(txn, after, limit) == told[after : after + limit]
        for message_id in IDS:
            of_message = [event for event in told if event.message_id == message_id]
            assert events.of_message(txn, message_id) == of_message
            for office in OFFICES:
                of_both = [event for event in of_message if event.office == office]
                assert events.of_recipient(txn, message_id, office) == of_both
                for type_ in TYPES:
                    newest = of_both[-1].type if of_both else None
                    assert events.last_is(txn, Event(message_id, office, type_, 0, office)) is (newest == type_)
        said = [event for event in told[after : after + limit] if event.office in offices and event.type in types]
        assert events.said_by(txn, sorted(offices), sorted(types), after, limit) == said

    tried(store, change)


def test_g15_a_proof_is_kept_once_as_it_was(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        assert events.proof(txn, b"d" * 32) is None
        for record in (b"first", b"second"):
            events.keep_proof(txn, b"d" * 32, 5, record)
            assert events.proof(txn, b"d" * 32) == b"first"

    tried(store, change)


def test_g08_numbers_of_events_go_on_after_the_newest_was_forgotten() -> None:
    stories = [
        Event(IDS[0], office, "accepted", 0, world.COUNTY) for office in (world.CITY, world.PROVINCE, world.CITY)
    ]
    with office_store() as store:
        store.run(lambda txn: events.append(txn, stories))
        store.run(lambda txn: events.forget(txn, IDS[0], world.CITY))
        assert [event.seq for event in store.run(lambda txn: events.after(txn, 0, 10))] == [2]
        store.run(lambda txn: events.forget(txn, IDS[0], world.PROVINCE))
        store.run(lambda txn: events.forget(txn, IDS[1], world.CITY))
        assert store.run(events.last_seq) == 3
        assert [event.seq for event in store.run(lambda txn: events.append(txn, stories[:2]))] == [4, 5]
        store.run(lambda txn: events.forget(txn, IDS[0], world.CITY))
        assert [event.seq for event in store.run(lambda txn: events.after(txn, 0, 10))] == [5]


def test_g12_g08_another_life_of_the_home_may_have_used_the_numbers_above(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        before = events.last_seq(txn)
        events.leave_room(txn)
        (event,) = events.append(txn, [Event(IDS[0], world.CITY, "accepted", 0, world.CITY)])
        assert event.seq == before + events.OTHER_LIFE + 1

    tried(store, change)


def test_g08_whoever_listens_misses_nothing_after_the_newest_event_was_damaged() -> None:
    first, second, third = (Event(IDS[0], world.CITY, type_, 0, world.CITY) for type_ in TYPES)
    with office_store() as store:
        store.run(lambda txn: events.append(txn, [first, second]))
        read = store.run(lambda txn: events.after(txn, 0, 10))[-1].seq
        store.run(lambda txn: txn.connection.execute("UPDATE events SET sealed = x'' WHERE seq = 2").rowcount)
        assert [event.seq for event in store.run(lambda txn: events.after(txn, 0, 10))] == [1]
        assert store.run(count_damaged) == 1
        store.run(lambda txn: events.append(txn, [third]))
        assert [event.type for event in store.run(lambda txn: events.after(txn, read, 10))] == [third.type]
