"""Tombstones: that a message is dead, said by its author and by its recipient (G4, G8)."""

from protocol.ids import Digest, NetworkId
from protocol.lanes import receipt_lane
from protocol.limits import MAX_LIFE_US, RECEIPT_EXTRA_LIFE_US
from protocol.receipt import Place, Receipt, encode_place
from relay.identity import Identity
from relay.receipting import make_receipt, receipt_expiry_us
from relay.store.held import Held
from relay.store.sent import Standing


def author_tombstone(identity: Identity, network: NetworkId, one: Standing, asked_us: int, since_us: int) -> Held:
    """To the recipient: this message will not come any more; say whether you have it.

    Made again from the same facts it has the same bytes. `since_us` is when our signing key began: after a rotation the
    new key cannot have signed what was first asked before.
    """
    at_us = max(asked_us, since_us)
    return make_receipt(
        identity,
        Receipt(
            network=network,
            type="tombstone",
            id=one.message_id,
            by=identity.office,
            recipient=one.office,
            to=one.office,
            digest=Digest(one.digest),
            at_us=at_us,
            lane=receipt_lane(one.lane),
            expires_us=receipt_expiry_us(one.expires_us, at_us),
            code="EXPIRED" if one.expires_us <= asked_us else "CANCELLED",
            proof=encode_place(Place(one.lane, one.epoch, one.number)),
        ),
    )


def recipient_tombstone(identity: Identity, asked: Receipt, now_us: int) -> Held:
    """To the author: I do not have it and will never deliver it as new. True when it is committed as such."""
    return make_receipt(
        identity,
        Receipt(
            network=asked.network,
            type="tombstone",
            id=asked.id,
            by=identity.office,
            recipient=identity.office,
            to=asked.by,
            digest=asked.digest,
            at_us=now_us,
            lane=asked.lane,
            expires_us=min(asked.expires_us, now_us + MAX_LIFE_US + RECEIPT_EXTRA_LIFE_US),
            code=asked.code,
            proof=asked.proof,
        ),
    )
