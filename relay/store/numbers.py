"""The numbers of messages per (recipient, lane) in this home's epoch, without hole or twin (G4)."""

from protocol.cbor import loads
from protocol.fields import elements
from protocol.ids import Epoch, OfficeId
from protocol.lanes import Lane
from protocol.limits import RECORD_BYTES
from relay.store import lives
from relay.store.counters import number
from relay.store.damage import SALVAGED, was_moved_aside
from relay.store.database import Txn
from relay.store.tables import NUMBERS, RECIPIENTS


class Numbers:
    """The next numbers of streams during one change: each is read once and written once (G4).

    A row holds the epoch of its numbers. A new epoch drops all rows (`relay/store/lives.py`), so that it begins at 1.
    """

    def __init__(self, txn: Txn) -> None:
        self._txn = txn
        self._next: dict[tuple[OfficeId, int], tuple[Epoch, int]] = {}
        self._epoch: Epoch | None = None

    def give(self, office: OfficeId, lane: Lane) -> tuple[Epoch, int]:
        """The epoch and the next number to an office on a lane, from 1."""
        key = (office, int(lane))
        if key not in self._next:
            row = NUMBERS.get(self._txn, *key)
            self._next[key] = self._begin(*key) if row is None else (Epoch(row.body), number(row["next"]))
        epoch, given = self._next[key]
        self._next[key] = epoch, given + 1
        return epoch, given

    def close(self) -> None:
        """Write what was given."""
        for (office, lane), (epoch, following) in self._next.items():
            NUMBERS.put(self._txn, {"office": office, "lane": lane, "next": following}, epoch)

    def _begin(self, office: OfficeId, lane: int) -> tuple[Epoch, int]:
        """A new stream; where a row was or may have been damaged, it goes on after the highest number of a message."""
        epoch = self._current()
        highest = 0
        lost = (f"{office.hex()}/{lane}", SALVAGED)
        if any(was_moved_aside(self._txn, NUMBERS.name, key_text) for key_text in lost):
            for row in RECIPIENTS.select(self._txn, "office = ? AND lane = ?", (office, lane)):
                *_, of_epoch = elements(loads(row.body, max_bytes=RECORD_BYTES), 5, "recipient")
                highest = max(highest, number(row["number"]) if of_epoch == epoch else 0)
        return epoch, highest + 1

    def _current(self) -> Epoch:
        if self._epoch is None:
            self._epoch = lives.epoch(self._txn)
        return self._epoch
