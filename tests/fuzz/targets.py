"""What is fuzzed, and the one property: bytes are refused with a declared error, or are the one form of a value."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from config.load import parse as parse_settings
from config.problems import ConfigError
from keys.approvals import approvers_of, check_signed_for
from keys.ceremony.act import Act
from keys.ceremony.carried import decode_carried, encode_carried
from keys.enrol.enrolment import parse_request
from keys.enrol.person_request import read_request
from keys.enrol.response import decode_response, encode_response
from keys.prekeys import parse_prekey, verify_prekey
from keys.primitives import NotAuthentic
from keys.roster.directory import Directory
from keys.roster.suspensions import decode_suspensions, encode_suspensions
from keys.rows import RowCipher
from keys.signing import APPROVAL, SIGNED_FOR, UnverifiedRecord, sign_record
from keys.trust.metadata import TrustError
from keys.trust.metadata import parse as parse_trust
from keys.verify import verify_copy, verify_receipt
from protocol import cbor, limits
from protocol.approval import decode_approval, encode_approval
from protocol.audit import decode_head, encode_head, split_line
from protocol.content import decode_bundle, decode_content, encode_bundle, encode_content
from protocol.copy import decode_header, encode_copy, encode_header, read_outer, split_copy
from protocol.errors import Refused, RemoteError
from protocol.frame import (
    decode_frame_payload,
    decode_items,
    encode_frame,
    encode_frame_payload,
    encode_items,
    split_frame,
)
from protocol.padding import unpack
from protocol.presence import decode_presence, encode_presence
from protocol.receipt import decode_receipt, encode_receipt
from protocol.signing_for import PERSON_SIGNED, decode_signing_for, encode_signing_for
from protocol.topics import (
    FrameTopic,
    PrekeyTopic,
    PresenceTopic,
    Topic,
    frame_topic,
    parse_topic,
    prekey_topic,
    presence_topic,
    trust_topic,
)
from relay.api.bodies import read_form
from relay.audit.entry import read_body
from relay.draft import decode_draft
from relay.evidence import decode_evidence, encode_evidence
from tests.fuzz import sm
from tests.fuzz.door import knock
from tests.fuzz.samples import SAMPLES
from tests.relay.store.place import LETTERS
from tests.vectors.vector import FOLDER, read_vector
from tests.world import (
    COUNTY_KEY,
    DIRECTORY,
    NOW_US,
    PROVINCE_CLERK,
    PROVINCE_CLERK_KEY,
    REVIEWER_KEY,
    make_content,
    make_receipt,
)

FRAME_MAX: Final = limits.FRAME_BYTES + 4096
CORPUS: Final = Path(__file__).resolve().parent / "corpus"


class Broken(AssertionError):
    """A decoder raised something else, or took two forms for one value."""


@dataclass(frozen=True, slots=True)
class Target:
    """`decode` raises only `refusals`; `encode`, where there is one, gives the very bytes back.

    `layers` are those of tests/vectors whose bytes are good to begin with; `max_bytes` bounds what the fuzzer makes.
    """

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes] | None = None
    refusals: tuple[type[Exception], ...] = (RemoteError,)
    layers: tuple[str, ...] = ()
    max_bytes: int = 4_096


def total(target: Target, data: bytes) -> bool:
    """Whether the bytes were taken. Raises `Broken` when they are not the one form of what they say; no other error."""
    try:
        value = target.decode(data)
    except target.refusals:
        return False
    if target.encode is not None and target.encode(value) != data:
        raise Broken("decoded, and another form comes back")
    return True


def _topic(data: bytes) -> Topic:
    try:
        return parse_topic(data.decode())
    except UnicodeDecodeError as error:
        raise RemoteError("WRONG_TOPIC", "no UTF-8") from error


def _topic_bytes(topic: Topic) -> bytes:
    match topic:
        case FrameTopic(receiver, lane, sender):
            return frame_topic(receiver, lane, sender).encode()
        case PresenceTopic(office, group):
            return presence_topic(office, group).encode()
        case PrekeyTopic(publisher, office):
            return prekey_topic(publisher, office).encode()
        case _:
            return trust_topic(topic.publisher, topic.file).encode()


def _signed(purpose: str, verify: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """An enrolled office signs whatever it likes: the bytes are the payload."""
    return lambda payload: verify(sign_record(COUNTY_KEY, purpose, payload))


def _signed_person(payload: bytes) -> Any:
    """A person signs whatever they like: nothing of it is more than a verdict."""
    approvers = approvers_of(make_content(approvals=(sign_record(REVIEWER_KEY, APPROVAL, payload),)), DIRECTORY)
    proof = sign_record(PROVINCE_CLERK_KEY, SIGNED_FOR, payload)
    check_signed_for(make_receipt(type="signed_for", code=PERSON_SIGNED, detail=PROVINCE_CLERK, proof=proof), DIRECTORY)
    return approvers


def _signed_prekey(first: bytes) -> Any:
    return verify_prekey(cbor.dumps([first, None]), DIRECTORY, NOW_US)


def _read_outer(payload: bytes) -> Any:
    return read_outer(payload, b"", b"", b"")


def _outer(payload: bytes) -> Any:
    """The payload of an outer record, which a county signed, around a ciphertext of no bytes."""
    return verify_copy(encode_copy(sign_record(COUNTY_KEY, "relay/1/copy", payload), b""), DIRECTORY, (1, 2), NOW_US)


def _audit_line(line: bytes) -> Any:
    """A line of the audit log: number, body and hash, and what is in the body."""
    number, body, digest = split_line(line)
    return number, body, digest, read_body(body)


_LOOP: Final = asyncio.new_event_loop()


def _form(data: bytes) -> Any:
    """A multipart form with the boundary `b`."""
    request = Request({"type": "http", "headers": [(b"content-type", b"multipart/form-data; boundary=b")]})
    return _LOOP.run_until_complete(read_form(request, data))


def _row(data: bytes) -> None:
    """No bytes but ours open: the storage key is not known to whoever changes the disk."""
    stored = (b"o" * 16, 1, "new", 3, None, 1, data)
    if LETTERS.open_stored(RowCipher(bytes(32)), stored) is not None:
        raise Broken("a row that nobody sealed was opened")


_SM: Final[dict[str, Target]] = {
    "sm2-signature": Target(sm.signed, refusals=(NotAuthentic,)),
    "sm2-wrap": Target(sm.unwrapped, refusals=(NotAuthentic,)),
    "sm2-point": Target(sm.point, bytes, refusals=(NotAuthentic,)),
}

TARGETS: Final[dict[str, Target]] = {
    **(_SM if sm.PRESENT else {}),
    "cbor": Target(partial(cbor.loads, max_bytes=4_096), cbor.dumps, layers=("cbor",)),
    "content": Target(decode_content, encode_content),
    "bundle": Target(decode_bundle, encode_bundle, layers=("content",)),
    "header": Target(decode_header, encode_header),
    "copy": Target(split_copy, lambda pair: encode_copy(*pair), layers=("copy", "open")),
    "outer": Target(_read_outer),
    "signed-copy": Target(_outer),
    "frame": Target(partial(split_frame, max_bytes=FRAME_MAX), lambda pair: encode_frame(*pair), layers=("frame",)),
    "frame-payload": Target(decode_frame_payload, encode_frame_payload),
    "items": Target(partial(decode_items, max_bytes=FRAME_MAX), encode_items),
    "receipt": Target(decode_receipt, encode_receipt),
    "signed-receipt": Target(_signed("relay/1/receipt", lambda data: verify_receipt(data, DIRECTORY))),
    "presence": Target(decode_presence, encode_presence),
    "record": Target(partial(UnverifiedRecord, max_bytes=4_096), layers=("receipt", "presence", "prekey")),
    "prekey": Target(parse_prekey, lambda record: bytes(record.data), layers=("prekey",)),
    "signed-prekey": Target(_signed("relay/1/prekey", _signed_prekey)),
    "request": Target(parse_request, lambda request: bytes(request.data), layers=("request",), max_bytes=1 << 14),
    "approval": Target(decode_approval, encode_approval),
    "signing-for": Target(decode_signing_for, encode_signing_for),
    "person-request": Target(partial(read_request, now_us=NOW_US), layers=("person-request",)),
    "signed-person": Target(_signed_person),
    "response": Target(decode_response, encode_response, max_bytes=1 << 14),
    "padding": Target(partial(unpack, max_bytes=1 << 16), layers=("padding",)),
    "topic": Target(_topic, _topic_bytes, layers=("topic",), max_bytes=128),
    "roster": Target(Directory.decode, Directory.encode, layers=("roster",), max_bytes=1 << 14),
    "suspensions": Target(decode_suspensions, encode_suspensions),
    "act": Target(Act.decode, Act.encode, max_bytes=1 << 14),
    "carried": Target(decode_carried, encode_carried, max_bytes=1 << 17),
    "trust-root": Target(partial(parse_trust, Root, what="root"), refusals=(TrustError,)),
    "trust-targets": Target(partial(parse_trust, Targets, what="targets"), refusals=(TrustError,)),
    "trust-snapshot": Target(partial(parse_trust, Snapshot, what="snapshot"), refusals=(TrustError,)),
    "trust-timestamp": Target(partial(parse_trust, Timestamp, what="timestamp"), refusals=(TrustError,)),
    "evidence": Target(decode_evidence, encode_evidence, max_bytes=1 << 14),
    "settings": Target(parse_settings, refusals=(ConfigError,), max_bytes=1 << 14),
    "audit-head": Target(decode_head, encode_head),
    "audit-line": Target(_audit_line),
    "draft": Target(decode_draft, refusals=(Refused,)),
    "form": Target(_form, refusals=(Refused,)),
    "row": Target(_row),
    "door": Target(knock, layers=("frame", "copy", "open", "receipt"), max_bytes=1 << 14),
}
"""`door` is the intake as a whole: examined and settled, raw and with real signatures around hostile bytes."""


def seeds(name: str) -> Iterator[bytes]:
    """Bytes to begin with: the vectors of its layers, samples, and what long runs found."""
    for path in sorted(FOLDER.glob("*.txt")):
        vector = read_vector(path)
        if vector.layer in TARGETS[name].layers:
            yield vector.data
    if name in SAMPLES:
        yield from SAMPLES[name]()
    folder = CORPUS / name
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        yield path.read_bytes()
