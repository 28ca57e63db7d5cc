"""Vectors for suite 3, in the network of tests/sm_world.py: SM2 signatures, keys, prekeys, copies sealed to them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from keys.prekeys import make_prekey
from keys.seal import seal_copy
from keys.signer import Signer
from keys.signing import APPROVAL, CONTENT, COPY, FRAME, PREKEY, PRESENCE, RECEIPT, sign_record
from keys.sm2_curve import N, P
from keys.sm2_forms import signature_to_der
from protocol import cbor
from protocol.content import encode_bundle, encode_content
from protocol.copy import encode_copy, encode_header, outer_payload, split_copy
from protocol.frame import encode_frame, encode_frame_payload, encode_items
from protocol.padding import pack
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from tests.sm2 import FixedSm2Key
from tests.sm_world import (
    CITY_KEY,
    COUNTY_KEY,
    HEADER,
    PREKEY_ID,
    PREKEY_PUBLIC,
    PROVINCE_KEY,
    SM_DIRECTORY,
)
from tests.vectors.vector import Vector
from tests.world import COUNTY_KEY as ED_COUNTY_KEY
from tests.world import (
    NETWORK,
    NOW_US,
    PREKEY_SEED,
    PROVINCE,
    make_bundle,
    make_content,
    make_frame,
    make_presence,
    make_receipt,
    seed,
)
from tests.world import (
    PROVINCE_KEY as ED_PROVINCE_KEY,
)

ENTROPY = seed("content key") + seed("nonce")[:12]
STANDARD_ID = b"1234567812345678"
SUITE_3 = {"suites": "3", "now": str(NOW_US)}


def vectors() -> Iterator[Vector]:
    """From keys to copies."""
    yield from _signatures()
    yield from _records()
    yield from _rosters()
    yield from _prekeys()
    yield from _copies()
    yield from _opened()


def _vector(layer: str, name: str, comment: str, expect: str, data: bytes, **context: str) -> Vector:
    return Vector(f"{layer}-sm2-{name}", comment, layer, expect, data, SUITE_3 | context)


def _signatures() -> Iterator[Vector]:
    """Faults of the signature, shown on a receipt."""
    payload = encode_receipt(make_receipt())
    good = sign_record(PROVINCE_KEY, RECEIPT, payload)
    protected, _, _, signature = cbor.loads(good, max_bytes=2_000)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")

    def vector(name: str, comment: str, expect: str, **parts: Any) -> Vector:
        record = [parts.get("protected", protected), {}, payload, parts.get("signature", signature)]
        return _vector("receipt", name, comment, expect, cbor.dumps(record))

    def halves(one: int, other: int) -> bytes:
        return one.to_bytes(32, "big") + other.to_bytes(32, "big")

    def header(algorithm: int, key: Signer) -> bytes:
        return cbor.dumps({1: algorithm, 4: key.key_id()})

    other_id = FixedSm2Key(seed("province"), STANDARD_ID)
    yield vector("ok", "Signed by SM2.", "ok")
    yield vector("default-id", "Under the default identifier 1234567812345678.", "BAD_SIGNATURE",
                 signature=cbor.loads(sign_record(other_id, RECEIPT, payload), max_bytes=2_000)[3])  # fmt: skip
    yield vector("flipped", "The last bit of s differs.", "BAD_SIGNATURE", signature=halves(r, s ^ 1))
    yield vector("r-0", "r is 0.", "BAD_SIGNATURE", signature=halves(0, s))
    yield vector("s-0", "s is 0.", "BAD_SIGNATURE", signature=halves(r, 0))
    yield vector("r-n", "r is the order of the group.", "BAD_SIGNATURE", signature=halves(N, s))
    yield vector("s-n", "s is the order of the group.", "BAD_SIGNATURE", signature=halves(r, N))
    yield vector("r-plus-s", "r + s is the order of the group.", "BAD_SIGNATURE", signature=halves(r, N - r))
    yield vector("minus-s", "n - s, which is a second signature in ECDSA.", "BAD_SIGNATURE", signature=halves(r, N - s))
    yield vector("der", "The signature in DER.", "BAD_SIGNATURE", signature=signature_to_der(signature))
    yield vector("short", "A signature of 63 bytes.", "BAD_SIGNATURE", signature=signature[:63])
    yield vector("alg-ed25519", "The algorithm of Ed25519 under the id of an SM2 key.", "BAD_SIGNATURE",
                 protected=header(-19, PROVINCE_KEY))  # fmt: skip
    yield vector("alg-unknown", "Algorithm -70009.", "MALFORMED", protected=header(-70009, PROVINCE_KEY))
    yield _vector("receipt", "ed25519-key", "By the office's Ed25519 key of another directory.", "UNKNOWN_KEY",
                  sign_record(ED_PROVINCE_KEY, RECEIPT, payload))  # fmt: skip
    yield Vector("receipt-ed25519-alg-sm2", "The algorithm of SM2 under the id of an Ed25519 key.", "receipt",
                 "BAD_SIGNATURE",
                 cbor.dumps([header(-70010, ED_PROVINCE_KEY), {}, payload, bytes(63) + b"\1"]))  # fmt: skip


def _records() -> Iterator[Vector]:
    items = encode_items(())
    frame = sign_record(CITY_KEY, FRAME, encode_frame_payload(make_frame(items)))
    topic = "relay/1/320000-GO/flash/320900-GO"
    yield _vector("frame", "ok", "A frame signed by SM2.", "ok", encode_frame(frame, items), topic=topic)
    presence = sign_record(CITY_KEY, PRESENCE, encode_presence(make_presence()))
    place = "relay/1/presence/320900-GO/fast"
    yield _vector("presence", "ok", "Presence signed by SM2.", "ok", presence, topic=place)
    content = encode_content(make_content())
    for name, comment, expect, key, purpose in (
        ("ok", "The report, signed by SM2.", "ok", COUNTY_KEY, CONTENT),
        ("purpose-approval", "Signed for another purpose.", "BAD_SIGNATURE", COUNTY_KEY, APPROVAL),
        ("city-key", "In the county's name, by the city's key.", "UNKNOWN_KEY", CITY_KEY, CONTENT),
    ):
        yield _vector("content", name, comment, expect, encode_bundle(make_bundle(sign_record(key, purpose, content))))


def _rosters() -> Iterator[Vector]:
    """The roster of the SM network with another key for its first office."""
    good = SM_DIRECTORY.encode()
    x, y = COUNTY_KEY.public()[1:33], COUNTY_KEY.public()[33:]

    def with_key(public: bytes, suite: int = 3) -> bytes:
        value = cbor.loads(good, max_bytes=len(good))
        value[5][0][7][0] |= {0: suite, 1: public}
        return cbor.dumps(value)

    yield _vector("roster", "ok", "Offices with SM2 keys.", "ok", good)
    for name, comment, public in (
        ("off-curve", "A key whose y is not that of its x.", b"\x04" + x + y[:-1] + bytes((y[-1] ^ 1,))),
        ("infinity", "The point at infinity, as one zero byte.", b"\0"),
        ("origin", "The point (0, 0), which some take for infinity.", b"\x04" + bytes(64)),
        ("compressed", "A key in its compressed form.", bytes((2 + (y[-1] & 1),)) + x),
        ("hybrid", "A key in its hybrid form.", bytes((6 + (y[-1] & 1),)) + x + y),
        ("raw", "A key without the byte 04.", x + y),
        ("x-p", "A coordinate that is not below p.", b"\x04" + P.to_bytes(32, "big") + y),
    ):
        yield _vector("roster", name, comment, "MALFORMED", with_key(public))
    yield _vector("roster", "as-ed25519", "A point under the number of Ed25519.", "MALFORMED",
                  with_key(COUNTY_KEY.public(), 0))  # fmt: skip


def _prekeys() -> Iterator[Vector]:
    def made(key: Signer = PROVINCE_KEY, suite: int = 3) -> bytes:
        record = make_prekey(
            key, network_id=NETWORK, office_id=PROVINCE, suite=suite, seed=PREKEY_SEED, now_us=NOW_US - 1_000_000
        )
        return record.data

    first = cbor.loads(made(), max_bytes=10_000)[0]
    payload = cbor.loads(cbor.loads(first, max_bytes=10_000)[2], max_bytes=10_000)

    def with_public(public: bytes) -> bytes:
        fields = cbor.dumps(payload | {7: public})
        return cbor.dumps([sign_record(PROVINCE_KEY, PREKEY, fields), None])

    point = payload[7]
    off_curve = point[:-1] + bytes((point[-1] ^ 1,))
    yield _vector("prekey", "ok", "SM2.", "ok", made())
    yield _vector("prekey", "suite-1", "X-Wing where suite 3 is all that is allowed.", "BAD_SUITE", made(suite=1))
    yield _vector("prekey", "off-curve", "A point that is not on the curve.", "MALFORMED", with_public(off_curve))
    yield _vector("prekey", "short", "A key of 64 bytes.", "MALFORMED", with_public(point[1:]))
    yield Vector("prekey-suite-3-by-ed25519", "Suite 3, signed by an Ed25519 key.", "prekey", "BAD_SUITE",
                 made(ED_PROVINCE_KEY), {"now": str(NOW_US)})  # fmt: skip


def _sealed() -> bytes:
    """The report, sealed for the province."""
    packed = pack(encode_bundle(make_bundle(sign_record(COUNTY_KEY, CONTENT, encode_content(make_content())))))
    return seal_copy(COUNTY_KEY, HEADER, packed, PREKEY_PUBLIC, ENTROPY)


def _copies() -> Iterator[Vector]:
    good = _sealed()
    _, ciphertext = split_copy(good)

    def signed(key: Signer = COUNTY_KEY, **changes: Any) -> bytes:
        payload = outer_payload(encode_header(replace(HEADER, **changes)), ciphertext)
        return encode_copy(sign_record(key, COPY, payload), ciphertext)

    yield _vector("copy", "ok", "SM2 and SM4-GCM.", "ok", good)
    yield _vector("copy", "suite-1", "Suite 1, signed by SM2.", "BAD_SUITE", signed(suite=1))
    yield _vector("copy", "ed25519", "Signed by Ed25519.", "UNKNOWN_KEY", signed(ED_COUNTY_KEY))
    yield _vector("copy", "city", "Signed by the city in the county's name.", "UNKNOWN_KEY", signed(CITY_KEY))
    outer = cbor.loads(split_copy(good)[0], max_bytes=2_000)
    outer[2] = outer_payload(encode_header(replace(HEADER, number=2)), ciphertext)
    yield _vector("copy", "changed-number", "The number was changed on the way.", "BAD_SIGNATURE",
                  encode_copy(cbor.dumps(outer), ciphertext))  # fmt: skip


def _opened() -> Iterator[Vector]:
    good = _sealed()
    _, ciphertext = split_copy(good)
    protected, unprotected, body, [[wrap_protected, wrap, wrapped]] = cbor.loads(ciphertext, max_bytes=60_000)
    encapsulated = wrap[-4]

    def surgery(name: str, comment: str, expect: str, **parts: Any) -> Vector:
        """The good ciphertext with other parts, signed again by the county."""
        header_bytes = encode_header(parts.get("header", HEADER))
        recipient = [parts.get("wrap_protected", wrap_protected), {-4: parts.get("encapsulated", encapsulated)},
                     parts.get("wrapped", wrapped)]  # fmt: skip
        made = cbor.dumps([parts.get("protected", protected), unprotected, parts.get("body", body), [recipient]])
        outer = sign_record(COUNTY_KEY, COPY, outer_payload(header_bytes, made))
        return _vector("open", name, comment, expect, encode_copy(outer, made))

    def flipped(data: bytes, at: int = -1) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    yield _vector("open", "ok", "SM2 and SM4-GCM.", "ok", good)
    yield surgery("moved-number", "The same ciphertext under another number.", "NOT_OPENED",
                  header=replace(HEADER, number=2))  # fmt: skip
    yield surgery("flipped-body", "One bit of the body.", "NOT_OPENED", body=flipped(body))
    yield surgery("flipped-wrap", "One bit of the wrapped key.", "NOT_OPENED", wrapped=flipped(wrapped))
    yield surgery("flipped-c2", "One bit of the encrypted secret.", "NOT_OPENED", encapsulated=flipped(encapsulated))
    yield surgery("flipped-c3", "One bit of its hash.", "NOT_OPENED", encapsulated=flipped(encapsulated, 70))
    yield surgery("off-curve", "C1 is not on the curve.", "NOT_OPENED", encapsulated=flipped(encapsulated, 64))
    yield surgery("origin", "C1 is (0, 0).", "NOT_OPENED", encapsulated=b"\4" + bytes(64) + encapsulated[65:])
    yield surgery("short", "The encapsulated secret lacks its last byte.", "MALFORMED", encapsulated=encapsulated[:-1])
    yield surgery("long-wrap", "A wrapped key of 32 bytes.", "MALFORMED", wrapped=wrapped + bytes(16))
    yield surgery("aes-body", "Algorithm 3 (AES-256-GCM) for the body.", "MALFORMED", protected=cbor.dumps({1: 3}))
    yield surgery("hpke-wrap", "The recipient algorithm of suite 2.", "MALFORMED",
                  wrap_protected=cbor.dumps({1: 50, 4: PREKEY_ID}))  # fmt: skip
