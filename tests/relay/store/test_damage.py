"""What was moved aside is counted as it is told: all of it, lately, mended, and of which messages (D10, G16)."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store.damage import count_damaged, move_aside, read_damage, was_moved_aside
from relay.store.database import Txn
from relay.store.tables import META
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried

TABLES = ("sent", "recipients", "held", "inbox", "events")
ROWS = st.lists(st.tuples(st.sampled_from(TABLES), st.sampled_from("ab"), st.integers(1, 4), st.booleans()))


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store() as opened:
        yield opened


@settings(max_examples=settings().max_examples // 2)
@given(ROWS, st.integers(1, 5))
def test_g16_damage_is_told_as_it_was_found(
    store: InlineStore, rows: list[tuple[str, str, int, bool]], since_us: int
) -> None:
    def change(txn: Txn) -> None:
        txn.connection.executemany(
            "INSERT INTO damaged (table_name, key_text, found_at_us, mended, columns) VALUES (?, ?, ?, ?, x'')", rows
        )
        lately = [(table, mended) for table, _, at_us, mended in rows if at_us >= since_us]
        gone = [table for table, _, _, mended in rows if not mended]
        found = read_damage(txn, since_us)
        assert found.total == count_damaged(txn) == len(rows)
        assert (found.recent, found.mended) == (len(lately), sum(mended for _, mended in lately))
        assert found.of_inbox == gone.count("inbox")
        assert found.of_sent == sum(gone.count(table) for table in TABLES[:3])
        assert found.tables == tuple(sorted({table for table, _ in lately}))
        for table in TABLES:
            for key in "ab":
                aside = any((one, name) == (table, key) and not mended for one, name, _, mended in rows)
                assert was_moved_aside(txn, table, key) is aside

    tried(store, change)


@pytest.mark.parametrize("mended", [False, True])
def test_g16_what_is_moved_aside_is_met_no_more(store: InlineStore, mended: bool) -> None:
    def change(txn: Txn) -> None:
        META.put(txn, {"name": "one"}, b"body")
        (rowid,) = txn.connection.execute("SELECT rowid FROM meta WHERE name = 'one'").fetchone()
        move_aside(txn, "meta", rowid, "one", mended=mended)
        assert META.get(txn, "one") is None
        assert was_moved_aside(txn, "meta", "one") is not mended
        assert read_damage(txn, txn.now_us).recent == 1
        assert read_damage(txn, txn.now_us + 1).recent == 0
        # It is there no more.
        move_aside(txn, "meta", rowid, "one")
        assert count_damaged(txn) == 1

    tried(store, change)
