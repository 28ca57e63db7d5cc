"""G7: what a relay signs is true when it leaves. Judged at each publish, on what is durable at that moment."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from protocol.receipt import Receipt, decode_place
from relay.store import inbox, sent
from tests.relay.office_store import state_of
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.office import OfficeProcess

_HAS_COPY = "SELECT 1 FROM held WHERE digest = ?1 UNION ALL SELECT 1 FROM passed WHERE digest = ?1 LIMIT 1"


def check_receipt(history: "History", receipt: Receipt, data: bytes) -> None:
    """A `delivered` receipt: the message with this very digest is in its signer's inbox, and every such receipt for it
    has the same bytes (D1). A recipient's `tombstone`: the message is remembered there as dead, and the same bytes ever
    after. An author's: it is recorded that it was made, so that no copy is made any more.
    """
    if receipt.type == "tombstone" and receipt.by != receipt.recipient:
        history.places[receipt.by, receipt.id, receipt.recipient] = decode_place(receipt.proof)
        standing = history.by_id(receipt.by).look(lambda txn: sent.standing(txn, receipt.id, receipt.recipient))
        asked_us = standing.asked_us
        # Said again by a key that began later, it bears that time.
        if (asked_us is None or asked_us > receipt.at_us) and data not in history.tombstones:
            raise Broken("G8", "a tombstone that nobody recorded")
        # Others still carry it when its author has been restored to a state before it, and made another since.
        history.tombstones.add(data)
        return
    if receipt.type not in ("delivered", "tombstone") or data in history.told_before:
        return
    key = (receipt.type, receipt.id, receipt.by)
    known = history.told.get(key)
    if known is not None:
        if known != data:
            raise Broken("G7", "a duplicate was answered with another receipt")
        return
    digests = history.by_id(receipt.by).look(lambda txn: inbox.digests(txn, receipt.to, receipt.id))
    if digests is None:
        raise Broken("G7", f"a {receipt.type} receipt about what the inbox does not know")
    if digests[0] != receipt.digest:
        raise Broken("G7", f"a {receipt.type} receipt over another content than the inbox holds")
    state = history.by_id(receipt.by).look(lambda txn: state_of(txn, receipt.to, receipt.id))
    if (state == "dead") != (receipt.type == "tombstone"):
        raise Broken("G8", f"a {receipt.type} receipt about a message that is {state}")
    history.told[key] = data


def check_custody(history: "History", digests: Sequence[bytes], speaker: "OfficeProcess") -> None:
    """Custody of a message: its copy is held, or went on against onward custody, or the message is in the inbox; but
    for what has expired, and for what was sealed to a prekey that the speaker lost (its origin is told, D7).
    """
    for digest in digests:
        copy = history.copies.get(digest)
        if copy is None or copy.is_receipt or history.now_us >= copy.expires_us:
            continue
        # Mail from and for a revoked office is dropped when that is known; custody may be owed for it still (G14).
        if history.revoked is not None and history.revoked.office in (copy.sender, copy.recipient):
            continue
        if speaker.seat.office == copy.recipient and copy.prekey_id not in speaker.ground.keyring.own:
            continue

        def durable(txn: Any, digest: bytes = digest, sender: bytes = copy.sender, id_: bytes = copy.message_id) -> Any:
            return txn.connection.execute(_HAS_COPY, (digest,)).fetchone() or inbox.digests(txn, sender, id_)

        if not speaker.look(durable):
            raise Broken("G7", f"{speaker.seat.address} gave custody of what it does not hold")
