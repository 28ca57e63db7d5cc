"""Vectors for the audit log: lines of the chain, and signed heads."""

from collections.abc import Iterator

from keys.primitives import SigningKey
from keys.signing import AUDIT, PRESENCE, sign_record
from protocol.audit import START, AuditHead, Mark, encode_head, make_line
from protocol.ids import NetworkId
from relay.audit.entry import write_line
from relay.audit.notes import Note
from tests.vectors.records import changed
from tests.vectors.vector import Vector
from tests.world import CITY, COUNTY, COUNTY_KEY, EPOCH, NETWORK, NOW_US, PROVINCE_KEY, STRANGER, seed

NOTE = Note(NOW_US, "uid:1000/gid:100", "send", {"id": "019b76da-0000-7c3e-8f0a-5b6c7d8e9f01", "code": "OK", "to": 1})


def vectors() -> Iterator[Vector]:
    """What an inspector must be able to tell."""
    yield from _lines()
    yield from _heads()


def _lines() -> Iterator[Vector]:
    """Each follows the first line of a log."""
    first, mark = write_line(Note(NOW_US, "relay", "start", {"boot": 1}), START)
    good, _ = write_line(NOTE, mark)

    def vector(name: str, comment: str, data: bytes, expect: str) -> Vector:
        context = {"count": str(mark.count), "before": mark.head.hex()}
        return Vector(f"audit-line-{name}", comment, "audit-line", expect, data, context)

    yield vector("ok", "The second line of a log.", good, "ok")
    yield vector("other-caller", "Somebody else did it.", good.replace(b"uid:1000", b"uid:1001"), "BAD_DIGEST")
    yield vector("first-again", "The first line once more.", first, "BAD_DIGEST")
    third, _ = make_line(mark.head, good[: good.index(b',"hash"')].replace(b'{"n":2', b'{"n":3'))
    yield vector("skipped", "A number is missing, though the hash is right.", third, "BAD_DIGEST")
    yield vector("capital-hash", "The hash in capitals.", good[:-70] + good[-70:-3].upper() + good[-3:], "MALFORMED")
    yield vector("long-number", "A number with a zero before it.", good.replace(b'{"n":2', b'{"n":02'), "MALFORMED")
    yield vector("no-line-feed", "Its last byte is missing.", good[:-1], "MALFORMED")
    yield vector("two-lines", "Two lines in one.", good[:-1] + good, "BAD_DIGEST")


def _heads() -> Iterator[Vector]:
    """The county's head after 41 lines."""
    payload = encode_head(AuditHead(NETWORK, COUNTY, EPOCH, Mark(41, START.head), NOW_US))

    def vector(name: str, comment: str, data: bytes, expect: str) -> Vector:
        return Vector(f"audit-head-{name}", comment, "audit-head", expect, data)

    def signed(data: bytes, key: SigningKey = COUNTY_KEY, purpose: str = AUDIT) -> bytes:
        return sign_record(key, purpose, data)

    yield vector("ok", "The county's log has 41 lines.", signed(payload), "ok")
    yield vector("other-key", "By the province's key.", signed(payload, PROVINCE_KEY), "UNKNOWN_KEY")
    yield vector("purpose-presence", "Signed as presence.", signed(payload, purpose=PRESENCE), "BAD_SIGNATURE")
    yield vector("other-office", "The city's log.", signed(changed(payload, f2=CITY)), "UNKNOWN_OFFICE")
    yield vector("stranger", "The log of an office that nobody knows.", signed(changed(payload, f2=STRANGER)),
                 "UNKNOWN_OFFICE")  # fmt: skip
    elsewhere = changed(payload, f1=NetworkId(seed("another network")[:16]))
    yield vector("other-network", "A log of another network.", signed(elsewhere), "WRONG_NETWORK")
    yield vector("short-hash", "A hash of 31 bytes.", signed(changed(payload, f5=bytes(31))), "MALFORMED")
    yield vector("unknown-field", "A field more.", signed(changed(payload, f7=0)), "MALFORMED")
    yield vector("version-2", "Version 2.", signed(changed(payload, f0=2)), "BAD_VERSION")
