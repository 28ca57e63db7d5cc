"""The audit log's bytes: lines that are a chain, and signed heads over it (SPEC section 15, G15).

A line is a JSON object on one line of UTF-8. Its last member, `hash`, is SHA-256 over the hash of the line before and
its own bytes: so any line vouches for all that came before. A head is the office's signature over how many lines there
are and the hash of the last.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.ids import Digest, Epoch, NetworkId, OfficeId

VERSION: Final = 1
LINE_BYTES: Final = 8 * 1024
"""Longest line: 64 message ids take 2.5 KiB, and a reader needs a bound before it reads."""
GENESIS: Final = Digest(bytes(limits.DIGEST_BYTES))
"""What stands for the hash before the first line."""

_PURPOSE: Final = b"relay/1/audit-line"
_HASH: Final = b',"hash":"'
_END: Final = b'"}\n'
_TAIL_BYTES: Final = len(_HASH) + 2 * limits.DIGEST_BYTES + len(_END)
_NUMBER: Final = b'{"n":'
_NUMBER_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a log: `count` lines, the last of which has the hash `head`."""

    count: int
    head: Digest


START: Final = Mark(0, GENESIS)
"""The place before the first line."""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """What an office signs about its log: `mark`, in which life of its home, and when."""

    network: NetworkId
    office: OfficeId
    epoch: Epoch
    mark: Mark
    at_us: int


def chain_hash(before: Digest, body: bytes) -> Digest:
    """The hash of a line: over the hash of the line before and over its own bytes up to the member `hash`."""
    return Digest(hashlib.sha256(_PURPOSE + before + body).digest())


def make_line(before: Digest, body: bytes) -> tuple[bytes, Digest]:
    """The line with its LF, and its hash. `body` is the JSON object without its closing brace, `{"n":1,"did":…`."""
    digest = chain_hash(before, body)
    return body + _HASH + digest.hex().encode() + _END, digest


def split_line(line: bytes) -> tuple[int, bytes, Digest]:
    """Number, body and claimed hash of a line with its LF; raises `RemoteError` MALFORMED. Nothing is verified yet."""
    body, tail = line[:-_TAIL_BYTES], line[-_TAIL_BYTES:]
    digits = tail[len(_HASH) : -len(_END)]
    number, comma, _ = body[len(_NUMBER) : len(_NUMBER) + _NUMBER_DIGITS + 1].partition(b",")
    try:
        claimed, count = bytes.fromhex(digits.decode("ascii")), int(number.decode("ascii"))
    except ValueError:
        raise RemoteError("MALFORMED", "an audit line has no number or no hash") from None
    # Written again they must be the same bytes: one form for each line.
    if line != b"%b%d%b" % (_NUMBER, count, comma) + body[len(_NUMBER) + len(number) + 1 :] + _HASH + (
        claimed.hex().encode() + _END
    ):
        raise RemoteError("MALFORMED", "not a line of an audit log")
    return count, body, Digest(claimed)


def follow(line: bytes, after: Mark) -> Mark:
    """The mark behind a line, which must be the next one; raises `RemoteError` MALFORMED or BAD_DIGEST."""
    number, body, claimed = split_line(line)
    require_next(number, body, claimed, after)
    return Mark(number, claimed)


def require_next(number: int, body: bytes, claimed: Digest, after: Mark) -> None:
    """The parts of a line are those of the line after a mark; raises `RemoteError` BAD_DIGEST."""
    if number != after.count + 1:
        raise RemoteError("BAD_DIGEST", f"line {number} follows line {after.count}")
    if chain_hash(after.head, body) != claimed:
        raise RemoteError("BAD_DIGEST", f"line {number} does not fit its hash and the line before it")


def encode_head(head: AuditHead) -> bytes:
    """The payload to be signed by the office."""
    return dumps(
        {
            0: VERSION,
            1: head.network,
            2: head.office,
            3: head.epoch,
            4: head.mark.count,
            5: head.mark.head,
            6: head.at_us,
        }
    )


def decode_head(payload: bytes) -> AuditHead:
    """The fields of a head's payload; raises `RemoteError`."""
    f = Fields(loads(payload, max_bytes=limits.RECORD_BYTES), "audit head")
    f.version(VERSION)
    head = AuditHead(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        office=OfficeId(f.fixed(2, limits.OFFICE_ID_BYTES)),
        epoch=Epoch(f.fixed(3, limits.EPOCH_BYTES)),
        mark=Mark(f.uint(4), Digest(f.fixed(5, limits.DIGEST_BYTES))),
        at_us=f.uint(6),
    )
    f.done()
    return head
