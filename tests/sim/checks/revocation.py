"""G14: from a while after an office has the directory that revokes another, it takes in nothing of that office that is
dated later. Judged every few moments, on every store.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.office import OfficeProcess

_TAKEN = (
    "SELECT message_id FROM inbox WHERE sender = ?1 UNION SELECT message_id FROM held WHERE origin = ?1 AND kind = 0"
)


@dataclass(slots=True)
class Revocation:
    """An office that was revoked, and what each other office had of it when it was bound by that."""

    office: bytes
    since_us: int
    """Wall time; what is dated from then on does not count."""
    known: dict[str, set[bytes]] = field(default_factory=dict)
    """Message ids that were there already, by the address of the office."""


def late_ids(history: "History", revoked: Revocation, office: "OfficeProcess") -> set[bytes]:
    """Ids of messages in an inbox or on their way there that the revoked office dated after its revocation."""
    rows = office.look(lambda txn: _ids(txn, revoked.office))
    dated = {
        copy.message_id
        for copy in history.copies.values()
        if copy.sender == revoked.office and copy.created_us >= revoked.since_us
    }
    return rows & dated


def _ids(txn: Any, office: bytes) -> set[bytes]:
    return {message_id for (message_id,) in txn.connection.execute(_TAKEN, (office,))}


def check_revocation(history: "History") -> None:
    """No office that is bound has more of that kind than it had when that began, nor has it an older directory."""
    revoked = history.revoked
    for address, there in revoked.known.items() if revoked is not None else ():
        assert revoked is not None
        office = history.offices[address]
        more = late_ids(history, revoked, office) - there
        if more:
            raise Broken("G14", f"{address} took in {more.pop().hex()} of a revoked office")
        if office.running and office.ground.directory.version < office.directory.version:
            raise Broken("G14", f"{address} went back to version {office.ground.directory.version}")
