"""Receipts as parcels: signed, where they name persons sealed, and put into this relay's own custody (D1, G7)."""

from keys.primitives import PrekeyPublic
from keys.seal import KEY_BYTES, NONCE_BYTES, seal_copy
from keys.signing import RECEIPT, UnverifiedRecord, sign_record
from protocol import limits
from protocol.copy import OUTER_BYTES, CopyHeader, copy_digest, read_outer, split_copy
from protocol.frame import COPY_ITEM, RECEIPT_ITEM
from protocol.ids import KeyId, NetworkId, OfficeId, uuid7
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.lanes import receipt_lane
from protocol.padding import pack
from protocol.parcel import Parcel
from protocol.receipt import SEALED_TYPES, Receipt, decode_receipt, encode_receipt
from relay.identity import Identity
from relay.store.held import Held

ID_ENTROPY_BYTES = 10
ENTROPY_BYTES = ID_ENTROPY_BYTES + KEY_BYTES + NONCE_BYTES
"""Random bytes that sealing a receipt needs: for the id of its copy, its content key and its nonce."""


def receipt_expiry_us(message_expires_us: int, at_us: int) -> int:
    """When a receipt's life ends: 45 days after its message's, and a clerk's late act has as long again."""
    longest_us = at_us + limits.MAX_LIFE_US
    return min(max(message_expires_us, at_us + limits.SECOND_US), longest_us) + limits.RECEIPT_EXTRA_LIFE_US


def make_receipt(identity: Identity, receipt: Receipt) -> Held:
    """A signed receipt as a parcel of ours, in the clear."""
    return _clear_parcel(sign_record(identity.key, RECEIPT, encode_receipt(receipt)), receipt)


def custody_lost(
    identity: Identity, network: NetworkId, parcel: Parcel, expires_us: int, now_us: int, code: str
) -> Held:
    """To the origin of a parcel in our custody, signed: it is not carried any further. `expires_us` is its own end."""
    receipt = Receipt(
        network=network,
        type="custody_lost",
        id=parcel.message_id,
        by=identity.office,
        recipient=parcel.recipient,
        to=parcel.origin,
        digest=parcel.digest,
        at_us=now_us,
        lane=receipt_lane(parcel.lane),
        expires_us=receipt_expiry_us(expires_us, now_us),
        code=code,
    )
    return make_receipt(identity, receipt)


def seal_receipt(
    identity: Identity, receipt: Receipt, prekey_id: KeyId, prekey: PrekeyPublic, entropy: bytes
) -> tuple[Held, bytes]:
    """A signed receipt sealed to the office that it is for, as a parcel of ours, and the signed record itself."""
    record = sign_record(identity.key, RECEIPT, encode_receipt(receipt))
    return seal_record(identity, record, receipt, prekey_id, prekey, entropy), record


def seal_record(
    identity: Identity, record: bytes, receipt: Receipt, prekey_id: KeyId, prekey: PrekeyPublic, entropy: bytes
) -> Held:
    """The signed record of a receipt, sealed: of one that was made before, by whichever key signed it then."""
    header = CopyHeader(
        network=receipt.network,
        suite=prekey.suite,
        id=uuid7(receipt.at_us, entropy[:ID_ENTROPY_BYTES]),
        sender=identity.office,
        recipient=receipt.to,
        lane=receipt.lane,
        entitlement=RECEIPT_CLASS,
        created_us=receipt.at_us,
        expires_us=receipt.expires_us,
        deadline_us=None,
        number=0,
        epoch=identity.epoch,
        prekey_id=prekey_id,
    )
    data = seal_copy(identity.key, header, pack(record), prekey, entropy[ID_ENTROPY_BYTES:])
    # Kept like a receipt: whoever has custody of it answers for it, and there is no verdict about a receipt.
    parcel = Parcel(
        copy_digest(data), COPY_ITEM, receipt.lane, identity.office, receipt.to, len(data), (), False, receipt.id
    )
    return Held(parcel, receipt.expires_us, data)


def prekey_of(sealed: bytes) -> KeyId:
    """The prekey that a sealed receipt of this office left under."""
    return _header_of(sealed).prekey_id


def answer_again(data: bytes, type_: str, me: OfficeId) -> Held:
    """A receipt that this office made before, as a parcel once more, byte for byte."""
    if type_ in SEALED_TYPES:
        header = _header_of(data)
        parcel = Parcel(
            copy_digest(data), COPY_ITEM, header.lane, me, header.recipient, len(data), (), False, header.id
        )
        return Held(parcel, header.expires_us, data)
    return _clear_parcel(data, decode_receipt(UnverifiedRecord(data, max_bytes=limits.RECORD_BYTES).payload))


def _clear_parcel(data: bytes, receipt: Receipt) -> Held:
    """A signed receipt of this office as a parcel of its own."""
    parcel = Parcel(
        copy_digest(data), RECEIPT_ITEM, receipt.lane, receipt.by, receipt.to, len(data), (), True, receipt.id
    )
    return Held(parcel, receipt.expires_us, data)


def _header_of(sealed: bytes) -> CopyHeader:
    """The clear header of a copy that this office made."""
    outer, ciphertext = split_copy(sealed)
    payload = UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload
    return read_outer(payload, outer, ciphertext, sealed).header
