"""A stranger at a broker, or an enrolled office that misuses its key: well-formed things that nobody may believe (G10).

What a forger makes anew (copies, frames) is noted in `History.forged`; no store may ever hold it but in quarantine.
What it says in others' names (receipts, presence) would break other guarantees if it were believed.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keys.primitives import SigningKey, sha256
from keys.signing import COPY, FRAME, PRESENCE, RECEIPT, UnverifiedRecord, sign_record
from protocol.copy import OUTER_BYTES, encode_copy, encode_header, outer_payload, read_outer, split_copy
from protocol.frame import (
    COPY_ITEM,
    RECEIPT_ITEM,
    Frame,
    Item,
    decode_frame_payload,
    decode_items,
    encode_frame,
    encode_frame_payload,
    encode_items,
    items_digest,
    make_item,
    split_frame,
)
from protocol.ids import Address, KeyId, MessageId, NetworkId, OfficeId
from protocol.limits import RECORD_BYTES
from protocol.presence import decode_presence, encode_presence
from protocol.receipt import Receipt, encode_receipt
from protocol.topics import FrameTopic, PresenceTopic, frame_topic, parse_topic
from tests.sim.broker import Broker, Message
from tests.sim.history import FRAME_MAX, History
from tests.sim.network import SEATS

SEATS_BY_ID = {seat.office: seat for seat in SEATS.values()}
STRANGER = SigningKey.from_seed(sha256(b"a key in no directory"))
OTHER_NETWORK = NetworkId(sha256(b"another network")[:16])


class Impostor:
    """Signs with a key of its own under the key id of another."""

    def __init__(self, victim: SigningKey) -> None:
        self._victim = victim

    def key_id(self) -> KeyId:
        return self._victim.key_id()

    def sign(self, data: bytes) -> bytes:
        return STRANGER.sign(data)


class Forger:
    """Makes forgeries out of what it saw at a broker."""

    def __init__(self, history: History, dice: random.Random) -> None:
        self._history = history
        self._dice = dice

    def strike(self, broker: Broker) -> str | None:
        """Hand out one forgery; its kind, or None when nothing that fits was seen yet."""
        dice = self._dice
        message = dice.choice(broker.seen)[1] if broker.seen else None
        topic = None if message is None else parse_topic(message.topic)
        if message is None:
            return None
        if isinstance(topic, PresenceTopic):
            payload = decode_presence(UnverifiedRecord(message.payload, max_bytes=RECORD_BYTES).payload)
            key = dice.choice([STRANGER, *(seat.key for seat in SEATS.values() if seat.office != payload.office)])
            forged = replace(payload, online=not payload.online, session=payload.session + dice.randrange(1000))
            broker.inject(message.topic, sign_record(key, PRESENCE, encode_presence(forged)), retain=True)
            return "presence"
        if not isinstance(topic, FrameTopic):
            return None
        kind = dice.choice(("other_key", "retarget", "network", "copy", "receipt", "retained"))
        if kind == "retarget":
            others = [address for address in SEATS if address != topic.receiver]
            elsewhere = frame_topic(Address(dice.choice(others)), topic.lane, topic.sender)
            broker.inject(elsewhere, message.payload, retain=False)
        elif kind == "retained":
            broker.inject(message.topic, message.payload, retain=True)
        else:
            self._frame(broker, message, topic, kind)
        return kind

    def _frame(self, broker: Broker, message: Message, topic: FrameTopic, kind: str) -> None:
        """A frame in a seen frame's place, with something in it that is not true."""
        record, encoded = split_frame(message.payload, max_bytes=FRAME_MAX)
        frame = decode_frame_payload(UnverifiedRecord(record, max_bytes=FRAME_MAX).payload)
        items = decode_items(encoded, max_bytes=FRAME_MAX)
        key: Any = SEATS[topic.sender].key
        if kind == "other_key":
            others = [seat.key for name, seat in SEATS.items() if name != topic.sender]
            key = self._dice.choice([STRANGER, self._dice.choice(others), Impostor(key)])
            items = self._copies(items, frame, key)
        elif kind == "network":
            frame = replace(frame, network=OTHER_NETWORK)
            items = self._copies(items, frame, key)
        elif kind == "copy":
            victim = self._other(frame.sender)
            author = self._dice.choice([STRANGER, key, Impostor(SEATS_BY_ID[victim].key)])
            items = self._copies(items, frame, author, sender=victim)
        else:
            items = (self._receipt(frame, key),)
        encoded = encode_items(items)
        # The counter of the frame that was seen: whoever had the sender's key could do as it likes with its own name.
        forged = replace(frame, items_digest=items_digest(encoded), custody=(), nacks=())
        data = encode_frame(sign_record(key, FRAME, encode_frame_payload(forged)), encoded)
        broker.inject(message.topic, data, retain=False)

    def _other(self, office: bytes) -> OfficeId:
        return self._dice.choice([seat.office for seat in SEATS.values() if seat.office != office])

    def _copies(
        self, items: Sequence[Item], frame: Frame, key: Any, sender: OfficeId | None = None
    ) -> tuple[Item, ...]:
        """The copies among the items with an id that nobody gave, signed by the key at hand."""
        forged = []
        for item in items:
            if item.kind != COPY_ITEM:
                continue
            outer, ciphertext = split_copy(item.data)
            payload = UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload
            header = read_outer(payload, outer, ciphertext, item.data).header
            new_id = MessageId(header.id[:7] + self._dice.randbytes(9))
            header = replace(header, id=new_id, sender=sender or header.sender, network=frame.network)
            new_outer = sign_record(key, COPY, outer_payload(encode_header(header), ciphertext))
            forged.append(make_item(COPY_ITEM, encode_copy(new_outer, ciphertext), item.trail, item.attempt))
            self._history.forged |= {new_id, forged[-1].digest}
        return tuple(forged)

    def _receipt(self, frame: Frame, key: Any) -> Item:
        """`delivered` or `custody_lost` of a message that others are about to deliver, in a recipient's name."""
        dice, history = self._dice, self._history
        message_id, to = dice.choice(list(history.tried))
        sent = history.tried[message_id, to]
        recipient = SEATS[to].office
        at_us = history.now_us
        receipt = Receipt(
            network=frame.network, type=dice.choice(("delivered", "custody_lost", "prekey_gone")),
            id=MessageId(bytes.fromhex(message_id.replace("-", ""))), by=recipient, recipient=recipient,
            to=SEATS[sent.sender].office, digest=frame.items_digest, at_us=at_us, lane=frame.lane,
            expires_us=at_us + 3_600_000_000,
        )  # fmt: skip
        signer: Any = dice.choice([STRANGER, Impostor(SEATS[to].key)])
        if key.public() != SEATS[to].key.public():
            signer = dice.choice([signer, key])
        return make_item(RECEIPT_ITEM, sign_record(signer, RECEIPT, encode_receipt(receipt)), (frame.sender,), 1)
