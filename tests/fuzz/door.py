"""The way of a frame from arrival to the commit, over a store of its own, with what arrives chosen by a fuzzer."""

from contextlib import ExitStack
from functools import cache
from typing import Final

from keys.seal import seal_copy
from keys.signing import FRAME, RECEIPT, sign_record
from protocol.frame import (
    COPY_ITEM,
    RECEIPT_ITEM,
    decode_items,
    encode_frame,
    encode_frame_payload,
    encode_items,
    items_digest,
    make_item,
)
from protocol.lanes import Lane
from protocol.padding import pack
from protocol.topics import FrameTopic, frame_topic
from relay.intake import Waiting, _examine_all
from relay.ports import Arrived
from relay.receipting import ENTROPY_BYTES
from relay.settle import Bounds, OutboxView, Settlement
from relay.store import inbox, quarantine
from relay.store.database import Txn
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried
from tests.relay.test_settlement import eyes

TOPIC: Final = FrameTopic(world.PROVINCE_ADDRESS, Lane.FLASH, world.CITY_ADDRESS)
ENTROPY: Final = bytes(ENTROPY_BYTES * 128)
BOUNDS: Final = Bounds(50, 1 << 18)


_STACK: Final = ExitStack()


@cache
def _store() -> InlineStore:
    """One store for all; what a knock does in it is undone."""
    return _STACK.enter_context(office_store("door"))


def knock(data: bytes) -> None:
    """Let a frame in, as the daemon of the province does. The first byte says how far the sender is to be believed:

    a stranger's frame as it is; items that a true neighbour signed; a plaintext that a true office sealed and signed;
    a receipt payload that the city signed. Nothing of it may raise; nothing hostile is handed to a reader as new.
    """
    how, rest = (data[0] % 4, data[1:]) if data else (0, b"")
    payload = (_raw, _items, _plaintext, _receipt)[how](rest)
    name = frame_topic(TOPIC.receiver, TOPIC.lane, TOPIC.sender)
    arrived = Arrived("province", name, payload, retained=False)
    examined, suspects, _ = _examine_all([Waiting(arrived, TOPIC)], eyes(world.PROVINCE), (), [ENTROPY])

    def change(txn: Txn) -> None:
        outcome = Settlement(txn, world.PROVINCE, OutboxView({}, frozenset()), BOUNDS).settle(examined, suspects)
        shown = inbox.listed(txn, None, 200)
        # Each message in the inbox is answered by a receipt of its own; suspects earn no custody.
        assert len(shown) <= len(outcome.taken)
        assert len(outcome.custody) + len(outcome.nacks) <= sum(len(one.findings) for one in examined)
        assert len(quarantine.latest(txn, 200)) <= BOUNDS.quarantine_rows

    tried(_store(), change)


def _framed(items: bytes) -> bytes:
    """A frame of the city around items."""
    frame = world.make_frame(items, items_digest=items_digest(items))
    return encode_frame(sign_record(world.CITY_KEY, FRAME, encode_frame_payload(frame)), items)


def _raw(data: bytes) -> bytes:
    return data


def _items(data: bytes) -> bytes:
    return _framed(data)


def _plaintext(data: bytes) -> bytes:
    """An office may seal whatever it likes: here the bundle is hostile, and the packing half of the time."""
    plain = data[1:] if data[:1] < b"\x80" else pack(data[1:])
    copy = seal_copy(world.COUNTY_KEY, world.make_header(), plain[:40_000], world.PREKEY_PUBLICS[1], bytes(44))
    return _framed(encode_items((make_item(COPY_ITEM, copy, (world.COUNTY, world.CITY), 1),)))


def _receipt(data: bytes) -> bytes:
    record = sign_record(world.CITY_KEY, RECEIPT, data)
    items = encode_items((make_item(RECEIPT_ITEM, record, (world.CITY,), 1),))
    assert decode_items(items, max_bytes=1 << 17)
    return _framed(items)
