"""What a reviewer (审核) or an issuer (签发) signs of a message before it is sent (D5, SPEC section "Persons").

The record is made by the person's own program and travels inside the content. It names the message by network, office
and id, repeats who gets it as the person wrote it, and commits to every other field, and through the content's salted
digests to body and attachments. So neither the author's relay nor anybody else can move it to another message, role,
audience or text, and evidence that withholds the body still shows who approved what and tells no more of it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.content import AttachmentRecord, Content
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.ids import Address, Digest, MessageId, NetworkId, OfficeId, is_address, is_group
from protocol.lanes import INCIDENT_KINDS

VERSION: Final = 1

APPROVERS: Final = ("reviewer", "issuer")
"""The roles in which a person approves, in the order in which they are told."""

NAME_CHARS: Final = 64
"""Longest name of a recipient as written: a group has at most 64 characters, an address 14."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is approved beside the audience and the times: every field of the content that its author chose."""

    kind: str
    urgency: str
    bulk: bool
    event_level: str | None
    title: str
    body_digest: Digest
    attachments: tuple[AttachmentRecord, ...]
    thread: MessageId | None
    reply_to: MessageId | None
    occurred_us: int | None
    classification: str
    drill: bool
    original_digest: Digest | None


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's word, in one role, about one message. `at_us` is when it was given, by the person's clock.

    `to` and `cc` are addresses and groups as written. `life_us` and `within_us` are the spans that were written for
    expiry and delivery, None where the office's settings decide. `subject` commits to the rest.
    """

    network: NetworkId
    office: OfficeId
    id: MessageId
    role: str
    at_us: int
    to: tuple[str, ...]
    cc: tuple[str, ...]
    life_us: int | None
    within_us: int | None
    subject: Digest


def subject_digest(subject: Subject) -> Digest:
    """The commitment to a subject. It needs no salt: what evidence may withhold is in it as salted digests."""
    fields = [
        subject.kind,
        subject.urgency,
        subject.bulk,
        subject.event_level,
        subject.title,
        subject.body_digest,
        [[a.name, a.size, a.digest] for a in subject.attachments],
        subject.thread,
        subject.reply_to,
        subject.occurred_us,
        subject.classification,
        subject.drill,
        subject.original_digest,
    ]
    return Digest(hashlib.sha256(b"relay/1/subject" + dumps(fields)).digest())


def subject_of(content: Content) -> Subject:
    """What a content says, as its approvals must have seen it."""
    return Subject(
        kind=content.kind,
        urgency=content.urgency,
        bulk=content.bulk,
        event_level=content.event_level,
        title=content.title,
        body_digest=content.body_digest,
        attachments=content.attachments,
        thread=content.thread,
        reply_to=content.reply_to,
        occurred_us=content.occurred_us,
        classification=content.classification,
        drill=content.drill,
        original_digest=content.original_digest,
    )


def encode_approval(approval: Approval) -> bytes:
    """The payload that the person signs."""
    return dumps(
        {
            0: VERSION,
            1: approval.network,
            2: approval.office,
            3: approval.id,
            4: approval.role,
            5: approval.at_us,
            6: list(approval.to),
            7: list(approval.cc),
            8: approval.life_us,
            9: approval.within_us,
            10: approval.subject,
        }
    )


def decode_approval(payload: bytes) -> Approval:
    """The fields of an approval, each within its limits; raises `RemoteError`. Says nothing of who signed it."""
    f = Fields(loads(payload, max_bytes=limits.APPROVAL_BYTES), "approval")
    f.version(VERSION)
    approval = Approval(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        office=OfficeId(f.fixed(2, limits.OFFICE_ID_BYTES)),
        id=MessageId(f.fixed(3, limits.MESSAGE_ID_BYTES)),
        role=f.text(4, 20),
        at_us=f.uint(5),
        to=f.texts(6, limits.RECIPIENTS, NAME_CHARS),
        cc=f.texts(7, limits.RECIPIENTS, NAME_CHARS),
        life_us=f.optional_uint(8, limits.MAX_LIFE_US),
        within_us=f.optional_uint(9, limits.MAX_LIFE_US),
        subject=Digest(f.fixed(10, limits.DIGEST_BYTES)),
    )
    f.done()
    if approval.role not in APPROVERS:
        raise RemoteError("MALFORMED", "an approval is a reviewer's or an issuer's")
    if not approval.to or not all(is_address(name) or is_group(name) for name in (*approval.to, *approval.cc)):
        raise RemoteError("MALFORMED", "an approval names addresses and groups, and at least one recipient")
    return approval


def differs(approval: Approval, content: Content, office_of: Callable[[Address], object]) -> str | None:
    """Which part of the content is not what was approved, in a word; None when all of it is.

    `office_of` gives equal values for the addresses of one office: whoever writes to one that has moved may use the
    address it had.

    The author's office answers for what it adds: when the message was accepted, who belongs to a group, and times that
    its settings decide. So a group is approved by its name; without a group the audience is exactly what was written,
    but for the copy of an incident to the office's city, which the network's rules add.
    """
    if (approval.network, approval.office) != (content.network, content.sender):
        return "office"
    if approval.id != content.id:
        return "id"
    if approval.subject != subject_digest(subject_of(content)):
        return "content"
    if not _same_audience(approval, content, office_of):
        return "recipients"
    if approval.life_us not in (None, content.expires_us - content.created_us):
        return "expires_in"
    if approval.within_us is not None and content.deadline_us != content.created_us + approval.within_us:
        return "deliver_within"
    if approval.at_us > content.created_us + limits.CLOCK_AHEAD_US:
        return "time"
    return None


def _same_audience(approval: Approval, content: Content, office_of: Callable[[Address], object]) -> bool:
    """Whether the content goes to those, and only those, whom the person named."""
    groups = tuple(name for name in (*approval.to, *approval.cc) if is_group(name))
    if groups != content.groups:
        return False
    to, cc = ([office_of(Address(name)) for name in names if is_address(name)] for names in (approval.to, approval.cc))
    sent_to, sent_cc = ([office_of(address) for address in names] for names in (content.to, content.cc))
    if groups:
        return {*to, *cc} <= {*sent_to, *sent_cc}
    allowed = 1 if content.kind in INCIDENT_KINDS else 0
    return to == sent_to and cc == sent_cc[: len(cc)] and len(sent_cc) - len(cc) <= allowed
