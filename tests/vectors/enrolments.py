"""Vectors for enrolment requests: one that is right, and others with one fault each."""

from collections.abc import Iterator
from typing import Any

from keys import tls
from keys.enrol.enrolment import REQUEST_BYTES
from keys.primitives import SigningKey, sha256
from keys.signing import PREKEY, RENEWAL, REQUEST, sign_record
from protocol import cbor
from tests.enrolling import ADDRESS, IDENTITY, NONCE, OTHER_TLS_KEY, SECOND, TLS_KEY, request
from tests.vectors.records import IDENTITY_POINT, changed, without
from tests.vectors.seconds import second_signature
from tests.vectors.vector import Vector
from tests.world import COUNTY_KEY, DAY_US, NOW_US, STRANGER_KEY, seed


def vectors() -> Iterator[Vector]:
    """What an administrator must be able to tell."""
    good = cbor.loads(request().data, max_bytes=REQUEST_BYTES)[0]
    payload = cbor.loads(good, max_bytes=REQUEST_BYTES)[2]

    def vector(name: str, comment: str, data: bytes, expect: str) -> Vector:
        return Vector(f"request-{name}", comment, "request", expect, data)

    def signed(
        name: str, body: bytes, key: SigningKey = IDENTITY, *, purpose: str = REQUEST, voucher: bytes | None = None
    ) -> bytes:
        return cbor.dumps([sign_record(key, purpose, body), _second(f"request-{name}", body), voucher])

    def changing(name: str, comment: str, expect: str, **fields: Any) -> Vector:
        return vector(name, comment, signed(name, changed(payload, **fields)), expect)

    right = signed("ok", payload)
    yield vector("ok", "Jianhu county asks to be taken in.", right, "ok")
    yield vector("truncated", "Its last byte is missing.", right[:-1], "MALFORMED")
    yield vector("trailing", "A byte too many.", right + b"\0", "MALFORMED")
    parts = cbor.loads(right, max_bytes=REQUEST_BYTES)
    yield vector("two-parts", "Without a place for a voucher.", cbor.dumps(parts[:2]), "MALFORMED")
    yield vector("edited", "The class was changed afterwards.", _edited(parts, payload), "BAD_SIGNATURE")
    yield vector("second-flipped", "A bit of the second signature differs.", _flipped(parts), "BAD_SIGNATURE")
    yield vector("no-second", "The second signature is empty.", cbor.dumps([parts[0], b"", None]), "MALFORMED")
    yield vector("purpose", "Signed as a prekey.", signed("purpose", payload, purpose=PREKEY), "BAD_SIGNATURE")
    yield vector("other-key", "Signed by a stranger.", signed("other-key", payload, STRANGER_KEY), "BAD_SIGNATURE")
    yield changing("version-2", "Version 2.", "BAD_VERSION", f0=2)
    yield changing("kind-2", "Neither enrols nor renews.", "MALFORMED", f1=2)
    yield changing("unknown-field", "A field more.", "MALFORMED", f18=0)
    yield vector("no-nonce", "Without its nonce.", signed("no-nonce", without(payload, 15)), "MALFORMED")
    yield changing("short-root", "A fingerprint of 31 bytes.", "MALFORMED", f3=seed("root")[:31])
    yield changing("address", "An address in small letters.", "MALFORMED", f5="320925-go")
    yield changing("name", "A name with a line break.", "MALFORMED", f6="建湖\n县")
    yield changing("class-10", "A class that does not exist.", "MALFORMED", f7=10)
    yield changing("broker-twice", "A broker twice.", "MALFORMED", f10=["yancheng", "yancheng"])
    yield changing("suite-9", "An identity key of an unknown suite.", "BAD_SUITE", f11=9)
    yield changing("identity-point", "The identity point as its key.", "WEAK_KEY", f12=IDENTITY_POINT)
    yield changing("not-canonical", "Its key has y ≥ p.", "WEAK_KEY", f12=bytes((255,)) * 32)
    yield changing("created-ahead", "Made a year ahead of us.", "NOT_YET", f16=NOW_US + 365 * DAY_US,
                   f17=NOW_US + 370 * DAY_US)  # fmt: skip
    yield changing("expired", "Past its validity.", "EXPIRED", f16=NOW_US - 30 * DAY_US, f17=NOW_US)
    yield changing("year", "Valid for a year.", "BAD_LIFE", f17=NOW_US + 365 * DAY_US)
    yield changing("ends-first", "It ends before it begins.", "BAD_LIFE", f17=NOW_US)
    yield changing("no-certificate", "No certificate request.", "BAD_SIGNATURE", f14=b"")
    nonce, address = seed("another")[:16], "320926-GO"
    yield changing("certificate-nonce", "A certificate request copied out of another request.", "MALFORMED",
                   f14=tls.make_request(TLS_KEY, ADDRESS, nonce))  # fmt: skip
    yield changing("certificate-address", "A certificate request for another office.", "MALFORMED",
                   f14=tls.make_request(TLS_KEY, address, NONCE))  # fmt: skip
    yield changing("certificate-edited", "A certificate request for a key that its maker does not hold.",
                   "BAD_SIGNATURE", f14=_grafted())  # fmt: skip
    yield changing("renew-unvouched", "A renewal that no key in force vouches for.", "MALFORMED", f1=1)
    voucher = sign_record(COUNTY_KEY, RENEWAL, sha256(payload))
    yield vector("vouched", "A new office with a voucher.", signed("vouched", payload, voucher=voucher), "MALFORMED")
    renewal = changed(payload, f1=1)
    voucher = sign_record(COUNTY_KEY, RENEWAL, sha256(renewal))
    yield vector("ok-renew", "Its keys are renewed.", signed("ok-renew", renewal, voucher=voucher), "ok")


def _second(name: str, payload: bytes) -> bytes:
    return second_signature(name, SECOND, REQUEST, payload, lambda parts: parts[1])


def _edited(parts: list[Any], payload: bytes) -> bytes:
    record = cbor.loads(parts[0], max_bytes=REQUEST_BYTES)
    record[2] = changed(payload, f7=0)
    return cbor.dumps([cbor.dumps(record), *parts[1:]])


def _flipped(parts: list[Any]) -> bytes:
    second = parts[1][:-1] + bytes((parts[1][-1] ^ 1,))
    return cbor.dumps([parts[0], second, parts[2]])


def _grafted() -> bytes:
    """A certificate request in which another public key was put, of the same length."""
    ours, theirs = (tls.make_request(key, ADDRESS, NONCE) for key in (TLS_KEY, OTHER_TLS_KEY))
    return ours.replace(tls.read_request(ours).public, tls.read_request(theirs).public)
