"""Frames: what one PUBLISH carries for one neighbour on one lane (D3, SPEC section 6).

A frame is the array [record, items]. The record is signed by the sending relay over purpose, sender, receiver, lane,
moment, counter, custody entries, nacks, witness and the SHA-256 of the items. So the record alone, without the items,
is the proof of custody that the upstream keeps.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import Value, dumps, loads
from protocol.copy import copy_digest
from protocol.errors import RemoteError
from protocol.fields import Fields, as_bytes, as_text, as_uint, elements
from protocol.ids import Digest, NetworkId, OfficeId
from protocol.lanes import Lane
from protocol.moment import Moment, moment_fields, read_moment

VERSION: Final = 1
COPY_ITEM: Final = 0
RECEIPT_ITEM: Final = 1
ITEM_KINDS: Final = (COPY_ITEM, RECEIPT_ITEM)
NACK_CODES: Final = ("FULL", "NO_ROUTE", "LOOP", "UNVERIFIED")
"""Why a relay did not take an item; never final (D1)."""
ITEM_OVERHEAD_BYTES: Final = 40
"""Framing of one item beside its bytes and trail."""
TRAIL_ENTRY_BYTES: Final = limits.OFFICE_ID_BYTES + 2
"""One office of a trail, with some framing."""
ENTRY_BYTES: Final = limits.DIGEST_BYTES + 24
"""One custody entry or nack, with framing and the longest nack code."""
FRAME_OVERHEAD_BYTES: Final = 512
"""Record, signature and framing of a frame beside items and entries."""


@dataclass(frozen=True, slots=True)
class Item:
    """Layer (c): a copy or a receipt record on its way, the offices it went through, the attempt it belongs to.

    `witnessed_us`: since when an office other than its origin has had it, as far as the sending relay knows (G14).
    """

    kind: int
    data: bytes
    trail: tuple[OfficeId, ...]
    attempt: int
    digest: Digest
    witnessed_us: int | None = None


@dataclass(frozen=True, slots=True)
class Nack:
    """An item that was not taken, and why."""

    digest: Digest
    code: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The signed part of a frame.

    `counter` rises with every frame of the sender's epoch; `at_us` is its clock. `witness` is a record that the
    *receiver* signed, presence or frame, which shows more of its home than it has shown since (SPEC M60); else None.
    """

    network: NetworkId
    sender: OfficeId
    receiver: OfficeId
    lane: Lane
    moment: Moment
    counter: int
    at_us: int
    items_digest: Digest
    custody: tuple[Digest, ...]
    nacks: tuple[Nack, ...]
    witness: bytes | None = None


def make_item(
    kind: int, data: bytes, trail: tuple[OfficeId, ...], attempt: int, witnessed_us: int | None = None
) -> Item:
    """An item with its digest."""
    return Item(kind, data, trail, attempt, copy_digest(data), witnessed_us)


def item_size(data_bytes: int, trail_offices: int) -> int:
    """What an item of so many bytes, with a trail of so many offices, adds to a frame, in bytes, rounded up."""
    return data_bytes + TRAIL_ENTRY_BYTES * trail_offices + ITEM_OVERHEAD_BYTES


def encode_items(items: tuple[Item, ...]) -> bytes:
    """The items' canonical bytes."""
    return dumps([[item.kind, item.data, list(item.trail), item.attempt, item.witnessed_us] for item in items])


def items_digest(encoded_items: bytes) -> Digest:
    """What the record says of the items."""
    return Digest(hashlib.sha256(encoded_items).digest())


def encode_frame_payload(frame: Frame) -> bytes:
    """The payload to be signed by the sending relay."""
    return dumps(
        {
            0: VERSION,
            1: frame.network,
            2: frame.sender,
            3: frame.receiver,
            4: int(frame.lane),
            5: moment_fields(frame.moment),
            6: frame.counter,
            7: frame.at_us,
            8: frame.items_digest,
            9: list(frame.custody),
            10: [[nack.digest, nack.code] for nack in frame.nacks],
            11: frame.witness,
        }
    )


def decode_frame_payload(payload: bytes) -> Frame:
    """The fields of a frame record's payload; raises `RemoteError`."""
    f = Fields(loads(payload, max_bytes=limits.FRAME_BYTES), "frame")
    f.version(VERSION)
    frame = Frame(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        sender=OfficeId(f.fixed(2, limits.OFFICE_ID_BYTES)),
        receiver=OfficeId(f.fixed(3, limits.OFFICE_ID_BYTES)),
        lane=Lane(f.uint(4, max(Lane))),
        moment=read_moment(f.value(5)),
        counter=f.uint(6),
        at_us=f.uint(7),
        items_digest=Digest(f.fixed(8, limits.DIGEST_BYTES)),
        custody=tuple(map(Digest, f.blobs(9, limits.FRAME_ITEMS, limits.DIGEST_BYTES))),
        nacks=tuple(map(_nack, f.array(10, limits.FRAME_ITEMS))),
        witness=f.optional_blob(11, limits.RECORD_BYTES),
    )
    f.done()
    return frame


def encode_frame(record: bytes, encoded_items: bytes) -> bytes:
    """The frame's bytes; `encoded_items` travels as a byte string, so that its digest needs no second encoding."""
    return dumps([record, encoded_items])


def split_frame(data: bytes, *, max_bytes: int) -> tuple[bytes, bytes]:
    """(record, encoded items); raises `RemoteError`."""
    record, items = elements(loads(data, max_bytes=max_bytes), 2, "frame")
    return as_bytes(record, "frame record"), as_bytes(items, "frame items")


def decode_items(encoded_items: bytes, *, max_bytes: int) -> tuple[Item, ...]:
    """The items of a frame whose record was verified; raises `RemoteError`."""
    values = loads(encoded_items, max_bytes=max_bytes)
    if type(values) is not list or len(values) > limits.FRAME_ITEMS:
        raise RemoteError("MALFORMED", "items are not a short array")
    return tuple(map(_item, values))


def _item(value: Value) -> Item:
    kind, data, trail, attempt, witnessed = elements(value, 5, "item")
    if type(trail) is not list or len(trail) > limits.TRAIL_OFFICES:
        raise RemoteError("MALFORMED", "trail is not an array of at most 8 offices")
    return make_item(
        as_uint(kind, "item kind", max(ITEM_KINDS)),
        as_bytes(data, "item"),
        tuple(OfficeId(as_bytes(office, "trail office", limits.OFFICE_ID_BYTES)) for office in trail),
        as_uint(attempt, "attempt"),
        None if witnessed is None else as_uint(witnessed, "witnessed"),
    )


def _nack(value: Value) -> Nack:
    digest, code = elements(value, 2, "nack")
    if as_text(code, "nack code", 20) not in NACK_CODES:
        raise RemoteError("MALFORMED", "unknown nack code")
    return Nack(Digest(as_bytes(digest, "nack digest", limits.DIGEST_BYTES)), code)
