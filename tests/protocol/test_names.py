"""Ids, lanes, topics and presences: small pure functions by table."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import REMOTE_CODES, Refused, RemoteError
from protocol.ids import digest_text, is_address, is_group, message_id_text, parse_address, parse_message_id, uuid7
from protocol.lanes import (
    INCIDENT,
    INCIDENT_KINDS,
    KINDS,
    LEVELS,
    ORDINARY,
    RECEIPT,
    Lane,
    entitlement_of,
    lane_by_label,
    lane_for,
    may_ride,
    receipt_lane,
)
from protocol.presence import is_newer
from protocol.retry import back_off_us
from protocol.topics import FILE_CHARS_MAX, TrustTopic, parse_topic, subscriptions
from tests import strategies as some
from tests import world


@given(st.integers(0, 2**48 * 1000 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_is_that_of_rfc_9562(now_us: int, entropy: bytes) -> None:
    made = uuid.UUID(bytes=uuid7(now_us, entropy))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now_us // 1000
    # All random bits but the six of version and variant are the given ones.
    assert made.int & (2**62 - 1) == int.from_bytes(entropy, "big") & (2**62 - 1)
    assert made.int >> 64 & 0xFFF == int.from_bytes(entropy, "big") >> 64 & 0xFFF


def test_uuid7_takes_ten_random_bytes() -> None:
    for length in (0, 9, 11, 16):
        with pytest.raises(ValueError, match="10"):
            uuid7(0, bytes(length))


@given(some.message_ids)
def test_message_ids_have_one_text(message_id: bytes) -> None:
    text = message_id_text(message_id)
    assert parse_message_id(text) == message_id
    assert uuid.UUID(text).bytes == message_id
    for other in (text.upper(), "{" + text + "}", text[:-1], text + "0", text.replace("-", ""), "", text + "\n"):
        if other != text:
            with pytest.raises(Refused) as refused:
                parse_message_id(other)
            assert (refused.value.code, refused.value.field) == ("BAD_FIELD", "id")
    with pytest.raises(Refused) as refused:
        parse_message_id("x", field="reply_to")
    assert refused.value.field == "reply_to"


@pytest.mark.parametrize("text", ["320924-GO", "320924001-A", "320924-AB1234", "000000-Z0"])
def test_addresses(text: str) -> None:
    assert parse_address(text) == text
    for other in (text.lower(), text[1:], "1" + text, text + "x", text + "\n", " " + text, text.replace("-", "")):
        assert not is_address(other)
        with pytest.raises(Refused) as refused:
            parse_address(other)
        assert (refused.value.code, refused.value.field) == ("BAD_FIELD", "to")
    with pytest.raises(Refused) as refused:
        parse_address("", field="cc")
    assert refused.value.field == "cc"


def test_groups_and_digests() -> None:
    assert all(map(is_group, ("@a", "@cities", "@a_b-9", "@" + "a" * 63)))
    assert not any(map(is_group, ("a", "@", "@A", "@9", "@a b", "@" + "a" * 64, "@a\n", "@@a")))
    assert digest_text(world.make_receipt().digest) == "sha256:" + world.make_receipt().digest.hex()


def test_errors_carry_code_detail_and_field() -> None:
    for code in REMOTE_CODES:
        error = RemoteError(code, "why")
        assert (error.code, error.detail, str(error)) == (code, "why", f"{code}: why")
        assert (str(RemoteError(code)), RemoteError(code).detail) == (code, "")
    with pytest.raises(ValueError, match="NO_SUCH"):
        RemoteError("NO_SUCH")
    refused = Refused("BAD_FIELD", "why", field="to")
    assert (refused.code, refused.detail, refused.field, str(refused)) == ("BAD_FIELD", "why", "to", "BAD_FIELD: why")
    bare = Refused("BUSY")
    assert (bare.code, bare.detail, bare.field, str(bare)) == ("BUSY", "", None, "BUSY")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [None, *LEVELS])
def test_what_entitles_to_flash(kind: str, level: str | None) -> None:
    grave = level in ("I", "II") or (level is None and kind in INCIDENT_KINDS)
    assert entitlement_of(kind, level) == (INCIDENT if grave else ORDINARY)
    assert {"incident_first", "incident_followup", "incident_final"} == INCIDENT_KINDS


def test_lanes() -> None:
    assert [may_ride(lane, ORDINARY) for lane in Lane] == [False, True, True, True, True]
    assert all(may_ride(lane, entitled) for lane in Lane for entitled in (INCIDENT, RECEIPT))
    asked = {
        word: lane_for(word, bulk=False, entitlement=INCIDENT) for word in ("flash", "urgent", "priority", "routine")
    }
    assert list(asked.values()) == list(Lane)[:4]
    assert lane_for("routine", bulk=True, entitlement=ORDINARY) is Lane.BULK
    for urgency, bulk, code, field in (
        ("slow", False, "BAD_FIELD", "urgency"), ("urgent", True, "BAD_FIELD", "bulk"),
        ("flash", True, "BAD_FIELD", "bulk"), ("flash", False, "LANE_NOT_ALLOWED", "urgency"),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            lane_for(urgency, bulk=bulk, entitlement=ORDINARY)
        assert (refused.value.code, refused.value.field) == (code, field)
    assert [receipt_lane(lane) for lane in Lane] == [Lane.FLASH, Lane.FLASH, Lane.URGENT, Lane.PRIORITY, Lane.ROUTINE]
    assert [lane.group for lane in Lane] == ["fast", "fast", "slow", "slow", "slow"]
    assert [lane_by_label(lane.label) for lane in Lane] == list(Lane)
    assert lane_by_label("FLASH") is None


def test_what_an_office_listens_to() -> None:
    me = world.CITY_ADDRESS
    assert subscriptions(me, "fast") == (f"relay/1/{me}/flash/+", f"relay/1/{me}/urgent/+")
    assert subscriptions(me, "slow") == (
        f"relay/1/{me}/priority/+", f"relay/1/{me}/routine/+", f"relay/1/{me}/bulk/+",
        "relay/1/presence/+/+", "relay/1/prekey/+/+", "relay/1/trust/+/timestamp_json",
    )  # fmt: skip


def test_topics_that_are_almost_right() -> None:
    me = world.CITY_ADDRESS
    for name in ("a", "-", "A9_", "x" * FILE_CHARS_MAX):
        found = parse_topic(f"relay/1/trust/{me}/{name}")
        assert found == TrustTopic(me, name.replace("_", "."))
    for wrong in (
        "", "relay", f"relay/1/trust/{me}/", f"relay/1/trust/{me}/{'x' * (FILE_CHARS_MAX + 1)}",
        f"relay/1/trust/{me}/X.", f"relay/1/trust/x/{me}", f"relay/1/trust/{me}/字",
        "relay/1/presence/x/fast", f"relay/1/presence/{me}/x",
        f"relay/1/presence/{me}/{me}", f"relay/1/prekey/{me}/x", f"relay/1/prekey/x/{me}", f"relay/1/other/{me}/{me}",
        f"relay/1/x/flash/{me}", f"relay/1/{me}/flash/x", f"relay/2/{me}/flash/{me}", f"Relay/1/{me}/flash/{me}",
        f"relay/1/{me}/flash/{me}/x", f"relay/1/{me}/{me}/{me}", f"relay/1/{me}/fast/fast",
    ):  # fmt: skip
        with pytest.raises(RemoteError) as caught:
            parse_topic(wrong)
        assert caught.value.code == "WRONG_TOPIC"


def test_g12_which_presence_is_newer() -> None:
    known = world.make_presence()
    assert is_newer(known, None)
    assert not is_newer(known, known)
    for changes, newer in (
        ({"session": known.session + 1, "at_us": 0}, True), ({"session": known.session - 1, "at_us": 2**60}, False),
        ({"at_us": known.at_us + 1}, True), ({"at_us": known.at_us - 1}, False), ({"online": False, "at_us": 0}, True),
        ({"session": known.session + 1, "online": False}, True),
    ):  # fmt: skip
        assert is_newer(replace(known, **changes), known) is newer  # type: ignore[arg-type]
    gone = replace(known, online=False)
    assert not is_newer(replace(known, at_us=known.at_us + 9), gone)
    assert is_newer(replace(gone, at_us=gone.at_us + 1), gone)
    moment = known.moment
    for began, at_us, newer in (
        (moment.began + 1, 0, True), (moment.began - 1, 2**60, False), (moment.began, known.at_us, False),
        (moment.began, known.at_us + 1, True), (moment.began, known.at_us - 1, False),
    ):  # fmt: skip
        start = replace(moment, start=type(moment.start)(bytes(8)), began=began)
        assert is_newer(replace(known, moment=start, session=0, at_us=at_us), known) is newer


def test_back_off_is_exact() -> None:
    waits = [back_off_us(tries, 10, 1_000) for tries in (0, 1, 2, 3, 7, 8, 40, 41, 10**6)]
    assert waits == [10, 10, 20, 40, 640, 1_000, 1_000, 1_000, 1_000]
    assert back_off_us(40, 1, 2**60) == 2**39
    assert back_off_us(41, 1, 2**60) == 2**60
