"""Numbers of messages: every hole is shown, none is invented, whatever comes twice or out of order (G4)."""

import os
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import relay.store
from keys.rows import RowCipher
from protocol.ids import Epoch, OfficeId
from protocol.lanes import Lane
from relay.store.database import Database, Txn
from relay.store.inbox import FILLS_GAP, GAP, Streams
from relay.store.inline import InlineStore
from tests.relay.store.place import STORAGE_KEY, HandClock, SystemEntropy

MIGRATIONS = Path(relay.store.__file__).parent / "migrations"
arrivals = st.lists(st.lists(st.integers(1, 12), max_size=5), max_size=6)


@settings(max_examples=25, deadline=None)
@given(arrivals)
def test_g04_gaps_are_shown_and_filled_under_duplicates(batches: list[list[int]]) -> None:
    sender, epoch = OfficeId(os.urandom(16)), Epoch(bytes(8))
    with tempfile.TemporaryDirectory() as folder:
        opened = Database.open(
            Path(folder), cipher=RowCipher(STORAGE_KEY), entropy=SystemEntropy(), migrations=MIGRATIONS,
            quota_bytes=64 << 20, ballast_bytes=0,
        )  # fmt: skip
        store = InlineStore(opened, HandClock())
        try:
            seen: set[int] = set()
            for batch in batches:
                flags = store.run(partial(_note, sender=sender, epoch=epoch, batch=batch))
                for number, flag in zip(batch, flags, strict=True):
                    highest = max(seen, default=0)
                    expected = GAP if number > highest + 1 else FILLS_GAP if number < highest else 0
                    assert flag == (0 if number in seen else expected)
                    seen.add(number)
        finally:
            store.close()


def _note(txn: Txn, sender: OfficeId, epoch: Epoch, batch: list[int]) -> list[int]:
    streams = Streams(txn)
    flags = [streams.note(sender, Lane.ROUTINE, epoch, number) for number in batch]
    streams.close()
    return flags
