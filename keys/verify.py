"""From bytes to verified values: the only place where trust in a signed object begins.

Each function is a list of numbered steps. A later step may rely on the earlier ones and on nothing else.
What a step finds wrong is a `RemoteError`; the caller quarantines, and nothing that failed here earns an answer
that ends anything (D1). The verified types are made here and nowhere else (held by tests/test_tidy.py).
"""

from collections.abc import Collection
from dataclasses import dataclass

from keys.approvals import check_signed_for
from keys.primitives import PrekeyPrivate
from keys.roster.directory import Directory
from keys.seal import open_ciphertext
from keys.signing import CONTENT, COPY, FRAME, PRESENCE, RECEIPT, UnverifiedRecord
from protocol import limits
from protocol.content import (
    Bundle,
    Content,
    check_commitments,
    content_digest,
    decode_bundle,
    decode_content,
)
from protocol.copy import OUTER_BYTES, Copy, read_outer, round_deadline, split_copy
from protocol.errors import Refused, RemoteError
from protocol.frame import Frame, Item, decode_frame_payload, decode_items, items_digest, split_frame
from protocol.ids import Address, Digest, KeyId, NetworkId, OfficeId
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.lanes import entitlement_of, lane_for
from protocol.moment import Moment
from protocol.padding import unpack
from protocol.presence import Presence, decode_presence
from protocol.receipt import END_TO_END, Receipt, decode_receipt
from protocol.topics import FrameTopic, PresenceTopic

FRAME_INTAKE_BYTES = limits.FRAME_BYTES + 4 * 1024
"""Largest frame that is looked at: the limit for senders and some room for a neighbour's other rounding."""


@dataclass(frozen=True, slots=True)
class VerifiedCopy:
    """A copy whose origin's outer signature, life span, suite and entitlement were verified; sealed all the same."""

    copy: Copy
    data: bytes
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class VerifiedContent:
    """A content that its author office signed, with everything it commits to."""

    content: Content
    bundle: Bundle
    digest: Digest
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that the office which speaks in it signed."""

    receipt: Receipt
    data: bytes
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class VerifiedFrame:
    """A frame that the neighbour on its topic signed for us. Its items are still to be verified one by one."""

    frame: Frame
    record: bytes
    key_id: KeyId
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class VerifiedPresence:
    """A presence that the office on its topic signed."""

    presence: Presence
    record: bytes
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class VerifiedWitness:
    """What a record says that we signed ourselves: its moment, and when by its own clock."""

    moment: Moment
    signed_us: int


@dataclass(frozen=True, slots=True)
class OpenedCopy:
    """What a verified copy for this office held: a message, or a sealed receipt."""

    message: VerifiedContent | None
    receipt: VerifiedReceipt | None


def verify_frame(data: bytes, topic: FrameTopic, me: OfficeId, directory: Directory, now_us: int) -> VerifiedFrame:
    """A frame for this office. Raises `RemoteError`."""
    # (1) The shape, and whose signature is claimed.
    encoded_record, encoded_items = split_frame(data, max_bytes=FRAME_INTAKE_BYTES)
    record = UnverifiedRecord(encoded_record, max_bytes=FRAME_INTAKE_BYTES)
    frame = decode_frame_payload(record.payload)
    # (2) Network, and the topic's three names: the broker could have moved the frame to another topic.
    _same_network(frame.network, directory)
    sender = directory.by_address(topic.sender)
    if sender is None or sender.id != frame.sender or frame.receiver != me or frame.lane is not topic.lane:
        raise RemoteError("WRONG_TOPIC", "signed sender, receiver or lane differs from the topic")
    # (3) The sender's key now (a frame is of this moment), and the signature.
    public = directory.signing_key(frame.sender, record.key_id, now_us).public
    record.verify(FRAME, public)
    # (4) The items are the signed ones.
    if items_digest(encoded_items) != frame.items_digest:
        raise RemoteError("BAD_DIGEST", "items")
    items = decode_items(encoded_items, max_bytes=FRAME_INTAKE_BYTES)
    return VerifiedFrame(frame, encoded_record, record.key_id, items)


def verify_copy(data: bytes, directory: Directory, suites: Collection[int], now_us: int) -> VerifiedCopy:
    """A copy on its way or at its end. Raises `RemoteError`; NOT_YET for one that clocks say is of the future."""
    # (1) The shape; the header's own rules: version, life span, entitlement for the lane; the signed ciphertext.
    outer, ciphertext = split_copy(data)
    record = UnverifiedRecord(outer, max_bytes=OUTER_BYTES)
    copy = read_outer(record.payload, outer, ciphertext, data)
    header = copy.header
    # (2) This network, a suite that its directory allows, and a recipient that exists.
    _same_network(header.network, directory)
    if header.suite not in suites or header.suite not in directory.rules.suites:
        raise RemoteError("BAD_SUITE", f"suite {header.suite} is not allowed here")
    if directory.by_id(header.recipient) is None:
        raise RemoteError("UNKNOWN_OFFICE", "recipient is not in the directory")
    # (3) The origin's key at the time of creation, or of a later sealing, and its signature for this purpose.
    public = directory.sealing_key(header.sender, record.key_id, header.created_us, header.expires_us).public
    record.verify(COPY, public)
    # (4) Its time has not passed and has begun (D12).
    if header.expires_us <= now_us:
        raise RemoteError("EXPIRED", "past its signed expiry")
    if header.created_us > now_us + limits.CLOCK_AHEAD_US:
        raise RemoteError("NOT_YET", "created more than five minutes ahead of this clock")
    return VerifiedCopy(copy, data, record.key_id)


def open_copy(
    verified: VerifiedCopy, me: OfficeId, my_addresses: Collection[Address], prekey: PrekeyPrivate, directory: Directory
) -> OpenedCopy:
    """What a copy for this office holds. Raises `RemoteError`."""
    copy = verified.copy
    # (1) It is for us.
    if copy.header.recipient != me:
        raise RemoteError("WRONG_RECIPIENT", "sealed for another office")
    # (2) It opens with the prekey under exactly this header, and unpacks within bounds.
    packed = open_ciphertext(copy.ciphertext, copy.header, copy.header_bytes, prekey)
    data = unpack(packed)
    # (3) A sealed receipt is verified as a receipt and must be by the copy's sender for us.
    if copy.header.entitlement == RECEIPT_CLASS:
        receipt = verify_receipt(data, directory)
        if receipt.receipt.by != copy.header.sender or receipt.receipt.to != me:
            raise RemoteError("WRONG_RECIPIENT", "sealed receipt of another office")
        return OpenedCopy(None, receipt)
    # (4) A message: signed by its author, and the author and fields are those of the header.
    message = verify_content(decode_bundle(data), directory)
    _same_fields(message.content, copy)
    # (5) We are among those it names.
    if not set(my_addresses) & {*message.content.to, *message.content.cc}:
        raise RemoteError("WRONG_RECIPIENT", "this office is not in to or cc")
    return OpenedCopy(message, None)


def read_content(data: bytes, directory: Directory) -> Content:
    """The signed fields of a content record, without its body and attachments. Raises `RemoteError`."""
    return _read_content(data, directory)[0]


def _read_content(data: bytes, directory: Directory) -> tuple[Content, KeyId]:
    """The signed fields, and the key that signed them. Raises `RemoteError`."""
    # (1) The shape of the record and the limits of every field.
    record = UnverifiedRecord(data, max_bytes=limits.CONTENT_BYTES)
    content = decode_content(record.payload)
    # (2) This network; the author's key when it was made, and the signature.
    _same_network(content.network, directory)
    public = directory.signing_key(content.sender, record.key_id, content.created_us).public
    record.verify(CONTENT, public)
    return content, record.key_id


def verify_content(bundle: Bundle, directory: Directory) -> VerifiedContent:
    """A content with its body and attachments, whoever it was for. Raises `RemoteError`."""
    # (1) What the author signed.
    content, key_id = _read_content(bundle.record, directory)
    # (2) Body, attachments and original are what was signed.
    check_commitments(content, bundle)
    return VerifiedContent(content, bundle, content_digest(bundle.record), key_id)


def verify_receipt(data: bytes, directory: Directory) -> VerifiedReceipt:
    """A receipt record of any type. Raises `RemoteError`."""
    # (1) The shape, and the rules between its fields.
    record = UnverifiedRecord(data, max_bytes=limits.RECORD_BYTES)
    receipt = decode_receipt(record.payload)
    # (2) This network; the key of the office that speaks, when it spoke; its signature.
    _same_network(receipt.network, directory)
    public = directory.signing_key(receipt.by, record.key_id, receipt.at_us).public
    record.verify(RECEIPT, public)
    # (3) Only the recipient office speaks end to end; the codec holds it, and it is said again where it matters.
    if receipt.type in END_TO_END and receipt.by != receipt.recipient:
        raise RemoteError("MALFORMED", "only the recipient speaks end to end")
    # (4) The person who signed for it, where the receipt says so.
    check_signed_for(receipt, directory)
    return VerifiedReceipt(receipt, data, record.key_id)


def verify_presence(data: bytes, topic: PresenceTopic, directory: Directory, now_us: int) -> VerifiedPresence:
    """A neighbour's presence, or our own. Raises `RemoteError`."""
    # (1) The shape.
    record = UnverifiedRecord(data, max_bytes=limits.RECORD_BYTES)
    presence = decode_presence(record.payload)
    # (2) Network and topic.
    _same_network(presence.network, directory)
    office = directory.by_address(topic.office)
    if office is None or office.id != presence.office or presence.group != topic.group:
        raise RemoteError("WRONG_TOPIC", "signed office or group differs from the topic")
    # (3) The key now, and the signature.
    record.verify(PRESENCE, directory.signing_key(presence.office, record.key_id, now_us).public)
    return VerifiedPresence(presence, data, record.key_id)


def verify_witness(data: bytes, me: OfficeId, directory: Directory, now_us: int) -> VerifiedWitness:
    """A record of our own that somebody shows us, presence or frame record. Raises `RemoteError`."""
    # (1) The shape, and which of the two it is.
    record = UnverifiedRecord(data, max_bytes=limits.RECORD_BYTES)
    said, purpose = _own_words(record.payload)
    # (2) Network; we are who speaks in it.
    _same_network(said.network, directory)
    office = said.office if isinstance(said, Presence) else said.sender
    if office != me:
        raise RemoteError("NOT_FOR_US", "a witness that another office signed")
    # (3) Our key now, and the signature.
    record.verify(purpose, directory.signing_key(me, record.key_id, now_us).public)
    return VerifiedWitness(said.moment, said.at_us)


def _own_words(payload: bytes) -> tuple[Presence | Frame, str]:
    """The fields of a presence or frame payload, and the purpose that it must be signed for."""
    try:
        return decode_presence(payload), PRESENCE
    except RemoteError:
        return decode_frame_payload(payload), FRAME


def _same_network(network: NetworkId, directory: Directory) -> None:
    if network != directory.network_id:
        raise RemoteError("WRONG_NETWORK", "object of another network")


def _same_fields(content: Content, copy: Copy) -> None:
    """Raises `RemoteError` unless the signed content says what the clear header says."""
    header = copy.header
    entitlement = entitlement_of(content.kind, content.event_level)
    try:
        lane = lane_for(content.urgency, bulk=content.bulk, entitlement=entitlement)
    except Refused as error:
        raise RemoteError("NOT_ENTITLED", error.detail) from error
    said = (header.id, header.sender, header.created_us, header.expires_us, header.deadline_us)
    signed = (content.id, content.sender, content.created_us, content.expires_us, round_deadline(content.deadline_us))
    if said != signed or header.lane is not lane or header.entitlement != entitlement:
        raise RemoteError("BAD_DIGEST", "the clear header differs from the signed content")
