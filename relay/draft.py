"""A message as office software hands it over, before anything of it is believed.

The same structure comes from JSON, from a line of `--jsonl` and from a multipart form. Only its shape is
checked here; addresses, kinds, times and sizes are judged by `relay/composing.py`.
"""

import hashlib
import re
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import msgspec

from keys.signing import UnverifiedRecord
from protocol.approval import decode_approval
from protocol.errors import Refused, RemoteError
from protocol.limits import APPROVAL_BYTES

T = TypeVar("T")


class Attachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file that goes with a message; `data` is base64 in JSON."""

    name: str
    data: bytes


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message to be sent. Names and meanings are those of the options of `relay send` (CONTRACT section 5).

    `signatures` are approvals of reviewers and issuers, made by the client over the content with this `salt` of 32
    random bytes (SPEC section "Persons"); bytes are base64 in JSON.
    """

    id: str = ""
    to: str | list[str]
    cc: str | list[str] = msgspec.field(default_factory=list)
    title: str = ""
    urgency: str = "routine"
    kind: str = "report"
    body: str = ""
    attachments: list[Attachment] = msgspec.field(default_factory=list)
    expires_in: str | None = None
    deliver_within: str | None = None
    occurred_at: str | None = None
    event_level: str | None = None
    thread: str | None = None
    reply_to: str | None = None
    classification: str = "none"
    bulk: bool = False
    drill: bool = False
    salt: bytes | None = None
    signatures: list[bytes] = msgspec.field(default_factory=list)


_DECODER: Final = msgspec.json.Decoder(Draft)
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`")
_NAMED: Final = re.compile(r"field `([^`]*)`")


def decode_draft(data: bytes | memoryview) -> Draft:
    """The draft in one JSON object.

    Raises `Refused` BAD_FIELD with the name of the field that is missing, unknown or of another type.
    `id` and `title` may be empty here: the API fills in an id, a forward takes its original's title.
    """
    return decode_json(data, _DECODER)


def decode_json(data: bytes | memoryview, decoder: msgspec.json.Decoder[T]) -> T:
    """What `decoder` makes of one JSON object. Raises `Refused` BAD_FIELD as `decode_draft` does."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("BAD_FIELD", f"not a JSON object in UTF-8: {error}"[:300]) from None


def recipients(names: str | list[str]) -> list[str]:
    """`to` or `cc` as a list; an empty string names nobody."""
    if isinstance(names, str):
        return [names] if names else []
    return names


def fingerprint(draft: Draft, original: bytes = b"") -> bytes:
    """32 bytes of SHA-256 that are equal exactly when two drafts have the same content (CONTRACT section 11).

    Every field counts as given, relative times as written, attachments byte for byte; the id does not,
    since it is what the fingerprint is compared under. A single recipient equals a list of one, and their order says
    nothing. Of persons' signatures it counts who signed as what: signing again makes other bytes under another salt.
    `original` is the digest of the message that a forward carries.
    """
    fields = msgspec.structs.asdict(draft)
    del fields["id"], fields["salt"]
    if draft.signatures:
        fields["signatures"] = sorted(map(_signer, draft.signatures))
    fields["to"] = sorted(recipients(draft.to))
    fields["cc"] = sorted(recipients(draft.cc))
    if draft.attachments:
        fields["attachments"] = [(a.name, len(a.data), hashlib.sha256(a.data).hexdigest()) for a in draft.attachments]
    if original:
        fields["original"] = original
    return hashlib.sha256(_ENCODER.encode(fields)).digest()


def _signer(data: bytes) -> str:
    """Role and key of an approval; what is none is refused, whatever it counts as."""
    try:
        record = UnverifiedRecord(data, max_bytes=APPROVAL_BYTES)
        return f"{decode_approval(record.payload).role} {record.key_id.hex()}"
    except RemoteError:
        return hashlib.sha256(data).hexdigest()


def _refusal(text: str, kind: Any) -> Refused:
    """BAD_FIELD from the wording of msgspec, with the field it speaks of."""
    path = _PATH.search(text)
    named = _NAMED.search(text)
    parent = path.group(1) if path else ""
    detail = _PATH.sub("", text)
    if named is None:
        return Refused("BAD_FIELD", detail, field=parent or None)
    name = named.group(1)
    if "unknown" in text and not parent:
        near = get_close_matches(name, kind.__struct_fields__, n=1)
        detail += f"; the nearest known one is `{near[0]}`" if near else ""
    return Refused("BAD_FIELD", detail, field=f"{parent}.{name}" if parent else name)
