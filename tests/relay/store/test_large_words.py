"""Words of a megabyte each: what is asked of the store at once stays small (G13)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from protocol.ids import Digest, MessageId
from protocol.lanes import Lane
from protocol.limits import CONTENT_BYTES
from relay.store import inbox
from relay.store.database import Txn
from relay.store.inbox import LISTED_BYTES, Received
from relay.store.tables import INBOX
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import BUNDLE, office_store, tried

COUNT = 10
LARGE = replace(BUNDLE, body="x" * (CONTENT_BYTES - 200))


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    """An inbox with some large messages."""
    with office_store() as opened:
        opened.run(_fill)
        yield opened


def _fill(txn: Txn) -> None:
    for number in range(COUNT):
        message = Received(
            world.COUNTY, MessageId(bytes((number,)) * 16), Lane.ROUTINE, "new", txn.now_us, 0, Digest(bytes(32)),
            LARGE, b"", txn.now_us,
        )  # fmt: skip
        inbox.insert(txn, message, Digest(bytes((number,)) * 32), txn.now_us)


def test_g02_g13_large_messages_are_handed_out_a_few_at_a_time_and_each_as_new_once(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        first, second, again = (inbox.take(txn, 100, 0, start, 4 * CONTENT_BYTES) for start in (1, 1, 2))
        assert len(first) == COUNT // 2
        assert [one.message_id[0] for one in (*first, *second)] == list(range(COUNT))
        assert not any(one.flags & inbox.REDELIVERED for one in (*first, *second))
        assert len(again) == len(first)
        assert all(one.flags & inbox.REDELIVERED for one in again)

    tried(store, change)


def test_g13_a_list_is_read_in_pages(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        newest = inbox.listed(txn, None, 100)
        before = inbox.listed(txn, "new", 100, newest[0].seq)
        assert len(newest) == len(before) == LISTED_BYTES // CONTENT_BYTES + 1
        assert [one.seq for one in (*before, *newest)] == list(range(COUNT - 2 * len(newest) + 1, COUNT + 1))

    tried(store, change)


def test_g13_a_table_is_gone_through_in_pieces(store: InlineStore) -> None:
    def change(txn: Txn) -> None:
        rows = [rowid for rowid, *_ in INBOX.slice(txn.connection, 2, COUNT - 3)]
        assert rows == list(range(3, COUNT))
        assert INBOX.look_through(txn, 2, COUNT) == (COUNT - 2, COUNT)

    asked: list[str] = []
    tried(store, lambda txn: txn.connection.set_trace_callback(asked.append))
    tried(store, change)
    tried(store, lambda txn: txn.connection.set_trace_callback(None))
    assert sum("rowid >" in text for text in asked) == 2 + 3
