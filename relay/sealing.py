"""One sealed copy, as a parcel that this office answers for until the verdict (D5b). Pure but for the entropy given."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from keys.primitives import NotAuthentic, PrekeyPublic
from keys.seal import KEY_BYTES, NONCE_BYTES, seal_copy
from protocol.copy import CopyHeader, copy_digest, round_deadline
from protocol.frame import COPY_ITEM
from protocol.ids import KeyId, MessageId, NetworkId, OfficeId
from protocol.parcel import Parcel
from relay.identity import Identity
from relay.ports import Entropy
from relay.store.held import Held
from relay.store.sent import ToSeal

ENTROPY_BYTES = KEY_BYTES + NONCE_BYTES
"""Random bytes that one copy needs."""

_log = structlog.get_logger()


def seal(
    one: ToSeal, packed: bytes, identity: Identity, network: NetworkId, prekey_id: KeyId, prekey: PrekeyPublic,
    entropy: bytes,
) -> Held | None:  # fmt: skip
    """The copy of a message for one recipient; None for a prekey that its office signed and that is no key."""
    header = CopyHeader(
        network=network,
        suite=prekey.suite,
        id=one.message_id,
        sender=identity.office,
        recipient=one.office,
        lane=one.lane,
        entitlement=one.entitlement,
        created_us=one.created_us,
        expires_us=one.expires_us,
        deadline_us=round_deadline(one.deadline_us),
        number=one.number,
        epoch=one.epoch,
        prekey_id=prekey_id,
    )
    try:
        data = seal_copy(identity.key, header, packed, prekey, entropy)
    except NotAuthentic:
        # Only that office can mend it, by its next prekey.
        _log.error("prekey_unusable", office=one.office.hex())
        return None
    parcel = Parcel(
        copy_digest(data), COPY_ITEM, one.lane, identity.office, one.office, len(data), (), True, one.message_id
    )
    return Held(parcel, one.expires_us, data)


@dataclass(frozen=True, slots=True)
class SealAtOnce:
    """Seals within the change that accepts: a message to a few offices whose prekeys are at hand costs one commit.

    `packed` holds the plaintext of the messages that may be sealed so; the others are left to `relay/sealer.py`.
    """

    identity: Identity
    network: NetworkId
    prekeys: Mapping[OfficeId, tuple[KeyId, PrekeyPublic]]
    packed: Mapping[MessageId, bytes]
    entropy: Entropy

    def __call__(self, one: ToSeal) -> Held | None:
        """The copy, or None where the sealer is to make it."""
        packed, prekey = self.packed.get(one.message_id), self.prekeys.get(one.office)
        if packed is None or prekey is None:
            return None
        return seal(one, packed, self.identity, self.network, *prekey, self.entropy.bytes(ENTROPY_BYTES))
