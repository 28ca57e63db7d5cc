"""Vectors for the envelope: contents, copies as relays see them, copies as the recipient opens them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from keys.primitives import PrekeyPublic, SigningKey, prekey_public
from keys.seal import open_ciphertext, seal_copy
from keys.signing import CONTENT, COPY, RECEIPT, sign_record
from protocol import cbor, limits
from protocol.content import Content, content_digest, encode_bundle, encode_content
from protocol.copy import CopyHeader, encode_copy, encode_header, outer_payload, split_copy
from protocol.errors import RemoteError
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.lanes import Lane
from protocol.padding import pack
from protocol.receipt import encode_receipt
from tests.vectors.records import IDENTITY_POINT, OTHER_NETWORK, changed
from tests.vectors.vector import FOLDER, Vector, read_vector
from tests.world import (
    CITY,
    CITY_ADDRESS,
    CITY_KEY,
    COUNTY_KEY,
    DAY_US,
    LOST_KEY,
    NOW_US,
    OLD_KEY,
    PREKEY_IDS,
    PREKEY_PUBLICS,
    PREKEYS,
    PROVINCE,
    REVOKED,
    REVOKED_KEY,
    STRANGER,
    make_bundle,
    make_content,
    make_header,
    make_receipt,
    seed,
)

ENTROPY = seed("content key") + seed("nonce")[:12]


def vectors() -> Iterator[Vector]:
    """From the inside out."""
    yield from _contents()
    yield from _copies()
    yield from _opened()


def content_record(content: Content, key: SigningKey = COUNTY_KEY) -> bytes:
    """The signed record of a content."""
    return sign_record(key, CONTENT, encode_content(content))


def packed_message(content: Content, key: SigningKey = COUNTY_KEY, **changes: Any) -> bytes:
    """What is sealed: the packed bundle."""
    return pack(encode_bundle(make_bundle(content_record(content, key), **changes)))


def sealed_for(name: str, header: CopyHeader, packed: bytes) -> bytes:
    """The copy that the vector of this name holds, if it still opens to the same; else a new one."""
    path = FOLDER / f"{name}.txt"
    if path.exists():
        try:
            _, ciphertext = split_copy(read_vector(path).data)
            header_bytes = encode_header(header)
            if open_ciphertext(ciphertext, header, header_bytes, PREKEYS[header.suite]) == packed:
                return encode_copy(sign_record(COUNTY_KEY, COPY, outer_payload(header_bytes, ciphertext)), ciphertext)
        except RemoteError as error:
            print(f"{name}: sealed anew ({error})")
    return seal_copy(COUNTY_KEY, header, packed, PREKEY_PUBLICS[header.suite], ENTROPY)


@cache
def good_copy(suite: int) -> bytes:
    """The report, sealed for the province."""
    header = make_header(suite=suite, prekey_id=PREKEY_IDS[suite])
    return sealed_for(f"open-ok-suite-{suite}", header, packed_message(make_content()))


def _contents() -> Iterator[Vector]:
    def vector(
        name: str, comment: str, expect: str, content: Content | bytes, key: SigningKey = COUNTY_KEY, **changes: Any
    ) -> Vector:
        payload = content if isinstance(content, bytes) else encode_content(content)
        bundle = make_bundle(sign_record(key, changes.pop("purpose", CONTENT), payload), **changes)
        return Vector(f"content-{name}", comment, "content", expect, encode_bundle(bundle))

    good = make_content()
    payload = encode_content(good)
    yield vector("ok", "The earthquake report with its attachment.", "ok", good)
    inner = make_bundle(content_record(good))
    forward = replace(good, original_digest=content_digest(inner.record), kind="report", title="转报")
    yield vector("ok-forward", "The report, forwarded inside another.", "ok", forward, original=encode_bundle(inner))
    yield vector("other-original", "The original is another than the one signed.", "BAD_DIGEST", forward,
                 original=encode_bundle(make_bundle(content_record(replace(good, drill=True)))))  # fmt: skip
    yield vector("no-original", "The original is missing.", "BAD_DIGEST", forward)
    yield vector("other-body", "One character of the body differs.", "BAD_DIGEST", good, body="无伤亡")
    yield vector(
        "other-file", "Other bytes in the attachment.", "BAD_DIGEST", good, files=(b"intensity map, in shorT\n",)
    )
    yield vector("missing-file", "The attachment is missing.", "BAD_DIGEST", good, files=())
    yield vector("body-escape", "An escape character in the body.", "MALFORMED", good, body="\x1b[2J")
    yield vector("two-line-title", "A title of two lines.", "MALFORMED", replace(good, title="one\ntwo"))
    yield vector("no-title", "An empty title.", "MALFORMED", replace(good, title=""))
    yield vector("long-title", "A title of 101 characters.", "TOO_LARGE", replace(good, title="长" * 101))
    yield vector("unknown-kind", "A kind that does not exist.", "MALFORMED", replace(good, kind="rumour"))
    yield vector(
        "classified", "A classification that never travels.", "MALFORMED", replace(good, classification="秘密")
    )
    yield vector("bad-address", "A recipient that is no address.", "MALFORMED", changed(payload, f12=["all"]))
    yield vector("missing-field", "No field 26.", "MALFORMED", _without(payload, 26))
    yield vector("lives-46-days", "Life of 45 days and a microsecond.", "BAD_LIFE",
                 replace(good, expires_us=good.created_us + limits.MAX_LIFE_US + 1))  # fmt: skip
    yield vector("old-key", "By last year's key, dated today.", "KEY_NOT_VALID", good, OLD_KEY)
    yield vector("lost-key", "By a key revoked before.", "KEY_NOT_VALID", good, LOST_KEY)
    yield vector("other-office", "In the county's name, by the city's key.", "UNKNOWN_KEY", good, CITY_KEY)
    yield vector("purpose-copy", "Signed for the purpose of copies.", "BAD_SIGNATURE", good, purpose=COPY)
    yield vector("other-network", "Another network's.", "WRONG_NETWORK", replace(good, network=OTHER_NETWORK))


def _without(payload: bytes, number: int) -> bytes:
    value = cbor.loads(payload, max_bytes=len(payload))
    del value[number]
    return cbor.dumps(value)


def _copies() -> Iterator[Vector]:
    """The ciphertext is the good one's throughout: a relay cannot look inside, and judges the outside only."""

    def vector(name: str, comment: str, expect: str, data: bytes, now_us: int = NOW_US, **context: str) -> Vector:
        return Vector(f"copy-{name}", comment, "copy", expect, data, {"now": str(now_us), **context})

    _, ciphertext = split_copy(good_copy(1))
    header = make_header()
    header_bytes = encode_header(header)

    def signed(header_bytes: bytes, key: SigningKey = COUNTY_KEY, purpose: str = COPY) -> bytes:
        return encode_copy(sign_record(key, purpose, outer_payload(header_bytes, ciphertext)), ciphertext)

    def with_header(key: SigningKey = COUNTY_KEY, **changes: Any) -> bytes:
        return signed(encode_header(replace(header, **changes)), key)

    yield vector("ok-suite-1", "X-Wing.", "ok", good_copy(1))
    yield vector("ok-suite-2", "X25519.", "ok", good_copy(2))
    yield vector("suite-not-ours", "This relay speaks suite 2 only.", "BAD_SUITE", good_copy(1), suites="2")
    yield vector("suite-3", "The directory does not allow suite 3.", "BAD_SUITE", with_header(suite=3))
    yield vector("expired", "A microsecond after its life.", "EXPIRED", good_copy(1), header.expires_us)
    yield vector("not-yet", "Created more than five minutes ahead.", "NOT_YET", good_copy(1),
                 NOW_US - limits.CLOCK_AHEAD_US - 1)  # fmt: skip
    yield vector("changed-number", "The number was changed on the way.", "BAD_SIGNATURE", _moved(header, number=2))
    yield vector("changed-ciphertext", "One bit of the ciphertext.", "BAD_DIGEST",
                 good_copy(1)[:-1] + bytes((good_copy(1)[-1] ^ 1,)))  # fmt: skip
    yield vector(
        "relay-signed", "Signed by the city in the county's name.", "UNKNOWN_KEY", signed(header_bytes, CITY_KEY)
    )
    yield vector("old-key", "By last year's key.", "KEY_NOT_VALID", signed(header_bytes, OLD_KEY))
    yield vector("lost-key", "By a key revoked before.", "KEY_NOT_VALID", signed(header_bytes, LOST_KEY))
    yield vector("revoked-office", "By a revoked office.", "KEY_NOT_VALID", with_header(REVOKED_KEY, sender=REVOKED))
    yield vector(
        "unknown-sender", "By an office that is not in the directory.", "UNKNOWN_OFFICE", with_header(sender=STRANGER)
    )
    yield vector(
        "unknown-recipient", "To an office that is not there.", "UNKNOWN_OFFICE", with_header(recipient=STRANGER)
    )
    yield vector("purpose-content", "Signed as a content.", "BAD_SIGNATURE", signed(header_bytes, purpose=CONTENT))
    yield vector("other-network", "Another network's.", "WRONG_NETWORK", with_header(network=OTHER_NETWORK))
    yield vector(
        "flash-without-incident", "Flash with the ordinary entitlement.", "NOT_ENTITLED", with_header(entitlement=0)
    )
    yield vector("number-0", "A message without a number.", "MALFORMED", with_header(number=0))
    yield vector("receipt-with-number", "A sealed receipt with a number.", "MALFORMED",
                 with_header(entitlement=2, expires_us=NOW_US + 48 * DAY_US))  # fmt: skip
    yield vector("expires-first", "Expires before it was created.", "BAD_LIFE", with_header(expires_us=NOW_US))
    yield vector("lives-46-days", "45 days and a microsecond.", "BAD_LIFE",
                 with_header(expires_us=NOW_US + limits.MAX_LIFE_US + 1))  # fmt: skip
    yield vector("lane-9", "A lane that does not exist.", "MALFORMED", signed(changed(header_bytes, f6=9)))
    yield vector("version-2", "Another version.", "BAD_VERSION", signed(changed(header_bytes, f0=2)))
    yield vector("unknown-field", "A field 14 in the header.", "MALFORMED", signed(changed(header_bytes, f14=0)))
    yield vector("short-epoch", "An epoch of seven bytes.", "MALFORMED", signed(changed(header_bytes, f12=bytes(7))))


def _moved(header: CopyHeader, **changes: Any) -> bytes:
    """The good copy under another header, with the old signature."""
    outer, ciphertext = split_copy(good_copy(1))
    parts = cbor.loads(outer, max_bytes=2_000)
    parts[2] = outer_payload(encode_header(replace(header, **changes)), ciphertext)
    return encode_copy(cbor.dumps(parts), ciphertext)


def surgery(name: str, comment: str, expect: str, suite: int = 1, **parts: Any) -> Vector:
    """The good ciphertext with other parts, signed again by the county."""
    header_bytes = encode_header(parts.pop("header", make_header(suite=suite, prekey_id=PREKEY_IDS[suite])))
    _, ciphertext = split_copy(good_copy(suite))
    protected, unprotected, body, [[wrap_protected, wrap_unprotected, wrapped]] = cbor.loads(
        ciphertext, max_bytes=60_000
    )
    recipient = [
        parts.pop("wrap_protected", wrap_protected),
        parts.pop("wrap_unprotected", wrap_unprotected),
        parts.pop("wrapped", wrapped),
    ]
    body = parts.pop("body", body)
    protected = parts.pop("protected", protected)
    unprotected = parts.pop("unprotected", unprotected)
    recipients = [recipient] * parts.pop("count", 1)
    ciphertext = cbor.dumps([protected, unprotected, body, recipients])
    outer = sign_record(COUNTY_KEY, COPY, outer_payload(header_bytes, ciphertext))
    context = {"now": str(NOW_US)}
    return Vector(f"open-{name}", comment, "open", expect, encode_copy(outer, ciphertext), context)


def _opened() -> Iterator[Vector]:
    def vector(name: str, comment: str, expect: str, data: bytes) -> Vector:
        return Vector(f"open-{name}", comment, "open", expect, data, {"now": str(NOW_US)})

    def sealed(name: str, comment: str, expect: str, content: Content, header: CopyHeader | None = None) -> Vector:
        header = header or make_header(content)
        return vector(name, comment, expect, sealed_for(f"open-{name}", header, packed_message(content)))

    good = make_content()
    header = make_header()
    _, ciphertext = split_copy(good_copy(1))
    _, _, body, [[_, wrap, wrapped]] = cbor.loads(ciphertext, max_bytes=60_000)
    yield vector("ok-suite-1", "X-Wing.", "ok", good_copy(1))
    yield vector("ok-suite-2", "X25519.", "ok", good_copy(2))
    yield _sealed_receipt("open-ok-receipt", "A sealed receipt from the county.", "ok", COUNTY_KEY)
    yield _sealed_receipt(
        "open-receipt-of-another", "A receipt by the city in the county's copy.", "WRONG_RECIPIENT", CITY_KEY
    )
    yield surgery(
        "moved-number", "The same ciphertext under another number.", "NOT_OPENED", header=replace(header, number=2)
    )
    yield surgery("moved-expiry", "The same ciphertext with a longer life.", "NOT_OPENED",
                  header=replace(header, expires_us=NOW_US + 4 * DAY_US))  # fmt: skip
    yield surgery("moved-recipient", "Sealed for the province, sent to the city.", "WRONG_RECIPIENT",
                  header=replace(header, recipient=CITY))  # fmt: skip
    yield surgery("flipped-body", "One bit of the body.", "NOT_OPENED", body=body[:-1] + bytes((body[-1] ^ 1,)))
    yield surgery(
        "flipped-wrap", "One bit of the wrapped key.", "NOT_OPENED", wrapped=wrapped[:-1] + bytes((wrapped[-1] ^ 1,))
    )
    yield surgery("short-wrap", "A wrapped key of 16 bytes.", "MALFORMED", wrapped=wrapped[16:])
    yield surgery("two-recipients", "Two recipient entries.", "MALFORMED", count=2)
    yield surgery("wrap-of-suite-2", "The recipient algorithm of suite 2 under suite 1.", "MALFORMED",
                  wrap_protected=cbor.dumps({1: 50, 4: PREKEY_IDS[1]}))  # fmt: skip
    yield surgery("other-prekey-id", "Another prekey id than the header's.", "MALFORMED",
                  wrap_protected=cbor.dumps({1: -70001, 4: PREKEY_IDS[2]}))  # fmt: skip
    yield surgery("short-encapsulation", "31 bytes for X25519.", "MALFORMED", 2, wrap_unprotected={-4: bytes(31)})
    yield surgery(
        "zero-point", "The encapsulated key is the point 0.", "NOT_OPENED", 2, wrap_unprotected={-4: bytes(32)}
    )
    yield surgery(
        "order-1-point", "The encapsulated key is of order 1.", "NOT_OPENED", 2, wrap_unprotected={-4: IDENTITY_POINT}
    )
    yield surgery("aes-128", "Algorithm 1 (AES-128-GCM) for the body.", "MALFORMED", protected=cbor.dumps({1: 1}))
    yield surgery("short-nonce", "A nonce of 11 bytes.", "MALFORMED", unprotected={5: bytes(11)})
    yield surgery("extra-header", "One more unprotected field.", "MALFORMED", wrap_unprotected=wrap | {4: b"x"})
    yield _foreign_prekey()
    yield sealed(
        "not-addressed", "The content names the city only.", "WRONG_RECIPIENT", replace(good, to=(CITY_ADDRESS,), cc=())
    )
    yield sealed("other-id", "Header and content have different ids.", "BAD_DIGEST", good, make_header(id=bytes(16)))
    yield sealed("other-lane", "A flash report on the urgent lane.", "BAD_DIGEST", good, make_header(lane=Lane.URGENT))
    yield sealed(
        "other-deadline",
        "The header's deadline is not the rounded one.",
        "BAD_DIGEST",
        good,
        make_header(deadline_us=None),
    )
    ordinary = replace(good, kind="report", event_level=None)
    yield sealed("flash-report", "An ordinary report that says it is flash.", "NOT_ENTITLED", ordinary,
                 make_header(good))  # fmt: skip
    urgent_bulk = replace(good, urgency="urgent", bulk=True)
    yield sealed("urgent-bulk", "Bulk that says it is urgent.", "NOT_ENTITLED", urgent_bulk, make_header(good))


def _sealed_receipt(name: str, comment: str, expect: str, key: SigningKey) -> Vector:
    by = CITY if key is CITY_KEY else make_header().sender
    receipt = make_receipt(type="opened", by=by, recipient=by, to=PROVINCE)
    header = make_header(entitlement=RECEIPT_CLASS, number=0, expires_us=NOW_US + 48 * DAY_US, deadline_us=None)
    packed = pack(sign_record(key, RECEIPT, encode_receipt(receipt)))
    return Vector(name, comment, "open", expect, sealed_for(name, header, packed), {"now": str(NOW_US)})


def _foreign_prekey() -> Vector:
    """Sealed to a prekey that is not the province's, under the id of the one that is."""
    path = FOLDER / "open-foreign-prekey.txt"
    header = make_header()
    if path.exists() and encode_header(header) in read_vector(path).data:
        data = read_vector(path).data
    else:
        foreign = PrekeyPublic(1, prekey_public(1, seed("somebody's prekey")))
        data = seal_copy(COUNTY_KEY, header, packed_message(make_content()), foreign, ENTROPY)
    comment = "Sealed to another prekey than the one named."
    return Vector("open-foreign-prekey", comment, "open", "NOT_OPENED", data, {"now": str(NOW_US)})
