"""Vectors for prekey records: of an office without a second key, and of one whose second key the directory names."""

from collections.abc import Iterator
from typing import Any

from keys.mldsa import SecondKey
from keys.prekeys import PREKEY_VALID_US, make_prekey
from keys.primitives import SigningKey
from keys.signing import PREKEY, PRESENCE, sign_record
from protocol import cbor
from protocol.ids import NetworkId, OfficeId
from protocol.limits import RECORD_BYTES
from tests.vectors.records import OTHER_NETWORK, changed
from tests.vectors.seconds import second_signature
from tests.vectors.vector import Vector
from tests.world import (
    CITY,
    CITY_KEY,
    CITY_SECOND,
    DAY_US,
    HOUR_US,
    NETWORK,
    NOW_US,
    PREKEY_SEED,
    PROVINCE,
    PROVINCE_KEY,
    seed,
)

STRANGE: SecondKey = SecondKey.from_seed(seed("strange second key"))


def vectors() -> Iterator[Vector]:
    """One signature, then two."""
    yield from _once()
    yield from _twice()


def _vector(name: str, comment: str, data: bytes, expect: str, now_us: int = NOW_US) -> Vector:
    return Vector(f"prekey-{name}", comment, "prekey", expect, data, {"now": str(now_us)})


def _made(
    suite: int, key: SigningKey = PROVINCE_KEY, network: NetworkId = NETWORK, at_us: int = NOW_US - HOUR_US,
    office: OfficeId = PROVINCE,
) -> bytes:  # fmt: skip
    return make_prekey(key, network_id=network, office_id=office, suite=suite, seed=PREKEY_SEED, now_us=at_us).data


def _first(data: bytes) -> bytes:
    """The record without its second signature."""
    return bytes(cbor.loads(data, max_bytes=RECORD_BYTES)[0])


def _once() -> Iterator[Vector]:
    """Of the province, for which the directory names no second key."""
    payload = cbor.loads(_first(_made(2)), max_bytes=RECORD_BYTES)[2]

    def signed(**fields: Any) -> bytes:
        return cbor.dumps([sign_record(PROVINCE_KEY, PREKEY, changed(payload, **fields)), None])

    yield _vector("ok-suite-1", "X-Wing.", _made(1), "ok")
    yield _vector("ok-suite-2", "X25519.", _made(2), "ok")
    yield _vector("expired", "46 days later.", _made(2), "EXPIRED", NOW_US + 46 * DAY_US)
    yield _vector("not-yet", "From tomorrow on.", _made(2, at_us=NOW_US + DAY_US), "BAD_LIFE")
    yield _vector("too-long", "Valid 46 days.", signed(f6=NOW_US - HOUR_US + PREKEY_VALID_US + 1), "BAD_LIFE")
    yield _vector("suite-3", "A suite that the directory does not allow.", signed(f3=3), "BAD_SUITE")
    yield _vector("short-key", "31 bytes for X25519.", signed(f7=bytes(31)), "MALFORMED")
    yield _vector("other-key", "By the city's key.", _made(2, CITY_KEY), "UNKNOWN_KEY")
    yield _vector("other-network", "Another network's.", _made(2, network=OTHER_NETWORK), "WRONG_NETWORK")
    yield _vector("first-with-previous", "Epoch 1 that follows another.", signed(f8=bytes(32)), "MALFORMED")
    purpose = cbor.dumps([sign_record(PROVINCE_KEY, PRESENCE, payload), None])
    yield _vector("purpose-presence", "Signed as a presence.", purpose, "BAD_SIGNATURE")
    yield _vector("one-part", "The first signature, without a place for the second.", _first(_made(2)), "MALFORMED")


def _twice() -> Iterator[Vector]:
    """Of the city, for which the directory names a second key."""
    first = _first(_made(2, CITY_KEY, office=CITY))

    def seconded(name: str, over: bytes, key: SecondKey = CITY_SECOND, purpose: str = PREKEY) -> list[bytes]:
        """The second part of the vector of that name."""
        kept = second_signature(f"prekey-{name}", key, purpose, over, lambda parts: parts[1][1])
        return [key.public(), kept]

    good = seconded("ok-second", first)
    yield _vector("ok-second", "Signed twice.", cbor.dumps([first, good]), "ok")
    yield _vector("no-second", "Signed once where it should be twice.", cbor.dumps([first, None]), "BAD_SIGNATURE")
    flipped = [good[0], good[1][:-1] + bytes((good[1][-1] ^ 1,))]
    yield _vector("second-flipped", "A bit of the second signature differs.", cbor.dumps([first, flipped]),
                  "BAD_SIGNATURE")  # fmt: skip
    other = _first(_made(2, CITY_KEY, at_us=NOW_US - 2 * HOUR_US, office=CITY))
    moved = cbor.dumps([other, seconded("second-moved", first)])
    yield _vector("second-moved", "The second signature of another prekey.", moved, "BAD_SIGNATURE")
    strange = cbor.dumps([first, seconded("second-strange", first, STRANGE)])
    yield _vector("second-strange", "By a second key that the directory does not name.", strange, "UNKNOWN_KEY")
    presence = cbor.dumps([first, seconded("second-purpose", first, purpose=PRESENCE)])
    yield _vector("second-purpose", "Signed a second time as a presence.", presence, "BAD_SIGNATURE")
    province = _first(_made(2))
    unasked = cbor.dumps([province, seconded("second-unasked", province, STRANGE)])
    yield _vector("second-unasked", "A second signature where none is named.", unasked, "UNKNOWN_KEY")
    short = cbor.dumps([first, [good[0][:-1], good[1]]])
    yield _vector("second-short-key", "A second key of 1,951 bytes.", short, "MALFORMED")
