"""What a home remembers of its life comes back from the store as it was; its numbers begin anew when it parts (G12)."""

from collections.abc import Iterator

import pytest

from protocol.ids import Epoch, OfficeId, StartId
from protocol.lanes import Lane
from protocol.life import Life, Start
from relay.store import lives
from relay.store.database import Txn
from relay.store.lives import Cause
from relay.store.numbers import Numbers
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store

FIRST, SECOND, OTHER = (Epoch(name * 8) for name in (b"1", b"2", b"o"))
START, AGAIN = StartId(b"s" * 8), StartId(b"a" * 8)
CAUSES = [Cause("RESTORED", 5, "an older state"), Cause("CLONED", 6, "another one")]
TO = OfficeId(b"r" * 16)


@pytest.fixture
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


def given(txn: Txn) -> int:
    """The next number."""
    numbers = Numbers(txn)
    _, number = numbers.give(TO, Lane.ROUTINE)
    numbers.close()
    return number


def begun(store: InlineStore, start: StartId = START, above: int = 0) -> tuple[Life, int, int]:
    """A first life with one start; the commits before it and the time."""

    def work(txn: Txn) -> tuple[Life, int, int]:
        return lives.begin(txn, Life(FIRST), start, above), txn.commits, txn.now_us

    return store.run(work)


def test_before_its_first_start_a_home_has_no_life(store: InlineStore) -> None:
    store.run(lambda txn: txn.connection.execute("DELETE FROM meta").rowcount)
    assert store.run(lives.recall) is None
    assert store.run(lives.doubt_us) == 0
    assert store.run(lives.causes) == []
    with pytest.raises(LookupError):
        store.run(lives.epoch)


def test_g12_a_start_is_remembered_with_its_count_and_time(store: InlineStore) -> None:
    life, commits, now_us = begun(store)
    assert life == Life(FIRST, starts=(Start(START, max(commits, 1), now_us),))
    assert store.run(lives.recall) == life
    assert store.run(lives.epoch) == FIRST


def test_g12_a_start_begins_above_what_was_seen_elsewhere_and_never_lower(store: InlineStore) -> None:
    life, _, _ = begun(store, above=500)
    assert life.starts[-1].began == 501
    assert store.database.commits > 500
    second, commits, _ = begun(store, AGAIN, above=3)
    assert second.starts[-1].began == commits > 501


def test_g12_a_parted_life_gives_new_numbers_and_says_why(store: InlineStore) -> None:
    life, _, _ = begun(store)
    assert [store.run(given) for _ in range(2)] == [1, 2]
    parted = Life(SECOND, FIRST, life.starts, (FIRST, OTHER), born_us=70, doubt_us=90)
    kept = store.run(lambda txn: lives.part(txn, parted, AGAIN, 40, CAUSES))
    assert kept.starts[-1].id == AGAIN
    assert kept.starts[-1].began == 41
    assert store.run(lives.recall) == kept
    assert (store.run(lives.epoch), store.run(lives.doubt_us)) == (SECOND, 90)
    assert store.run(lives.causes) == CAUSES
    assert store.run(given) == 1


def test_g12_doubt_and_causes_are_kept_until_they_are_accepted(store: InlineStore) -> None:
    life, _, _ = begun(store)
    doubted = Life(FIRST, starts=life.starts, doubt_us=123)
    store.run(lambda txn: lives.doubt(txn, doubted, CAUSES[1:]))
    assert (store.run(lives.recall), store.run(lives.doubt_us)) == (doubted, 123)
    assert store.run(lives.causes) == CAUSES[1:]
    store.run(lambda txn: lives.keep_causes(txn, []))
    assert store.run(lives.causes) == []
    assert store.run(lives.recall) == doubted
