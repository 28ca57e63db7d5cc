"""Each step of keys/verify.py by itself, to the microsecond and the byte: what passes last, what fails first (G10)."""

from typing import Any

import pytest

from keys.primitives import SigningKey
from keys.seal import seal_copy
from keys.signing import CONTENT, COPY, FRAME, PRESENCE, RECEIPT, sign_record
from keys.verify import (
    FRAME_INTAKE_BYTES,
    open_copy,
    read_content,
    verify_content,
    verify_copy,
    verify_frame,
    verify_presence,
    verify_receipt,
)
from protocol import limits
from protocol.content import content_digest, encode_bundle, encode_content
from protocol.copy import OUTER_BYTES, CopyHeader, encode_copy, encode_header, outer_payload
from protocol.errors import RemoteError
from protocol.frame import COPY_ITEM, encode_frame, encode_frame_payload, encode_items, items_digest, make_item
from protocol.ids import Address, Digest, NetworkId, OfficeId
from protocol.lanes import Lane
from protocol.padding import pack
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from protocol.topics import FrameTopic, PresenceTopic
from tests import world
from tests.world import CITY, CITY_ADDRESS, CITY_KEY, COUNTY, COUNTY_KEY, DIRECTORY, NOW_US, PROVINCE, PROVINCE_ADDRESS

OTHER_NETWORK = NetworkId(bytes(16))
NOBODY = OfficeId(bytes(16))
TOPIC = FrameTopic(PROVINCE_ADDRESS, Lane.FLASH, CITY_ADDRESS)
PLACE = PresenceTopic(CITY_ADDRESS, "fast")
YEAR_US = 365 * world.DAY_US


def code_of(verify: Any, *arguments: Any) -> str:
    """`ok`, or the code of the refusal."""
    try:
        verify(*arguments)
    except RemoteError as error:
        return error.code
    return "ok"


def bare_copy(key: SigningKey = COUNTY_KEY, **changes: object) -> bytes:
    """A copy that no recipient could open: enough for relays."""
    header: CopyHeader = world.make_header(**changes)
    return encode_copy(sign_record(key, COPY, outer_payload(encode_header(header), b"sealed")), b"sealed")


def frame(key: SigningKey = CITY_KEY, items: bytes = b"\x80", **changes: object) -> bytes:
    signed = sign_record(key, FRAME, encode_frame_payload(world.make_frame(items, **changes)))
    return encode_frame(signed, items)


def copy_code(
    data: bytes, now_us: int = NOW_US, suites: tuple[int, ...] = (1, 2), rules: tuple[int, ...] = (1, 2)
) -> str:
    return code_of(verify_copy, data, world.make_directory(rules), suites, now_us)


@pytest.mark.parametrize(
    ("changes", "now_us", "expected"),
    [
        ({}, NOW_US, "ok"),
        ({}, NOW_US + 3 * world.DAY_US - 1, "ok"),
        ({}, NOW_US + 3 * world.DAY_US, "EXPIRED"),
        ({}, NOW_US + 9 * world.DAY_US, "EXPIRED"),
        ({}, NOW_US - limits.CLOCK_AHEAD_US, "ok"),
        ({}, NOW_US - limits.CLOCK_AHEAD_US - 1, "NOT_YET"),
        ({"network": OTHER_NETWORK}, NOW_US, "WRONG_NETWORK"),
        ({"recipient": NOBODY}, NOW_US, "UNKNOWN_OFFICE"),
        ({"sender": NOBODY}, NOW_US, "UNKNOWN_OFFICE"),
        ({"sender": CITY}, NOW_US, "UNKNOWN_KEY"),
        ({"recipient": world.REVOKED}, NOW_US, "ok"),
        ({"suite": 3}, NOW_US, "BAD_SUITE"),
    ],
)
def test_g09_g10_a_copy(changes: dict[str, object], now_us: int, expected: str) -> None:
    assert copy_code(bare_copy(**changes), now_us) == expected


def test_g10_a_suite_must_be_allowed_by_the_caller_and_by_the_directory() -> None:
    allowed = {
        (mine, theirs): copy_code(bare_copy(suite=2), suites=mine, rules=theirs)
        for mine in ((1,), (2,), (1, 2))
        for theirs in ((1,), (2,), (1, 2))
    }
    assert {pair for pair, code in allowed.items() if code == "ok"} == {
        (mine, theirs) for mine in ((2,), (1, 2)) for theirs in ((2,), (1, 2))
    }
    assert set(allowed.values()) == {"ok", "BAD_SUITE"}


def test_g10_a_copys_key_counts_at_its_creation_or_at_a_later_sealing() -> None:
    """The key of last year signs what was created last year, whenever it arrives, and nothing of today; its follower
    signs what was created before it only while that lives.
    """
    then = {"created_us": NOW_US - 101 * world.DAY_US, "expires_us": NOW_US - 99 * world.DAY_US}
    before = {"created_us": NOW_US - 103 * world.DAY_US, "expires_us": NOW_US - 101 * world.DAY_US}
    assert copy_code(bare_copy(world.OLD_KEY, **then), NOW_US - 100 * world.DAY_US) == "ok"
    assert copy_code(bare_copy(COUNTY_KEY, **then), NOW_US - 100 * world.DAY_US) == "ok"
    assert copy_code(bare_copy(COUNTY_KEY, **before), NOW_US - 102 * world.DAY_US) == "KEY_NOT_VALID"
    assert copy_code(bare_copy(world.OLD_KEY)) == "KEY_NOT_VALID"
    assert copy_code(bare_copy(world.LOST_KEY)) == "KEY_NOT_VALID"
    assert copy_code(bare_copy(world.REVOKED_KEY, sender=world.REVOKED)) == "KEY_NOT_VALID"


def test_a_verified_copy_carries_what_was_verified() -> None:
    data = bare_copy()
    verified = verify_copy(data, DIRECTORY, (1,), NOW_US)
    assert (verified.data, verified.key_id) == (data, COUNTY_KEY.key_id())
    assert verified.copy.digest == Digest(world.sha256(data))
    assert (verified.copy.header, verified.copy.ciphertext) == (world.make_header(), b"sealed")
    assert verified.copy.header_bytes == encode_header(world.make_header())
    long = sign_record(COUNTY_KEY, COPY, bytes(OUTER_BYTES))
    assert copy_code(encode_copy(long, b"sealed")) == "TOO_LARGE"


@pytest.mark.parametrize(
    ("changes", "topic", "me", "now_us", "expected"),
    [
        ({}, TOPIC, PROVINCE, NOW_US, "ok"),
        ({"network": OTHER_NETWORK}, TOPIC, PROVINCE, NOW_US, "WRONG_NETWORK"),
        ({"sender": COUNTY}, TOPIC, PROVINCE, NOW_US, "WRONG_TOPIC"),
        ({"receiver": COUNTY}, TOPIC, PROVINCE, NOW_US, "WRONG_TOPIC"),
        ({"lane": Lane.URGENT}, TOPIC, PROVINCE, NOW_US, "WRONG_TOPIC"),
        ({}, TOPIC, COUNTY, NOW_US, "WRONG_TOPIC"),
        ({}, FrameTopic(PROVINCE_ADDRESS, Lane.URGENT, CITY_ADDRESS), PROVINCE, NOW_US, "WRONG_TOPIC"),
        ({}, FrameTopic(PROVINCE_ADDRESS, Lane.FLASH, world.COUNTY_ADDRESS), PROVINCE, NOW_US, "WRONG_TOPIC"),
        ({}, FrameTopic(PROVINCE_ADDRESS, Lane.FLASH, Address("999999-GO")), PROVINCE, NOW_US, "WRONG_TOPIC"),
        ({"items_digest": Digest(bytes(32))}, TOPIC, PROVINCE, NOW_US, "BAD_DIGEST"),
        ({}, TOPIC, PROVINCE, NOW_US + YEAR_US, "KEY_NOT_VALID"),
        ({}, TOPIC, PROVINCE, NOW_US - YEAR_US, "KEY_NOT_VALID"),
    ],
)
def test_g10_a_frame(changes: dict[str, object], topic: FrameTopic, me: OfficeId, now_us: int, expected: str) -> None:
    assert code_of(verify_frame, frame(**changes), topic, me, DIRECTORY, now_us) == expected
    if expected == "ok":
        assert code_of(verify_frame, frame(COUNTY_KEY, **changes), topic, me, DIRECTORY, now_us) == "UNKNOWN_KEY"


def test_g13_a_frame_is_looked_at_up_to_four_kilobytes_beyond_what_senders_may_make() -> None:
    assert FRAME_INTAKE_BYTES == limits.FRAME_BYTES + 4_096
    room = FRAME_INTAKE_BYTES - len(frame(items=encode_items((make_item(COPY_ITEM, bytes(66_000), (), 1),)))) + 66_000
    for size, expected in ((room, "ok"), (room + 1, "TOO_LARGE")):
        items = encode_items((make_item(COPY_ITEM, bytes(size), (), 1),))
        assert code_of(verify_frame, frame(items=items), TOPIC, PROVINCE, DIRECTORY, NOW_US) == expected


def test_a_verified_frame_carries_what_was_signed() -> None:
    item = make_item(COPY_ITEM, b"copy", (COUNTY, CITY), 2)
    data = frame(items=encode_items((item,)))
    verified = verify_frame(data, TOPIC, PROVINCE, DIRECTORY, NOW_US)
    assert verified.items == (item,)
    assert verified.frame == world.make_frame(encode_items((item,)))
    assert verified.frame.items_digest == items_digest(encode_items((item,)))
    assert encode_frame(verified.record, encode_items((item,))) == data
    assert verified.key_id == CITY_KEY.key_id()
    said = sign_record(CITY_KEY, PRESENCE, encode_presence(world.make_presence()))
    presence = verify_presence(said, PLACE, DIRECTORY, NOW_US)
    assert (presence.presence, presence.record, presence.key_id) == (world.make_presence(), said, CITY_KEY.key_id())


def test_g10_contents_and_receipts_and_presences_count_by_their_own_times() -> None:
    def content(key: SigningKey, **changes: object) -> str:
        record = sign_record(key, CONTENT, encode_content(world.make_content(**changes)))
        found = {
            code_of(read_content, record, DIRECTORY),
            code_of(verify_content, world.make_bundle(record), DIRECTORY),
        }
        assert len(found) == 1
        return found.pop()

    def receipt(key: SigningKey, **changes: object) -> str:
        record = sign_record(key, RECEIPT, encode_receipt(world.make_receipt(**changes)))
        return code_of(verify_receipt, record, DIRECTORY)

    def presence(
        key: SigningKey = CITY_KEY, topic: PresenceTopic = PLACE, now_us: int = NOW_US, **changes: object
    ) -> str:
        record = sign_record(key, PRESENCE, encode_presence(world.make_presence(**changes)))
        return code_of(verify_presence, record, topic, DIRECTORY, now_us)

    then = {"created_us": NOW_US - 101 * world.DAY_US, "expires_us": NOW_US - 99 * world.DAY_US}
    assert (content(COUNTY_KEY), content(world.OLD_KEY, **then)) == ("ok", "ok")
    assert (content(world.OLD_KEY), content(COUNTY_KEY, **then)) == ("KEY_NOT_VALID", "KEY_NOT_VALID")
    assert content(COUNTY_KEY, network=OTHER_NETWORK) == "WRONG_NETWORK"
    assert content(CITY_KEY) == "UNKNOWN_KEY"
    record = sign_record(COUNTY_KEY, CONTENT, encode_content(world.make_content()))
    assert read_content(record, DIRECTORY) == world.make_content()
    found = verify_content(world.make_bundle(record), DIRECTORY)
    assert (found.content, found.digest, found.key_id) == (
        world.make_content(),
        content_digest(record),
        COUNTY_KEY.key_id(),
    )

    assert receipt(world.PROVINCE_KEY) == "ok"
    whole = sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(world.make_receipt()))
    verified = verify_receipt(whole, DIRECTORY)
    assert (verified.receipt, verified.data) == (world.make_receipt(), whole)
    assert verified.key_id == world.PROVINCE_KEY.key_id()
    assert receipt(world.PROVINCE_KEY, network=OTHER_NETWORK) == "WRONG_NETWORK"
    assert receipt(CITY_KEY) == "UNKNOWN_KEY"
    late_us = NOW_US + YEAR_US
    assert receipt(world.PROVINCE_KEY, at_us=late_us, expires_us=late_us + 1) == "KEY_NOT_VALID"

    assert presence() == "ok"
    assert presence(network=OTHER_NETWORK) == "WRONG_NETWORK"
    assert presence(office=COUNTY) == "WRONG_TOPIC"
    assert presence(group="slow") == "WRONG_TOPIC"
    assert presence(topic=PresenceTopic(CITY_ADDRESS, "slow")) == "WRONG_TOPIC"
    assert presence(topic=PresenceTopic(world.COUNTY_ADDRESS, "fast")) == "WRONG_TOPIC"
    assert presence(topic=PresenceTopic(Address("999999-GO"), "fast")) == "WRONG_TOPIC"
    assert presence(COUNTY_KEY) == "UNKNOWN_KEY"
    assert presence(now_us=late_us) == "KEY_NOT_VALID"


def test_g10_opening_step_by_step() -> None:
    content = world.make_content()
    record = sign_record(COUNTY_KEY, CONTENT, encode_content(content))
    data = seal_copy(
        COUNTY_KEY,
        world.make_header(),
        pack(encode_bundle(world.make_bundle(record))),
        world.PREKEY_PUBLICS[1],
        bytes(44),
    )
    verified = verify_copy(data, DIRECTORY, (1,), NOW_US)
    for me, addresses, prekey, expected in (
        (PROVINCE, (PROVINCE_ADDRESS,), 1, "ok"),
        (PROVINCE, (CITY_ADDRESS,), 1, "ok"),  # a copy for information
        (PROVINCE, (Address("999999-GO"), PROVINCE_ADDRESS), 1, "ok"),
        (PROVINCE, (Address("999999-GO"),), 1, "WRONG_RECIPIENT"),
        (PROVINCE, (), 1, "WRONG_RECIPIENT"),
        (CITY, (CITY_ADDRESS,), 1, "WRONG_RECIPIENT"),
        (PROVINCE, (PROVINCE_ADDRESS,), 2, "BAD_SUITE"),
    ):
        assert code_of(open_copy, verified, me, addresses, world.PREKEYS[prekey], DIRECTORY) == expected
    opened = open_copy(verified, PROVINCE, (PROVINCE_ADDRESS,), world.PREKEYS[1], DIRECTORY)
    assert opened.receipt is None
    assert opened.message is not None
    assert (opened.message.content, opened.message.digest) == (content, content_digest(record))
    assert opened.message.bundle == world.make_bundle(record)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": bytes(16)}, {"sender": CITY}, {"created_us": NOW_US + 1}, {"expires_us": NOW_US + 1},
        {"deadline_us": None}, {"deadline_us": 0}, {"lane": Lane.URGENT}, {"entitlement": 0, "lane": Lane.URGENT},
    ],
    ids=" ".join,
)  # fmt: skip
def test_g10_every_field_that_header_and_content_share_must_agree(changes: dict[str, object]) -> None:
    record = sign_record(COUNTY_KEY, CONTENT, encode_content(world.make_content()))
    key = CITY_KEY if "sender" in changes else COUNTY_KEY
    header = world.make_header(**changes)
    packed = pack(encode_bundle(world.make_bundle(record)))
    verified = verify_copy(seal_copy(key, header, packed, world.PREKEY_PUBLICS[1], bytes(44)), DIRECTORY, (1,), NOW_US)
    with pytest.raises(RemoteError) as caught:
        open_copy(verified, PROVINCE, (PROVINCE_ADDRESS,), world.PREKEYS[1], DIRECTORY)
    assert caught.value.code == "BAD_DIGEST"


@pytest.mark.parametrize(
    ("kind", "level", "entitlement"),
    [
        ("report", "I", 1), ("report", None, 0), ("incident_first", None, 1), ("incident_first", "III", 0),
        ("report", "IV", 0), ("incident_final", "II", 1),
    ],
)  # fmt: skip
def test_g10_the_entitlement_follows_from_kind_and_level_of_the_content(
    kind: str, level: str | None, entitlement: int
) -> None:
    content = world.make_content(kind=kind, event_level=level, urgency="urgent")
    packed = pack(encode_bundle(world.make_bundle(sign_record(COUNTY_KEY, CONTENT, encode_content(content)))))
    for claimed in (0, 1):
        header = world.make_header(content, entitlement=claimed)
        copy = seal_copy(COUNTY_KEY, header, packed, world.PREKEY_PUBLICS[1], bytes(44))
        verified = verify_copy(copy, DIRECTORY, (1,), NOW_US)
        found = code_of(open_copy, verified, PROVINCE, (PROVINCE_ADDRESS,), world.PREKEYS[1], DIRECTORY)
        assert found == ("ok" if claimed == entitlement else "BAD_DIGEST")
