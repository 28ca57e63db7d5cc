"""The count of commits, by which neighbours notice a restored home (G12, SPEC M58)."""

import shutil

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Epoch, StartId
from protocol.life import Life
from relay.store import lives
from relay.store.database import Txn
from relay.store.group import commit_group
from tests.relay.office_store import office_store
from tests.relay.store.place import Place, writing


def copy_of(place: Place, name: str) -> Place:
    """The files as they lie on the disk, in a place of their own."""
    folder = place.directory / name
    folder.mkdir()
    copy = Place(folder)
    shutil.rmtree(copy.store)
    shutil.copytree(place.store, copy.store, ignore=shutil.ignore_patterns("lock"))
    return copy


def test_g12_every_group_that_changes_something_counts_once_and_survives(place: Place) -> None:
    store = place.open()
    assert store.commits == 0
    store.run(writing(1))
    assert store.commits == 1
    store.run(lambda txn: txn.connection.execute("SELECT count(*) FROM letters").fetchone())
    assert store.commits == 1
    commit_group(store.database, [writing(number) for number in range(2, 9)], 0)
    assert store.commits == 2
    assert store.run(lambda txn: txn.commits) == 3
    store.close()
    assert place.open().commits == 2


def test_g12_the_count_is_never_more_than_is_durable(place: Place) -> None:
    """What a copy of the files at any moment holds is what was counted by then, at least."""
    store = place.open()
    for number in range(1, 30):
        store.run(writing(number))
        counted = store.commits
        copy = copy_of(place, f"copy-{number}").open()
        assert copy.commits == counted
        copy.close()


def test_g12_a_count_that_rots_while_we_run_does_not_fall(place: Place) -> None:
    store = place.open()
    for number in range(1, 10):
        store.run(writing(number))
    store.run(lambda txn: txn.connection.execute("UPDATE life SET commits = 3"))
    assert store.commits == 10
    store.database.connection.execute("UPDATE life SET commits = -5")
    store.close()
    assert place.open().commits == 0


def test_g12_a_count_that_is_gone_begins_again(place: Place) -> None:
    """Neighbours know better then: as with a restored home."""
    store = place.open()
    store.run(writing(1))
    store.database.connection.execute("DELETE FROM life")
    store.close()
    store = place.open()
    assert store.commits == 0
    store.run(writing(2))
    assert store.commits == 1
    store.close()


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_g12_a_start_begins_above_all_that_was_seen(seen: list[int]) -> None:
    with office_store() as store:
        life = Life(Epoch(bytes(8)))
        for number, above in enumerate(seen):
            before = store.commits

            def begin(txn: Txn, life: Life = life, number: int = number, above: int = above) -> Life:
                return lives.begin(txn, life, StartId(number.to_bytes(8)), above)

            life = store.run(begin)
            began = life.starts[-1].began
            assert began > max(before, above)
            assert store.commits == began
            assert store.run(lives.recall) == life
