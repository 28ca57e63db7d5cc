"""Every kind of finding in every state that it may meet: custody, nack or quarantine exactly as D1 says."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from keys.prekeys import make_prekey
from keys.seal import seal_copy
from keys.signing import CONTENT, FRAME, sign_record
from protocol.content import encode_bundle, encode_content
from protocol.copy import copy_digest
from protocol.frame import COPY_ITEM, encode_frame, encode_frame_payload, encode_items, items_digest, make_item
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.life import Life
from protocol.limits import TRAIL_OFFICES
from protocol.padding import pack
from protocol.topics import FrameTopic
from relay.examine import Examined, Eyes, examine
from relay.identity import Identity
from relay.keyring import Keyring
from relay.receipting import ENTROPY_BYTES
from relay.settle import Bounds, OutboxView, Outcome, Settlement
from relay.store import held, inbox, quarantine
from relay.store.database import Space, Txn
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

BOUNDS = Bounds(100, 1 << 20)
ENTROPY = bytes(ENTROPY_BYTES * 8)
FULL = Space(99, 100, 0, 1)
THIRD = OfficeId(bytes(range(16)))


def make_copy(**changes: object) -> bytes:
    content = world.make_content(**changes)
    bundle = world.make_bundle(sign_record(world.COUNTY_KEY, CONTENT, encode_content(content)))
    header = world.make_header(content)
    return seal_copy(world.COUNTY_KEY, header, pack(encode_bundle(bundle)), world.PREKEY_PUBLICS[1], bytes(44))


COPY = make_copy()
OTHER = make_copy(title="another text under the same id")
DIGEST = copy_digest(COPY)


def eyes(me: OfficeId, *, has_prekey: bool = True, now_us: int = world.NOW_US) -> Eyes:
    key, address = {
        world.COUNTY: (world.COUNTY_KEY, world.COUNTY_ADDRESS),
        world.CITY: (world.CITY_KEY, world.CITY_ADDRESS),
        world.PROVINCE: (world.PROVINCE_KEY, world.PROVINCE_ADDRESS),
    }[me]
    keyring = Keyring()
    if has_prekey:
        keyring.own[world.PREKEY_IDS[1]] = world.PREKEYS[1]
    county = make_prekey(
        world.COUNTY_KEY, network_id=world.NETWORK, office_id=world.COUNTY, suite=1, seed=bytes(32),
        now_us=world.NOW_US,
    )  # fmt: skip
    keyring.take(county)
    return Eyes(
        identity=Identity(me, key, Life(world.EPOCH), 1),
        addresses=frozenset((address,)),
        directory=world.DIRECTORY,
        keyring=keyring,
        own_prekey=county.data,
        now_us=now_us,
    )


def frame_from_county(data: bytes, *, attempt: int = 1, trail: tuple[OfficeId, ...] = (world.COUNTY,)) -> bytes:
    """To the city."""
    items = encode_items((make_item(COPY_ITEM, data, trail, attempt),))
    frame = world.make_frame(items, sender=world.COUNTY, receiver=world.CITY)
    return encode_frame(sign_record(world.COUNTY_KEY, FRAME, encode_frame_payload(frame)), items)


def frame_from_city(data: bytes) -> bytes:
    """To the province."""
    items = encode_items((make_item(COPY_ITEM, data, (world.COUNTY, world.CITY), 1),))
    frame = world.make_frame(items, items_digest=items_digest(items))
    return encode_frame(sign_record(world.CITY_KEY, FRAME, encode_frame_payload(frame)), items)


def at_city(attempt: int = 1, trail: tuple[OfficeId, ...] = (world.COUNTY,)) -> Examined:
    topic = FrameTopic(world.CITY_ADDRESS, Lane.FLASH, world.COUNTY_ADDRESS)
    return examine(frame_from_county(COPY, attempt=attempt, trail=trail), topic, eyes(world.CITY), (), ENTROPY)


def at_province(data: bytes, *, known: bool = False, has_prekey: bool = True, now_us: int = world.NOW_US) -> Examined:
    topic = FrameTopic(world.PROVINCE_ADDRESS, Lane.FLASH, world.CITY_ADDRESS)
    recent = (copy_digest(data),) if known else ()
    seen = eyes(world.PROVINCE, has_prekey=has_prekey, now_us=now_us)
    return examine(frame_from_city(data), topic, seen, recent, ENTROPY)


def settled(txn: Txn, me: OfficeId, examined: Examined, offered: bool = False, now_us: int = world.NOW_US) -> Outcome:
    txn = replace(txn, now_us=now_us)
    sender = examined.frame.frame.sender
    pairs = frozenset({(DIGEST, sender)}) if offered else frozenset()
    return Settlement(txn, me, OutboxView({}, pairs), BOUNDS).settle([examined], [])


def answer_of(outcome: Outcome, to: OfficeId, digest: Digest = DIGEST) -> str:
    """`custody`, a nack's code, or `silence`."""
    if outcome.custody:
        assert outcome.custody == [(to, Lane.FLASH, digest)]
        assert not outcome.nacks
        return "custody"
    return outcome.nacks[0][2].code if outcome.nacks else "silence"


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


LONG_TRAIL = (world.COUNTY, *(OfficeId(bytes((n,)) * 16) for n in range(TRAIL_OFFICES - 1)))
TRANSIT = list(
    product(("unknown", "held", "passed", "passed to sender"), (1, 2), (False, True), (False, True), ("", "me", "long"))
)


def expected_of_transit(state: str, attempt: int, offered: bool, full: bool, trail: str) -> str:
    """D1 and SPEC M34 in one place."""
    if offered or trail or state == "passed to sender":
        return "LOOP"
    if state == "held" or (state == "passed" and attempt == 1):
        return "custody"
    return "FULL" if full else "custody"


@pytest.mark.parametrize(("state", "attempt", "offered", "full", "trail"), TRANSIT)
def test_g07_transit_gives_custody_only_of_what_it_holds_or_passed_on(
    store: InlineStore, state: str, attempt: int, offered: bool, full: bool, trail: str
) -> None:
    trails = {"": (world.COUNTY,), "me": (world.COUNTY, world.CITY, world.COUNTY), "long": LONG_TRAIL}
    examined = at_city(attempt, trails[trail])

    def change(txn: Txn) -> None:
        if state != "unknown":
            settled(txn, world.CITY, at_city())
        if state.startswith("passed"):
            to = world.COUNTY if state == "passed to sender" else THIRD
            held.pass_on(txn, DIGEST, to, Digest(bytes(32)), 1)
        if full:
            txn = replace(txn, space=FULL)
        answer = answer_of(settled(txn, world.CITY, examined, offered), world.COUNTY)
        assert answer == expected_of_transit(state, attempt, offered, full, trail)
        if answer == "custody":
            assert held.is_held(txn, DIGEST) or held.passed_to(txn, DIGEST) is not None
        elif state == "unknown":
            assert not held.is_held(txn, DIGEST)

    tried(store, change)


def test_g16_what_had_gone_on_and_comes_again_goes_round_whoever_took_it_then(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        settled(txn, world.CITY, at_city())
        held.pass_on(txn, DIGEST, THIRD, Digest(bytes(32)), 1)
        again = settled(txn, world.CITY, at_city(attempt=2))
        assert [one.parcel.digest for one in again.taken] == [DIGEST]
        assert again.lost == [(DIGEST, THIRD)]

    tried(store, change)


def test_g16_a_receipt_that_is_asked_for_again_goes_round_whoever_took_it_then(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        (receipt,) = settled(txn, world.PROVINCE, at_province(COPY)).taken
        held.pass_on(txn, receipt.parcel.digest, THIRD, Digest(bytes(32)), 1)
        again = settled(txn, world.PROVINCE, at_province(COPY))
        assert [one.data for one in again.taken] == [receipt.data]
        assert again.lost == [(receipt.parcel.digest, THIRD)]

    tried(store, change)


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("known", [False, True])
def test_g02_g07_a_message_enters_the_inbox_once_and_every_duplicate_gets_the_same_receipt(
    store: InlineStore, times: int, known: bool
) -> None:
    def change(txn: Txn) -> None:
        first = settled(txn, world.PROVINCE, at_province(COPY))
        assert answer_of(first, world.CITY) == "custody"
        (receipt,) = first.taken
        for _ in range(times):
            held.forget(txn, receipt.parcel.digest)
            again = settled(txn, world.PROVINCE, at_province(COPY, known=known))
            assert answer_of(again, world.CITY) == "custody"
            assert [one.data for one in again.taken] == [receipt.data]
        assert len(inbox.listed(txn, None, 10)) == 1

    tried(store, change)


def test_g03_the_same_id_with_other_content_is_quarantined_and_answered_with_the_first_receipt(
    store: InlineStore,
) -> None:
    def change(txn: Txn) -> None:
        (first,) = settled(txn, world.PROVINCE, at_province(COPY)).taken
        assert settled(txn, world.PROVINCE, at_province(OTHER)).taken == []
        held.forget(txn, first.parcel.digest)
        outcome = settled(txn, world.PROVINCE, at_province(OTHER))
        assert answer_of(outcome, world.CITY, copy_digest(OTHER)) == "custody"
        assert [one.data for one in outcome.taken] == [first.data]
        assert [one.code for one in quarantine.latest(txn, 10)] == ["ID_REUSED"] * 2
        (message,) = inbox.listed(txn, None, 10)
        assert message.digest == inbox.digests(txn, world.COUNTY, world.MESSAGE)[0]  # type: ignore[index]

    tried(store, change)


@pytest.mark.parametrize("full", [False, True])
def test_g07_a_full_destination_says_so_and_keeps_nothing(store: InlineStore, full: bool) -> None:
    def change(txn: Txn) -> None:
        if full:
            txn = replace(txn, space=FULL)
        outcome = settled(txn, world.PROVINCE, at_province(COPY))
        assert answer_of(outcome, world.CITY) == ("FULL" if full else "custody")
        assert bool(outcome.taken) is not full
        assert (inbox.digests(txn, world.COUNTY, world.MESSAGE) is None) is full

    tried(store, change)


def test_g13_without_room_nothing_is_kept_for_a_copy_that_cannot_be_opened(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        full = replace(txn, space=FULL)
        outcome = settled(full, world.PROVINCE, at_province(COPY, has_prekey=False))
        assert answer_of(outcome, world.CITY) == "FULL"
        assert outcome.taken == []

    tried(store, change)


def test_g09_what_expires_between_examination_and_commit_is_never_delivered(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        late_us = world.NOW_US + 3 * world.DAY_US
        outcome = settled(txn, world.PROVINCE, at_province(COPY, now_us=late_us - 1), now_us=late_us)
        assert inbox.digests(txn, world.COUNTY, world.MESSAGE) is None
        assert outcome.taken == []

    tried(store, change)


def test_a_lost_prekey_is_answered_once_and_ends_the_copy_here(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        first = settled(txn, world.PROVINCE, at_province(COPY, has_prekey=False))
        assert answer_of(first, world.CITY) == "custody"
        assert len(first.taken) == 1
        again = settled(txn, world.PROVINCE, at_province(COPY, has_prekey=False))
        assert again.taken == []
        assert inbox.digests(txn, world.COUNTY, world.MESSAGE) is None
        # The prekey was there after all, or the copy is another one: still delivered as new.
        assert len(settled(txn, world.PROVINCE, at_province(COPY)).taken) == 1

    tried(store, change)
