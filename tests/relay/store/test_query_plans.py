"""Whatever the relay asks of its store regularly is answered from an index, however much lies there (G5, G16)."""

import sqlite3
from collections.abc import Callable

import pytest

from protocol.ids import Digest, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.parcel import Parcel
from relay.daemon import MIGRATIONS
from relay.store import endings, events, held, inbox, lost, quarantine, retention, sent, streams
from relay.store.database import Txn
from relay.store.held import Held
from relay.store.quarantine import Suspect
from relay.store.tables import STREAMS
from tests.relay.office_store import office_store

OFFICE, ID = OfficeId(bytes(16)), MessageId(bytes(16))
PARCEL = Parcel(Digest(bytes(32)), 0, Lane.ROUTINE, OFFICE, OFFICE, 10, (), is_origin=True, message_id=ID)
REGULAR: dict[str, Callable[[Txn], object]] = {
    "the janitor's expiry of recipients": lambda txn: endings.unasked(txn, 5, 10),
    "the janitor's recipients without an answer": lambda txn: endings.unanswered(txn, 5, 10),
    "the janitor's tombstones": lambda txn: endings.to_ask_again(txn, 5, 10),
    "the janitor's gaps": lambda txn: streams.tell(txn, 5, 10, OFFICE),
    "gaps": lambda txn: streams.gaps(txn, 10),
    "a number": lambda txn: STREAMS.get(txn, OFFICE, 0, bytes(8)),
    "the janitor's expiry of parcels": lambda txn: held.expired(txn, 5, 10),
    "the janitor's memory of passed parcels": lambda txn: held.forget_passed(txn, 5, 10),
    "holding": lambda txn: held.hold(txn, [Held(PARCEL, 1, b"")]),
    "a page of the window": lambda txn: held.of_way(txn, Lane.ROUTINE, OFFICE, 0, 10),
    "the ways at the start": held.ways,
    "whether a copy was sent": lambda txn: sent.is_unbegun(txn, ID, OFFICE),
    "own copies": lambda txn: held.of_copy(txn, ID, OFFICE),
    "parcels to an office that is revoked": lambda txn: held.to_office(txn, OFFICE, 10),
    "whether anything is for a revoked office": lambda txn: held.is_way(txn, OFFICE),
    "own copies to an office": lambda txn: held.own_copies_to(txn, OFFICE, 10),
    "parcels of an office that is revoked": lambda txn: held.of_origin(txn, OFFICE, b"", 10),
    "what waits for a prekey of a revoked office": lambda txn: sent.waiting_for(txn, OFFICE, 10),
    "messages of a revoked office": lambda txn: inbox.of_sender(txn, OFFICE, 5, b"", 10),
    "what a revoked office said": lambda txn: events.said_by(txn, (OFFICE,), ("delivered",), 0, 10),
    "what waits to be sealed": lambda txn: sent.to_seal(txn, 10),
    "offices whose prekeys are waited for": sent.awaiting,
    "what a prekey wakes": lambda txn: sent.end_waiting(txn, OFFICE, 10),
    "retention": lambda txn: retention.purge(txn, retention.Keeping(1, 1, 1)),
    "whether a message was here before": lambda txn: lost.of(txn, OFFICE, ID),
    "standings": lambda txn: sent.standings(txn, ID),
    "events": lambda txn: events.of_recipient(txn, ID, OFFICE),
    "taking": lambda txn: inbox.take(txn, 10, 5, 1),
    "a known message": lambda txn: inbox.digests(txn, OFFICE, ID),
    "a known copy": lambda txn: inbox.of_copy(txn, bytes(32)),
    "a receipt that could not be opened": lambda txn: inbox.find_sealed_receipt(txn, OFFICE, bytes(32)),
    "sealed receipts that nobody heard": lambda txn: inbox.unheard_receipts(txn, 5, 10),
    "the oldest parcel of each lane": held.shape,
    "the inbox by state": inbox.counts,
    "quarantine": lambda txn: quarantine.put(txn, [Suspect(1, "X", "", "", 1, b"x")], 10, 1_000),
}
"""What runs at a start, every second, or with every message or status."""
COUNTED = (
    "SELECT count(*) FROM held",
    "SELECT DISTINCT office FROM recipients",
    "FROM inbox WHERE state",
    "FROM quarantine",
)
"""These read a whole covering index, which has some 20 bytes a row, and nothing else."""


@pytest.mark.parametrize("what", REGULAR)
def test_g16_no_regular_query_reads_a_whole_table(what: str) -> None:
    asked: list[str] = []
    with office_store() as store:

        def run(txn: Txn) -> None:
            held.hold(txn, [Held(PARCEL, 1, b"")])
            txn.connection.set_trace_callback(asked.append)
            REGULAR[what](txn)
            txn.connection.set_trace_callback(None)

        store.run(run)
    connection = sqlite3.connect(":memory:")
    connection.executescript("".join(path.read_text("utf-8") for path in sorted(MIGRATIONS.iterdir())))
    asked = [text for text in asked if text.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert asked
    for text in asked:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}"):
            in_order_until_enough = "USING INDEX" in step and "LIMIT" in text
            if step.startswith("SCAN") and not in_order_until_enough:
                assert "COVERING INDEX" in step, (text, step)
                assert any(known in text for known in COUNTED), (text, step)
            # SQLite sorts what no index has in order: then it has read everything that matches.
            assert "TEMP B-TREE FOR ORDER BY" not in step or "message_id = " in text, (text, step)
