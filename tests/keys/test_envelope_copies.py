"""Copies: sealed under exactly one header, opened by exactly one office, refused after any change (G3, G10)."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.seal import open_ciphertext, seal_copy
from keys.signing import CONTENT, COPY, FRAME, PRESENCE, RECEIPT, sign_record
from keys.verify import (
    open_copy,
    verify_content,
    verify_copy,
    verify_frame,
    verify_presence,
    verify_receipt,
    verify_witness,
)
from protocol import cbor
from protocol.content import Content, decode_bundle, encode_bundle, encode_content
from protocol.copy import COPY_BYTES, OUTER_BYTES, CopyHeader, encode_header, outer_payload, round_deadline, split_copy
from protocol.errors import RemoteError
from protocol.frame import encode_frame, encode_frame_payload, encode_items, make_item
from protocol.ids import Address
from protocol.lanes import KINDS, LEVELS, URGENCIES, Lane, entitlement_of, lane_for
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.limits import RECEIPT_EXTRA_LIFE_US, SEALED_BYTES, TIME_MAX_US
from protocol.padding import pack
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from protocol.topics import FrameTopic, PresenceTopic
from tests import strategies as some
from tests.world import (
    CITY,
    CITY_ADDRESS,
    CITY_KEY,
    COUNTY,
    COUNTY_KEY,
    DAY_US,
    DIRECTORY,
    MOMENT,
    NOW_US,
    PREKEY_IDS,
    PREKEY_PUBLICS,
    PREKEYS,
    PROVINCE,
    PROVINCE_ADDRESS,
    PROVINCE_KEY,
    make_bundle,
    make_content,
    make_directory,
    make_frame,
    make_header,
    make_presence,
    make_receipt,
    seed,
)

ENTROPY = seed("k") + seed("n")[:12]
SUITES = (1, 2)
TOPIC = FrameTopic(PROVINCE_ADDRESS, Lane.FLASH, CITY_ADDRESS)


def bundle_of(content: Content) -> bytes:
    return encode_bundle(make_bundle(sign_record(COUNTY_KEY, CONTENT, encode_content(content))))


def copy_of(content: Content, header: CopyHeader) -> bytes:
    return seal_copy(COUNTY_KEY, header, pack(bundle_of(content)), PREKEY_PUBLICS[header.suite], ENTROPY)


def header_for(suite: int) -> CopyHeader:
    return make_header(suite=suite, prekey_id=PREKEY_IDS[suite])


GOOD = {suite: copy_of(make_content(), header_for(suite)) for suite in SUITES}


def open_it(data: bytes, suite: int, me: bytes = PROVINCE, address: Address = PROVINCE_ADDRESS) -> Any:
    verified = verify_copy(data, DIRECTORY, SUITES, NOW_US)
    return open_copy(verified, me, (address,), PREKEYS[suite], DIRECTORY)  # type: ignore[arg-type]


@pytest.mark.parametrize("suite", SUITES)
def test_g03_what_is_opened_is_what_was_sealed(suite: int) -> None:
    opened = open_it(GOOD[suite], suite)
    assert opened.receipt is None
    assert opened.message.content == make_content()
    assert encode_bundle(opened.message.bundle) == bundle_of(make_content())


@pytest.mark.parametrize("suite", SUITES)
@given(st.data())
def test_g03_a_changed_copy_is_refused_by_every_relay(suite: int, data: st.DataObject) -> None:
    bad = data.draw(some.mutations(GOOD[suite]))
    with pytest.raises(RemoteError):
        verify_copy(bad, DIRECTORY, SUITES, NOW_US)


def test_g03_every_byte_of_a_copy_counts() -> None:
    good = GOOD[2]
    for at in range(len(good)):
        with pytest.raises(RemoteError):
            verify_copy(good[:at] + bytes((good[at] ^ 0x01,)) + good[at + 1 :], DIRECTORY, SUITES, NOW_US)


@pytest.mark.parametrize("suite", SUITES)
@given(st.data())
def test_g10_a_ciphertext_opens_under_its_own_header_only(suite: int, data: st.DataObject) -> None:
    """The origin itself cannot move a sealed body under another header."""
    other = data.draw(some.headers())
    name = data.draw(st.sampled_from([field.name for field in dataclasses.fields(CopyHeader)]))
    header = header_for(suite)
    moved = dataclasses.replace(header, **{name: getattr(other, name)})
    if moved == header:
        return
    _, ciphertext = split_copy(GOOD[suite])
    with pytest.raises(RemoteError) as caught:
        open_ciphertext(ciphertext, moved, encode_header(moved), PREKEYS[suite])
    assert caught.value.code in {"NOT_OPENED", "MALFORMED", "BAD_SUITE"}


@pytest.mark.parametrize("suite", SUITES)
@given(st.data())
def test_g03_a_changed_ciphertext_never_opens(suite: int, data: st.DataObject) -> None:
    _, ciphertext = split_copy(GOOD[suite])
    header = header_for(suite)
    with pytest.raises(RemoteError):
        open_ciphertext(data.draw(some.mutations(ciphertext)), header, encode_header(header), PREKEYS[suite])


@pytest.mark.parametrize("suite", SUITES)
def test_g10_suites_are_not_confused(suite: int) -> None:
    other = 3 - suite
    _, ciphertext = split_copy(GOOD[suite])
    header = header_for(other)
    with pytest.raises(RemoteError):
        open_ciphertext(ciphertext, header, encode_header(header), PREKEYS[other])
    with pytest.raises(RemoteError) as caught:
        open_it(GOOD[suite], other)
    assert caught.value.code == "BAD_SUITE"
    with pytest.raises(RemoteError) as caught:
        verify_copy(GOOD[suite], DIRECTORY, (other,), NOW_US)
    assert caught.value.code == "BAD_SUITE"
    with pytest.raises(RemoteError) as caught:
        verify_copy(GOOD[suite], make_directory((other,)), SUITES, NOW_US)
    assert caught.value.code == "BAD_SUITE"
    with pytest.raises(ValueError, match="another suite"):
        seal_copy(COUNTY_KEY, header, b"", PREKEY_PUBLICS[suite], ENTROPY)


def test_only_its_recipient_opens_a_copy() -> None:
    with pytest.raises(RemoteError) as caught:
        open_it(GOOD[1], 1, CITY, CITY_ADDRESS)
    assert caught.value.code == "WRONG_RECIPIENT"


@settings(max_examples=60)
@given(
    st.sampled_from(KINDS), st.sampled_from(URGENCIES), st.booleans(), st.none() | st.sampled_from(LEVELS),
    st.sampled_from(Lane), st.sampled_from([0, 1]), st.none() | st.integers(0, TIME_MAX_US),
)  # fmt: skip
def test_g10_header_and_content_must_agree(
    kind: str, urgency: str, bulk: bool, level: str | None, lane: Lane, entitlement: int, deadline_us: int | None
) -> None:
    """Whatever an enrolled office signs: the recipient answers with a message or a RemoteError, nothing else."""
    content = make_content(kind=kind, urgency=urgency, bulk=bulk, event_level=level, deadline_us=deadline_us)
    header = make_header(lane=lane, entitlement=entitlement, suite=2, prekey_id=PREKEY_IDS[2])
    try:
        opened = open_it(copy_of(content, header), 2)
    except RemoteError as error:
        refusal = error.code
    else:
        assert opened.message.content == content
        entitled = entitlement_of(kind, level)
        assert (lane, entitlement) == (lane_for(urgency, bulk=bulk, entitlement=entitled), entitled)
        assert header.deadline_us == round_deadline(deadline_us)
        return
    assert refusal in {"BAD_DIGEST", "NOT_ENTITLED"}


@given(st.binary(max_size=400))
def test_whatever_is_sealed_raises_remote_error_only(packed: bytes) -> None:
    """The sealed plaintext is as hostile as the rest: an enrolled office may seal anything."""
    for plain in (packed, pack(packed)):
        data = seal_copy(COUNTY_KEY, header_for(2), plain, PREKEY_PUBLICS[2], ENTROPY)
        with pytest.raises(RemoteError):
            open_it(data, 2)


@given(some.values, some.values)
def test_whatever_is_signed_as_a_copy_raises_remote_error_only(one: Any, other: Any) -> None:
    ciphertext = cbor.dumps(other)
    for payload in (cbor.dumps(one), outer_payload(cbor.dumps(one), ciphertext)):
        data = cbor.dumps([sign_record(COUNTY_KEY, COPY, payload), ciphertext])
        with pytest.raises(RemoteError):
            verify_copy(data, DIRECTORY, SUITES, NOW_US)
    header = header_for(2)
    with pytest.raises(RemoteError):
        open_ciphertext(ciphertext, header, encode_header(header), PREKEYS[2])


def test_the_largest_content_fits_into_a_copy() -> None:
    for suite in SUITES:
        data = seal_copy(COUNTY_KEY, header_for(suite), bytes(SEALED_BYTES), PREKEY_PUBLICS[suite], ENTROPY)
        outer, _ = split_copy(data)
        assert len(data) <= COPY_BYTES
        assert len(outer) <= OUTER_BYTES
    with pytest.raises(ValueError, match="SEALED_BYTES"):
        seal_copy(COUNTY_KEY, header_for(1), bytes(SEALED_BYTES + 1), PREKEY_PUBLICS[1], ENTROPY)


def test_a_copy_costs_less_than_two_kilobytes_more_than_its_content() -> None:
    assert len(GOOD[1]) - len(pack(bundle_of(make_content()))) < 1_800
    assert len(GOOD[2]) - len(pack(bundle_of(make_content()))) < 700


@given(st.data())
def test_g03_a_changed_content_record_is_refused(data: st.DataObject) -> None:
    good = bundle_of(make_content())
    bad = data.draw(some.mutations(good))
    if bad != good:
        with pytest.raises(RemoteError):
            verify_content(decode_bundle(bad), DIRECTORY)


@given(st.data())
def test_g10_a_changed_receipt_is_refused(data: st.DataObject) -> None:
    good = sign_record(PROVINCE_KEY, RECEIPT, encode_receipt(make_receipt()))
    bad = data.draw(some.mutations(good))
    with pytest.raises(RemoteError):
        verify_receipt(bad, DIRECTORY)


@given(some.receipts())
def test_g10_a_receipt_speaks_for_its_signer_only(receipt: Any) -> None:
    """Signed by a real office, whatever it says of others: verified only in its own name."""
    times = {"at_us": NOW_US, "expires_us": NOW_US + 1}
    said = dataclasses.replace(receipt, network=DIRECTORY.network_id, by=COUNTY, recipient=COUNTY, **times)
    assert verify_receipt(sign_record(COUNTY_KEY, RECEIPT, encode_receipt(said)), DIRECTORY).receipt == said
    with pytest.raises(RemoteError):
        verify_receipt(sign_record(CITY_KEY, RECEIPT, encode_receipt(said)), DIRECTORY)


@pytest.mark.parametrize(
    ("by", "to", "refusal"),
    [(COUNTY, PROVINCE, None), (CITY, PROVINCE, "WRONG_RECIPIENT"), (COUNTY, CITY, "WRONG_RECIPIENT")],
)
def test_g10_a_sealed_receipt_is_by_the_copys_sender_for_us(by: Any, to: Any, refusal: str | None) -> None:
    """The city's true receipt, put into a copy by the county, would otherwise come in the county's name."""
    key = COUNTY_KEY if by == COUNTY else CITY_KEY
    said = make_receipt(type="opened", by=by, recipient=by, to=to, at_us=NOW_US)
    record = sign_record(key, RECEIPT, encode_receipt(said))
    expires_us = make_header().expires_us + RECEIPT_EXTRA_LIFE_US
    header = make_header(entitlement=RECEIPT_CLASS, number=0, expires_us=expires_us)
    copy = seal_copy(COUNTY_KEY, header, pack(record), PREKEY_PUBLICS[1], ENTROPY)
    if refusal is None:
        assert open_it(copy, 1).receipt.receipt == said
        return
    with pytest.raises(RemoteError) as caught:
        open_it(copy, 1)
    assert caught.value.code == refusal


@given(st.data())
def test_g10_a_changed_frame_is_refused(data: st.DataObject) -> None:
    items = encode_items((make_item(0, b"copy", (COUNTY, CITY), 1),))
    good = encode_frame(sign_record(CITY_KEY, FRAME, encode_frame_payload(make_frame(items))), items)
    assert len(verify_frame(good, TOPIC, PROVINCE, DIRECTORY, NOW_US).items) == 1
    with pytest.raises(RemoteError):
        verify_frame(data.draw(some.mutations(good)), TOPIC, PROVINCE, DIRECTORY, NOW_US)


@given(st.data())
def test_g10_a_changed_presence_is_refused(data: st.DataObject) -> None:
    good = sign_record(CITY_KEY, PRESENCE, encode_presence(make_presence()))
    topic = PresenceTopic(CITY_ADDRESS, "fast")
    assert verify_presence(good, topic, DIRECTORY, NOW_US).presence == make_presence()
    with pytest.raises(RemoteError):
        verify_presence(data.draw(some.mutations(good)), topic, DIRECTORY, NOW_US)


@given(st.data(), st.booleans())
def test_g10_g12_a_changed_witness_proves_nothing(data: st.DataObject, of_frame: bool) -> None:
    if of_frame:
        good = sign_record(CITY_KEY, FRAME, encode_frame_payload(make_frame(b"")))
    else:
        good = sign_record(CITY_KEY, PRESENCE, encode_presence(make_presence()))
    witness = verify_witness(good, CITY, DIRECTORY, NOW_US)
    assert (witness.moment, witness.signed_us) == (MOMENT, NOW_US)
    with pytest.raises(RemoteError) as other:
        verify_witness(good, PROVINCE, DIRECTORY, NOW_US)
    assert other.value.code == "NOT_FOR_US"
    with pytest.raises(RemoteError):
        verify_witness(data.draw(some.mutations(good)), CITY, DIRECTORY, NOW_US)


def test_g10_g12_a_witness_counts_for_its_own_purpose_and_key_only() -> None:
    payload = encode_presence(make_presence())
    for key, purpose in ((CITY_KEY, FRAME), (PROVINCE_KEY, PRESENCE)):
        with pytest.raises(RemoteError):
            verify_witness(sign_record(key, purpose, payload), CITY, DIRECTORY, NOW_US)
    with pytest.raises(RemoteError):
        verify_witness(sign_record(CITY_KEY, PRESENCE, payload), CITY, DIRECTORY, NOW_US + 400 * DAY_US)


@given(st.binary(max_size=300))
def test_g13_arbitrary_bytes_raise_remote_error_only(data: bytes) -> None:
    for verify in (
        lambda: verify_copy(data, DIRECTORY, SUITES, NOW_US),
        lambda: verify_frame(data, TOPIC, PROVINCE, DIRECTORY, NOW_US),
        lambda: verify_receipt(data, DIRECTORY),
        lambda: verify_witness(data, CITY, DIRECTORY, NOW_US),
        lambda: verify_presence(data, PresenceTopic(CITY_ADDRESS, "fast"), DIRECTORY, NOW_US),
    ):
        with pytest.raises(RemoteError):
            verify()
