"""A vector file: readable lines, then the bytes in hex. Writing, reading, and running one against the code.

comment: one sentence
layer: copy
expect: BAD_SIGNATURE
now: 1767225600000000
hex:
8258…
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.approvals import approvers_of
from keys.enrol.enrolment import verify_request
from keys.enrol.person_request import read_request
from keys.enrol.response import RESPONSE_BYTES, encode_response, verify_response
from keys.prekeys import verify_prekey
from keys.roster.directory import Directory
from keys.trust.metadata import TrustError
from keys.verify import open_copy, verify_content, verify_copy, verify_frame, verify_presence, verify_receipt
from protocol import cbor, limits
from protocol.approval import decode_approval, encode_approval
from protocol.audit import Mark, encode_head, follow
from protocol.content import decode_bundle, encode_bundle, encode_content
from protocol.copy import encode_copy, encode_header
from protocol.errors import RemoteError
from protocol.frame import encode_frame, encode_frame_payload, encode_items
from protocol.ids import Digest
from protocol.padding import unpack
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from protocol.topics import FrameTopic, PresenceTopic, parse_topic
from relay.audit.check import head_verifier
from tests.sm_world import PREKEY as SM_PREKEY
from tests.sm_world import SM_DIRECTORY
from tests.world import COUNTY, DIRECTORY, NOW_US, PREKEYS, PROVINCE, PROVINCE_ADDRESS, make_content

FOLDER: Final = Path(__file__).parent
LINE_BYTES: Final = 48


@dataclass(frozen=True)
class Vector:
    """One file. `context` are further lines by name: now, topic, suites."""

    name: str
    comment: str
    layer: str
    expect: str
    data: bytes
    context: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The file's text."""
        head = {"comment": self.comment, "layer": self.layer, "expect": self.expect, **self.context}
        lines = [f"{name}: {value}" for name, value in head.items()]
        step = LINE_BYTES
        hexa = [self.data[at : at + step].hex() for at in range(0, len(self.data), step)]
        return "\n".join([*lines, "hex:", *hexa]) + "\n"


def read_vector(path: Path) -> Vector:
    """The vector of a file; raises `ValueError` for another form."""
    head, separator, hexa = path.read_text(encoding="utf-8").partition("hex:\n")
    if not separator:
        raise ValueError(f"{path.name} has no hex")
    lines = dict(line.split(": ", 1) for line in head.splitlines())
    comment, layer, expect = (lines.pop(name) for name in ("comment", "layer", "expect"))
    return Vector(path.stem, comment, layer, expect, bytes.fromhex(hexa), lines)


def run(vector: Vector) -> str:
    """`ok`, or the code with which the layer refuses the bytes. A valid object must encode to the same bytes."""
    now_us = int(vector.context.get("now", NOW_US))
    suites = tuple(int(suite) for suite in vector.context.get("suites", "1 2").split())
    try:
        LAYERS[vector.layer](vector.data, vector.context, now_us, suites)
    except (RemoteError, TrustError) as error:
        return error.code
    return "ok"


Context = dict[str, str]


def _directory(suites: tuple[int, ...]) -> Directory:
    """The network that a vector is of: that with SM2 keys where suite 3 is all that it allows."""
    return SM_DIRECTORY if suites == (3,) else DIRECTORY


def _cbor(data: bytes, _context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    assert cbor.dumps(cbor.loads(data, max_bytes=1_000)) == data


def _topic(data: bytes, _context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    parse_topic(data.decode())


def _padding(data: bytes, _context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    unpack(data, max_bytes=limits.CONTENT_BYTES)


def _content(data: bytes, _context: Context, _now_us: int, suites: tuple[int, ...]) -> None:
    """A bundle: record, body, attachments."""
    bundle = decode_bundle(data)
    verified = verify_content(bundle, _directory(suites))
    assert encode_bundle(bundle) == data
    assert encode_content(verified.content) == cbor.loads(bundle.record, max_bytes=limits.CONTENT_BYTES)[2]


def _copy(data: bytes, _context: Context, now_us: int, suites: tuple[int, ...]) -> None:
    """What a transit relay checks."""
    copy = verify_copy(data, _directory(suites), suites, now_us).copy
    assert encode_header(copy.header) == copy.header_bytes
    assert encode_copy(copy.outer, copy.ciphertext) == data


def _open(data: bytes, _context: Context, now_us: int, suites: tuple[int, ...]) -> None:
    """What the recipient checks."""
    directory = _directory(suites)
    verified = verify_copy(data, directory, suites, now_us)
    prekey = {**PREKEYS, 3: SM_PREKEY}.get(verified.copy.header.suite, PREKEYS[1])
    opened = open_copy(verified, PROVINCE, (PROVINCE_ADDRESS,), prekey, directory)
    assert (opened.message is None) != (opened.receipt is None)


def _receipt(data: bytes, _context: Context, _now_us: int, suites: tuple[int, ...]) -> None:
    verified = verify_receipt(data, _directory(suites))
    assert encode_receipt(verified.receipt) == cbor.loads(data, max_bytes=limits.RECORD_BYTES)[2]


def _frame(data: bytes, context: Context, now_us: int, suites: tuple[int, ...]) -> None:
    topic = parse_topic(context["topic"])
    assert isinstance(topic, FrameTopic)
    verified = verify_frame(data, topic, PROVINCE, _directory(suites), now_us)
    assert encode_frame(verified.record, encode_items(verified.items)) == data
    assert encode_frame_payload(verified.frame) == cbor.loads(verified.record, max_bytes=limits.FRAME_BYTES)[2]


def _presence(data: bytes, context: Context, now_us: int, suites: tuple[int, ...]) -> None:
    topic = parse_topic(context["topic"])
    assert isinstance(topic, PresenceTopic)
    verified = verify_presence(data, topic, _directory(suites), now_us)
    assert encode_presence(verified.presence) == cbor.loads(data, max_bytes=limits.RECORD_BYTES)[2]


def _prekey(data: bytes, _context: Context, now_us: int, suites: tuple[int, ...]) -> None:
    verify_prekey(data, _directory(suites), now_us)


def _roster(data: bytes, _context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    assert Directory.decode(data).encode() == data


def _audit_line(data: bytes, context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    """The line that follows a mark."""
    follow(data, Mark(int(context["count"]), Digest(bytes.fromhex(context["before"]))))


def _audit_head(data: bytes, _context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    head = head_verifier(DIRECTORY, COUNTY)(data)
    assert encode_head(head) == cbor.loads(data, max_bytes=limits.RECORD_BYTES)[2]


def _request(data: bytes, _context: Context, now_us: int, _suites: tuple[int, ...]) -> None:
    """What an administrator's machine checks before anybody looks at it."""
    assert verify_request(data, now_us).data == data


def _response(data: bytes, context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    """What an office checks of the answer to its request, under the root that it pinned."""
    response = verify_response(data, context["root"])
    assert encode_response(response) == cbor.loads(data, max_bytes=RESPONSE_BYTES)[2]


def _approval(data: bytes, _context: Context, _now_us: int, _suites: tuple[int, ...]) -> None:
    """An approval of the report, as its recipient judges it; refusal codes stand for the nearest of ours."""
    (one,) = approvers_of(make_content(approvals=(data,)), DIRECTORY)
    if one.code is not None:
        nearest = {"WRONG_ROLE": "UNKNOWN_KEY", "EXPIRED": "KEY_NOT_VALID", "REVOKED": "KEY_NOT_VALID"}
        raise RemoteError(nearest.get(one.code, one.code), one.detail)
    payload = cbor.loads(data, max_bytes=limits.APPROVAL_BYTES)[2]
    assert encode_approval(decode_approval(payload)) == payload


def _person_request(data: bytes, _context: Context, now_us: int, _suites: tuple[int, ...]) -> None:
    assert read_request(data, now_us).public


LAYERS: Final[dict[str, Callable[[bytes, Context, int, tuple[int, ...]], None]]] = {
    "cbor": _cbor,
    "topic": _topic,
    "padding": _padding,
    "content": _content,
    "copy": _copy,
    "open": _open,
    "receipt": _receipt,
    "frame": _frame,
    "presence": _presence,
    "prekey": _prekey,
    "roster": _roster,
    "audit-line": _audit_line,
    "audit-head": _audit_head,
    "request": _request,
    "response": _response,
    "approval": _approval,
    "person-request": _person_request,
}
