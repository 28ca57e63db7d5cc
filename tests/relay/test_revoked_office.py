"""What becomes of messages and receipts of an office that is revoked or suspended: the whole table of G14.

Signed before or after the revocation, witnessed before, after or by nobody, come before or after it was known here.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.roster.directory import Directory
from keys.roster.revocation import revoke_key, revoke_office
from keys.signing import CONTENT, FRAME, RECEIPT, sign_record
from protocol.content import encode_content
from protocol.copy import copy_digest, split_copy
from protocol.frame import (
    COPY_ITEM,
    RECEIPT_ITEM,
    encode_frame,
    encode_frame_payload,
    encode_items,
    items_digest,
    make_item,
)
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.receipt import encode_receipt
from protocol.topics import FrameTopic
from relay.aftermath import Aftermath, Swept
from relay.examine import Examined, examine
from relay.settle import Outcome
from relay.store import events, held, inbox, quarantine
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.inbox import Received
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried
from tests.relay.test_settlement import ENTROPY, answer_of, eyes, make_copy, settled

HOUR = world.HOUR_US
SINCE = world.NOW_US
BEFORE, AFTER = SINCE - 2 * HOUR, SINCE + HOUR
ARRIVES = SINCE + 5 * HOUR
COPIES = {
    created: make_copy(created_us=created, expires_us=created + 3 * world.DAY_US, deadline_us=None)
    for created in (BEFORE, AFTER)
}
REVOKED = {
    "office": revoke_office(world.DIRECTORY, world.COUNTY_ADDRESS, SINCE, ARRIVES),
    "key": revoke_key(world.DIRECTORY, world.COUNTY_ADDRESS, world.COUNTY_KEY.key_id(), SINCE, ARRIVES),
}


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store("revoked") as opened:
        yield opened


def come(
    data: bytes, directory: Directory, witnessed: int | None, now_us: int, *, kind: int = COPY_ITEM, **more: Any
) -> Examined:
    """The city brings it to the province."""
    items = encode_items((make_item(kind, data, (world.COUNTY, world.CITY), 1, witnessed),))
    frame = world.make_frame(items, items_digest=items_digest(items), at_us=now_us)
    whole = encode_frame(sign_record(world.CITY_KEY, FRAME, encode_frame_payload(frame)), items)
    topic = FrameTopic(world.PROVINCE_ADDRESS, Lane.FLASH, world.CITY_ADDRESS)
    seen = replace(eyes(world.PROVINCE, now_us=now_us), directory=directory, **more)
    return examine(whole, topic, seen, (), ENTROPY)


def flags_of(txn: Txn) -> set[str]:
    """The flags of the one message in the inbox."""
    (message,) = inbox.listed(txn, None, 10)
    return {name for name, bit in inbox.FLAGS.items() if message.flags & bit}


def aftermath(txn: Txn, directory: Directory, me: OfficeId = world.PROVINCE) -> Aftermath:
    identity = eyes(me).identity
    return Aftermath(replace(txn, now_us=ARRIVES), identity, directory.network_id, 100, 1 << 20)


@pytest.mark.parametrize("what", ["office", "key"])
@pytest.mark.parametrize("signed", [BEFORE, AFTER])
@pytest.mark.parametrize("witnessed", [None, SINCE - HOUR, SINCE - 1, SINCE, SINCE + HOUR])
def test_g14_what_comes_when_the_revocation_is_known(
    store: InlineStore, what: str, signed: int, witnessed: int | None
) -> None:
    """Signed after it: quarantine, and no answer that ends anything. Before it: plain by a witness, else doubted."""

    def change(txn: Txn) -> None:
        outcome = settled(txn, world.PROVINCE, come(COPIES[signed], REVOKED[what], witnessed, ARRIVES), now_us=ARRIVES)
        if signed == AFTER:
            assert answer_of(outcome, world.CITY) == "UNVERIFIED"
            assert [one.code for one in quarantine.latest(txn, 10)] == ["KEY_NOT_VALID"]
            assert inbox.listed(txn, None, 10) == []
            assert outcome.taken == []
        else:
            assert answer_of(outcome, world.CITY, copy_digest(COPIES[signed])) == "custody"
            assert ("doubted" in flags_of(txn)) is (witnessed is None or witnessed >= SINCE)

    tried(store, change)


@pytest.mark.parametrize("what", ["office", "key"])
@pytest.mark.parametrize("signed", [BEFORE, AFTER])
@pytest.mark.parametrize("witnessed", [None, SINCE - HOUR, SINCE + HOUR])
@pytest.mark.parametrize("arrived", [SINCE - HOUR // 2, ARRIVES])
def test_g14_what_was_delivered_before_the_revocation_was_known(
    store: InlineStore, what: str, signed: int, witnessed: int | None, arrived: int
) -> None:
    """Marked, never deleted: dated after it, or before it with no witness; our own commit is one."""
    if signed > arrived:
        return

    def change(txn: Txn) -> None:
        examined = come(COPIES[signed], world.DIRECTORY, witnessed, arrived)
        settled(txn, world.PROVINCE, examined, now_us=arrived)
        assert "doubted" not in flags_of(txn)
        record = REVOKED[what].offices[world.COUNTY]
        swept = aftermath(txn, REVOKED[what]).doubt_messages_of(b"", record, SINCE)
        plain = signed == BEFORE and min(arrived, arrived if witnessed is None else witnessed) < SINCE
        assert ("doubted" in flags_of(txn)) is not plain
        assert [event.type for event in swept.events] == ([] if plain else ["doubted"])
        again = aftermath(txn, REVOKED[what]).doubt_messages_of(b"", record, SINCE)
        assert again.events == []
        assert len(inbox.listed(txn, None, 10)) == 1

    tried(store, change)


@given(
    st.sampled_from(["office", "key"]), st.sampled_from([BEFORE, AFTER]), st.none() | st.integers(SINCE - 3, SINCE + 3),
    st.lists(st.booleans(), max_size=4),
)  # fmt: skip
def test_g14_the_mark_is_the_same_however_often_and_in_whatever_order_it_comes(
    store: InlineStore, what: str, signed: int, witnessed: int | None, knows: list[bool]
) -> None:
    """Against a model: a message is plain exactly when it is dated before and somebody had it before."""

    def change(txn: Txn) -> None:
        delivered = False
        for known in [*knows, True]:
            directory = REVOKED[what] if known else world.DIRECTORY
            settled(txn, world.PROVINCE, come(COPIES[signed], directory, witnessed, ARRIVES), now_us=ARRIVES)
            delivered = delivered or not known or signed == BEFORE
        record = REVOKED[what].offices[world.COUNTY]
        aftermath(txn, REVOKED[what]).doubt_messages_of(b"", record, SINCE)
        assert len(inbox.listed(txn, None, 10)) == delivered
        if delivered:
            plain = signed == BEFORE and witnessed is not None and witnessed < SINCE
            assert ("doubted" in flags_of(txn)) is not plain

    tried(store, change)


def test_g14_many_messages_are_marked_in_bounded_changes_and_each_once(
    store: InlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many lie there, nobody waits for more than a batch of them, and a restart goes on with the rest."""
    monkeypatch.setattr("relay.aftermath.BATCH", 3)
    office = REVOKED["office"].offices[world.COUNTY]
    bundle = world.make_bundle(sign_record(world.COUNTY_KEY, CONTENT, encode_content(world.make_content())))
    outer, _ = split_copy(COPIES[AFTER])

    def change(txn: Txn) -> None:
        for number in range(10):
            id_ = MessageId(bytes([number]) * 16)
            one = Received(world.COUNTY, id_, Lane.BULK, "new", ARRIVES, 0, Digest(bytes(32)), bundle, outer, ARRIVES)
            inbox.insert(txn, one, Digest(bytes(16) + id_), ARRIVES)

        def mark(after: bytes | int | None) -> Swept:
            assert isinstance(after, bytes)
            return aftermath(txn, REVOKED["office"]).doubt_messages_of(after, office, SINCE)

        first = mark(b"")
        assert (first.counts["doubted"], len(first.events)) == (3, 3)
        # Begun again from the start, as after a restart: what is marked is left out, and one that rotted ends nothing.
        txn.connection.execute("UPDATE inbox SET sealed = zeroblob(500) WHERE message_id = ?", (bytes([4]) * 16,))
        steps = [mark(b"")]
        while steps[-1].after is not None:
            steps.append(mark(steps[-1].after))
        assert [step.counts["doubted"] for step in steps] == [2, 3, 1]
        assert mark(b"").counts["doubted"] == 0
        assert sum(1 for one in events.after(txn, 0, 100) if one.type == "doubted") == 9

    tried(store, change)


@pytest.mark.parametrize("whose", [world.COUNTY, world.CITY])
def test_g14_while_an_office_is_suspended_nothing_of_it_is_believed_and_nothing_is_lost(
    store: InlineStore, whose: OfficeId
) -> None:
    """Its own copies, and whatever comes in its frames: a nack that is not final; when it is over they are taken."""

    def change(txn: Txn) -> None:
        examined = come(COPIES[BEFORE], world.DIRECTORY, None, ARRIVES, suspended=frozenset({whose}))
        assert examined.believed is (whose != world.CITY)
        outcome = settled(txn, world.PROVINCE, examined, now_us=ARRIVES)
        assert answer_of(outcome, world.CITY) == "UNVERIFIED"
        assert inbox.listed(txn, None, 10) == []
        assert quarantine.latest(txn, 10) == []
        settled(txn, world.PROVINCE, come(COPIES[BEFORE], world.DIRECTORY, None, ARRIVES), now_us=ARRIVES)
        assert "doubted" not in flags_of(txn)

    tried(store, change)


RECEIPTS = list(product((BEFORE, AFTER), (None, SINCE - HOUR, SINCE + HOUR)))


def receipt_of_county(at_us: int) -> bytes:
    receipt = world.make_receipt(
        by=world.COUNTY, recipient=world.COUNTY, to=world.PROVINCE, at_us=at_us, expires_us=at_us + world.DAY_US
    )
    return sign_record(world.COUNTY_KEY, RECEIPT, encode_receipt(receipt))


@pytest.mark.parametrize(("at_us", "witnessed"), RECEIPTS)
def test_g14_a_receipt_of_a_revoked_office_counts_only_with_a_witness_of_before(
    store: InlineStore, at_us: int, witnessed: int | None
) -> None:
    def change(txn: Txn) -> None:
        data = receipt_of_county(at_us)
        examined = come(data, REVOKED["office"], witnessed, ARRIVES, kind=RECEIPT_ITEM)
        outcome = settled(txn, world.PROVINCE, examined, now_us=ARRIVES)
        believed = at_us == BEFORE and witnessed is not None and witnessed < SINCE
        name = type(examined.findings[0]).__name__
        assert name == ("Answer" if believed else "Rejected" if at_us == AFTER else "Doubted")
        # What is doubted is taken all the same, so that nobody carries it for ever; what is forged is not.
        assert answer_of(outcome, world.CITY, copy_digest(data)) == ("UNVERIFIED" if at_us == AFTER else "custody")

    tried(store, change)


def test_g14_a_verdict_that_rests_on_a_later_receipt_stands_with_a_correction(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        said = [
            Event(bytes([n]) * 16, world.COUNTY, "delivered", at, world.COUNTY, True, record=receipt_of_county(at))
            for n, at in ((1, BEFORE), (2, AFTER))
        ]
        events.append(txn, said)
        offices = {world.COUNTY: REVOKED["office"].offices[world.COUNTY]}
        swept = aftermath(txn, REVOKED["office"]).doubt_answers_of(0, offices)
        assert [(one.message_id, one.type, one.code) for one in swept.events] == [
            (bytes([2]) * 16, "correction", "DOUBTED")
        ]
        assert aftermath(txn, REVOKED["office"]).doubt_answers_of(0, offices).events == []

    tried(store, change)


def at_city(data: bytes, txn: Txn) -> Outcome:
    """The city takes a copy of the county into its custody."""
    items = encode_items((make_item(COPY_ITEM, data, (world.COUNTY,), 1),))
    frame = world.make_frame(items, sender=world.COUNTY, receiver=world.CITY)
    whole = encode_frame(sign_record(world.COUNTY_KEY, FRAME, encode_frame_payload(frame)), items)
    topic = FrameTopic(world.CITY_ADDRESS, Lane.FLASH, world.COUNTY_ADDRESS)
    return settled(txn, world.CITY, examine(whole, topic, eyes(world.CITY, now_us=ARRIVES), (), ENTROPY))


@pytest.mark.parametrize("what", ["office", "key"])
@pytest.mark.parametrize("signed", [BEFORE, AFTER])
def test_g14_a_relay_carries_on_what_was_dated_before_and_nothing_else(
    store: InlineStore, what: str, signed: int
) -> None:
    def change(txn: Txn) -> None:
        at_city(COPIES[signed], txn)
        digest = copy_digest(COPIES[signed])
        assert held.is_held(txn, digest)
        record = REVOKED[what].offices[world.COUNTY]
        swept = aftermath(txn, REVOKED[what], world.CITY).drop_mail_of(b"", record)
        assert held.is_held(txn, digest) is (signed == BEFORE)
        assert [one.code for one in quarantine.latest(txn, 9)] == ([] if signed == BEFORE else ["KEY_NOT_VALID"])
        # Its origin is told, unless nobody may be there but the thief.
        assert len(swept.taken) == (signed == AFTER and what == "key")
        assert swept.released == ([] if signed == BEFORE else [digest])

    tried(store, change)


def test_g14_a_relay_tells_the_origin_of_what_it_carried_for_an_office_that_is_gone(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        at_city(COPIES[BEFORE], txn)
        swept = aftermath(txn, world.DIRECTORY, world.CITY).end_mail_to(world.PROVINCE)
        assert not held.is_held(txn, copy_digest(COPIES[BEFORE]))
        ((notice,), counts) = swept.taken, swept.counts
        assert (notice.parcel.recipient, counts["dropped"], swept.after) == (world.COUNTY, 1, None)

    tried(store, change)
