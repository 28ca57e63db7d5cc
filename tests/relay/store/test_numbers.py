"""Numbers of messages: every hole is shown, none is invented, whatever comes twice or out of order (G4)."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_event

import relay.store
from keys.rows import RowCipher
from keys.signing import COPY, sign_record
from protocol.copy import copy_digest, encode_header, outer_payload
from protocol.ids import Epoch, MessageId, OfficeId, StartId
from protocol.lanes import Lane
from protocol.receipt import Place
from relay.store import inbox, lives, sent
from relay.store.damage import SALVAGED
from relay.store.database import Database, Txn
from relay.store.events import Event
from relay.store.inbox import FILLS_GAP, GAP, Received
from relay.store.sent import Accepted, Addressee
from relay.store.streams import EPOCHS_MAX, Streams, gaps, tell
from relay.store.tables import STREAMS
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import BUNDLE, LATER, PREPARED, office_store, tried
from tests.relay.store.place import STORAGE_KEY, HandClock, SystemEntropy

MIGRATIONS = Path(relay.store.__file__).parent / "migrations"
arrivals = st.lists(st.lists(st.integers(1, 12), max_size=5), max_size=6)


@settings(max_examples=settings().max_examples // 4)
@given(arrivals)
def test_g04_gaps_are_shown_and_filled_under_duplicates(batches: list[list[int]]) -> None:
    sender, epoch = OfficeId(os.urandom(16)), Epoch(bytes(8))
    with tempfile.TemporaryDirectory() as folder:
        opened = Database.open(
            Path(folder), cipher=RowCipher(STORAGE_KEY), entropy=SystemEntropy(), migrations=MIGRATIONS,
            quota_bytes=64 << 20, ballast_bytes=0,
        )  # fmt: skip
        store = InlineStore(opened, HandClock())
        try:
            seen: set[int] = set()
            for batch in batches:
                flags = store.run(partial(_note, sender=sender, epoch=epoch, batch=batch))
                for number, flag in zip(batch, flags, strict=True):
                    highest = max(seen, default=0)
                    expected = GAP if number > highest + 1 else FILLS_GAP if number < highest else 0
                    assert flag == (0 if number in seen else expected)
                    seen.add(number)
        finally:
            store.close()


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=25), st.integers(1, 5))
def test_g04_what_people_are_told_of_gaps_adds_up(arrivals: list[tuple[int, bool]], turn: int) -> None:
    """Messages and tombstones in any order; now and then people are told. Told and not closed is what is shown."""
    sender, epoch = OfficeId(bytes(16)), Epoch(bytes(8))
    with office_store() as store:
        seen: set[int] = set()
        told: set[int] = set()
        for at, (number, dead) in enumerate(arrivals):
            code = "EXPIRED" if dead else ""
            closed = store.run(partial(_close, sender=sender, epoch=epoch, number=number, code=code))
            expected = [("gap_closed", f"routine {number}", code)] if number in told - seen else []
            assert [(event.type, event.detail, event.code) for event in closed] == expected
            seen.add(number)
            if at % turn == 0:
                for event in store.run(lambda txn: tell(txn, txn.now_us, 10, sender)):
                    first, _, last = event.detail.removeprefix("routine ").partition("-")
                    told |= set(range(int(first), int(last or first) + 1))
                shown = [gap.hole for gap in store.run(lambda txn: gaps(txn, 100))]
                numbers = [number for hole in shown for number in range(hole.first, hole.last + 1)]
                assert set(numbers) == set(range(1, max(seen))) - seen
                assert len(numbers) == len(set(numbers))


def test_g04_gaps_are_told_of_the_sender_by_this_office() -> None:
    first, last, late, dead = (MessageId(bytes((n,)) * 16) for n in (1, 4, 2, 3))
    place = Place(Lane.ROUTINE, Epoch(bytes(8)), 1)

    def change(txn: Txn) -> None:
        streams = Streams(txn, world.PROVINCE)
        assert streams.note(world.COUNTY, place, first) == 0
        assert streams.note(world.COUNTY, replace(place, number=4), last) == GAP
        streams.close()
        assert streams.log == []
        assert gaps(txn, 10) == []
        told = Event(last, world.COUNTY, "gap", txn.now_us, world.PROVINCE, detail="routine 2-3")
        assert tell(txn, txn.now_us - 1, 10, world.PROVINCE) == []
        assert tell(txn, txn.now_us, 10, world.PROVINCE) == [told]
        assert tell(txn, txn.now_us, 10, world.PROVINCE) == []
        (gap,) = gaps(txn, 10)
        assert (gap.sender, gap.lane, gap.hole.first, gap.hole.last) == (world.COUNTY, Lane.ROUTINE, 2, 3)
        streams = Streams(txn, world.PROVINCE)
        assert streams.note(world.COUNTY, replace(place, number=2), late) == FILLS_GAP
        assert streams.note(world.COUNTY, replace(place, number=3), dead, "EXPIRED") == FILLS_GAP
        streams.close()
        closed = Event(late, world.COUNTY, "gap_closed", txn.now_us, world.PROVINCE, detail="routine 2")
        assert streams.log == [closed, replace_event(closed, message_id=dead, code="EXPIRED", detail="routine 3")]
        assert gaps(txn, 10) == []

    with office_store() as store:
        store.run(change)


def test_g04_of_more_streams_than_may_be_told_at_once_none_is_left_out() -> None:
    """A turn tells of so many, the next one of others; of what is told the oldest is shown first."""
    epochs = [Epoch(bytes((number,)) * 8) for number in (3, 1, 2)]
    with office_store() as store:
        clock: Any = store._clock
        for epoch in epochs:
            store.run(partial(_close, sender=world.COUNTY, epoch=epoch, number=5, code=""))
            clock.time.us += 1
        told = [store.run(lambda txn: tell(txn, txn.now_us, 2, world.CITY)) for _ in range(3)]
        assert [len(events) for events in told] == [2, 1, 0]
        store.run(partial(_close, sender=world.COUNTY, epoch=Epoch(bytes(8)), number=5, code=""))
        shown = store.run(lambda txn: gaps(txn, 2))
        assert [gap.hole.since_us for gap in shown] == [clock.now_us() - 3, clock.now_us() - 2]


@pytest.mark.parametrize("names", [range(EPOCHS_MAX + 2), range(EPOCHS_MAX + 2, 0, -1)])
def test_g04_the_epoch_that_began_first_is_forgotten(names: range) -> None:
    """Whatever its random name."""
    with office_store() as store:
        clock: Any = store._clock
        for number in names:
            store.run(partial(_close, sender=world.COUNTY, epoch=Epoch(bytes((number,)) * 8), number=1, code=""))
            clock.time.us += 1
        rows = store.run(lambda txn: STREAMS.unverified_clear(txn, order="began_us"))
        assert [row["epoch"] for row in rows] == [bytes((number,)) * 8 for number in names[2:]]


def test_g04_an_office_with_ever_new_epochs_takes_no_more_room() -> None:
    sender = OfficeId(bytes(16))
    with office_store() as store:
        for _ in range(3):
            for number in range(20):
                store.run(partial(_close, sender=sender, epoch=Epoch(number.to_bytes(8)), number=1, code=""))
                assert store.run(STREAMS.unverified_count) <= EPOCHS_MAX
        store.run(partial(_many, sender=sender))
        assert store.run(STREAMS.unverified_count) == EPOCHS_MAX


def test_g04_numbers_go_on_where_their_row_is_damaged() -> None:
    """After the highest that a message of the same epoch has, to the same office on the same lane."""

    def given_numbers(txn: Txn, name: bytes, to: Sequence[OfficeId], lane: Lane = Lane.ROUTINE) -> list[int]:
        addressees = tuple(Addressee(one, "320900-GO") for one in to)
        message = replace(PREPARED, message_id=MessageId(name * 16), lane=lane, addressees=addressees)
        (accepted,) = sent.accept(txn, [message], LATER).results
        assert isinstance(accepted, Accepted)
        return [one.number for one in accepted.to_seal]

    def damage(txn: Txn) -> None:
        txn.connection.execute("UPDATE numbers SET sealed = x'' WHERE lane = ?", (int(Lane.ROUTINE),))

    def begin_anew(txn: Txn) -> None:
        life = lives.recall(txn)
        assert life is not None
        lives.part(txn, replace(life, epoch=Epoch(b"epoch 2.")), StartId(bytes(8)), 0, [])

    both = (world.CITY, world.PROVINCE)
    with office_store() as store:
        for name, to, numbers in ((b"1", both, [1, 1]), (b"2", (world.CITY,), [2]), (b"3", (world.CITY,), [3])):
            assert store.run(partial(given_numbers, name=name, to=to)) == numbers
        assert store.run(lambda txn: given_numbers(txn, b"u", (world.CITY,), Lane.FLASH)) == [1]
        store.run(damage)
        assert store.run(lambda txn: given_numbers(txn, b"4", both)) == [4, 2]
        assert store.run(lambda txn: given_numbers(txn, b"5", both)) == [5, 3]
        store.run(begin_anew)
        store.run(lambda txn: given_numbers(txn, b"6", (world.PROVINCE,)))
        store.run(damage)
        assert store.run(lambda txn: given_numbers(txn, b"7", both)) == [1, 2]


def test_g04_no_gap_is_false_where_the_row_of_a_stream_is_damaged() -> None:
    def noted(txn: Txn, place: Place, sender: OfficeId = world.COUNTY) -> int:
        streams = Streams(txn, world.CITY)
        flag = streams.note(sender, place, MessageId(bytes(16)))
        streams.close()
        return flag

    def damage(txn: Txn) -> None:
        txn.connection.execute("UPDATE streams SET sealed = x'' WHERE lane = ?", (int(Lane.ROUTINE),))

    routine, flash = (Place(lane, Epoch(bytes(8)), 1) for lane in (Lane.ROUTINE, Lane.FLASH))
    with office_store() as store:
        for place in (routine, replace(routine, number=2), flash):
            store.run(partial(noted, place=place))
        store.run(damage)
        flags = [store.run(partial(noted, place=replace(routine, number=number))) for number in (5, 4, 7, 6)]
        assert flags == [0, 0, GAP, FILLS_GAP]
        # What is known goes on, and what begins does so with the first.
        other = replace(routine, epoch=Epoch(b"epoch 2."), number=3)
        assert [store.run(partial(noted, place=place)) for place in (replace(flash, number=3), other)] == [GAP, GAP]


@pytest.mark.parametrize("state", ["taken", "purged", "refused"])
def test_g04_no_gap_is_false_where_a_stream_was_lost_with_its_page(state: str) -> None:
    """Not for a message that is still here; one that was refused has left nothing to know it by."""
    place = Place(Lane.ROUTINE, Epoch(b"epoch 2."), 7)

    def change(txn: Txn) -> list[int]:
        for at, epoch in enumerate((Epoch(bytes(8)), place.epoch), 1):
            header = encode_header(world.make_header(epoch=epoch, number=at))
            outer = sign_record(world.COUNTY_KEY, COPY, outer_payload(header, b""))
            name, digest = MessageId(bytes((9 - at,)) * 16), copy_digest(b"")
            message = Received(world.COUNTY, name, place.lane, state, 1, 0, digest, BUNDLE, outer, 1)
            inbox.insert(txn, message, copy_digest(outer), 1)
        flags = []
        for key in ("00", SALVAGED):
            txn.connection.execute(
                "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES (?, ?, 1, 0, x'')",
                ("streams", key),
            )
            for sender, one in (
                (world.COUNTY, place), (world.COUNTY, replace(place, epoch=Epoch(bytes(8)))),
                (world.COUNTY, replace(place, lane=Lane.FLASH)), (world.PROVINCE, place),
            ):  # fmt: skip
                flags.append(Streams(txn, world.CITY).note(sender, one, MessageId(bytes(16))))
                txn.connection.execute("DELETE FROM streams")
        return flags

    with office_store() as store:
        assert tried(store, change) == [GAP] * 4 + [GAP if state == "refused" else 0] + [GAP] * 3


def _many(txn: Txn, sender: OfficeId) -> None:
    streams = Streams(txn, sender)
    for number in range(20):
        streams.note(sender, Place(Lane.ROUTINE, Epoch(number.to_bytes(8)), 1), MessageId(bytes(16)))
    streams.close()


def _close(txn: Txn, sender: OfficeId, epoch: Epoch, number: int, code: str) -> list[Event]:
    streams = Streams(txn, sender)
    streams.note(sender, Place(Lane.ROUTINE, epoch, number), MessageId(bytes(16)), code)
    streams.close()
    return streams.log


def _note(txn: Txn, sender: OfficeId, epoch: Epoch, batch: list[int]) -> list[int]:
    streams = Streams(txn, sender)
    flags = [streams.note(sender, Place(Lane.ROUTINE, epoch, number), MessageId(bytes(16))) for number in batch]
    streams.close()
    return flags
