"""G16: what readers and clerks said is known where it is for. Judged after healing, when all is quiet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from protocol.ids import message_id_text
from relay.store import events, sent
from relay.store.database import Txn
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History

SAID = "SELECT sender, message_id, type FROM receipts WHERE type IN ('opened', 'signed_for', 'returned')"
UNHEARD = "SELECT message_id FROM receipts WHERE again_us IS NOT NULL AND sender != ?"


def check_receipts(history: "History") -> None:
    """Every `opened`, `signed_for` and `returned` is in its message's story, unless who sent the message was restored
    and may have forgotten it, or one of the two was revoked.
    """
    for address, office in history.offices.items():
        said = office.look(lambda txn: txn.connection.execute(SAID).fetchall())
        for sender_id, message_id, type_ in said:
            sender, key = history.by_id(sender_id), (message_id_text(message_id), address)
            tried = history.tried[key]
            if history.exempt(address, tried.sender) or history.may_be_lost(tried.sender, tried.at_us):
                continue
            told = sender.look(lambda txn, one=(message_id, office.seat.office): _told(txn, *one))
            if told is not None and type_ not in told:
                raise Broken("G16", f"{tried.sender} never heard that {key[0]} was {type_} at {address}: {told}")


def _told(txn: Txn, message_id: bytes, office: bytes) -> Sequence[str] | None:
    """What a sender knows, by the words that were said; None where the row of the message is damaged."""
    if sent.standing(txn, message_id, office) is None:
        return None
    known: Any = events.of_recipient(txn, message_id, office)
    return [event.code if event.type == "correction" else event.type for event in known]
