"""Layer (b) of the envelope: one sealed copy per recipient under a clear header (D5, SPEC section 5).

A copy is the array [outer record, ciphertext]. The outer record is signed by the origin over the header and the
SHA-256 of the ciphertext; every relay verifies it before it commits. The header is all that relays and brokers see.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.content import check_life
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, elements
from protocol.ids import Digest, Epoch, KeyId, MessageId, NetworkId, OfficeId
from protocol.lanes import ENTITLEMENTS, RECEIPT, Lane, may_ride

VERSION: Final = 1
OUTER_BYTES: Final = 1024
"""Largest outer record: header about 200 bytes, digest 32, signature 64, framing."""
COPY_BYTES: Final = limits.SEALED_BYTES + 4 * 1024
"""Largest copy: sealed content, X-Wing encapsulation, outer record."""

CLEAR_FIELDS: Final = (
    "network", "suite", "id", "sender", "recipient", "lane", "entitlement", "created_us",
    "expires_us", "deadline_us", "number", "epoch", "prekey_id",
)  # fmt: skip
"""What brokers and transit relays can see of a message, beside its padded size (G11); held by a test."""


@dataclass(frozen=True, slots=True)
class CopyHeader:
    """The clear header. Offices by their stable ids; `deadline_us` is rounded up to five minutes.

    `number` counts per (sender, recipient, lane, epoch) from 1; 0 for sealed receipts, which have no numbers.
    """

    network: NetworkId
    suite: int
    id: MessageId
    sender: OfficeId
    recipient: OfficeId
    lane: Lane
    entitlement: int
    created_us: int
    expires_us: int
    deadline_us: int | None
    number: int
    epoch: Epoch
    prekey_id: KeyId


@dataclass(frozen=True, slots=True)
class Copy:
    """A parsed copy: well-formed, and nothing else is known of it. `keys.verify` makes it a `VerifiedCopy`."""

    header: CopyHeader
    header_bytes: bytes
    outer: bytes
    ciphertext: bytes
    digest: Digest


def encode_header(header: CopyHeader) -> bytes:
    """The header's canonical bytes: external data of the encryption and part of the outer payload."""
    return dumps(
        {
            0: VERSION,
            1: header.network,
            2: header.suite,
            3: header.id,
            4: header.sender,
            5: header.recipient,
            6: int(header.lane),
            7: header.entitlement,
            8: header.created_us,
            9: header.expires_us,
            10: header.deadline_us,
            11: header.number,
            12: header.epoch,
            13: header.prekey_id,
        }
    )


def decode_header(data: bytes) -> CopyHeader:
    """The header's fields, checked one by one and for life span and lane; raises `RemoteError`."""
    f = Fields(loads(data, max_bytes=OUTER_BYTES), "header")
    f.version(VERSION)
    header = CopyHeader(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        suite=f.uint(2, 255),
        id=MessageId(f.fixed(3, limits.MESSAGE_ID_BYTES)),
        sender=OfficeId(f.fixed(4, limits.OFFICE_ID_BYTES)),
        recipient=OfficeId(f.fixed(5, limits.OFFICE_ID_BYTES)),
        lane=Lane(f.uint(6, max(Lane))),
        entitlement=f.uint(7, max(ENTITLEMENTS)),
        created_us=f.uint(8),
        expires_us=f.uint(9),
        deadline_us=f.optional_uint(10),
        number=f.uint(11),
        epoch=Epoch(f.fixed(12, limits.EPOCH_BYTES)),
        prekey_id=KeyId(f.fixed(13, limits.KEY_ID_BYTES)),
    )
    f.done()
    is_receipt = header.entitlement == RECEIPT
    check_life(header.created_us, header.expires_us - (limits.RECEIPT_EXTRA_LIFE_US if is_receipt else 0))
    if not may_ride(header.lane, header.entitlement):
        raise RemoteError("NOT_ENTITLED", "flash without an incident")
    if is_receipt != (header.number == 0):
        raise RemoteError("MALFORMED", "numbers start at 1, and only receipts have none")
    return header


def round_deadline(deadline_us: int | None) -> int | None:
    """The deadline as relays may see it: rounded up to five minutes."""
    return None if deadline_us is None else -(-deadline_us // limits.DEADLINE_STEP_US) * limits.DEADLINE_STEP_US


def outer_payload(header_bytes: bytes, ciphertext: bytes) -> bytes:
    """What the origin signs: the header and the SHA-256 of the ciphertext."""
    return dumps([header_bytes, hashlib.sha256(ciphertext).digest()])


def encode_copy(outer: bytes, ciphertext: bytes) -> bytes:
    """The copy's bytes."""
    return dumps([outer, ciphertext])


def copy_digest(data: bytes) -> Digest:
    """SHA-256 of a copy's (or a receipt's) bytes: what custody is given for."""
    return Digest(hashlib.sha256(data).digest())


def split_copy(data: bytes) -> tuple[bytes, bytes]:
    """(outer record, ciphertext) of a copy's bytes; raises `RemoteError`."""
    outer, ciphertext = elements(loads(data, max_bytes=COPY_BYTES), 2, "copy")
    outer = as_bytes(outer, "outer record")
    if len(outer) > OUTER_BYTES:
        raise RemoteError("TOO_LARGE", "outer record")
    return outer, as_bytes(ciphertext, "ciphertext")


def read_outer(payload: bytes, outer: bytes, ciphertext: bytes, data: bytes) -> Copy:
    """The copy of an outer record's payload; raises `RemoteError` when the ciphertext is not the signed one."""
    header_bytes, digest = elements(loads(payload, max_bytes=OUTER_BYTES), 2, "outer payload")
    header_bytes = as_bytes(header_bytes, "header")
    if hashlib.sha256(ciphertext).digest() != as_bytes(digest, "ciphertext digest", limits.DIGEST_BYTES):
        raise RemoteError("BAD_DIGEST", "ciphertext")
    return Copy(
        header=decode_header(header_bytes),
        header_bytes=header_bytes,
        outer=outer,
        ciphertext=ciphertext,
        digest=copy_digest(data),
    )
