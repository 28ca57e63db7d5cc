"""What every office has here, for admission (SPEC M95); counted by migrations/start.sql. Synchronous queries.

Charged to an office is what it made: what is carried for it, and its messages in the inbox for as long as they are
kept; and the receipts that its messages caused. This office is one of them, with what it sent.
"""

from typing import Final

from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.parcel import OWN
from relay.admission import NOTHING, Share, SpaceState
from relay.store.database import Txn

ENTRY_BYTES: Final = 1024
"""What an entry takes beyond its body: clear columns and indexes, and the events and receipts that come with it."""


def admits(txn: Txn, lane: Lane, office: OfficeId) -> bool:
    """Whether something new of an office may be taken on a lane."""
    return txn.space.admits(lane, of(txn, office))


def admits_own(txn: Txn, lane: Lane) -> bool:
    """Whether a message of this office may be accepted. Its own flash lives on its own ballast until that is spent."""
    return txn.space.admits(lane, NOTHING if lane is Lane.FLASH else of(txn, OWN))


def of(txn: Txn, office: OfficeId) -> Share:
    """What an office has here."""
    query = "SELECT lane, bytes + entries * ? FROM shares WHERE office = ?"
    found = dict(txn.connection.execute(query, (ENTRY_BYTES, office)).fetchall())
    return Share(tuple(found.get(int(lane), 0) for lane in Lane))


def state(txn: Txn) -> SpaceState:
    """The word for `status`: `low` also while somebody is refused for having too much here."""
    marks = txn.space.state
    offices = txn.connection.execute("SELECT DISTINCT office FROM shares").fetchall() if marks == "ok" else ()
    fair = all(admits(txn, lane, office) for (office,) in offices for lane in Lane)
    return marks if fair else "low"
