"""G13: what is kept is bounded, whatever arrives."""

from typing import TYPE_CHECKING, Any

from relay.intake import WAITING_FRAMES
from tests.sim.broken import Broken
from tests.sim.office import QUARANTINE

if TYPE_CHECKING:
    from tests.sim.office import OfficeProcess

SPILL_BYTES = 64 << 20


def check_bounds(office: "OfficeProcess") -> None:
    """The quarantine ring, the store's quota, and the frames that wait in memory, of one running office."""
    rows, size = office.look(_quarantine)
    if rows > QUARANTINE.quarantine_rows or size > QUARANTINE.quarantine_bytes:
        raise Broken("G13", f"{office.seat.address} keeps {rows} suspects of {size} bytes")
    space = office.store.database.space()
    if space.used_bytes > office.quota_bytes + SPILL_BYTES:
        raise Broken("G13", f"the store of {office.seat.address} has {space.used_bytes} bytes")
    for intake in office.engine._intakes.values():
        if intake._queue.qsize() > WAITING_FRAMES:
            raise Broken("G13", f"{intake._queue.qsize()} frames wait at {office.seat.address}")


def _quarantine(txn: Any) -> Any:
    return txn.connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM quarantine").fetchone()
