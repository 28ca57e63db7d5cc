"""G14: from a while after an office has the directory that revokes another, it takes in nothing of that office that is
dated later, which is judged every few moments on every store; and what it had is marked, and what was for it has ended,
which is judged when the storm is over.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keys.signing import UnverifiedRecord
from protocol.limits import RECORD_BYTES
from protocol.receipt import decode_receipt
from relay.aftermath import SAID
from relay.store import events
from relay.store.inbox import DOUBTED
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


def check_effects(history: "History") -> None:
    """What every office that knows of the revocation made of it: mail to the revoked has ended, each message of it is
    doubted exactly when it is dated after, or nobody else had it before, and so are verdicts that it gave.
    """
    revoked = history.revoked
    for address in revoked.known if revoked is not None else ():
        assert revoked is not None
        office = history.offices[address]
        waiting = office.look(lambda txn, gone=revoked.office: txn.connection.execute(_WAITING, (gone,)).fetchone()[0])
        if waiting:
            raise Broken("G14", f"{address} has {waiting} messages for a revoked office without a verdict")
        dated = {copy.message_id: copy.created_us for copy in history.copies.values() if copy.sender == revoked.office}
        for message_id, flags, witnessed_us in office.look(
            lambda txn, gone=revoked.office: txn.connection.execute(_SHOWN, (gone,)).fetchall()
        ):
            doubted = max(dated[message_id], witnessed_us) >= revoked.since_us
            if bool(flags & DOUBTED) is not doubted:
                raise Broken("G14", f"{message_id.hex()} at {address} is {'not ' * doubted}doubted")
        uncorrected = office.look(lambda txn, one=revoked: _uncorrected(txn, one))
        if uncorrected:
            raise Broken("G14", f"{address} believes what a revoked office said of {uncorrected[0].hex()}")


_WAITING = "SELECT count(*) FROM recipients WHERE office = ? AND stage < 2 AND asked_us IS NULL"
_SHOWN = "SELECT message_id, flags, witnessed_us FROM inbox WHERE sender = ? AND state NOT IN ('refused', 'dead')"


def _uncorrected(txn: Any, revoked: Revocation) -> list[bytes]:
    """Messages with a receipt that the revoked office dated later, and no correction that says so."""
    found = []
    for event in events.said_by(txn, (revoked.office,), SAID, 0, 2**62):
        if event.record and event.by == revoked.office:
            receipt = decode_receipt(UnverifiedRecord(event.record, max_bytes=RECORD_BYTES).payload)
            known = events.of_recipient(txn, event.message_id, revoked.office)
            corrected = any(one.type == "correction" and one.code == "DOUBTED" for one in known)
            if receipt.at_us >= revoked.since_us and not corrected:
                found.append(event.message_id)
    return found
