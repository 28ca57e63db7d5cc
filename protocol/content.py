"""Layer (a) of the envelope: the content, signed once by the author office (D5, SPEC section 4).

What is signed is the payload map: every field of the report, with salted commitments in the place of body and
attachments. Salt, body and attachments travel beside it in the same sealed bundle. So one signature serves the whole
report, and evidence can withhold the body and still be verified; without the salt no short text can be guessed from it.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import Value, dumps, loads
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, as_text, as_uint, elements
from protocol.ids import Address, Digest, MessageId, NetworkId, OfficeId, is_address, is_group
from protocol.lanes import KINDS, LEVELS, URGENCIES

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_BREAK: Final = re.compile("[\t\n\r\u2028\u2029]")

VERSION = 1
CLASSIFICATIONS = ("none", "work_secret")


@dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """What is signed of an attachment: its name, its size in bytes, and the salted digest of its bytes."""

    name: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Content:
    """The signed fields of a report. Times in microseconds UTC; `salt_digest` commits to 32 random bytes.

    `groups` names the groups that were expanded into `to` and `cc` against `directory_version`.
    `deadline_us` is when it should be delivered; `original_digest` the content digest of a forwarded original.
    `approvals` are persons' signed records (the keys issue gives them their rules; here they are carried and signed).
    """

    salt_digest: Digest
    network: NetworkId
    sender: OfficeId
    sender_address: Address
    id: MessageId
    created_us: int
    expires_us: int
    kind: str
    urgency: str
    bulk: bool
    event_level: str | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    groups: tuple[str, ...]
    directory_version: int
    title: str
    body_digest: Digest
    attachments: tuple[AttachmentRecord, ...]
    thread: MessageId | None
    reply_to: MessageId | None
    occurred_us: int | None
    deadline_us: int | None
    classification: str
    drill: bool
    approvals: tuple[bytes, ...]
    original_digest: Digest | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is sealed: the signed content record, and beside it what the record commits to.

    `original` is the encoded bundle of a forwarded message.
    """

    record: bytes
    salt: bytes
    body: str
    files: tuple[bytes, ...]
    original: bytes | None

    @property
    def size(self) -> int:
        """How many bytes it has, but for some of its frame."""
        return len(self.record) + len(self.body.encode()) + sum(map(len, self.files)) + len(self.original or b"")


def is_plain(text: str, *, one_line: bool) -> bool:
    """Whether a text has no control characters but tab, LF and CR, and on one line not even these.

    A terminal would obey them; so the sender refuses them (CONTRACT section 11) and the recipient checks again.
    """
    return not _CONTROL.search(text) and not (one_line and _LINE_BREAK.search(text))


def salt_digest(salt: bytes) -> Digest:
    """The commitment to the salt of all the others."""
    return Digest(hashlib.sha256(b"relay/1/salt" + salt).digest())


def body_digest(salt: bytes, body: str) -> Digest:
    """The commitment to a body."""
    return Digest(hashlib.sha256(b"relay/1/body" + salt + body.encode()).digest())


def file_digest(salt: bytes, index: int, data: bytes) -> Digest:
    """The commitment to the attachment at `index`."""
    return Digest(hashlib.sha256(b"relay/1/file" + salt + index.to_bytes(4, "big") + data).digest())


def content_digest(record: bytes) -> Digest:
    """The digest of CONTRACT and of end-to-end receipts: SHA-256 of the signed content record."""
    return Digest(hashlib.sha256(record).digest())


def encode_content(content: Content) -> bytes:
    """The payload to be signed."""
    return dumps(
        {
            0: VERSION,
            1: content.salt_digest,
            2: content.network,
            3: content.sender,
            4: content.sender_address,
            5: content.id,
            6: content.created_us,
            7: content.expires_us,
            8: content.kind,
            9: content.urgency,
            10: content.bulk,
            11: content.event_level,
            12: list(content.to),
            13: list(content.cc),
            14: list(content.groups),
            15: content.directory_version,
            16: content.title,
            17: content.body_digest,
            18: [[a.name, a.size, a.digest] for a in content.attachments],
            19: content.thread,
            20: content.reply_to,
            21: content.occurred_us,
            22: content.deadline_us,
            23: content.classification,
            24: content.drill,
            25: list(content.approvals),
            26: content.original_digest,
        }
    )


def decode_content(payload: bytes) -> Content:
    """The fields of a content payload, each within its limits; raises `RemoteError`. Says nothing of its author."""
    f = Fields(loads(payload, max_bytes=limits.CONTENT_BYTES), "content")
    f.version(VERSION)
    content = Content(
        salt_digest=Digest(f.fixed(1, limits.DIGEST_BYTES)),
        network=NetworkId(f.fixed(2, limits.NETWORK_ID_BYTES)),
        sender=OfficeId(f.fixed(3, limits.OFFICE_ID_BYTES)),
        sender_address=_address(f.text(4, 20)),
        id=MessageId(f.fixed(5, limits.MESSAGE_ID_BYTES)),
        created_us=f.uint(6),
        expires_us=f.uint(7),
        kind=_one_of(f.text(8, 40), KINDS, "kind"),
        urgency=_one_of(f.text(9, 40), URGENCIES, "urgency"),
        bulk=f.flag(10),
        event_level=_optional_level(f.optional_text(11, 4)),
        to=tuple(map(_address, f.texts(12, limits.RECIPIENTS, 20))),
        cc=tuple(map(_address, f.texts(13, limits.RECIPIENTS, 20))),
        groups=_groups(f.texts(14, limits.RECIPIENTS, 64)),
        directory_version=f.uint(15),
        title=_title(f.text(16, limits.TITLE_CHARS)),
        body_digest=Digest(f.fixed(17, limits.DIGEST_BYTES)),
        attachments=tuple(map(_attachment, f.array(18, limits.ATTACHMENTS))),
        thread=_optional_id(f.optional_fixed(19, limits.MESSAGE_ID_BYTES)),
        reply_to=_optional_id(f.optional_fixed(20, limits.MESSAGE_ID_BYTES)),
        occurred_us=f.optional_uint(21),
        deadline_us=f.optional_uint(22),
        classification=_one_of(f.text(23, 20), CLASSIFICATIONS, "classification"),
        drill=f.flag(24),
        approvals=tuple(as_bytes(a, "approval") for a in f.array(25, limits.PERSON_SIGNATURES)),
        original_digest=_optional_digest(f.optional_fixed(26, limits.DIGEST_BYTES)),
    )
    f.done()
    check_life(content.created_us, content.expires_us)
    return content


def check_life(created_us: int, expires_us: int) -> None:
    """Raises `RemoteError` BAD_LIFE unless created < expires ≤ created + MAX_LIFE."""
    if not created_us < expires_us <= created_us + limits.MAX_LIFE_US:
        raise RemoteError("BAD_LIFE", "expires must come after created and within MAX_LIFE")


def encode_bundle(bundle: Bundle) -> bytes:
    """The bytes that are packed and sealed (or kept by the origin until the verdict)."""
    return dumps([bundle.record, bundle.salt, bundle.body, list(bundle.files), bundle.original])


def decode_bundle(data: bytes) -> Bundle:
    """The parts of a bundle; raises `RemoteError`. The commitments are checked by `check_commitments`."""
    record, salt, body, files, original = elements(loads(data, max_bytes=limits.CONTENT_BYTES), 5, "bundle")
    if type(files) is not list or len(files) > limits.ATTACHMENTS:
        raise RemoteError("MALFORMED", "bundle files are not a short array")
    if not is_plain(as_text(body, "body", limits.CONTENT_BYTES), one_line=False):
        raise RemoteError("MALFORMED", "body has control characters")
    return Bundle(
        record=as_bytes(record, "content record"),
        salt=as_bytes(salt, "salt", limits.SALT_BYTES),
        body=body,
        files=tuple(as_bytes(file, "attachment") for file in files),
        original=None if original is None else as_bytes(original, "original"),
    )


def check_commitments(content: Content, bundle: Bundle) -> None:
    """Raises `RemoteError` BAD_DIGEST unless salt, body, files and original are what the content commits to."""
    if salt_digest(bundle.salt) != content.salt_digest:
        raise RemoteError("BAD_DIGEST", "salt")
    if body_digest(bundle.salt, bundle.body) != content.body_digest:
        raise RemoteError("BAD_DIGEST", "body")
    if len(bundle.files) != len(content.attachments):
        raise RemoteError("BAD_DIGEST", "number of attachments")
    for index, (record, data) in enumerate(zip(content.attachments, bundle.files, strict=True)):
        if record.size != len(data) or record.digest != file_digest(bundle.salt, index, data):
            raise RemoteError("BAD_DIGEST", f"attachment {index}")
    carried = None if bundle.original is None else content_digest(decode_bundle(bundle.original).record)
    if carried != content.original_digest:
        raise RemoteError("BAD_DIGEST", "original")


def _address(text: str) -> Address:
    if not is_address(text):
        raise RemoteError("MALFORMED", "not an address")
    return Address(text)


def _title(text: str) -> str:
    if not text or not is_plain(text, one_line=True):
        raise RemoteError("MALFORMED", "title is not one line of text")
    return text


def _groups(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(is_group, names)):
        raise RemoteError("MALFORMED", "not a group name")
    return names


def _one_of(text: str, allowed: tuple[str, ...] | list[str], name: str) -> str:
    if text not in allowed:
        raise RemoteError("MALFORMED", f"unknown {name}")
    return text


def _optional_level(text: str | None) -> str | None:
    return None if text is None else _one_of(text, LEVELS, "event level")


def _optional_id(value: bytes | None) -> MessageId | None:
    return None if value is None else MessageId(value)


def _optional_digest(value: bytes | None) -> Digest | None:
    return None if value is None else Digest(value)


def _attachment(value: Value) -> AttachmentRecord:
    name, size, digest = elements(value, 3, "attachment record")
    name = as_text(name, "attachment name", limits.NAME_BYTES)
    if not 0 < len(name.encode()) <= limits.NAME_BYTES or not is_plain(name, one_line=True):
        raise RemoteError("MALFORMED", "attachment name is empty, too long or not one line")
    return AttachmentRecord(
        name=name,
        size=as_uint(size, "attachment size"),
        digest=Digest(as_bytes(digest, "attachment digest", limits.DIGEST_BYTES)),
    )
