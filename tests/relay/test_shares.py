"""Whoever has much here is refused first, on every way in, and nobody else is (SPEC M95, D4, G13)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from protocol.copy import copy_digest
from protocol.frame import COPY_ITEM
from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.parcel import Parcel
from relay.examine import Examined
from relay.store import held, inbox
from relay.store.database import Space, Txn
from relay.store.held import Held
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried
from tests.relay.test_settlement import COPY, THIRD, answer_of, at_city, at_province, settled

QUOTA = 1 << 30
MUCH = QUOTA * 72 // 100
RESERVED = QUOTA * 18 // 100
"""More than a quarter of the reserve of any lane."""
SHORT = Space(MUCH, QUOTA, 1 << 40, 0)
WAYS: dict[str, tuple[OfficeId, OfficeId, Callable[[], Examined]]] = {
    "carried": (world.CITY, world.COUNTY, at_city),
    "inbox": (world.PROVINCE, world.CITY, lambda: at_province(COPY)),
    "not opened": (world.PROVINCE, world.CITY, lambda: at_province(COPY, has_prekey=False)),
}
"""Who is asked, by whom, and with what: a flash message of the county."""


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def has(txn: Txn, office: OfficeId, lane: Lane, size: int) -> None:
    """An office has so much here."""
    digest = copy_digest(office + bytes((lane,)))
    parcel = Parcel(digest, COPY_ITEM, lane, office, world.NETWORK, size, (office,), False, witnessed_us=0)
    assert held.hold(txn, [Held(parcel, world.NOW_US * 2, b"")])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("office", "lane", "size", "answer"),
    [
        (world.COUNTY, Lane.FLASH, MUCH, "FULL"),
        (world.COUNTY, Lane.ROUTINE, MUCH, "custody"),
        (world.COUNTY, Lane.FLASH, RESERVED, "custody"),
        (THIRD, Lane.FLASH, MUCH, "custody"),
    ],
    ids=["much on flash", "much on routine", "little", "another has much"],
)
def test_g13_who_has_much_here_is_refused_and_nobody_else(
    store: InlineStore, way: str, office: OfficeId, lane: Lane, size: int, answer: str
) -> None:
    me, neighbour, examined = WAYS[way]

    def change(txn: Txn) -> None:
        has(txn, office, lane, size)
        assert answer_of(settled(replace(txn, space=SHORT), me, examined()), neighbour) == answer
        # There is room again, or what it had has left.
        assert answer_of(settled(txn, me, examined()), neighbour) == "custody"

    tried(store, change)


def test_g13_what_an_office_has_leaves_and_it_is_let_in_again(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        short = replace(txn, space=SHORT)
        has(txn, world.COUNTY, Lane.FLASH, MUCH)
        assert answer_of(settled(short, world.CITY, at_city()), world.COUNTY) == "FULL"
        held.forget(txn, copy_digest(world.COUNTY + bytes((Lane.FLASH,))))
        assert answer_of(settled(short, world.CITY, at_city()), world.COUNTY) == "custody"

    tried(store, change)


def test_g13_a_duplicate_is_answered_however_much_its_sender_has(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        settled(txn, world.PROVINCE, at_province(COPY))
        has(txn, world.COUNTY, Lane.FLASH, MUCH)
        short = replace(txn, space=SHORT)
        assert answer_of(settled(short, world.PROVINCE, at_province(COPY)), world.CITY) == "custody"
        assert len(inbox.listed(txn, None, 10)) == 1

    tried(store, change)
