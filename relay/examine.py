"""The first half of intake: from arrived bytes to verified values, off the event loop and without the store.

What each item is for us: a message that ends here, an answer to what we sent, or something to carry on.
Verification itself lives in `keys/verify.py`; here it is decided what is verified, and receipts are prepared.
Nothing is promised yet: custody and receipts leave only after `relay/settle.py` committed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import structlog

from keys.approvals import objection_to
from keys.roster.directory import Directory
from keys.roster.policy import refusal_of
from keys.roster.revocation import is_doubted
from keys.verify import (
    OpenedCopy,
    VerifiedContent,
    VerifiedCopy,
    VerifiedFrame,
    VerifiedReceipt,
    VerifiedWitness,
    open_copy,
    verify_copy,
    verify_frame,
    verify_receipt,
    verify_witness,
)
from protocol.copy import CopyHeader
from protocol.errors import RemoteError
from protocol.frame import COPY_ITEM, RECEIPT_ITEM, Frame, Item
from protocol.ids import Address, OfficeId
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.lanes import Lane, receipt_lane
from protocol.limits import CONTENT_BYTES
from protocol.parcel import NO_MESSAGE, Parcel
from protocol.receipt import Receipt
from protocol.topics import FrameTopic
from relay.identity import Identity
from relay.keyring import Keyring
from relay.receipting import ENTROPY_BYTES, make_receipt, receipt_expiry_us, seal_receipt
from relay.store.held import Held
from relay.tombstones import recipient_tombstone

OPENED_BYTES: Final = 4 * CONTENT_BYTES
"""Words opened at once (G13): eight frames of ordinary reports stay below, and one frame of compressed zeros could
hold eight times as much.
"""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Eyes:
    """What examining needs to know: who we are, whom we trust, which prekeys we hold, and the time.

    Nothing from `suspended` offices is believed at this time.
    """

    identity: Identity
    addresses: frozenset[Address]
    directory: Directory
    keyring: Keyring
    own_prekey: bytes
    now_us: int
    suspended: frozenset[OfficeId] = frozenset()


@dataclass(frozen=True, slots=True)
class Message:
    """A message for us that opened. `answer` is the receipt to keep and send: delivered, or refused with `refusal`.

    `plain` is the signed record in it. Somebody other than its author has had it since `witnessed_us`; `doubted` says
    that this was not before its author's key was revoked (G14).
    """

    item: Item
    copy: VerifiedCopy
    message: VerifiedContent
    answer: Held
    plain: bytes
    refusal: str | None
    witnessed_us: int
    doubted: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A receipt about a message that we sent. `heard` tells its maker that we have it, where it came sealed."""

    item: Item
    receipt: VerifiedReceipt
    heard: Held | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The author of a message to us says that it is dead. `answer` is ours, true when we do not have it (G8)."""

    item: Item
    receipt: VerifiedReceipt
    answer: Held


@dataclass(frozen=True, slots=True)
class Transit:
    """A copy or a receipt for somebody else, verified. `custody_record` tells the origin, for the fast lanes.

    `dead` is its author's word that a message need not be carried any more.
    """

    item: Item
    parcel: Held
    custody_record: Held | None
    dead: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Unopened:
    """A verified copy for us whose prekey we no longer hold: the answer is not final (D7)."""

    item: Item
    answer: Held


@dataclass(frozen=True, slots=True)
class Known:
    """The very bytes of something taken a short time ago: verified then."""

    item: Item


@dataclass(frozen=True, slots=True)
class Doubted:
    """A receipt for us of an office that was revoked, and no witness that it was made before: it is not acted upon."""

    item: Item


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that does not verify, or not now."""

    item: Item
    code: str
    detail: str


Finding = Message | Answer | Tombstone | Transit | Unopened | Known | Doubted | Rejected


@dataclass(frozen=True, slots=True)
class Examined:
    """A verified frame with what was found in its items before `until`; `witness` is what it shows of our own life.

    `believed`: its custody entries and nacks count. Its sender is not suspended, and they have not counted yet.
    """

    frame: VerifiedFrame
    findings: tuple[Finding, ...]
    until: int
    witness: VerifiedWitness | None = None
    believed: bool = True

    @property
    def opened_bytes(self) -> int:
        """What its messages take in memory, about."""
        return sum(finding.message.bundle.size for finding in self.findings if isinstance(finding, Message))


def examine(
    data: bytes, topic: FrameTopic, eyes: Eyes, recent: Collection[bytes], entropy: bytes, *,
    first: int = 0, room_bytes: int = OPENED_BYTES,
) -> Examined:  # fmt: skip
    """What a frame holds from item `first` on, up to the one with which opened messages fill `room_bytes`; raises
    `RemoteError` when the frame itself does not verify.

    `recent` are digests taken shortly before. `entropy` is for this frame alone, `ENTROPY_BYTES` for each of its items.
    """
    frame = verify_frame(data, topic, eyes.identity.office, eyes.directory, eyes.now_us)
    sender = frame.frame.sender
    findings: list[Finding] = []
    for at in range(first, len(frame.items)):
        finding = _examine_item(frame.items[at], sender, eyes, recent, entropy[at * ENTROPY_BYTES :][:ENTROPY_BYTES])
        findings.append(finding)
        room_bytes -= finding.message.bundle.size if isinstance(finding, Message) else 0
        if room_bytes <= 0:
            break
    until = first + len(findings)
    if first > 0 or sender in eyes.suspended:
        return Examined(frame, tuple(findings), until, None, believed=False)
    return Examined(frame, tuple(findings), until, _witness(frame.frame, eyes))


def _witness(frame: Frame, eyes: Eyes) -> VerifiedWitness | None:
    """What a neighbour shows us of ourselves. What does not verify proves nothing, and the frame stands without it."""
    if frame.witness is None:
        return None
    try:
        return verify_witness(frame.witness, eyes.identity.office, eyes.directory, eyes.now_us)
    except RemoteError as error:
        _log.warning("witness_not_believed", sender=frame.sender.hex(), code=error.code)
        return None


def _examine_item(item: Item, sender: OfficeId, eyes: Eyes, recent: Collection[bytes], entropy: bytes) -> Finding:
    if sender in eyes.suspended:
        return Rejected(item, "SUSPENDED", "from an office that is suspended")
    if item.digest in recent and item.attempt == 1:
        return Known(item)
    try:
        if item.kind == RECEIPT_ITEM:
            return _examine_receipt(item, sender, eyes)
        verified = verify_copy(item.data, eyes.directory, eyes.directory.rules.suites, eyes.now_us)
        header = verified.copy.header
        _require_not_suspended(header.sender, eyes)
        witnessed_us = _witnessed_us(item, sender, header.sender, eyes)
        if header.recipient != eyes.identity.office:
            return _transit(item, header, witnessed_us, eyes)
        prekey = eyes.keyring.own.get(header.prekey_id)
        if prekey is None:
            return Unopened(item, _prekey_gone(item, header, eyes))
        opened = open_copy(verified, eyes.identity.office, eyes.addresses, prekey, eyes.directory)
        return _opened(item, verified, opened, witnessed_us, eyes, entropy)
    except RemoteError as error:
        return Rejected(item, error.code, error.detail)


def _examine_receipt(item: Item, sender: OfficeId, eyes: Eyes) -> Answer | Tombstone | Transit | Doubted:
    verified = verify_receipt(item.data, eyes.directory)
    receipt = verified.receipt
    _require_not_suspended(receipt.by, eyes)
    witnessed_us = _witnessed_us(item, sender, receipt.by, eyes)
    if receipt.expires_us <= eyes.now_us:
        raise RemoteError("EXPIRED", "a receipt past its life")
    if receipt.to == eyes.identity.office:
        if is_doubted(eyes.directory.by_id(receipt.by), verified.key_id, witnessed_us):
            return Doubted(item)
        if receipt.type == "tombstone" and receipt.recipient == eyes.identity.office:
            return Tombstone(item, verified, recipient_tombstone(eyes.identity, receipt, eyes.now_us))
        return Answer(item, verified)
    parcel = Parcel(
        item.digest, RECEIPT_ITEM, receipt.lane, receipt.by, receipt.to, len(item.data), item.trail, False, receipt.id,
        item.attempt, witnessed_us,
    )  # fmt: skip
    dead = receipt if receipt.type == "tombstone" and receipt.to == receipt.recipient else None
    return Transit(item, Held(parcel, receipt.expires_us, item.data), None, dead)


def _transit(item: Item, header: CopyHeader, witnessed_us: int, eyes: Eyes) -> Transit:
    """A copy to carry on; for the fast lanes the origin is told by a record of its own (D3)."""
    message_id = NO_MESSAGE if header.entitlement == RECEIPT_CLASS else header.id
    parcel = Parcel(
        item.digest, COPY_ITEM, header.lane, header.sender, header.recipient, len(item.data), item.trail, False,
        message_id, item.attempt, witnessed_us,
    )  # fmt: skip
    record = None
    told_already = item.trail == (header.sender,)
    if header.lane.group == "fast" and header.entitlement != RECEIPT_CLASS and not told_already:
        record = _custody(item, header, receipt_lane(header.lane), eyes)
    return Transit(item, Held(parcel, header.expires_us, item.data), record)


def _custody(item: Item, header: CopyHeader, lane: Lane, eyes: Eyes) -> Held:
    """Our word that we have a copy durably, to who made it; true after the commit."""
    said = Receipt(
        network=header.network,
        type="custody",
        id=header.id,
        by=eyes.identity.office,
        recipient=header.recipient,
        to=header.sender,
        digest=item.digest,
        at_us=eyes.now_us,
        lane=lane,
        expires_us=receipt_expiry_us(header.expires_us, eyes.now_us),
    )
    return make_receipt(eyes.identity, said)


def _require_not_suspended(origin: OfficeId, eyes: Eyes) -> None:
    """Raises `RemoteError` SUSPENDED: whoever holds what the office made keeps it until that is over (D8)."""
    if origin in eyes.suspended:
        raise RemoteError("SUSPENDED", "made by an office that is suspended")


def _witnessed_us(item: Item, sender: OfficeId, origin: OfficeId, eyes: Eyes) -> int:
    """Since when an office other than its origin has had this: we do from now on, and who sent it may have before.

    What the origin itself says of it is no witness (G14).
    """
    told = eyes.now_us if item.witnessed_us is None or sender == origin else item.witnessed_us
    return min(told, eyes.now_us)


def _opened(
    item: Item, verified: VerifiedCopy, opened: OpenedCopy, witnessed_us: int, eyes: Eyes, entropy: bytes
) -> Message | Answer | Doubted:
    """A message with the receipt that will be true after the commit, or a sealed receipt."""
    author = eyes.directory.by_id(verified.copy.header.sender)
    header = verified.copy.header
    doubted = is_doubted(author, verified.key_id, witnessed_us)
    if opened.receipt is not None:
        doubted = doubted or is_doubted(author, opened.receipt.key_id, witnessed_us)
        return Doubted(item) if doubted else Answer(item, opened.receipt, _custody(item, header, header.lane, eyes))
    message = opened.message
    if message is None:
        raise RemoteError("MALFORMED", "neither message nor receipt")
    doubted = doubted or is_doubted(author, message.key_id, witnessed_us)
    code = _refusal(message, eyes)
    answer = Receipt(
        network=header.network,
        type="refused" if code else "delivered",
        id=header.id,
        by=eyes.identity.office,
        recipient=eyes.identity.office,
        to=header.sender,
        digest=message.digest,
        at_us=eyes.now_us,
        lane=receipt_lane(header.lane),
        expires_us=receipt_expiry_us(header.expires_us, eyes.now_us),
        code=code or "",
    )
    if code is None:
        delivered = make_receipt(eyes.identity, answer)
        return Message(item, verified, message, delivered, delivered.data, None, witnessed_us, doubted)
    sealing = eyes.keyring.current(header.sender, eyes.directory.rules.suites, eyes.now_us)
    if sealing is None:
        raise RemoteError("NOT_YET", "no prekey of the sender to seal a refusal to")
    refusal, plain = seal_receipt(eyes.identity, answer, sealing[0].prekey_id, sealing[1], entropy)
    return Message(item, verified, message, refusal, plain, code, witnessed_us, doubted)


def _refusal(message: VerifiedContent, eyes: Eyes) -> str | None:
    """The code with which this office refuses a verified message for good: by the rules of when it was written."""
    then = eyes.directory.at(message.content.created_us)
    sender = then.by_id(message.content.sender)
    me = then.by_id(eyes.identity.office)
    if sender is None or me is None:
        raise RemoteError("UNKNOWN_OFFICE", "sender or recipient left the directory")
    audience = frozenset((*message.content.to, *message.content.cc))
    code = refusal_of(then, sender, me, message.content.kind, audience)
    objection = objection_to(message.content, eyes.directory)
    if code is not None or objection is None:
        return code
    if objection.code == "SUITE_MISSING":
        raise RemoteError("BAD_SUITE", objection.detail)
    # Its author may know of a person, a role, an address or a rule what we shall only learn.
    if message.content.directory_version > eyes.directory.version:
        raise RemoteError("UNKNOWN_KEY", f"{objection.code}: {objection.detail}; our directory is older than its")
    return objection.code


def _prekey_gone(item: Item, header: CopyHeader, eyes: Eyes) -> Held:
    """Not final: our current prekey comes with it."""
    answer = Receipt(
        network=header.network,
        type="prekey_gone",
        id=header.id,
        by=eyes.identity.office,
        recipient=eyes.identity.office,
        to=header.sender,
        digest=item.digest,
        at_us=eyes.now_us,
        lane=receipt_lane(header.lane),
        expires_us=receipt_expiry_us(header.expires_us, eyes.now_us),
        proof=eyes.own_prekey,
    )
    return make_receipt(eyes.identity, answer)
