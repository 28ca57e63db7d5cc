"""Receipts and other answers: signed records about one message and one recipient (D1, G7, SPEC section 7).

The words are different on purpose: `custody` is a relay's, `delivered` the recipient office's after its commit,
`opened` says that a reader saw it, `signed_for` and `returned` are a clerk's acts, `refused` is final.
`custody_lost` and `prekey_gone` are not final: the origin sends again. A `tombstone` says that a message is dead: by
its author, that its number will not come any more; by the recipient, that it does not have it and will never deliver
it as new (G4, G8).
"""

import re
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.content import is_plain
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, as_uint, elements
from protocol.ids import Digest, Epoch, MessageId, NetworkId, OfficeId
from protocol.lanes import Lane

VERSION: Final = 1

CLEAR_TYPES: Final = frozenset({"custody", "delivered", "custody_lost", "prekey_gone", "tombstone"})
"""These say nothing that the copy's header did not; they travel unsealed."""
SEALED_TYPES: Final = frozenset({"opened", "signed_for", "returned", "refused"})
"""These name persons, reasons and readers; they travel sealed to the sender."""
TYPES: Final = CLEAR_TYPES | SEALED_TYPES
END_TO_END: Final = frozenset({"delivered", "opened", "signed_for", "returned", "refused"})
"""Made by the recipient over the content digest; the others are about a copy, but for tombstones."""
DEAD: Final = frozenset({"EXPIRED", "CANCELLED"})
"""What a message can die of, as codes of tombstones."""
CODE: Final = re.compile("[A-Za-z0-9_]{0,40}")
"""A code is one word: it is shown, logged and written into the audit log as it came."""
PLACE_BYTES: Final = 32
"""Largest place in a stream: an array of three with two numbers and eight bytes."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """`by` made it about the message `id` of office `to`; `recipient` is whose copy it speaks of.

    For `custody` and `custody_lost` `by` is the custodian and `digest` the copy digest; for `prekey_gone` the copy
    digest too; else the content digest. A tombstone is by the author to the recipient, or back. `lane` and `expires_us`
    are the receipt's own. `detail` is a person for signed_for, the reason for returned, else empty; `code` the refusal
    code, or person_signed | office_attested, or what the message died of; `proof` is a person's signed record
    (signed_for), the current prekey record (prekey_gone), or the message's place in its stream (tombstone), else empty.
    """

    network: NetworkId
    type: str
    id: MessageId
    by: OfficeId
    recipient: OfficeId
    to: OfficeId
    digest: Digest
    at_us: int
    lane: Lane
    expires_us: int
    code: str = ""
    detail: str = ""
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands in what its author sends to one recipient: `number` counts per (lane, epoch) from 1."""

    lane: Lane
    epoch: Epoch
    number: int


def encode_place(place: Place) -> bytes:
    """The proof of a tombstone."""
    return dumps([int(place.lane), place.epoch, place.number])


def decode_place(data: bytes) -> Place:
    """The place that a tombstone names; raises `RemoteError`."""
    lane, epoch, number = elements(loads(data, max_bytes=PLACE_BYTES), 3, "place")
    place = Place(
        Lane(as_uint(lane, "lane", max(Lane))),
        Epoch(as_bytes(epoch, "epoch", limits.EPOCH_BYTES)),
        as_uint(number, "number"),
    )
    if place.number == 0:
        raise RemoteError("MALFORMED", "numbers start at 1")
    return place


def encode_receipt(receipt: Receipt) -> bytes:
    """The payload to be signed by `by`."""
    return dumps(
        {
            0: VERSION,
            1: receipt.network,
            2: receipt.type,
            3: receipt.id,
            4: receipt.by,
            5: receipt.recipient,
            6: receipt.to,
            7: receipt.digest,
            8: receipt.at_us,
            9: int(receipt.lane),
            10: receipt.expires_us,
            11: receipt.code,
            12: receipt.detail,
            13: receipt.proof,
        }
    )


def decode_receipt(payload: bytes) -> Receipt:
    """The fields of a receipt payload; raises `RemoteError`. Who signed it is the caller's to check."""
    f = Fields(loads(payload, max_bytes=limits.RECORD_BYTES), "receipt")
    f.version(VERSION)
    receipt = Receipt(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        type=f.text(2, 20),
        id=MessageId(f.fixed(3, limits.MESSAGE_ID_BYTES)),
        by=OfficeId(f.fixed(4, limits.OFFICE_ID_BYTES)),
        recipient=OfficeId(f.fixed(5, limits.OFFICE_ID_BYTES)),
        to=OfficeId(f.fixed(6, limits.OFFICE_ID_BYTES)),
        digest=Digest(f.fixed(7, limits.DIGEST_BYTES)),
        at_us=f.uint(8),
        lane=Lane(f.uint(9, max(Lane))),
        expires_us=f.uint(10),
        code=f.text(11, 40),
        detail=f.text(12, limits.TEXT_CHARS),
        proof=f.blob(13, limits.RECORD_BYTES),
    )
    f.done()
    if receipt.type not in TYPES:
        raise RemoteError("MALFORMED", "unknown receipt type")
    if not receipt.at_us < receipt.expires_us <= receipt.at_us + limits.MAX_LIFE_US + limits.RECEIPT_EXTRA_LIFE_US:
        raise RemoteError("BAD_LIFE", "a receipt expires after it was made, and within 90 days")
    if receipt.type in END_TO_END and receipt.by != receipt.recipient:
        raise RemoteError("MALFORMED", f"only the recipient says {receipt.type}")
    if not CODE.fullmatch(receipt.code) or not is_plain(receipt.detail, one_line=False):
        raise RemoteError("MALFORMED", "a code is one word, and a detail has no control characters")
    if receipt.type in CLEAR_TYPES and receipt.detail:
        raise RemoteError("MALFORMED", "what travels in the clear has no words of people")
    if receipt.type == "tombstone":
        _check_tombstone(receipt)
    return receipt


def is_of_other_content(receipt: Receipt, digest: bytes) -> bool:
    """Whether a recipient's word about a message is over another content than this: then it has that one, refused it or
    called it dead, and never takes another under the same id (SPEC M26).
    """
    of_content = receipt.type in END_TO_END or receipt.type == "tombstone"
    return of_content and receipt.by == receipt.recipient and receipt.digest != digest


def _check_tombstone(receipt: Receipt) -> None:
    """Raises `RemoteError` unless it is between author and recipient and names a cause and a place."""
    if receipt.by == receipt.to or receipt.recipient not in (receipt.by, receipt.to):
        raise RemoteError("MALFORMED", "a tombstone is between author and recipient")
    if receipt.code not in DEAD:
        raise RemoteError("MALFORMED", "a tombstone names what the message died of")
    decode_place(receipt.proof)
