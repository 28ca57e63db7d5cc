"""Vectors for signed records in the clear: receipts, frames, presence, prekeys, the roster."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from keys.primitives import SigningKey
from keys.signing import FRAME, PRESENCE, RECEIPT, sign_record
from protocol import cbor
from protocol.frame import (
    RECEIPT_ITEM,
    Nack,
    encode_frame,
    encode_frame_payload,
    encode_items,
    items_digest,
    make_item,
)
from protocol.ids import Digest, NetworkId
from protocol.moment import moment_fields
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from tests.vectors.vector import Vector
from tests.world import (
    CITY,
    CITY_KEY,
    COUNTY,
    COUNTY_KEY,
    DAY_US,
    DIRECTORY,
    NOW_US,
    PROVINCE,
    PROVINCE_KEY,
    REVOKED,
    REVOKED_KEY,
    STRANGER,
    STRANGER_KEY,
    make_frame,
    make_presence,
    make_receipt,
    make_tombstone,
    seed,
)

OTHER_NETWORK = NetworkId(seed("another network")[:16])
IDENTITY_POINT = bytes((1,)) + bytes(31)


def vectors() -> Iterator[Vector]:
    """What is signed and travels in the clear."""
    yield from _sign1()
    yield from _receipts()
    yield from _tombstones()
    yield from _frames()
    yield from _presence()
    yield from _rosters()


def changed(payload: bytes, **fields: Any) -> bytes:
    """The payload with other values for some of its numbered fields (f3=…), for faults that no encoder makes."""
    value = cbor.loads(payload, max_bytes=len(payload))
    value.update({int(name[1:]): field for name, field in fields.items()})
    return cbor.dumps(value)


def without(payload: bytes, number: int) -> bytes:
    """The payload without one of its fields."""
    value = cbor.loads(payload, max_bytes=len(payload))
    del value[number]
    return cbor.dumps(value)


def _receipt_record(payload: bytes, key: SigningKey = PROVINCE_KEY, purpose: str = RECEIPT) -> bytes:
    return sign_record(key, purpose, payload)


def _sign1() -> Iterator[Vector]:
    """Faults of the signature layer, shown on a receipt."""

    def vector(name: str, comment: str, change: Callable[[list[Any]], None], expect: str = "MALFORMED") -> Vector:
        parts = cbor.loads(good, max_bytes=2_000)
        change(parts)
        return Vector(f"sign1-{name}", comment, "receipt", expect, cbor.dumps(parts))

    def put(index: int, value: Any) -> Callable[[list[Any]], None]:
        return lambda parts: parts.__setitem__(index, value)

    good = _receipt_record(encode_receipt(make_receipt()))
    _, _, payload, signature = cbor.loads(good, max_bytes=2_000)
    key_id = PROVINCE_KEY.key_id()
    flipped = signature[:-1] + bytes((signature[-1] ^ 1,))
    order = 2**252 + 27742317777372353535851937790883648493
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    identity = IDENTITY_POINT + bytes(32)
    yield vector("unprotected-header", "A field in the unprotected header.", put(1, {4: key_id}))
    yield vector("detached-payload", "Null in the place of the payload.", put(2, None))
    yield vector("five-parts", "A fifth element.", lambda parts: parts.append(b""))
    yield vector("alg-eddsa", "Algorithm -8 (EdDSA) instead of -19.", put(0, cbor.dumps({1: -8, 4: key_id})))
    yield vector("alg-es256", "Algorithm -7 (ES256).", put(0, cbor.dumps({1: -7, 4: key_id})))
    yield vector("no-key-id", "No key id in the protected header.", put(0, cbor.dumps({1: -19})))
    yield vector("crit", "One more field in the protected header.", put(0, cbor.dumps({1: -19, 2: [4], 4: key_id})))
    yield vector("short-key-id", "A key id of 15 bytes.", put(0, cbor.dumps({1: -19, 4: key_id[:15]})))
    yield vector("flipped-signature", "The last bit of the signature differs.", put(3, flipped), "BAD_SIGNATURE")
    yield vector(
        "changed-payload", "The time was changed afterwards.", put(2, changed(payload, f8=NOW_US)), "BAD_SIGNATURE"
    )
    yield vector("malleable", "The group order was added to s.", put(3, malleable), "BAD_SIGNATURE")
    yield vector("identity-signature", "R is the identity, s is 0.", put(3, identity), "BAD_SIGNATURE")
    yield vector("short-signature", "A signature of 63 bytes.", put(3, signature[:63]), "BAD_SIGNATURE")


def _receipts() -> Iterator[Vector]:
    def vector(name: str, comment: str, data: bytes, expect: str) -> Vector:
        return Vector(f"receipt-{name}", comment, "receipt", expect, data)

    good = make_receipt()
    payload = encode_receipt(good)
    custody = replace(good, type="custody", by=CITY)
    yield vector("ok-delivered", "The province has the report.", _receipt_record(payload), "ok")
    yield vector("ok-custody", "The city has custody.", _receipt_record(encode_receipt(custody), CITY_KEY), "ok")
    signed_for = replace(good, type="signed_for", code="office_attested", detail="李雷")
    yield vector("ok-signed-for", "A clerk signed for it.", _receipt_record(encode_receipt(signed_for)), "ok")
    yield vector("unknown-type", "The type `read`.", _receipt_record(changed(payload, f2="read")), "MALFORMED")
    yield vector(
        "delivered-by-another", "The city says `delivered` for the province.",
        _receipt_record(changed(payload, f4=CITY), CITY_KEY), "MALFORMED",
    )  # fmt: skip
    yield vector(
        "signed-by-another", "In the province's name, by the city's key.",
        _receipt_record(payload, CITY_KEY), "UNKNOWN_KEY",
    )  # fmt: skip
    stranger = encode_receipt(replace(good, by=STRANGER, recipient=STRANGER))
    yield vector("stranger", "An unknown office.", _receipt_record(stranger, STRANGER_KEY), "UNKNOWN_OFFICE")
    revoked = encode_receipt(replace(good, by=REVOKED, recipient=REVOKED))
    yield vector("revoked", "An office revoked before.", _receipt_record(revoked, REVOKED_KEY), "KEY_NOT_VALID")
    early = encode_receipt(replace(good, at_us=NOW_US - 101 * DAY_US, expires_us=NOW_US - 90 * DAY_US))
    yield vector("before-the-key", "Dated before the key was valid.", _receipt_record(early), "KEY_NOT_VALID")
    eternal = encode_receipt(replace(good, expires_us=good.at_us + 90 * DAY_US + 1))
    yield vector("lives-91-days", "Life of 90 days and a microsecond.", _receipt_record(eternal), "BAD_LIFE")
    other = encode_receipt(replace(good, network=OTHER_NETWORK))
    yield vector("other-network", "Another network's.", _receipt_record(other), "WRONG_NETWORK")
    yield vector("version-2", "Version 2.", _receipt_record(changed(payload, f0=2)), "BAD_VERSION")
    yield vector("unknown-field", "A field 14.", _receipt_record(changed(payload, f14=0)), "MALFORMED")
    yield vector(
        "purpose-frame", "Signed for the purpose of frames.", _receipt_record(payload, purpose=FRAME), "BAD_SIGNATURE"
    )
    long = encode_receipt(replace(good, proof=bytes(16 * 1024)))
    yield vector("too-large", "A record over 16 KiB.", _receipt_record(long), "TOO_LARGE")


def _tombstones() -> Iterator[Vector]:
    def vector(name: str, comment: str, payload: bytes, expect: str = "MALFORMED") -> Vector:
        return Vector(f"tombstone-{name}", comment, "receipt", expect, _receipt_record(payload))

    good = make_tombstone()
    payload = encode_receipt(good)
    place = cbor.loads(good.proof, max_bytes=100)
    yield vector("ok-recipient", "The province will never take the report as new.", payload, "ok")
    asked = sign_record(COUNTY_KEY, RECEIPT, encode_receipt(replace(good, by=COUNTY, to=PROVINCE, code="CANCELLED")))
    yield Vector("tombstone-ok-author", "The county cancels its report.", "receipt", "ok", asked)
    yield vector("about-another", "By the province, about the city's copy, to the county.", changed(payload, f5=CITY))
    yield vector("to-itself", "By the province to itself.", changed(payload, f6=PROVINCE))
    yield vector("code", "It died of DELIVERED.", changed(payload, f11="DELIVERED"))
    yield vector("no-code", "It died of nothing.", changed(payload, f11=""))
    yield vector("detail", "With a reason in words.", changed(payload, f12="because"))
    yield vector("no-place", "Without a place in a stream.", changed(payload, f13=b""))
    yield vector("number-0", "The number 0.", changed(payload, f13=cbor.dumps([*place[:2], 0])))
    yield vector("lane-5", "A lane that does not exist.", changed(payload, f13=cbor.dumps([5, *place[1:]])))
    yield vector(
        "short-epoch", "An epoch of 7 bytes.", changed(payload, f13=cbor.dumps([place[0], bytes(7), place[2]]))
    )
    yield vector("long-place", "A fourth element.", changed(payload, f13=cbor.dumps([*place, 0])))
    yield vector("large-place", "A place over 32 bytes.", changed(payload, f13=bytes(33)), "TOO_LARGE")
    yield vector("loose-place", "A number in a longer form.", changed(payload, f13=good.proof[:-1] + b"\x18\x07"))


def _frames() -> Iterator[Vector]:
    def vector(
        name: str, comment: str, data: bytes, expect: str, topic: str = "relay/1/320000-GO/flash/320900-GO",
        now_us: int = NOW_US,
    ) -> Vector:  # fmt: skip
        return Vector(f"frame-{name}", comment, "frame", expect, data, {"topic": topic, "now": str(now_us)})

    receipt = make_item(RECEIPT_ITEM, _receipt_record(encode_receipt(make_receipt())), (PROVINCE, CITY), 1)
    items = encode_items((receipt,))
    good = make_frame(items)
    payload = encode_frame_payload(good)

    def signed(payload: bytes, key: SigningKey = CITY_KEY, purpose: str = FRAME, body: bytes = items) -> bytes:
        return encode_frame(sign_record(key, purpose, payload), body)

    yield vector("ok", "One receipt from the city.", signed(payload), "ok")
    owed = replace(
        make_frame(encode_items(())), custody=(Digest(bytes(32)),), nacks=(Nack(Digest(bytes((1,)) * 32), "FULL"),)
    )
    yield vector("ok-custody-only", "No item, one custody entry, one nack.",
                 signed(encode_frame_payload(owed), body=encode_items(())), "ok")  # fmt: skip
    yield vector("wrong-sender-topic", "Moved to the county's topic.", signed(payload), "WRONG_TOPIC",
                 "relay/1/320000-GO/flash/320924-GO")  # fmt: skip
    yield vector("wrong-lane-topic", "Moved to another lane.", signed(payload), "WRONG_TOPIC",
                 "relay/1/320000-GO/bulk/320900-GO")  # fmt: skip
    to_county = encode_frame_payload(replace(good, receiver=COUNTY))
    yield vector("wrong-receiver", "Signed for the county.", signed(to_county), "WRONG_TOPIC")
    yield vector("wrong-key", "Signed by the province's key.", signed(payload, PROVINCE_KEY), "UNKNOWN_KEY")
    yield vector("purpose-copy", "Signed as a copy.", signed(payload, purpose="relay/1/copy"), "BAD_SIGNATURE")
    yield vector("other-items", "Items were taken out.", signed(payload, body=encode_items(())), "BAD_DIGEST")
    other = encode_frame_payload(replace(good, network=OTHER_NETWORK))
    yield vector("other-network", "Another network's.", signed(other), "WRONG_NETWORK")
    yield vector("expired-key", "The key is no longer valid today.", signed(payload), "KEY_NOT_VALID",
                 now_us=NOW_US + 301 * DAY_US)  # fmt: skip
    yield vector("lane-5", "A lane that does not exist.", signed(changed(payload, f4=5)), "MALFORMED")
    yield vector(
        "nack-code", "An unknown nack code.", signed(changed(payload, f10=[[bytes(32), "NEVER"]])), "MALFORMED"
    )
    shown = encode_frame_payload(replace(good, witness=sign_record(PROVINCE_KEY, PRESENCE, b"")))
    yield vector("ok-witness", "With a record of the receiver's own.", signed(shown), "ok")
    yield vector("large-witness", "A witness over 16 KiB.", signed(changed(payload, f11=bytes(16_385))), "TOO_LARGE")
    yield vector("no-witness-field", "Without field 11.", signed(without(payload, 11)), "MALFORMED")
    epoch, previous, start, began, commits = moment_fields(good.moment)
    backwards = [epoch, previous, start, commits, began]
    yield vector("moment-backwards", "Fewer commits than it began with.", signed(changed(payload, f5=backwards)),
                 "MALFORMED")  # fmt: skip
    short = [epoch, previous, b"", began, commits]
    yield vector("moment-start", "A start without a name.", signed(changed(payload, f5=short)), "MALFORMED")
    many = changed(payload, f9=[bytes(32)] * 129)
    yield vector("many-custody", "129 custody entries.", signed(many), "TOO_LARGE")

    def with_items(value: Any) -> bytes:
        body = cbor.dumps(value)
        return signed(encode_frame_payload(replace(good, items_digest=items_digest(body))), body=body)

    yield vector("item-kind", "An item of kind 2.", with_items([[2, b"", [], 1, None]]), "MALFORMED")
    nine = [[1, b"", [CITY] * 9, 1, None]]
    yield vector("long-trail", "A trail of nine offices.", with_items(nine), "MALFORMED")
    yield vector("many-items", "129 items.", with_items([[1, b"", [], 1, None]] * 129), "MALFORMED")
    since = encode_items((replace(receipt, witnessed_us=NOW_US),))
    told = encode_frame_payload(replace(good, items_digest=items_digest(since)))
    yield vector("ok-witnessed", "The city had it since a time.", signed(told, body=since), "ok")
    yield vector("no-witnessed", "An item that does not say since when.", with_items([[1, b"", [], 1]]), "MALFORMED")
    yield vector("witnessed-text", "A text for that.", with_items([[1, b"", [], 1, "1"]]), "MALFORMED")
    yield vector("witnessed-minus", "A negative time for that.", with_items([[1, b"", [], 1, -1]]), "MALFORMED")


def _presence() -> Iterator[Vector]:
    def vector(name: str, comment: str, data: bytes, expect: str, office: str = "320900-GO") -> Vector:
        topic = f"relay/1/presence/{office}/fast"
        return Vector(f"presence-{name}", comment, "presence", expect, data, {"topic": topic})

    payload = encode_presence(make_presence())
    yield vector("ok", "The city is there.", sign_record(CITY_KEY, PRESENCE, payload), "ok")
    yield vector("other-topic", "On the county's topic.", sign_record(CITY_KEY, PRESENCE, payload), "WRONG_TOPIC",
                 "320924-GO")  # fmt: skip
    slow = encode_presence(make_presence(group="slow"))
    yield vector("other-group", "Signed for slow.", sign_record(CITY_KEY, PRESENCE, slow), "WRONG_TOPIC")
    middle = changed(payload, f3="middle")
    yield vector("unknown-group", "A group that does not exist.", sign_record(CITY_KEY, PRESENCE, middle), "MALFORMED")
    yield vector("other-key", "By the province's key.", sign_record(PROVINCE_KEY, PRESENCE, payload), "UNKNOWN_KEY")
    epoch_only = changed(payload, f5=make_presence().moment.epoch)
    yield vector("moment-epoch", "An epoch for the moment.", sign_record(CITY_KEY, PRESENCE, epoch_only), "MALFORMED")
    short_head = changed(payload, f11=b"")
    yield vector("short-head", "An empty audit head.", sign_record(CITY_KEY, PRESENCE, short_head), "MALFORMED")
    yield vector("purpose-receipt", "Signed as a receipt.", sign_record(CITY_KEY, RECEIPT, payload), "BAD_SIGNATURE")


def _rosters() -> Iterator[Vector]:
    def vector(name: str, comment: str, data: bytes, expect: str = "MALFORMED") -> Vector:
        return Vector(f"roster-{name}", comment, "roster", expect, data)

    good = DIRECTORY.encode()
    offices = cbor.loads(good, max_bytes=len(good))[5]

    def with_office(**fields: Any) -> bytes:
        first = offices[0] | {int(name[1:]): value for name, value in fields.items()}
        return changed(good, f5=[first, *offices[1:]])

    keys = offices[0][7]
    yield vector("ok", "The directory of all these vectors.", good, "ok")
    yield vector("unsorted", "Offices not sorted by id.", changed(good, f5=offices[::-1]))
    yield vector("twin-address", "Two offices of one address.", with_office(f1=offices[1][1]))
    yield vector("small-order-key", "A key of order 1.", with_office(f7=[keys[0] | {1: IDENTITY_POINT}]))
    yield vector("twin-key", "Two offices with one key.", with_office(f7=offices[1][7]))
    yield vector("unknown-parent", "A parent that is not there.", with_office(f4=bytes(16)))
    yield vector("version-2", "Another version.", changed(good, f0=2), "BAD_VERSION")
    yield vector("listed-all", "A listed group called @all.", changed(good, f7=[["@all", []]]))
