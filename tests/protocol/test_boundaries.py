"""Every limit of every field, from both sides: the last value that is taken, and the first that is not (G10, G13).

A good object is decoded to its CBOR tree, one field is set to an edge, and the decoder is asked.
"""

from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from protocol import cbor, limits
from protocol.approval import APPROVERS, decode_approval, encode_approval
from protocol.content import decode_bundle, decode_content, encode_bundle, encode_content
from protocol.copy import OUTER_BYTES, decode_header, encode_copy, encode_header, round_deadline, split_copy
from protocol.errors import RemoteError
from protocol.frame import NACK_CODES, decode_frame_payload, decode_items, encode_frame_payload, encode_items, make_item
from protocol.lanes import GROUPS, KINDS, LEVELS, RECEIPT, URGENCIES
from protocol.padding import pack, padded_length, unpack
from protocol.presence import decode_presence, encode_presence
from protocol.receipt import PLACE_BYTES, TYPES, Place, decode_place, decode_receipt, encode_place, encode_receipt
from protocol.signing_for import decode_signing_for, encode_signing_for
from tests import world

Edge = tuple[int | tuple[int, ...], Any, str]
OK, BAD, LARGE = "ok", "MALFORMED", "TOO_LARGE"
TOP = limits.UINT_MAX
NOW = world.NOW_US
LIFE = limits.MAX_LIFE_US


def fixed(field: int, size: int) -> list[Edge]:
    return [
        (field, bytes(size), OK), (field, bytes(size - 1), BAD), (field, bytes(size + 1), BAD),
        (field, "a" * size, BAD), (field, None, BAD), (field, size, BAD),
    ]  # fmt: skip


def optional_fixed(field: int, size: int) -> list[Edge]:
    return [(field, None, OK), *(edge for edge in fixed(field, size) if edge[1] is not None), (field, False, BAD)]


def uint(field: int, maximum: int = TOP) -> list[Edge]:
    return [
        (field, 0, OK), (field, maximum, OK), (field, maximum + 1, BAD), (field, -1, BAD), (field, True, BAD),
        (field, "1", BAD),
    ]  # fmt: skip


def optional_uint(field: int, maximum: int = TOP) -> list[Edge]:
    return [(field, None, OK), *uint(field, maximum)]


def flag(field: int) -> list[Edge]:
    return [(field, True, OK), (field, False, OK), (field, 1, BAD), (field, 0, BAD), (field, None, BAD)]


def text(field: int, good: list[str], *, longest: int | None = None) -> list[Edge]:
    edges: list[Edge] = [(field, one, OK) for one in good]
    edges += [(field, b"a", BAD), (field, None, BAD), (field, 1, BAD)]
    return edges if longest is None else [*edges, (field, "字" * longest, OK), (field, "字" * (longest + 1), LARGE)]


DIGEST = bytes(limits.DIGEST_BYTES)
ADDRESSES = [f"320924-{letter}" for letter in "ABCDEFGH"]
OBJECTS: dict[str, tuple[bytes, Callable[[bytes], Any], list[Edge]]] = {
    "content": (
        encode_content(world.make_content()),
        decode_content,
        [
            (0, 2, "BAD_VERSION"), (0, True, "BAD_VERSION"), (27, None, BAD),
            *fixed(1, limits.DIGEST_BYTES), *fixed(2, limits.NETWORK_ID_BYTES), *fixed(3, limits.OFFICE_ID_BYTES),
            *text(4, ["320924-GO", "123456789-AB1234"]), (4, "320924-GOV", BAD), (4, "320924-go", BAD),
            (4, "", BAD), (4, "3" * 21, LARGE), (4, "320924-GO\n", BAD),
            *fixed(5, limits.MESSAGE_ID_BYTES), (6, "1", BAD), (6, -1, BAD), (7, b"", BAD), (7, -1, BAD),
            (7, NOW + 1, OK), (7, NOW, "BAD_LIFE"), (7, NOW - 1, "BAD_LIFE"), (7, NOW + LIFE, OK),
            (7, NOW + LIFE + 1, "BAD_LIFE"),
            *text(8, list(KINDS)), (8, "Report", BAD), (8, "", BAD), (8, "x" * 41, LARGE),
            *text(9, list(URGENCIES)), (9, "FLASH", BAD), (9, "x" * 41, LARGE), *flag(10),
            (11, None, OK), *((11, level, OK) for level in LEVELS), (11, "V", BAD), (11, "", BAD), (11, 1, BAD),
            (11, "IIIII", LARGE),
            (12, [], OK), (12, ADDRESSES, OK), (12, ["x"], BAD), (12, [b"320924-GO"], BAD), (12, None, BAD),
            (12, ["3" * 21], BAD), (12, ["320924-GO"] * limits.RECIPIENTS, OK),
            (12, ["320924-GO"] * (limits.RECIPIENTS + 1), LARGE),
            (13, ["320924-GO"] * limits.RECIPIENTS, OK), (13, ["320924-GO"] * (limits.RECIPIENTS + 1), LARGE),
            (13, ["x"], BAD), (13, "320924-GO", BAD),
            (14, ["@a", "@" + "a" * 63], OK), (14, ["@" + "a" * 64], BAD), (14, ["a"], BAD), (14, ["@A"], BAD),
            (14, ["@a", "@"], BAD), (14, [b"@a"], BAD),
            *uint(15), *text(16, ["t"], longest=limits.TITLE_CHARS), (16, "", BAD), (16, "a\nb", BAD),
            (16, "a\tb", BAD), *fixed(17, limits.DIGEST_BYTES),
            (18, [], OK), (18, [["n", 0, DIGEST]] * limits.ATTACHMENTS, OK),
            (18, [["n", 0, DIGEST]] * (limits.ATTACHMENTS + 1), LARGE), (18, [["n", TOP, DIGEST]], OK),
            (18, [["n", -1, DIGEST]], BAD), (18, [["n", True, DIGEST]], BAD), (18, [["", 0, DIGEST]], BAD),
            (18, [["n" * 255, 0, DIGEST]], OK), (18, [["n" * 256, 0, DIGEST]], BAD), (18, [["字" * 85, 0, DIGEST]], OK),
            (18, [["字" * 86, 0, DIGEST]], BAD), (18, [["a\nb", 0, DIGEST]], BAD), (18, [["n", 0, DIGEST[1:]]], BAD),
            (18, [["n", 0, DIGEST + b"0"]], BAD), (18, [["n", 0]], BAD), (18, [["n", 0, DIGEST, 0]], BAD),
            (18, [[b"n", 0, DIGEST]], BAD), (18, [["n", 0, "d"]], BAD), (18, ["n"], BAD), (18, {}, BAD),
            *optional_fixed(19, limits.MESSAGE_ID_BYTES), *optional_fixed(20, limits.MESSAGE_ID_BYTES),
            *optional_uint(21, limits.TIME_MAX_US), *optional_uint(22, limits.TIME_MAX_US),
            *text(23, ["none", "work_secret"]), (23, "secret", BAD),
            (23, "x" * 21, LARGE), *flag(24),
            (25, [], OK), (25, [b"p"] * limits.PERSON_SIGNATURES, OK),
            (25, [b"p"] * (limits.PERSON_SIGNATURES + 1), LARGE), (25, ["p"], BAD), (25, None, BAD),
            *optional_fixed(26, limits.DIGEST_BYTES),
        ],
    ),
    "approval": (
        encode_approval(world.make_approval()),
        decode_approval,
        [
            (0, 2, "BAD_VERSION"), (0, True, "BAD_VERSION"), (11, None, BAD), *fixed(1, limits.NETWORK_ID_BYTES),
            *fixed(2, limits.OFFICE_ID_BYTES), *fixed(3, limits.MESSAGE_ID_BYTES), *text(4, list(APPROVERS)),
            (4, "clerk", BAD), (4, "x" * 21, LARGE), *uint(5, limits.TIME_MAX_US),
            (6, [], BAD), (6, ADDRESSES, OK), (6, ["@" + "a" * 63], OK), (6, ["@" + "a" * 64], BAD), (6, ["x"], BAD),
            (6, [b"320924-GO"], BAD), (6, None, BAD), (6, ["320924-GO"] * limits.RECIPIENTS, OK),
            (6, ["320924-GO"] * (limits.RECIPIENTS + 1), LARGE),
            (7, [], OK), (7, ["320924-GO"] * (limits.RECIPIENTS + 1), LARGE), (7, ["x"], BAD), (7, "320924-GO", BAD),
            *optional_uint(8, limits.MAX_LIFE_US), *optional_uint(9, limits.MAX_LIFE_US),
            *fixed(10, limits.DIGEST_BYTES),
        ],
    ),
    "signing-for": (
        encode_signing_for(world.make_signing_for()),
        decode_signing_for,
        [
            (0, 2, "BAD_VERSION"), (6, None, BAD), *fixed(1, limits.NETWORK_ID_BYTES),
            *fixed(2, limits.OFFICE_ID_BYTES), *fixed(3, limits.MESSAGE_ID_BYTES), *fixed(4, limits.DIGEST_BYTES),
            *uint(5, limits.TIME_MAX_US),
        ],
    ),
    "header": (
        encode_header(world.make_header()),
        decode_header,
        [
            (0, 2, "BAD_VERSION"), (14, None, BAD), *fixed(1, limits.NETWORK_ID_BYTES), *uint(2, 255),
            *fixed(3, limits.MESSAGE_ID_BYTES), *fixed(4, limits.OFFICE_ID_BYTES), *fixed(5, limits.OFFICE_ID_BYTES),
            (6, 0, OK), (6, 4, OK), (6, 5, BAD), (6, -1, BAD), (6, None, BAD),
            (7, 1, OK), (7, 0, "NOT_ENTITLED"), (7, 3, BAD), (7, -1, BAD), (7, RECEIPT, "BAD_LIFE"),
            (9, NOW + 1, OK), (9, NOW, "BAD_LIFE"), (9, NOW + LIFE, OK), (9, NOW + LIFE + 1, "BAD_LIFE"),
            *optional_uint(10), (11, 1, OK), (11, TOP, OK), (11, 0, BAD), (11, -1, BAD),
            *fixed(12, limits.EPOCH_BYTES), *fixed(13, limits.KEY_ID_BYTES),
        ],
    ),
    "receipt header": (
        encode_header(world.make_header(entitlement=RECEIPT, number=0, expires_us=NOW + LIFE + 5)),
        decode_header,
        [
            (7, RECEIPT, OK), (11, 1, BAD), (9, NOW + 2 * LIFE, OK), (9, NOW + 2 * LIFE + 1, "BAD_LIFE"),
            (9, NOW + LIFE + 1, OK), (9, NOW + LIFE, "BAD_LIFE"),
        ],
    ),
    "frame": (
        encode_frame_payload(world.make_frame(b"\x80")),
        decode_frame_payload,
        [
            (0, 2, "BAD_VERSION"), (12, None, BAD), *fixed(1, limits.NETWORK_ID_BYTES),
            *fixed(2, limits.OFFICE_ID_BYTES), *fixed(3, limits.OFFICE_ID_BYTES), *uint(4, 4), *uint(6), *uint(7),
            *fixed(8, limits.DIGEST_BYTES),
            (9, [DIGEST] * limits.FRAME_ITEMS, OK), (9, [DIGEST] * (limits.FRAME_ITEMS + 1), LARGE),
            (9, [DIGEST[1:]], BAD), (9, ["d" * 32], BAD), (9, [DIGEST, DIGEST + b"0"], BAD), (9, DIGEST, BAD),
            *((10, [[DIGEST, code]], OK) for code in NACK_CODES), (10, [[DIGEST, "full"]], BAD),
            (10, [[DIGEST, "FULL"]] * limits.FRAME_ITEMS, OK),
            (10, [[DIGEST, "FULL"]] * (limits.FRAME_ITEMS + 1), LARGE), (10, [[DIGEST[1:], "FULL"]], BAD),
            (10, [[DIGEST + b"0", "FULL"]], BAD), (10, [["d" * 32, "FULL"]], BAD), (10, [[DIGEST, b"FULL"]], BAD),
            (10, [[DIGEST]], BAD), (10, [[DIGEST, "FULL", 0]], BAD), (10, ["FULL"], BAD),
            (11, None, OK), (11, b"", OK), (11, bytes(limits.RECORD_BYTES), OK),
            (11, bytes(limits.RECORD_BYTES + 1), LARGE), (11, "w", BAD), (11, 0, BAD), (11, False, BAD),
        ],
    ),
    "presence": (
        encode_presence(world.make_presence()),
        decode_presence,
        [
            (0, 2, "BAD_VERSION"), (12, None, BAD), *fixed(1, limits.NETWORK_ID_BYTES),
            *fixed(2, limits.OFFICE_ID_BYTES), *text(3, list(GROUPS)), (3, "medium", BAD), (3, "fast slow", LARGE),
            (3, "", BAD), *flag(4), *uint(6), *uint(7), *uint(8), *fixed(9, limits.DIGEST_BYTES), *uint(10),
            *fixed(11, limits.DIGEST_BYTES),
        ],
    ),
    "receipt": (
        encode_receipt(world.make_receipt()),
        decode_receipt,
        [
            (0, 2, "BAD_VERSION"), (14, None, BAD), *fixed(1, limits.NETWORK_ID_BYTES), (2, "Delivered", BAD),
            (2, "", BAD), (2, b"delivered", BAD), (2, "x" * 21, LARGE), *fixed(3, limits.MESSAGE_ID_BYTES),
            (4, world.CITY, BAD), (5, world.CITY, BAD), (4, bytes(15), BAD), (5, bytes(17), BAD),
            *fixed(6, limits.OFFICE_ID_BYTES), *fixed(7, limits.DIGEST_BYTES), *uint(9, 4),
            (8, NOW + 48 * world.DAY_US - 1, OK), (8, NOW + 48 * world.DAY_US, "BAD_LIFE"),
            (8, NOW + 48 * world.DAY_US + 1, "BAD_LIFE"), (8, NOW + 48 * world.DAY_US - 2 * LIFE, OK),
            (8, NOW + 48 * world.DAY_US - 2 * LIFE - 1, "BAD_LIFE"), (8, -1, BAD), (8, "", BAD),
            (10, NOW + limits.SECOND_US, "BAD_LIFE"), (10, None, BAD),
            *text(11, ["", "NO_REVIEWER", "x" * 40]), (11, "x" * 41, LARGE), (11, "A B", BAD), (11, "\x1b[2J", BAD),
            (11, "NO\n", BAD), (11, "字", BAD),
            *text(12, [""]), (12, "a", BAD), (12, "字" * (limits.TEXT_CHARS + 1), LARGE),
            (13, b"", OK), (13, bytes(8_000), OK), (13, "p", BAD),
        ],
    ),
    "sealed receipt": (
        encode_receipt(world.make_receipt(type="returned")),
        decode_receipt,
        [*text(12, ["", "退回\n重报"], longest=limits.TEXT_CHARS), (12, "\x1b[2J", BAD), (12, "a\0", BAD)],
    ),
}  # fmt: skip
CASES = [(name, *edge) for name, (_, _, edges) in OBJECTS.items() for edge in edges]


def asked(decode: Callable[[bytes], Any], tree: Any) -> str:
    """`ok`, or the code of the refusal."""
    try:
        decode(cbor.dumps(tree))
    except RemoteError as error:
        return error.code
    return OK


@pytest.mark.parametrize(("name", "field", "value", "expected"), CASES, ids=lambda part: str(part)[:24])
def test_g10_g13_the_edges_of_each_field(name: str, field: int, value: Any, expected: str) -> None:
    data, decode, _ = OBJECTS[name]
    tree = cbor.loads(data, max_bytes=1 << 20)
    tree[field] = value
    assert asked(decode, tree) == expected


@pytest.mark.parametrize("name", OBJECTS)
def test_g10_every_field_must_be_there_and_no_other(name: str) -> None:
    data, decode, _ = OBJECTS[name]
    tree = cbor.loads(data, max_bytes=1 << 20)
    for field in tree:
        assert asked(decode, {key: value for key, value in tree.items() if key != field}) == BAD
    for field in (max(tree) + 1, 99, 2**40, -1):
        assert asked(decode, {**tree, field: None}) == BAD
    for other in ([], 0, None, b"", "text", [tree]):
        assert asked(decode, other) == BAD


def test_g13_the_edges_of_a_bundle() -> None:
    salt = bytes(limits.SALT_BYTES)
    good: list[Any] = [b"r", salt, "body", [b"f"], None]
    for at, value, expected in (
        (0, b"", OK), (0, "r", BAD), (1, salt[1:], BAD), (1, salt + b"0", BAD), (1, "s" * len(salt), BAD),
        (1, None, BAD), (2, "", OK), (2, b"b", BAD), (2, "a\x1b", BAD), (2, "a\nb\tc\r", OK), (3, [], OK),
        (3, [b"f"] * limits.ATTACHMENTS, OK), (3, [b"f"] * (limits.ATTACHMENTS + 1), BAD), (3, ["f"], BAD),
        (3, None, BAD), (3, b"f", BAD), (3, "f" * 99, BAD), (4, b"o", OK), (4, "o", BAD), (4, 0, BAD),
    ):  # fmt: skip
        assert asked(decode_bundle, [value if place == at else one for place, one in enumerate(good)]) == expected
    assert asked(decode_bundle, good[:4]) == BAD
    assert asked(decode_bundle, [*good, None]) == BAD
    whole = cbor.dumps([b"", salt, "a" * (limits.CONTENT_BYTES - 43), [], None])
    assert len(whole) == limits.CONTENT_BYTES
    assert encode_bundle(decode_bundle(whole)) == whole
    with pytest.raises(RemoteError, match=LARGE):
        decode_bundle(whole + b"0")


def test_g13_the_edges_of_items() -> None:
    def decode(data: bytes) -> Any:
        return decode_items(data, max_bytes=limits.FRAME_BYTES)

    office, good = bytes(16), [0, b"d", [], 1, None]
    for value, expected in (
        ([good] * limits.FRAME_ITEMS, OK), ([good] * (limits.FRAME_ITEMS + 1), BAD), ([], OK), ({}, BAD), ("", BAD),
        (b"", BAD), ([[1, b"", [], 0, 0]], OK), ([[2, b"", [], 0, 0]], BAD), ([[-1, b"", [], 0, 0]], BAD),
        ([[0, "", [], 0, 0]], BAD), ([[0, b"", [office] * limits.TRAIL_OFFICES, 0, 0]], OK),
        ([[0, b"", [office] * (limits.TRAIL_OFFICES + 1), 0, 0]], BAD), ([[0, b"", [office[1:]], 0, 0]], BAD),
        ([[0, b"", [office + b"0"], 0, 0]], BAD), ([[0, b"", ["o" * 16], 0, 0]], BAD),
        ([[0, b"", {}, 0, 0]], BAD), ([[0, b"", "o", 0, 0]], BAD), ([[0, b"", [], TOP, 0]], OK),
        ([[0, b"", [], -1, 0]], BAD), ([[0, b"", [], 0, TOP]], OK), ([[0, b"", [], 0, -1]], BAD),
        ([[0, b"", [], 0, False]], BAD), ([[0, b"", [], 0]], BAD), ([[0, b"", [], 0, 0, 0]], BAD), ([0], BAD),
    ):  # fmt: skip
        assert asked(decode, value) == expected
    item = make_item(1, b"copy", (world.CITY,), 3, 7)
    assert item.digest == world.sha256(b"copy")
    assert decode(encode_items((item,))) == (item,)
    with pytest.raises(RemoteError, match=LARGE):
        decode_items(encode_items((item,)), max_bytes=len(encode_items((item,))) - 1)


def test_g13_the_edges_of_a_copy() -> None:
    room = limits.FRAME_BYTES
    for outer, expected in ((bytes(OUTER_BYTES), OK), (bytes(OUTER_BYTES + 1), LARGE), ("o", BAD)):
        assert asked(split_copy, [outer, b"c"]) == expected
    assert asked(split_copy, [b"o", "c"]) == BAD
    assert asked(split_copy, [b"o"]) == BAD
    assert asked(split_copy, [b"o", bytes(2 * room)]) == LARGE
    assert split_copy(encode_copy(b"o", b"c")) == (b"o", b"c")


def test_g11_deadlines_are_rounded_up_to_five_minutes() -> None:
    step = 300_000_000
    assert step == limits.DEADLINE_STEP_US
    for given, shown in ((0, 0), (1, step), (step - 1, step), (step, step), (step + 1, 2 * step), (None, None)):
        assert round_deadline(given) == shown


def test_the_edges_of_a_place() -> None:
    place = Place(world.make_header().lane, world.EPOCH, 7)
    assert decode_place(encode_place(place)) == place
    for tree, expected in (
        ([4, bytes(8), 1], OK), ([5, bytes(8), 1], BAD), ([0, bytes(7), 1], BAD), ([0, bytes(9), 1], BAD),
        ([0, bytes(8), 0], BAD), ([0, bytes(8), TOP], OK), ([0, bytes(8)], BAD), ([0, bytes(8), 1, 1], BAD),
        ([0, bytes(8), bytes(PLACE_BYTES)], LARGE),
    ):  # fmt: skip
        assert asked(decode_place, tree) == expected


@pytest.mark.parametrize("type_", sorted(TYPES - {"tombstone"}))
def test_only_hop_receipts_may_be_by_another_than_the_recipient(type_: str) -> None:
    own = encode_receipt(world.make_receipt(type=type_))
    assert decode_receipt(own).type == type_
    other = encode_receipt(world.make_receipt(type=type_, by=world.CITY))
    if type_ in ("custody", "custody_lost", "prekey_gone"):
        assert decode_receipt(other).by == world.CITY
    else:
        with pytest.raises(RemoteError, match=BAD):
            decode_receipt(other)


def test_g13_the_edges_of_a_padded_plaintext() -> None:
    # Nine bytes are padded to ten.
    stored = bytes((0,)) + (4).to_bytes(4, "big") + b"abcd\0"
    assert unpack(stored, max_bytes=4) == b"abcd"
    for data, most, code in (
        (stored, 3, LARGE), (stored[:4], 9, BAD), (b"", 9, BAD), (b"\2" + stored[1:], 9, BAD),
        (stored[:1] + (1 << 24 | 4).to_bytes(4, "big") + stored[5:], 9, BAD),
        (stored[:1] + (1 << 16 | 4).to_bytes(4, "big") + stored[5:], 9, BAD),
    ):  # fmt: skip
        with pytest.raises(RemoteError, match=code):
            unpack(data, max_bytes=most)
    assert unpack(bytes(5)) == b""
    packed = pack(bytes(5_000))
    assert packed[0] == 1
    assert unpack(packed, max_bytes=5_000) == bytes(5_000)
    with pytest.raises(RemoteError, match=LARGE):
        unpack(packed, max_bytes=4_999)
    nothing = zstandard.compress(b"")
    frame = bytes((1,)) + len(nothing).to_bytes(4, "big") + nothing
    assert unpack(frame.ljust(padded_length(len(frame)), b"\0")) == b""
    assert [padded_length(length) for length in (0, 1, 2, 3, 8, 9, 10, 16, 17)] == [0, 1, 2, 3, 8, 10, 10, 16, 18]
