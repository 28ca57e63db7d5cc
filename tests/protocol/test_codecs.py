"""Every object of the wire: what is encoded is decoded the same, in one form only, and nothing else is let through."""

import dataclasses
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor, limits
from protocol.content import decode_bundle, decode_content, encode_bundle, encode_content
from protocol.copy import (
    CLEAR_FIELDS,
    VERSION,
    CopyHeader,
    copy_digest,
    decode_header,
    encode_copy,
    encode_header,
    outer_payload,
    read_outer,
    split_copy,
)
from protocol.errors import RemoteError
from protocol.frame import (
    decode_frame_payload,
    decode_items,
    encode_frame,
    encode_frame_payload,
    encode_items,
    item_size,
    split_frame,
)
from protocol.padding import pack, unpack
from protocol.presence import decode_presence, encode_presence
from protocol.receipt import Place, decode_place, decode_receipt, encode_receipt
from protocol.topics import (
    FrameTopic,
    PrekeyTopic,
    PresenceTopic,
    TrustTopic,
    frame_topic,
    parse_topic,
    prekey_topic,
    presence_topic,
    trust_topic,
)
from tests import strategies as some
from tests.world import make_content, make_header, make_tombstone

OBJECTS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "content": (some.contents(), encode_content, decode_content),
    "bundle": (some.bundles, encode_bundle, decode_bundle),
    "header": (some.headers(), encode_header, decode_header),
    "frame": (some.frames, encode_frame_payload, decode_frame_payload),
    "items": (
        st.lists(some.items, max_size=4).map(tuple),
        encode_items,
        lambda data: decode_items(data, max_bytes=limits.FRAME_BYTES),
    ),
    "receipt": (some.receipts(), encode_receipt, decode_receipt),
    "presence": (some.presences, encode_presence, decode_presence),
    "copy": (
        st.tuples(st.binary(max_size=90), st.binary(max_size=90)),
        lambda pair: encode_copy(*pair),
        split_copy,
    ),
    "frame-bytes": (
        st.tuples(st.binary(max_size=90), st.binary(max_size=90)),
        lambda pair: encode_frame(*pair),
        lambda data: split_frame(data, max_bytes=limits.FRAME_BYTES),
    ),
    "padding": (st.binary(max_size=900), pack, unpack),
}
each_object = pytest.mark.parametrize("name", OBJECTS)


@each_object
@given(st.data())
def test_what_is_encoded_is_decoded_the_same(name: str, data: st.DataObject) -> None:
    strategy, encode, decode = OBJECTS[name]
    value = data.draw(strategy)
    assert decode(encode(value)) == value


@each_object
@given(st.data())
def test_g03_mutated_bytes_are_another_value_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever decodes has exactly one form: its own. So changed bytes never pass for the same object."""
    strategy, encode, decode = OBJECTS[name]
    value = data.draw(strategy)
    good = encode(value)
    bad = data.draw(some.mutations(good))
    try:
        found = decode(bad)
    except RemoteError:
        return
    if name != "padding":  # there the data may also be compressed in another way
        assert encode(found) == bad
        assert found != value or bad == good


@each_object
@given(st.binary(max_size=300))
def test_g13_arbitrary_bytes_raise_remote_error_only(name: str, data: bytes) -> None:
    _, _, decode = OBJECTS[name]
    try:
        decode(data)
    except RemoteError:
        return


@each_object
@given(some.values)
def test_g13_arbitrary_values_raise_remote_error_only(name: str, value: Any) -> None:
    _, _, decode = OBJECTS[name]
    try:
        decode(cbor.dumps(value))
    except RemoteError:
        return


@each_object
@given(st.data())
def test_g13_one_foreign_value_in_any_field_raises_remote_error_only(name: str, data: st.DataObject) -> None:
    strategy, encode, decode = OBJECTS[name]
    if name == "padding":
        return
    tree = cbor.loads(encode(data.draw(strategy)), max_bytes=limits.CONTENT_BYTES)
    keys = sorted(tree) if isinstance(tree, dict) else list(range(len(tree)))
    if keys:
        tree[data.draw(st.sampled_from(keys))] = data.draw(some.values)
    if isinstance(tree, dict) and data.draw(st.booleans()):
        tree[data.draw(st.integers(0, 40))] = data.draw(some.values)
    try:
        found = decode(cbor.dumps(tree))
    except RemoteError:
        return
    assert encode(found) == cbor.dumps(tree)


@given(some.values)
def test_cbor_round_trip(value: Any) -> None:
    assert cbor.loads(cbor.dumps(value), max_bytes=100_000) == value


@pytest.mark.parametrize(
    "hexa",
    [
        "", "00 00", "18 17", "19 0001", "5f 41 00 ff", "9f ff", "bf ff", "f9 3c00", "fb 3ff0000000000000", "f7",
        "f8 20", "c2 49 010000000000000000",
        "c0 60", "c2 41 01", "d8 1c 80", "d9 d9f7 00", "a2 00 00 00 01", "a2 01 00 00 00", "a1 60 00", "a1 f5 00",
        "61 ff", "63 eda080", "81", "ff", "1c", "9b ffffffffffffffff", "5b 7fffffffffffffff", "ba ffffffff",
        "81" * 17 + "00", "a1 80 00", "a1 f6 01",
    ],
)  # fmt: skip
def test_cbor_that_is_not_strict_is_malformed(hexa: str) -> None:
    with pytest.raises(RemoteError) as caught:
        cbor.loads(bytes.fromhex(hexa), max_bytes=1_000)
    assert caught.value.code == "MALFORMED"


def test_g13_a_claimed_size_costs_nothing() -> None:
    for head in ("9a7fffffff", "ba7fffffff", "5a7fffffff", "7a7fffffff", "9bffffffffffffffff"):
        with pytest.raises(RemoteError):
            cbor.loads(bytes.fromhex(head) + bytes(60_000), max_bytes=64 * 1024)


def test_over_the_limit_is_refused_before_parsing() -> None:
    with pytest.raises(RemoteError) as caught:
        cbor.loads(b"\xff" * 11, max_bytes=10)
    assert caught.value.code == "TOO_LARGE"


def test_g11_clear_fields_are_what_the_codec_shows() -> None:
    """The documented list, the header's fields, and the wire map agree one by one."""
    assert tuple(field.name for field in dataclasses.fields(CopyHeader)) == CLEAR_FIELDS
    shown = cbor2.loads(encode_header(make_header()))
    assert shown.pop(0) == VERSION
    assert list(shown) == list(range(1, len(CLEAR_FIELDS) + 1))
    header = make_header()
    assert [shown[number] for number in shown] == [getattr(header, name) for name in CLEAR_FIELDS]


def test_g11_a_tombstone_shows_no_more_than_the_header_of_its_message_did() -> None:
    """Every field of it is one of the header's, its own life and lane, or the digest over the random salt."""
    tombstone = make_tombstone()
    own = {"type", "at_us", "lane", "expires_us", "code"}
    of_header = {"network": "network", "id": "id", "by": "recipient", "recipient": "recipient", "to": "sender"}
    assert set(of_header.values()) <= set(CLEAR_FIELDS)
    assert {field.name for field in dataclasses.fields(Place)} <= set(CLEAR_FIELDS)
    rest = {field.name for field in dataclasses.fields(tombstone)} - own - set(of_header) - {"proof", "digest"}
    assert rest == {"detail"}
    assert tombstone.detail == ""
    assert decode_place(tombstone.proof) == Place(make_header().lane, make_header().epoch, 7)


def test_g11_a_header_shows_nothing_of_the_report() -> None:
    shown = encode_header(make_header())
    content = make_content()
    for secret in (content.title, content.kind, content.urgency, content.sender_address, *content.to, *content.cc):
        assert secret.encode() not in shown


@pytest.mark.parametrize("field", ["title", "name", "body"])
@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", "\n", "\u2028"])
def test_text_that_a_terminal_obeys_is_malformed(field: str, character: str) -> None:
    content = make_content()
    decode: Callable[[bytes], object] = decode_content
    if field == "title":
        data = encode_content(dataclasses.replace(content, title=f"a{character}b"))
    elif field == "name":
        attachment = dataclasses.replace(content.attachments[0], name=f"a{character}b")
        data = encode_content(dataclasses.replace(content, attachments=(attachment,)))
    else:
        data, decode = cbor.dumps([b"", bytes(32), f"a{character}b", [], None]), decode_bundle
    if field == "body" and character in "\n\u2028":
        decode(data)
        return
    with pytest.raises(RemoteError) as caught:
        decode(data)
    assert caught.value.code == "MALFORMED"


@given(some.addresses, some.addresses, some.lanes, st.sampled_from(["fast", "slow"]))
def test_topics_round_trip(one: Any, other: Any, lane: Any, group: str) -> None:
    assert parse_topic(frame_topic(one, lane, other)) == FrameTopic(one, lane, other)
    assert parse_topic(presence_topic(one, group)) == PresenceTopic(one, group)
    assert parse_topic(prekey_topic(one, other)) == PrekeyTopic(one, other)
    for file in ("timestamp.json", "12.root.json", "7.roster.cbor"):
        assert parse_topic(trust_topic(one, file)) == TrustTopic(one, file)


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["relay", "1", "presence", "prekey", "trust", "flash", "320924-GO", "fast", "", "+", "#", "a_b"]
        ),
        max_size=6,
    ).map("/".join)
)
def test_a_topic_is_known_or_wrong(topic: str) -> None:
    try:
        parse_topic(topic)
    except RemoteError as error:
        refusal = error.code
    else:
        refusal = "WRONG_TOPIC"
    assert refusal == "WRONG_TOPIC"


@given(some.items)
def test_item_size_is_never_too_small(item: Any) -> None:
    assert len(encode_items((item,))) - 1 <= item_size(len(item.data), len(item.trail))


def test_what_is_read_of_a_copy_is_what_the_outer_record_signs() -> None:
    header = make_header()
    payload = outer_payload(encode_header(header), b"ciphertext")
    data = encode_copy(b"outer", b"ciphertext")
    copy = read_outer(payload, b"outer", b"ciphertext", data)
    assert (copy.header, copy.header_bytes) == (header, encode_header(header))
    assert (copy.outer, copy.ciphertext, copy.digest) == (b"outer", b"ciphertext", copy_digest(data))
    with pytest.raises(RemoteError, match="BAD_DIGEST"):
        read_outer(payload, b"outer", b"another", data)
    for digest in (b"short", b"", bytes(33), "text"):
        with pytest.raises(RemoteError, match="MALFORMED"):
            read_outer(cbor.dumps([encode_header(header), digest]), b"outer", b"ciphertext", data)
