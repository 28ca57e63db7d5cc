"""Whichever row of a message is gone is made again from those that are left (D10, G1, G8)."""

from collections.abc import Iterator
from dataclasses import replace as evolve
from typing import Any

import pytest
from msgspec.structs import replace

from keys.signing import CONTENT, RECEIPT, sign_record
from protocol.cbor import dumps, loads
from protocol.content import content_digest, encode_bundle, encode_content
from protocol.copy import round_deadline
from protocol.delivery import State
from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.life import Life
from protocol.limits import MAX_LIFE_US, RECORD_BYTES
from protocol.padding import pack
from protocol.receipt import encode_receipt
from relay.identity import Identity
from relay.sealing import seal
from relay.store import counters, events, held, remains, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.sealed_table import Row
from relay.store.sent import AWAITING_PREKEY, FINAL, LOST, ON_ITS_WAY, TO_SEAL, Addressee, Prepared, Sealing, ToSeal
from relay.store.tables import HELD, RECIPIENTS, SENT
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import LATER, office_store, tried
from tests.sim.virtual import START_US

REPORT = world.make_content(
    created_us=START_US - 7, expires_us=START_US + world.DAY_US, deadline_us=START_US + world.HOUR_US + 1
)
BUNDLE = world.make_bundle(sign_record(world.COUNTY_KEY, CONTENT, encode_content(REPORT)))
PREPARED = Prepared(
    message_id=REPORT.id, fingerprint=b"f" * 32, lane=Lane.FLASH, entitlement=1, created_us=REPORT.created_us,
    expires_us=REPORT.expires_us, deadline_us=REPORT.deadline_us, bundle=BUNDLE, digest=content_digest(BUNDLE.record),
    addressees=(Addressee(world.PROVINCE, world.PROVINCE_ADDRESS), Addressee(world.CITY, world.CITY_ADDRESS)),
    answer=b"{}", sender=world.COUNTY,
)  # fmt: skip
BOTH = (world.PROVINCE, world.CITY)
RECEIVED = sign_record(
    world.PROVINCE_KEY, RECEIPT, encode_receipt(world.make_receipt(id=REPORT.id, digest=PREPARED.digest))
)
DELIVERED = Event(REPORT.id, world.PROVINCE, "delivered", START_US, world.PROVINCE, record=RECEIVED)
CARRIED = Event(REPORT.id, world.PROVINCE, "custody", START_US, world.CITY, record=b"of a frame")
DEAD = Event(REPORT.id, world.PROVINCE, "tombstone", START_US - 3, world.COUNTY, code="CANCELLED")


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def sealed(wanted: ToSeal) -> Held | None:
    return seal(
        wanted, pack(encode_bundle(BUNDLE)), Identity(world.COUNTY, world.COUNTY_KEY, Life(world.EPOCH), 1),
        world.NETWORK, world.PREKEY_IDS[1], world.PREKEY_PUBLICS[1], bytes(44),
    )  # fmt: skip


def accept(txn: Txn, *told: Event, sealing: Sealing | None = None) -> Row:
    """The row of the province; by itself all copies are sealed and begun."""
    sent.accept(txn, [PREPARED], sealing or Sealing(sealed, begun=True))
    events.append(txn, list(told))
    return row_of(txn, world.PROVINCE)


def row_of(txn: Txn, office: OfficeId) -> Row:
    row = RECIPIENTS.get(txn, REPORT.id, office)
    assert row is not None
    return row


def lose(txn: Txn, *tables: str, office: OfficeId | None = None) -> None:
    for table in tables:
        where = "" if office is None else " AND office = ?"
        args = (REPORT.id,) if office is None else (REPORT.id, office)
        txn.connection.execute(f"DELETE FROM {table} WHERE message_id = ?{where}", args)  # noqa: S608 - ours


def incomplete(txn: Txn, since_us: int = 0) -> set[tuple[bytes, bytes]]:
    """What the whole look finds."""
    found: set[tuple[bytes, bytes]] = set()
    place: remains.Place | None = remains.Place()
    while place is not None:
        pairs, place = remains.incomplete(txn, place, since_us)
        found |= set(pairs)
    return found


def rebuild(txn: Txn) -> tuple[list[Event], list[Held]]:
    return remains.rebuild(txn, REPORT.id, world.PROVINCE, world.PROVINCE_ADDRESS, world.COUNTY)


def body_of(row: Row) -> list[Any]:
    return list(loads(row.body, max_bytes=RECORD_BYTES))


@pytest.mark.parametrize("gone", [(world.PROVINCE,), BOTH])
@pytest.mark.parametrize("state", ["to_seal", "on_its_way", "delivered"])
def test_g01_the_row_of_a_recipient_is_made_again_as_it_was(
    store: InlineStore, gone: tuple[OfficeId, ...], state: str
) -> None:
    def change(txn: Txn) -> None:
        before = accept(txn, sealing=LATER if state == "to_seal" else None)
        if state == "delivered":
            events.append(txn, [DELIVERED])
            sent.set_state(txn, REPORT.id, world.PROVINCE, State.DELIVERED)
            before = row_of(txn, world.PROVINCE)
        assert incomplete(txn) == set()
        for office in gone:
            lose(txn, "recipients", office=office)
        assert incomplete(txn) == {(REPORT.id, office) for office in gone}
        said, copies = rebuild(txn)
        assert said == []
        assert [one.parcel.recipient for one in copies] == ([world.PROVINCE] if state == "on_its_way" else [])
        after = row_of(txn, world.PROVINCE)
        # Its number may have been used, and so may have been what it was for.
        again = {"number": 2, "begun": 1} if state == "to_seal" else {}
        assert (after.clear, after.body) == ({**before.clear, **again}, before.body)
        assert incomplete(txn) == {(REPORT.id, office) for office in gone[1:]}

    tried(store, change)


def test_g01_a_message_without_its_words_keeps_its_name_and_is_looked_at_again(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        row = accept(txn)
        RECIPIENTS.update(txn, row_of(txn, world.CITY), stage=AWAITING_PREKEY)
        lose(txn, "sent")
        assert incomplete(txn) == {(REPORT.id, world.PROVINCE), (REPORT.id, world.CITY)}
        said, copies = rebuild(txn)
        assert (said, len(copies)) == ([], 1)
        assert row_of(txn, world.PROVINCE) == row
        assert row_of(txn, world.CITY)["stage"] == TO_SEAL
        nameless = SENT.get(txn, REPORT.id)
        assert nameless is not None
        assert nameless.clear == {
            "message_id": REPORT.id, "accepted_us": REPORT.created_us, "expires_us": REPORT.expires_us,
            "lane": Lane.FLASH, "fingerprint": LOST, "bare": 1,
            "size": len(nameless.body),
        }  # fmt: skip
        assert nameless.body == dumps([LOST, PREPARED.digest, b"", PREPARED.entitlement])
        # Nor is a deadline known of words that are lost.
        lose(txn, "recipients")
        rebuild(txn)
        assert row_of(txn, world.PROVINCE)["deadline_us"] is None

    tried(store, change)


def test_g01_without_words_another_recipient_knows_the_terms(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        before = accept(txn)
        lose(txn, "sent")
        lose(txn, "recipients", office=world.PROVINCE)
        said, _ = rebuild(txn)
        assert (said, row_of(txn, world.PROVINCE)) == ([], before)

    tried(store, change)


def test_g01_of_several_copies_those_that_open_are_sent(store: InlineStore) -> None:
    """One was sealed under a number that was given anew; another is damaged."""

    def change(txn: Txn) -> None:
        again: list[Held] = []

        def twice(wanted: ToSeal) -> Held | None:
            copies = [sealed(evolve(wanted, number=wanted.number + more)) for more in (1, 2)]
            again.extend(copy for copy in copies if copy is not None)
            return sealed(wanted)

        accept(txn, sealing=Sealing(twice, begun=True))
        held.hold(txn, again)
        digests = held.of_copy(txn, REPORT.id, world.PROVINCE)
        assert len(digests) == 3
        lose(txn, "sent")
        txn.connection.execute("UPDATE held SET sealed = x'' WHERE digest = ?", (digests[1],))
        _, copies = rebuild(txn)
        assert [one.parcel.digest for one in copies] == [digests[0], digests[2]]

    tried(store, change)


def test_g08_a_message_of_which_nothing_is_left_begins_now(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        lose(txn, "recipients", "sent", "held")
        events.forget(txn, REPORT.id, world.PROVINCE)
        rebuild(txn)
        assert row_of(txn, world.PROVINCE)["expires_us"] == START_US + MAX_LIFE_US

    tried(store, change)


@pytest.mark.parametrize(
    ("changes", "stage"),
    [({}, TO_SEAL), ({"asked_us": 1}, ON_ITS_WAY), ({"expires_us": START_US}, ON_ITS_WAY), ({"stage": FINAL}, FINAL)],
)
def test_g01_a_copy_that_is_lost_is_sealed_again_where_it_can_still_arrive(
    store: InlineStore, changes: dict[str, Any], stage: int
) -> None:
    def change(txn: Txn) -> None:
        RECIPIENTS.update(txn, accept(txn), **changes)
        lose(txn, "held")
        # What expired is looked at as well, and left to its verdict.
        found = [] if "asked_us" in changes or "stage" in changes else [(REPORT.id, world.PROVINCE)]
        assert incomplete(txn) == {*found, (REPORT.id, world.CITY)}
        assert rebuild(txn) == ([], [])
        assert row_of(txn, world.PROVINCE)["stage"] == stage

    tried(store, change)


def test_g08_by_copy_and_story_alone_a_message_is_unconfirmed_or_what_its_recipient_said(store: InlineStore) -> None:
    def change(txn: Txn, *told: Event) -> tuple[list[Event], Row]:
        before = accept(txn, *told)
        counted = counters.counters(txn).get("expired", 0)
        lose(txn, "recipients", "sent")
        said, copies = rebuild(txn)
        assert copies == []
        assert counters.counters(txn).get("expired", 0) == counted + len(said)
        assert events.of_recipient(txn, REPORT.id, world.PROVINCE)[len(told) + 1 :] == said
        after = row_of(txn, world.PROVINCE)
        kept = {
            **before.clear,
            "stage": FINAL,
            "state": after["state"],
            "deadline_us": round_deadline(REPORT.deadline_us),
        }
        assert after.clear == kept
        return said, after

    said, row = tried(store, change)
    unconfirmed = Event(REPORT.id, world.PROVINCE, "unconfirmed", START_US, world.COUNTY, code="DAMAGED")
    assert [replace(one, seq=0) for one in said] == [unconfirmed]
    assert row["state"] == "unconfirmed"
    said, row = tried(store, lambda txn: change(txn, CARRIED, DELIVERED))
    assert (said, row["state"]) == ([], "delivered")
    _, entitlement, created_us, digest, _ = body_of(row)
    assert (entitlement, created_us, digest) == (PREPARED.entitlement, REPORT.created_us, PREPARED.digest)


def test_g08_by_its_story_alone_a_message_may_have_come_at_any_time(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn)
        lose(txn, "recipients", "sent", "held")
        assert incomplete(txn, REPORT.created_us) == set()
        assert incomplete(txn, REPORT.created_us - 1) == {(REPORT.id, office) for office in BOTH}
        rebuild(txn)
        row = row_of(txn, world.PROVINCE)
        assert row.clear == {
            "message_id": REPORT.id, "office": world.PROVINCE, "stage": FINAL, "state": "unconfirmed",
            "lane": Lane.ROUTINE, "number": 0, "expires_us": REPORT.created_us + MAX_LIFE_US, "deadline_us": None,
            "begun": 1, "asked_us": None, "again_us": None,
        }  # fmt: skip
        assert body_of(row) == [world.PROVINCE_ADDRESS, 0, REPORT.created_us, b"", b""]

    tried(store, change)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([DEAD], {"asked_us": DEAD.at_us, "again_us": START_US, "begun": 1}),
        ([DEAD, Event(REPORT.id, world.PROVINCE, "read", START_US, world.PROVINCE)],
         {"asked_us": DEAD.at_us, "again_us": None}),
        ([Event(REPORT.id, world.PROVINCE, "expired", START_US, world.COUNTY)], {"begun": 0, "state": "expired"}),
        ([Event(REPORT.id, world.PROVINCE, "expired", START_US, world.PROVINCE)], {"begun": 1, "state": "expired"}),
        ([Event(REPORT.id, world.PROVINCE, "custody", START_US, world.CITY)], {"state": "custody", "asked_us": None}),
    ],
)  # fmt: skip
def test_g08_what_this_office_asked_and_what_it_heard_is_in_the_story(
    store: InlineStore, told: list[Event], expected: dict[str, object]
) -> None:
    def change(txn: Txn) -> None:
        accept(txn, *told)
        lose(txn, "recipients")
        rebuild(txn)
        row = row_of(txn, world.PROVINCE)
        assert {name: row[name] for name in expected} == expected

    tried(store, change)


@pytest.mark.parametrize("column", ["message_id", "office"])
def test_g03_an_id_that_a_flipped_bit_made_text_is_no_message(
    store: InlineStore, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    step = remains._STEPS["events"]
    monkeypatch.setitem(remains._STEPS, "events", step.replace(column, f"CAST({column} AS TEXT) {column}", 1))

    def change(txn: Txn) -> None:
        accept(txn)
        lose(txn, "recipients")
        assert remains.incomplete(txn, remains.Place(), 0)[0] == []

    tried(store, change)


def test_g01_every_table_is_looked_through_in_steps(store: InlineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remains, "SPAN_ROWS", 1)

    def change(txn: Txn) -> None:
        accept(txn)
        lose(txn, "recipients")
        events.forget(txn, REPORT.id, world.CITY)
        assert incomplete(txn) == {(REPORT.id, office) for office in BOTH}
        for digest in held.of_copy(txn, REPORT.id, world.CITY):
            HELD.delete(txn, digest)
        assert incomplete(txn) == {(REPORT.id, world.PROVINCE)}
        places: list[remains.Place | None] = [remains.Place()]
        while (place := places[-1]) is not None:
            places.append(remains.incomplete(txn, place, 0)[1])
        assert [one.table for one in places if one and one.rowid == 0] == ["events", "held", "recipients"]
        (last,) = txn.connection.execute("SELECT max(rowid) FROM events").fetchone()
        assert [one.rowid for one in places if one and one.table == "events"] == list(range(last))

    tried(store, change)
