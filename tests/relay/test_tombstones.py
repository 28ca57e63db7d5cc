"""Tombstones between two real stores: what a recipient says of the dead, and what an author makes of it (G4, G8)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

import pytest

from keys.primitives import SigningKey
from keys.signing import FRAME, RECEIPT, UnverifiedRecord, sign_record
from protocol.delivery import State
from protocol.frame import RECEIPT_ITEM, encode_frame, encode_frame_payload, encode_items, items_digest, make_item
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.receipt import Place, Receipt, decode_receipt, encode_place, encode_receipt
from protocol.topics import FrameTopic
from relay.examine import Examined, examine
from relay.settle import Outcome
from relay.store import events, held, inbox, lost, quarantine, sent, streams
from relay.store.database import Txn
from relay.store.sent import Addressee, Prepared, Sealing
from relay.store.tables import INBOX, RECIPIENTS
from relay.verdicts import Verdicts
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried
from tests.relay.test_settlement import COPY, ENTROPY, FULL, OTHER, at_city, at_province, eyes, make_copy, settled
from tests.relay.test_settlement import DIGEST as DIGEST_OF_COPY

HEADER = world.make_header()
DIGEST = at_province(COPY).findings[0].message.digest  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def said_by_county(*, code: str = "EXPIRED", digest: bytes = DIGEST, number: int = HEADER.number) -> Examined:
    """The county's tombstone of its report, as it reaches the province through the city."""
    receipt = world.make_tombstone(
        by=world.COUNTY, to=world.PROVINCE, code=code, digest=Digest(digest),
        proof=encode_place(Place(HEADER.lane, HEADER.epoch, number)),
    )  # fmt: skip
    data = sign_record(world.COUNTY_KEY, RECEIPT, encode_receipt(receipt))
    items = encode_items((make_item(RECEIPT_ITEM, data, (world.COUNTY, world.CITY), 1),))
    frame = world.make_frame(items, items_digest=items_digest(items))
    signed = encode_frame(sign_record(world.CITY_KEY, FRAME, encode_frame_payload(frame)), items)
    topic = FrameTopic(world.PROVINCE_ADDRESS, Lane.FLASH, world.CITY_ADDRESS)
    return examine(signed, topic, eyes(world.PROVINCE), (), ENTROPY)


def receipts(outcome: Outcome) -> list[Receipt]:
    records = [UnverifiedRecord(one.data, max_bytes=10_000) for one in outcome.taken]
    return [decode_receipt(record.payload) for record in records]


def test_g08_a_tombstone_is_answered_by_one_that_is_committed_first(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        first = settled(txn, world.PROVINCE, said_by_county())
        (answer,) = receipts(first)
        assert (answer.type, answer.by, answer.to) == ("tombstone", world.PROVINCE, world.COUNTY)
        assert (answer.id, answer.digest, answer.code) == (HEADER.id, DIGEST, "EXPIRED")
        assert held.is_held(txn, first.taken[0].parcel.digest)
        assert len(first.custody) == 1
        for late in (COPY, COPY):
            # The message comes after all: it is never new, and answered with the same bytes.
            held.forget(txn, first.taken[0].parcel.digest)
            again = settled(txn, world.PROVINCE, at_province(late))
            assert [one.data for one in again.taken] == [first.taken[0].data]
            assert len(again.custody) == 1
        assert inbox.listed(txn, None, 10) == []
        assert inbox.take(txn, 10, txn.now_us) == []
        assert inbox.find(txn, bytes(16), b"\xff" * 16, purged=True) == []
        assert inbox.counts(txn) == {}

    tried(store, change)


def test_g08_what_was_delivered_stays_delivered(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        (delivered,) = settled(txn, world.PROVINCE, at_province(COPY)).taken
        for code in ("CANCELLED", "EXPIRED", "EXPIRED"):
            held.forget(txn, delivered.parcel.digest)
            again = settled(txn, world.PROVINCE, said_by_county(code=code))
            assert [one.data for one in again.taken] == [delivered.data]
            assert len(again.custody) == 1
        assert len(inbox.listed(txn, None, 10)) == 1

    tried(store, change)


@pytest.mark.parametrize("order", list(permutations(("message", "tombstone", "message", "tombstone"))))
def test_g08_a_recipient_says_one_thing_whatever_the_order(store: InlineStore, order: tuple[str, ...]) -> None:
    def change(txn: Txn) -> None:
        said = set()
        for what in order:
            outcome = settled(txn, world.PROVINCE, at_province(COPY) if what == "message" else said_by_county())
            said |= {receipt.type for receipt in receipts(outcome)}
        assert said == {"delivered" if order[0] == "message" else "tombstone"}
        assert len(inbox.listed(txn, None, 10)) == (order[0] == "message")

    tried(store, change)


def test_g08_both_in_one_frame_end_in_one_word(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        both = replace(said_by_county(), findings=(*at_province(COPY).findings, *said_by_county().findings))
        assert [receipt.type for receipt in receipts(settled(txn, world.PROVINCE, both))] == ["delivered"]

    tried(store, change)


def test_g08_a_damaged_memory_of_the_dead_revives_nothing(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        (answer,) = settled(txn, world.PROVINCE, said_by_county()).taken
        held.forget(txn, answer.parcel.digest)
        INBOX.delete(txn, world.COUNTY, HEADER.id)
        known = lost.of(txn, world.COUNTY, HEADER.id)
        assert known is not None
        assert known.state == "dead"
        again = settled(txn, world.PROVINCE, at_province(COPY))
        assert [one.data for one in again.taken] == [answer.data]
        assert inbox.listed(txn, None, 10) == []
        assert inbox.digests(txn, world.COUNTY, HEADER.id) is not None

    tried(store, change)


def test_g03_a_tombstone_of_other_content_is_quarantined_and_answered_with_what_was_said_first(
    store: InlineStore,
) -> None:
    def change(txn: Txn) -> None:
        (first,) = settled(txn, world.PROVINCE, at_province(COPY)).taken
        held.forget(txn, first.parcel.digest)
        outcome = settled(txn, world.PROVINCE, said_by_county(digest=bytes(32)))
        assert [one.data for one in outcome.taken] == [first.data]
        assert len(outcome.custody) == 1
        assert [one.code for one in quarantine.latest(txn, 10)] == ["ID_REUSED"]

    tried(store, change)
    tried(store, _other_content_after_death)


def _other_content_after_death(txn: Txn) -> None:
    settled(txn, world.PROVINCE, said_by_county())
    settled(txn, world.PROVINCE, at_province(OTHER))
    assert [one.code for one in quarantine.latest(txn, 10)] == ["ID_REUSED"]
    assert inbox.listed(txn, None, 10) == []


def test_g13_a_full_recipient_buries_nobody(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        outcome = settled(replace(txn, space=FULL), world.PROVINCE, said_by_county())
        assert (outcome.taken, [nack.code for _, _, nack in outcome.nacks]) == ([], ["FULL"])
        assert inbox.digests(txn, world.COUNTY, HEADER.id) is None

    tried(store, change)


def test_g04_a_tombstone_closes_the_number_and_ends_the_gap(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        assert HEADER.number == 1
        settled(txn, world.PROVINCE, said_by_county(number=3))
        told = streams.tell(txn, world.NOW_US, 10, world.PROVINCE)
        assert [(event.type, event.detail, event.message_id) for event in told] == [("gap", "flash 1-2", HEADER.id)]
        outcome = settled(txn, world.PROVINCE, at_province(world_copy()))
        closed = [(event.type, event.detail) for event in outcome.events if event.type == "gap_closed"]
        assert closed == [("gap_closed", "flash 1")]
        (gap,) = streams.gaps(txn, 10)
        assert streams.numbers_text(gap.hole) == "2"

    tried(store, change)


def world_copy() -> bytes:
    """Another report with the number 1."""
    return make_copy(id=MessageId(bytes(15) + b"\x01"))


def test_a_relay_carries_no_further_what_its_author_declares_dead(store: InlineStore) -> None:
    """By the author's word only, and only this message to this recipient."""

    def change(txn: Txn) -> None:
        settled(txn, world.CITY, at_city())
        assert held.carried(txn, HEADER.id, world.COUNTY, world.PROVINCE) == [DIGEST_OF_COPY]
        others = ({"id": MessageId(bytes(16))}, {"to": world.REVOKED, "recipient": world.REVOKED})
        for changes in others:
            assert passing(txn, **changes).released == []
        answer = passing(txn, by=world.PROVINCE, to=world.COUNTY, key=world.PROVINCE_KEY)
        assert answer.released == [], "the recipient's word ends nothing on the way"
        assert passing(txn).released == [DIGEST_OF_COPY]
        assert not held.is_held(txn, DIGEST_OF_COPY)

    tried(store, change)


def passing(txn: Txn, key: SigningKey = world.COUNTY_KEY, **changes: object) -> Outcome:
    """A tombstone by the county for the province, or another, as it passes through the city."""
    fields = {"by": world.COUNTY, "to": world.PROVINCE, "recipient": world.PROVINCE, "digest": DIGEST, **changes}
    data = sign_record(key, RECEIPT, encode_receipt(world.make_tombstone(**fields)))
    items = encode_items((make_item(RECEIPT_ITEM, data, (world.COUNTY,), 1),))
    frame = world.make_frame(items, sender=world.COUNTY, receiver=world.CITY)
    signed = encode_frame(sign_record(world.COUNTY_KEY, FRAME, encode_frame_payload(frame)), items)
    topic = FrameTopic(world.CITY_ADDRESS, Lane.FLASH, world.COUNTY_ADDRESS)
    return settled(txn, world.CITY, examine(signed, topic, eyes(world.CITY), (), ENTROPY))


# The author.

VERDICTS = ("delivered", "refused", "tombstone")
WORDS = {"delivered": State.DELIVERED, "refused": State.REFUSED, "tombstone": State.EXPIRED}


def accepted(txn: Txn) -> None:
    """The county sent the report to the province."""
    message = Prepared(
        message_id=HEADER.id,
        fingerprint=bytes(32),
        lane=HEADER.lane,
        entitlement=1,
        created_us=world.NOW_US,
        expires_us=world.NOW_US + world.DAY_US,
        deadline_us=None,
        bundle=world.make_bundle(b"record"),
        digest=DIGEST,
        addressees=(Addressee(world.PROVINCE, world.PROVINCE_ADDRESS),),
        answer=b"{}",
        sender=world.COUNTY,
    )
    sent.accept(txn, [message], Sealing(lambda wanted: None, begun=True))
    row = RECIPIENTS.get(txn, HEADER.id, world.PROVINCE)
    assert row is not None
    RECIPIENTS.update(txn, row, asked_us=world.NOW_US, again_us=world.NOW_US + 60)


def hear(txn: Txn, type_: str, at_us: int = world.NOW_US + SECOND_US) -> Verdicts:
    """The province's word reaches the county."""
    receipt = world.make_receipt(type=type_, digest=DIGEST, at_us=at_us, code="EXPIRED" if type_ == "tombstone" else "")
    verdicts = Verdicts(txn)
    assert verdicts.receipt(receipt, b"record of " + type_.encode())
    verdicts.close()
    return verdicts


@pytest.mark.parametrize(("first", "second"), list(product(VERDICTS, VERDICTS)))
def test_g08_the_first_word_is_the_verdict_and_others_are_corrections(
    store: InlineStore, first: str, second: str
) -> None:
    def change(txn: Txn) -> None:
        accepted(txn)
        verdicts = [hear(txn, first), hear(txn, second), hear(txn, second)]
        state = sent.standing(txn, HEADER.id, world.PROVINCE)
        assert state is not None
        assert state.state is WORDS[first]
        types = [event.type for event in events.of_message(txn, HEADER.id)]
        corrected = ["correction"] if first != second else []
        assert types == ["accepted", WORDS[first].value, *corrected], "every fact once"
        assert sum(one.expired for one in verdicts) == (first == "tombstone")
        assert RECIPIENTS.unverified_count(txn, "again_us IS NOT NULL") == 0, "answered: nothing is sent again"

    tried(store, change)


def test_g08_a_tombstone_after_unconfirmed_is_a_correction(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accepted(txn)
        sent.set_state(txn, HEADER.id, world.PROVINCE, State.UNCONFIRMED)
        hear(txn, "tombstone")
        hear(txn, "tombstone")
        (_, correction) = events.of_message(txn, HEADER.id)
        assert (correction.type, correction.code, correction.by) == ("correction", "expired", world.PROVINCE)
        assert correction.record == b"record of tombstone"

    tried(store, change)


def test_g08_a_refusal_that_comes_after_a_verdict_again_and_again_is_one_correction(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accepted(txn)
        sent.set_state(txn, HEADER.id, world.PROVINCE, State.UNCONFIRMED)
        for _ in range(3):
            receipt = world.make_receipt(type="refused", digest=DIGEST, code="NOT_LIAISON")
            verdicts = Verdicts(txn)
            verdicts.receipt(receipt, b"record")
            verdicts.close()
        (_, correction) = events.of_message(txn, HEADER.id)
        assert (correction.code, correction.detail) == ("refused", "NOT_LIAISON")

    tried(store, change)


def test_g08_only_the_recipient_says_that_it_does_not_have_it(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accepted(txn)
        mine = world.make_tombstone(by=world.COUNTY, to=world.PROVINCE, digest=DIGEST)
        other = world.make_tombstone(by=OfficeId(bytes(16)), recipient=OfficeId(bytes(16)), digest=DIGEST)
        for receipt in (mine, other):
            verdicts = Verdicts(txn)
            verdicts.receipt(receipt, b"record")
            verdicts.close()
            state = sent.standing(txn, HEADER.id, world.PROVINCE)
            assert state is not None
            assert state.state is State.ACCEPTED

    tried(store, change)
