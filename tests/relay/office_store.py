"""A real store of an office for tests of changes: what a test does in it is undone when it looks away."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from keys.rows import RowCipher
from protocol.content import content_digest
from protocol.ids import Epoch, StartId
from protocol.lanes import Lane
from protocol.life import Life
from protocol.limits import EPOCH_BYTES, START_BYTES
from relay.daemon import MIGRATIONS
from relay.store import lives
from relay.store.database import Database, Txn
from relay.store.sent import Addressee, Prepared, Sealing
from relay.store.tables import INBOX
from tests import world
from tests.inline_store import InlineStore
from tests.sim.virtual import OfficeClock, SeededEntropy, Time

T = TypeVar("T")
BUNDLE: Final = world.make_bundle(b"record")
PREPARED: Final = Prepared(
    message_id=world.MESSAGE, fingerprint=b"f" * 32, lane=Lane.ROUTINE, entitlement=0, created_us=world.NOW_US,
    expires_us=world.NOW_US + world.DAY_US, deadline_us=None, bundle=BUNDLE, digest=content_digest(BUNDLE.record),
    addressees=(Addressee(world.PROVINCE, world.PROVINCE_ADDRESS),), answer=b"{}", sender=world.COUNTY,
)  # fmt: skip
"""A message of the county to the province, ready to be accepted."""
LATER: Final = Sealing(lambda wanted: None, begun=False)
"""All copies are left to the sealer."""


class _Undo(Exception):
    def __init__(self, value: object) -> None:
        self.value = value


@contextmanager
def office_store(seed: str = "store") -> Iterator[InlineStore]:
    """An empty store of a home that started once, on virtual time.

    Rows that no query orders come in the reverse of their usual order: who relies on that one is found out.
    """
    with tempfile.TemporaryDirectory() as place:
        entropy = SeededEntropy(seed)
        database = Database.open(
            Path(place), cipher=RowCipher(bytes(32)), entropy=entropy, migrations=MIGRATIONS, quota_bytes=1 << 30,
            ballast_bytes=0,
        )  # fmt: skip
        database.connection.execute("PRAGMA reverse_unordered_selects = ON").fetchall()
        store = InlineStore(database, OfficeClock(Time()))
        first = Life(Epoch(entropy.bytes(EPOCH_BYTES)))
        store.run(partial(lives.begin, life=first, start=StartId(entropy.bytes(START_BYTES)), above=0))
        try:
            yield store
        finally:
            store.close()


def tried(store: InlineStore, change: Callable[[Txn], T]) -> T:
    """What a change returns; the change itself is undone."""

    def run(txn: Txn) -> None:
        raise _Undo(change(txn))

    try:
        store.run(run)
    except _Undo as undo:
        value: T = undo.value  # type: ignore[assignment]
        return value
    raise AssertionError("the change was not undone")


def state_of(txn: Txn, sender: bytes, message_id: bytes) -> str | None:
    """What is remembered of a message: its state, also `refused`, `purged` or `dead`; None for one never heard of."""
    found = INBOX.unverified_clear(txn, "sender = ? AND message_id = ?", (sender, message_id))
    return str(found[0]["state"]) if found else None
