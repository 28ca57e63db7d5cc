"""What is remembered of neighbours and of the clock comes back as it was, the newest in the place of the one before."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.clock_guard import Anchor
from protocol.ids import KeyId, OfficeId
from protocol.moment import Moment
from protocol.witness import Shown
from relay.store import audit_heads, kept_clock, witnesses
from relay.store.database import Txn
from relay.store.kept_clock import KeptClock
from tests import strategies, world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

OFFICES = st.sampled_from((world.CITY, world.COUNTY, world.PROVINCE))
FEW = settings(max_examples=settings().max_examples // 4)


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


@FEW
@given(st.lists(st.tuples(OFFICES, st.integers(0, 1 << 50), st.binary(max_size=9)), max_size=6))
def test_g15_the_newest_audit_head_of_each_neighbour_is_kept(
    store: InlineStore, heard: list[tuple[OfficeId, int, bytes]]
) -> None:
    def change(txn: Txn) -> None:
        for office, at_us, record in heard:
            audit_heads.keep(txn, office, at_us, record)
        newest = {office: (office, at_us, record) for office, at_us, record in heard}
        assert sorted(audit_heads.remembered(txn)) == sorted(newest.values())

    tried(store, change)


@st.composite
def shown(draw: st.DrawFn) -> Shown:
    began = draw(st.integers(0, 9))
    moment = Moment(
        draw(strategies.epochs), draw(strategies.epochs), draw(strategies.start_ids), began,
        began + draw(st.integers(0, 9)),
    )  # fmt: skip
    return Shown(moment, draw(st.binary(max_size=9)), KeyId(draw(strategies.key_ids)))


@FEW
@given(st.lists(st.lists(st.tuples(OFFICES, shown()), max_size=3), max_size=3))
def test_g12_what_each_neighbour_showed_last_is_kept(
    store: InlineStore, batches: list[list[tuple[OfficeId, Shown]]]
) -> None:
    def change(txn: Txn) -> None:
        for batch in batches:
            witnesses.keep(txn, batch)
        newest = {office: one for batch in batches for office, one in batch}
        assert dict(witnesses.remembered(txn)) == newest

    tried(store, change)


def test_g09_what_is_remembered_of_the_clock_comes_back(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        assert kept_clock.kept(txn) is None
        for kept in (KeptClock("one", Anchor(1, -2), 3), KeptClock("another", Anchor(4, 5), 6)):
            kept_clock.keep(txn, kept)
            assert kept_clock.kept(txn) == kept

    tried(store, change)
