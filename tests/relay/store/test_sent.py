"""What this office sends: what was accepted stays as it was, each copy is sealed and sent by the rules (G1, G4, G8)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from protocol.cbor import dumps
from protocol.copy import copy_digest
from protocol.delivery import State
from protocol.errors import Refused
from protocol.frame import COPY_ITEM
from protocol.ids import MessageId, OfficeId
from protocol.lanes import Lane
from protocol.parcel import Parcel
from relay.store import ended_prekeys, endings, events, held, lives, retention, sent
from relay.store.counters import counters
from relay.store.database import Space, Txn
from relay.store.events import Event
from relay.store.held import Held
from relay.store.sent import Accepted, Addressee, Message, Sealing, Standing, ToSeal
from relay.store.tables import SENT
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import BUNDLE, LATER, PREPARED, office_store, tried

IDS = tuple(MessageId(bytes((n,)) * 16) for n in range(1, 6))
TO = (Addressee(world.CITY, world.CITY_ADDRESS), Addressee(world.PROVINCE, "@quake"))
FIRST = replace(PREPARED, message_id=IDS[0], entitlement=3, deadline_us=world.NOW_US + 5, addressees=TO)
NOBODY = OfficeId(bytes(16))


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def copy_of(wanted: ToSeal) -> Held:
    digest = copy_digest(wanted.message_id + wanted.office)
    parcel = Parcel(
        digest, COPY_ITEM, wanted.lane, world.COUNTY, wanted.office, 4, (), is_origin=True,
        message_id=wanted.message_id,
    )  # fmt: skip
    return Held(parcel, wanted.expires_us, b"copy")


def accept(txn: Txn, *ids: MessageId, **changes: object) -> None:
    sent.accept(txn, [replace(FIRST, message_id=one, **changes) for one in ids], LATER)  # type: ignore[arg-type]


def wanted_copy(txn: Txn, number: int, one: Addressee) -> ToSeal:
    return ToSeal(
        IDS[0], one.office, FIRST.lane, FIRST.entitlement, number, lives.epoch(txn), FIRST.created_us,
        FIRST.expires_us, FIRST.deadline_us,
    )  # fmt: skip


@pytest.mark.parametrize("connected", [False, True])
def test_g01_g08_a_copy_sealed_at_once_is_in_custody_and_begun_when_a_broker_is_there(
    store: InlineStore, connected: bool
) -> None:
    """The city's copy is sealed within the change that accepts, the other one is left to the sealer."""
    sealing = Sealing(lambda one: copy_of(one) if one.office == world.CITY else None, begun=connected)

    def change(txn: Txn) -> None:
        before = events.last_seq(txn)
        done = sent.accept(txn, [FIRST], sealing)
        city, province = (wanted_copy(txn, 1, one) for one in TO)
        assert done.results == [Accepted(b"{}", False, (province,))]
        assert done.copies == [replace(copy_of(city), seq=1)]
        assert held.get(txn, copy_of(city).parcel.digest) == done.copies[0]
        said = [Event(IDS[0], one.office, "accepted", FIRST.created_us, world.COUNTY) for one in TO]
        assert done.events == [structs.replace(event, seq=before + at) for at, event in enumerate(said, 1)]
        assert counters(txn)["accepted"] == 2
        assert sent.to_seal(txn, 10) == [province]
        standing = Standing(
            IDS[0], world.CITY, world.CITY_ADDRESS, State.ACCEPTED, FIRST.lane, 1, lives.epoch(txn), FIRST.created_us,
            FIRST.expires_us, FIRST.deadline_us, connected, None, FIRST.digest,
        )  # fmt: skip
        unbegun = replace(standing, office=world.PROVINCE, address="@quake", begun=False)
        assert sent.standings(txn, IDS[0]) == [standing, unbegun]
        assert sent.standing(txn, IDS[0], world.PROVINCE) == unbegun
        assert sent.is_unbegun(txn, IDS[0], world.CITY) is not connected
        assert not sent.is_unbegun(txn, IDS[0], world.PROVINCE)
        kept = Message(IDS[0], FIRST.lane, FIRST.created_us, FIRST.expires_us, BUNDLE, b"{}", bare=False)
        assert sent.message(txn, IDS[0]) == kept
        assert sent.whole(txn, IDS[0], NOBODY) is None
        assert sent.whole(txn, IDS[0], world.PROVINCE) == (province, BUNDLE)

    tried(store, change)


def test_g13_a_lane_without_room_is_refused_and_the_others_are_not(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        short = replace(txn, space=Space(85, 100, 1 << 40, 0))
        bulk, flash = replace(FIRST, message_id=IDS[1], lane=Lane.BULK), replace(FIRST, lane=Lane.FLASH)
        done = sent.accept(short, [bulk, flash, replace(flash, message_id=IDS[2])], LATER)
        refused, accepted, _ = done.results
        assert isinstance(refused, Refused)
        assert refused.code == "STORE_FULL"
        assert isinstance(accepted, Accepted)
        assert sent.message(txn, IDS[1]) is None
        assert [event.message_id for event in done.events] == [IDS[0], IDS[0], IDS[2], IDS[2]]

    tried(store, change)


def test_g01_an_id_answers_as_it_did_or_not_at_all(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        assert sent.repeated(txn, IDS[0], FIRST.fingerprint) is None
        accept(txn, IDS[0])
        assert sent.repeated(txn, IDS[0], FIRST.fingerprint) == Accepted(b"{}", True)
        other = sent.repeated(txn, IDS[0], b"o" * 32)
        assert isinstance(other, Refused)
        assert (other.code, other.field) == ("ID_REUSED", "id")

    tried(store, change)


def test_g01_an_id_whose_row_is_damaged_means_no_other_message() -> None:
    with office_store() as store:
        store.run(lambda txn: accept(txn, IDS[0], IDS[1]))
        store.run(
            lambda txn: txn.connection.execute("UPDATE sent SET sealed = x'' WHERE message_id = ?", (IDS[0],)).rowcount
        )
        assert store.run(lambda txn: sent.bundles(txn, IDS)) == {IDS[1]: BUNDLE}
        refused = store.run(lambda txn: sent.repeated(txn, IDS[0], FIRST.fingerprint))
        assert isinstance(refused, Refused)
        assert (refused.code, refused.field) == ("ID_REUSED", "id")


def test_g01_of_a_message_without_its_words_only_the_name_is_known(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn, IDS[0])
        row = SENT.get(txn, IDS[0])
        assert row is not None
        SENT.update(txn, row, dumps([sent.LOST, FIRST.digest, b"", FIRST.entitlement]), fingerprint=sent.LOST, bare=1)
        kept = Message(IDS[0], FIRST.lane, FIRST.created_us, FIRST.expires_us, None, b"", bare=True)
        assert sent.message(txn, IDS[0]) == kept
        assert sent.whole(txn, IDS[0], world.CITY) is None
        assert sent.bundles(txn, IDS[:1]) == {}
        refused = sent.repeated(txn, IDS[0], FIRST.fingerprint)
        assert isinstance(refused, Refused)
        assert refused.code == "ID_REUSED"

    tried(store, change)


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(st.sampled_from(Lane), min_size=1, max_size=5), st.integers(1, 12))
def test_g16_the_highest_lane_is_sealed_first(store: InlineStore, lanes: list[Lane], limit: int) -> None:
    def change(txn: Txn) -> None:
        for message_id, lane in zip(IDS, lanes, strict=False):
            accept(txn, message_id, lane=lane)
        wanted = sorted(zip(lanes, IDS, strict=False))
        pairs = [(lane, message_id, one.office) for lane, message_id in wanted for one in TO]
        found = sent.to_seal(txn, limit)
        assert [(one.lane, one.message_id, one.office) for one in found] == pairs[:limit]

    tried(store, change)


def test_g01_a_copy_without_a_prekey_waits_for_it_and_for_no_other(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn, IDS[0], IDS[1])
        assert sent.awaiting(txn) == []
        assert sent.await_prekey(txn, IDS[0], world.CITY)
        assert sent.await_prekey(txn, IDS[1], world.CITY)
        assert not sent.await_prekey(txn, IDS[0], world.CITY), "it waits already"
        assert not sent.await_prekey(txn, IDS[0], NOBODY)
        assert sent.awaiting(txn) == [world.CITY]
        assert set(sent.waiting_for(txn, world.CITY, 10)) == {IDS[0], IDS[1]}
        assert len(sent.waiting_for(txn, world.CITY, 1)) == 1
        assert sent.waiting_for(txn, world.PROVINCE, 10) == []
        assert [one.office for one in sent.to_seal(txn, 10)] == [world.PROVINCE] * 2
        assert sent.end_waiting(txn, world.PROVINCE, 10) == 0
        assert sent.end_waiting(txn, world.CITY, 1) == 1
        assert len(sent.waiting_for(txn, world.CITY, 10)) == 1
        assert sent.end_waiting(txn, world.CITY, 10) == 1
        assert len(sent.to_seal(txn, 10)) == 4

    tried(store, change)


def test_g08_a_copy_is_sealed_once_begins_and_is_sealed_again_until_its_verdict(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn, IDS[0])
        key = IDS[0], world.CITY
        assert not sent.is_unbegun(txn, *key)
        assert sent.mark_sealed(txn, *key, begun=False)
        assert not sent.mark_sealed(txn, *key, begun=False), "another copy is sealed"
        assert sent.is_unbegun(txn, *key)
        assert sent.mark_begun(txn, *key)
        assert not sent.is_unbegun(txn, *key)
        assert sent.seal_again(txn, *key)
        assert sent.mark_sealed(txn, IDS[0], world.PROVINCE, begun=True)
        assert not sent.is_unbegun(txn, IDS[0], world.PROVINCE), "it leaves at once"
        assert sent.seal_again(txn, IDS[0], world.PROVINCE)
        # What was sent once stays sent, whatever becomes of the next copy.
        assert sent.mark_sealed(txn, *key, begun=False)
        assert not sent.is_unbegun(txn, *key)
        assert _standing(txn).begun
        sent.set_state(txn, *key, State.DELIVERED)
        assert _standing(txn).state is State.DELIVERED
        for nothing in (
            sent.mark_begun(txn, *key), sent.seal_again(txn, *key), sent.await_prekey(txn, *key),
            sent.mark_sealed(txn, *key, begun=True), sent.mark_begun(txn, IDS[0], NOBODY),
            sent.seal_again(txn, IDS[0], NOBODY), sent.mark_sealed(txn, IDS[0], NOBODY, begun=True),
        ):  # fmt: skip
            assert not nothing
        assert sent.to_seal(txn, 10) == [wanted_copy(txn, 1, TO[1])]
        sent.set_state(txn, IDS[0], NOBODY, State.DELIVERED)
        assert sent.standing(txn, IDS[0], NOBODY) is None

    tried(store, change)


@pytest.mark.parametrize("state", State)
def test_g08_only_a_verdict_ends_the_way(store: InlineStore, state: State) -> None:
    def change(txn: Txn) -> None:
        accept(txn, IDS[0])
        sent.set_state(txn, IDS[0], world.CITY, state)
        assert _standing(txn).state is state
        assert sent.seal_again(txn, IDS[0], world.CITY) is not state.final

    tried(store, change)


def test_g08_what_is_declared_dead_is_sealed_no_more(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn, IDS[0])
        endings.mark_asked(txn, _standing(txn), txn.now_us, txn.now_us)
        assert not sent.seal_again(txn, IDS[0], world.CITY)
        assert sent.seal_again(txn, IDS[0], world.PROVINCE)

    tried(store, change)


def test_g08_the_oldest_deadline_is_told_of_first(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        to = (TO[0],)
        for message_id, at in zip(IDS, (30, 10, 20, None), strict=False):
            accept(txn, message_id, deadline_us=at, addressees=to)
        for now, wanted in ((9, []), (10, [2]), (29, [2, 3]), (1 << 60, [2, 3, 1])):
            assert [one.message_id[0] for one in sent.overdue(txn, now, 10)] == wanted
        assert [one.message_id[0] for one in sent.overdue(txn, 30, 2)] == [2, 3]
        sent.set_state(txn, IDS[2], world.CITY, State.REFUSED)
        assert [one.message_id[0] for one in sent.overdue(txn, 30, 10)] == [2, 1]

    tried(store, change)


def test_sent_messages_are_listed_newest_first_by_state_and_found_by_the_beginning_of_their_id(
    store: InlineStore,
) -> None:
    def change(txn: Txn) -> None:
        for message_id, at in zip(IDS, (3, 1, 4, 2, 5), strict=True):
            accept(txn, message_id, created_us=at)
        assert [one[0] for one in sent.latest(txn, 10)] == [5, 3, 1, 4, 2]
        assert [one[0] for one in sent.latest(txn, 2)] == [5, 3]
        sent.set_state(txn, IDS[1], world.CITY, State.DELIVERED)
        sent.set_state(txn, IDS[2], world.PROVINCE, State.DELIVERED)
        assert [one[0] for one in sent.latest(txn, 10, "delivered")] == [3, 2]
        # One that waited or was given up is told so by its events, and one event of another kind tells nothing.
        for message_id, type_ in ((IDS[0], "cancelled"), (IDS[3], "awaiting_prekey"), (IDS[4], "tombstone")):
            events.append(txn, [Event(message_id, world.CITY, type_, 1, world.COUNTY)])
        assert [one[0] for one in sent.latest(txn, 10, "cancelled")] == [1]
        assert [one[0] for one in sent.latest(txn, 10, "awaiting_prekey")] == [4]
        assert sent.latest(txn, 10, "tombstone") == []
        assert set(sent.find(txn, IDS[1], IDS[2])) == {IDS[1], IDS[2]}
        assert len(sent.find(txn, IDS[0], IDS[4])) == 3

    tried(store, change)


def test_g13_what_lost_its_words_is_not_sealed_again(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        accept(txn, IDS[0], created_us=1, expires_us=2)
        for one in TO:
            sent.set_state(txn, IDS[0], one.office, State.DELIVERED)
        retention.purge(txn, retention.Keeping(1, 1, 1 << 60))
        kept = sent.message(txn, IDS[0])
        assert kept is not None
        assert kept.bare
        assert kept.answer == b"{}"
        assert kept.bundle is not None
        assert (kept.bundle.record, kept.bundle.body, kept.bundle.files) == (BUNDLE.record, "", ())
        assert sent.whole(txn, IDS[0], world.CITY) is None
        assert sent.whole(txn, IDS[1], world.CITY) is None
        assert sent.whole(txn, IDS[0], NOBODY) is None
        assert sent.message(txn, IDS[1]) is None
        assert sent.standings(txn, IDS[1]) == []

    tried(store, change)


def test_g11_copies_under_a_prekey_that_ended_are_given_up_and_wait_for_the_next(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        sent.accept(txn, [replace(FIRST, message_id=one) for one in IDS[:4]], Sealing(copy_of, begun=True))
        endings.mark_asked(txn, _standing(txn, IDS[1]), txn.now_us, txn.now_us)
        sent.set_state(txn, IDS[2], world.CITY, State.DELIVERED)
        digests, log = ended_prekeys.give_up_copies(txn, world.CITY, world.COUNTY, 1)
        more, rest = ended_prekeys.give_up_copies(txn, world.CITY, world.COUNTY, 10)
        given_up = [copy_digest(one + world.CITY) for one in (IDS[0], IDS[3])]
        assert (len(digests), len(more), {*digests, *more}) == (1, 1, set(given_up))
        told = [
            Event(one, world.CITY, "resealed", txn.now_us, world.COUNTY, True, "PREKEY_ENDED")
            for one in (IDS[0], IDS[3])
        ]
        said = sorted((structs.replace(event, seq=0) for event in log + rest), key=lambda event: event.message_id)
        assert said == told
        assert [held.is_held(txn, digest) for digest in given_up] == [False, False]
        assert set(sent.waiting_for(txn, world.CITY, 10)) == {IDS[0], IDS[3]}
        assert ended_prekeys.give_up_copies(txn, world.CITY, world.COUNTY, 10) == ([], [])
        # What is dead or has its verdict stays as it is, and so does all that goes to others.
        assert len(held.listed(txn, 100)) == 6

    tried(store, change)


def _standing(txn: Txn, message_id: MessageId = IDS[0]) -> Standing:
    found = sent.standing(txn, message_id, world.CITY)
    assert found is not None
    return found
