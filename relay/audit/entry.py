"""One line of the audit log: from a note to bytes, and back for readers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocol.audit import LINE_BYTES, AuditHead, Mark, encode_head, make_line, split_line
from protocol.errors import RemoteError
from protocol.ids import Epoch, NetworkId, OfficeId
from relay.audit.notes import RELAY, Note
from relay.times import time_text

HEAD: Final = "head"
"""A signed head; every file but the first begins with one, so that it can be verified when older ones are gone."""
PURGED: Final = "purged"
"""Files whose retention ended were deleted; `first` is the number of the first line that is left."""

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose log it is: what every signed head names."""

    network: NetworkId
    office: OfficeId
    epoch: Epoch

    def head_payload(self, mark: Mark, at_us: int) -> bytes:
        """What is signed at `mark`."""
        return encode_head(AuditHead(self.network, self.office, self.epoch, mark, at_us))


def write_line(note: Note, after: Mark) -> tuple[bytes, Mark]:
    """The line of a note that follows `after`, and the mark behind it."""
    head = {"n": after.count + 1, "did": note.did, "at": time_text(note.at_us), "by": note.by}
    line, digest = make_line(after.head, _ENCODER.encode(head | dict(note.details))[:-1])
    if len(line) > LINE_BYTES:
        # A note is made of ids and codes; one that is longer all the same must not make the log unreadable.
        return write_line(Note(note.at_us, note.by[:100], note.did[:100], {"code": "TOO_LARGE"}), after)
    return line, Mark(after.count + 1, digest)


def head_note(record: bytes, at_us: int) -> Note:
    """The note that puts a signed head into the log."""
    return Note(at_us, RELAY, HEAD, {"record": record.hex()})


def is_note(number: int, body: bytes, did: str) -> bool:
    """Whether the body of a line is of a kind, without parsing it."""
    return body.startswith(b'{"n":%d,"did":"%b",' % (number, did.encode()))


def read_body(body: bytes) -> Mapping[str, Any]:
    """The members of a line but its hash; raises `RemoteError` MALFORMED."""
    try:
        found = msgspec.json.decode(body + b"}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RemoteError("MALFORMED", "an audit line is not JSON") from None
    if not isinstance(found, dict):
        raise RemoteError("MALFORMED", "an audit line is not an object")
    return found


def read_line(line: bytes) -> dict[str, Any]:
    """A line as an object for people and programs; one that cannot be read says so."""
    try:
        _, body, digest = split_line(line)
        return {**read_body(body), "hash": digest.hex()}
    except RemoteError as error:
        return {"n": None, "did": "unreadable", "code": error.code}
