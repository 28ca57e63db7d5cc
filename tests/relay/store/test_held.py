"""Custody: every question about parcels is answered from all that is held (G1), the memory of what went on is kept to
the microsecond of its time, and given up then (G2, G13).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.copy import copy_digest
from protocol.frame import COPY_ITEM, ITEM_KINDS, RECEIPT_ITEM
from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.parcel import Parcel
from relay.store import held
from relay.store.database import Txn
from relay.store.held import Held
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

OFFICES = (world.CITY, world.COUNTY, world.PROVINCE)
IDS = tuple(MessageId(bytes((n,)) * 16) for n in (1, 2, 3))
FEW = settings(max_examples=settings().max_examples // 4)


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


@st.composite
def parcels(draw: st.DrawFn) -> list[Held]:
    """Of few offices, messages and lanes, so that many of them are alike in all but one thing."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        parcel = Parcel(
            digest=copy_digest(bytes((number,))),
            kind=draw(st.sampled_from(ITEM_KINDS)),
            lane=draw(st.sampled_from((Lane.FLASH, Lane.ROUTINE, Lane.BULK))),
            origin=draw(st.sampled_from(OFFICES)),
            recipient=draw(st.sampled_from(OFFICES)),
            size=draw(st.integers(1, 1 << 20)),
            trail=tuple(draw(st.lists(st.sampled_from(OFFICES), max_size=2))),
            is_origin=draw(st.booleans()),
            message_id=draw(st.sampled_from(IDS)),
            attempt=draw(st.integers(1, 3)),
            witnessed_us=draw(st.none() | st.integers(0, 1 << 50)),
        )
        found.append(Held(parcel, draw(st.integers(1, 5)), bytes((number,))))
    return found


def placed(wanted: list[Held]) -> list[Held]:
    """As they are held: each lane counts its places from 1."""
    last: Counter[Lane] = Counter()
    found = []
    for one in wanted:
        last[one.parcel.lane] += 1
        found.append(replace(one, seq=last[one.parcel.lane]))
    return found


def digests(found: list[Held]) -> list[Digest]:
    return [one.parcel.digest for one in found]


@FEW
@given(parcels(), st.data())
def test_g01_what_is_held_is_held_once_as_it_came_until_it_ends(
    store: InlineStore, wanted: list[Held], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(wanted)))
    ended = data.draw(st.sampled_from(wanted))

    def change(txn: Txn) -> None:
        rows = placed(wanted)
        assert held.hold(txn, []) == []
        assert held.hold(txn, wanted[:cut]) == rows[:cut]
        # What is held already keeps its place and its bytes.
        assert held.hold(txn, [replace(one, data=b"again") for one in wanted]) == [
            replace(one, data=b"again") for one in rows[cut:]
        ]
        for one in rows[:cut]:
            assert held.is_held(txn, one.parcel.digest)
            assert held.get(txn, one.parcel.digest) == one
        held.forget(txn, ended.parcel.digest)
        assert not held.is_held(txn, ended.parcel.digest)
        assert held.get(txn, ended.parcel.digest) is None
        assert held.passed_to(txn, ended.parcel.digest) is None
        assert len(held.listed(txn, 100)) == len(wanted) - 1

    tried(store, change)


@FEW
@given(parcels(), st.integers(1, 4))
def test_g01_every_question_about_an_office_is_answered_from_all_that_is_held(
    store: InlineStore, wanted: list[Held], limit: int
) -> None:
    def change(txn: Txn) -> None:
        rows = sorted(held.hold(txn, wanted), key=lambda one: (one.parcel.lane, one.seq))
        for office in OFFICES:
            to = [one for one in rows if one.parcel.recipient == office]
            assert held.to_office(txn, office, limit) == to[:limit]
            assert held.is_way(txn, office) is bool(to)
            copies = [one for one in to if one.parcel.is_origin and one.parcel.kind == COPY_ITEM]
            assert held.own_copies_to(txn, office, limit) == copies[:limit]
            carried = [one for one in rows if one.parcel.origin == office and not one.parcel.is_origin]
            carried.sort(key=lambda one: one.parcel.digest)
            assert held.of_origin(txn, office, b"", 100) == carried
            assert held.of_origin(txn, office, b"", limit) == carried[:limit]
            if carried:
                assert held.of_origin(txn, office, carried[0].parcel.digest, 100) == carried[1:]
            for lane in Lane:
                page = [one for one in to if one.parcel.lane == lane and one.seq > 1]
                assert held.of_way(txn, lane, office, 1, limit) == page[:limit]

    tried(store, change)


def test_g01_copies_to_an_office_are_counted_over_all_lanes_and_no_more_are_given_than_asked_for(
    store: InlineStore,
) -> None:
    lowest = OfficeId(bytes(16))
    wanted = [
        Held(
            Parcel(copy_digest(bytes((at,))), COPY_ITEM, lane, world.CITY, lowest, 4, (), True, IDS[0]), 1_000, b"copy"
        )
        for at, lane in enumerate((Lane.ROUTINE, Lane.FLASH, Lane.ROUTINE, Lane.BULK))
    ]

    def change(txn: Txn) -> None:
        rows = sorted(held.hold(txn, wanted), key=lambda one: (one.parcel.lane, one.seq))
        assert [held.own_copies_to(txn, lowest, limit) for limit in range(5)] == [rows[:limit] for limit in range(5)]
        assert [held.to_office(txn, lowest, limit) for limit in range(5)] == [rows[:limit] for limit in range(5)]
        assert held.ways(txn) == [(lane, lowest) for lane in (Lane.FLASH, Lane.ROUTINE, Lane.BULK)]
        with patch.object(held, "SHOWN_MAX", 3):
            assert [row["seq"] for row in held.of_message(txn, IDS[0], IDS[0])] == [1, 1, 1]

    tried(store, change)


@FEW
@given(parcels())
def test_g01_every_question_about_a_message_is_answered_from_all_that_is_held(
    store: InlineStore, wanted: list[Held]
) -> None:
    def change(txn: Txn) -> None:
        held.hold(txn, wanted)
        for message_id in IDS:
            for office in OFFICES:
                to = [one.parcel for one in wanted]
                to = [one for one in to if (one.message_id, one.recipient) == (message_id, office)]
                copies = [one for one in to if one.kind == COPY_ITEM]
                own = {one.digest for one in copies if one.is_origin}
                assert set(held.of_copy(txn, message_id, office)) == own
                for origin in OFFICES:
                    carried = {one.digest for one in copies if not one.is_origin and one.origin == origin}
                    assert set(held.carried(txn, message_id, origin, office)) == carried
                answers = [one for one in to if one.kind == RECEIPT_ITEM and one.is_origin]
                assert held.is_answered(txn, message_id, office) is bool(answers)
        within = [one.parcel.digest for one in wanted if IDS[0] <= one.parcel.message_id <= IDS[1]]
        assert {row["digest"] for row in held.of_message(txn, IDS[0], IDS[1])} == set(within)
        seqs = [row["seq"] for row in held.of_message(txn, IDS[0], IDS[1])]
        assert seqs == sorted(seqs)

    tried(store, change)


@FEW
@given(parcels(), st.integers(1, 4), st.integers(0, 6))
def test_g13_what_is_held_is_counted_by_lane_and_ends_with_its_life(wanted: list[Held], limit: int, now: int) -> None:
    with office_store() as store:
        clock = store._clock
        since: dict[Lane, int] = {}
        for one in wanted:
            clock.time.us += 1  # type: ignore[attr-defined]
            since.setdefault(one.parcel.lane, clock.now_us())
            store.run(lambda txn, one=one: held.hold(txn, [one]))
        counted = Counter(one.parcel.lane for one in wanted)
        assert store.run(held.shape) == {lane: (counted[lane], since[lane]) for lane in counted}
        assert store.run(held.ways) == sorted({(one.parcel.lane, one.parcel.recipient) for one in wanted})
        over = {one.parcel.digest for one in wanted if one.expires_us <= now}
        assert set(store.run(lambda txn: held.expired(txn, now, 100))) == over
        some = store.run(lambda txn: held.expired(txn, now, limit))
        assert len(some) == min(limit, len(over))
        rows = sorted(placed(wanted), key=lambda one: (one.parcel.lane, one.seq))
        listed = store.run(lambda txn: held.listed(txn, limit))
        assert [row["digest"] for row in listed] == digests(rows[:limit])


def test_g02_who_has_custody_is_remembered_as_long_as_was_said_and_no_longer(store: InlineStore) -> None:
    digest = copy_digest(b"copy")
    parcel = Parcel(digest, COPY_ITEM, Lane.FLASH, world.COUNTY, world.PROVINCE, 4, (), False, world.MESSAGE)

    def change(txn: Txn) -> None:
        held.hold(txn, [Held(parcel, 1_000, b"copy")])
        held.pass_on(txn, digest, world.CITY, Digest(bytes(32)), 500)
        assert not held.is_held(txn, digest)
        assert held.passed_to(txn, digest) == held.gone_to(txn, digest) == world.CITY
        assert held.forget_passed(txn, 1_499, 10) == 0
        assert held.passed_to(txn, digest) == world.CITY
        assert held.forget_passed(txn, 1_500, 0) == 0
        assert held.forget_passed(txn, 1_500, 10) == 1
        assert held.passed_to(txn, digest) is None
        # What is not held cannot go on from here.
        held.pass_on(txn, digest, world.CITY, Digest(bytes(32)), 500)
        assert held.passed_to(txn, digest) is None
        # What came back is here, whoever had it meanwhile.
        for custodian in (None, world.CITY):
            held.hold(txn, [Held(parcel, 1_000, b"copy")])
            assert (held.gone_to(txn, digest), held.passed_to(txn, digest)) == (None, custodian)
            held.pass_on(txn, digest, world.CITY, Digest(bytes(32)), 500)

    tried(store, change)
