"""Own copies that are sealed to a prekey whose validity has ended: they wait for the next one (D7). Synchronous."""

from protocol.ids import Digest, OfficeId
from relay.store import events, held
from relay.store.counters import blob
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.sent import AWAITING_PREKEY
from relay.store.tables import RECIPIENTS


def give_up_copies(txn: Txn, office: OfficeId, me: OfficeId, limit: int) -> tuple[list[Digest], list[Event]]:
    """Copies that still wait for that office are given up, and their messages wait for its next prekey; what was
    recorded. Both are empty when there is nothing left to do. A message that is declared dead stays as it is.
    """
    where = "stage < 2 AND stage = 1 AND office = ? AND asked_us IS NULL"
    digests: list[Digest] = []
    log: list[Event] = []
    for row in RECIPIENTS.select(txn, where, (office,), limit=limit):
        message_id = blob(row["message_id"])
        RECIPIENTS.update(txn, row, stage=AWAITING_PREKEY)
        log.append(Event(message_id, office, "resealed", txn.now_us, me, True, "PREKEY_ENDED"))
        for digest in held.of_copy(txn, message_id, office):
            held.forget(txn, digest)
            digests.append(Digest(digest))
    return digests, events.append(txn, log)
