"""A stranger at a broker, or an enrolled office that misuses its key: well-formed things that nobody may believe (G10).

What a forger makes anew (copies, whole reports) is noted in `History.forged`; nobody may hold it but in quarantine,
nor hand it out or carry it on. What it says in others' names (receipts, presence) would break other
guarantees if it were believed.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keys.primitives import PrekeyPublic, SigningKey, sha256
from keys.seal import seal_copy
from keys.signing import CONTENT, COPY, FRAME, PRESENCE, RECEIPT, UnverifiedRecord, sign_record
from protocol.content import Bundle, Content, body_digest, encode_bundle, encode_content, salt_digest
from protocol.copy import OUTER_BYTES, CopyHeader, encode_copy, encode_header, outer_payload, read_outer, split_copy
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
from protocol.ids import Address, Epoch, KeyId, MessageId, NetworkId, OfficeId, uuid7
from protocol.lanes import Lane, entitlement_of
from protocol.limits import EPOCH_BYTES, RECORD_BYTES, SALT_BYTES
from protocol.padding import pack
from protocol.presence import decode_presence, encode_presence
from protocol.receipt import Receipt, encode_receipt
from protocol.topics import FrameTopic, PresenceTopic, frame_topic, parse_topic
from relay.sealing import ENTROPY_BYTES
from tests.sim.broker import Broker, Message
from tests.sim.history import FRAME_MAX, History
from tests.sim.network import SEATS
from tests.sim.office import Seat

SEATS_BY_ID = {seat.office: seat for seat in SEATS.values()}
STRANGER = SigningKey.from_seed(sha256(b"a key in no directory"))
OTHER_NETWORK = NetworkId(sha256(b"another network")[:16])
LIFE_US = 3_600_000_000
FORGED_BODY = "nobody wrote this"


class Impostor:
    """Signs with a key of its own under the key id of another."""

    def __init__(self, victim: SigningKey) -> None:
        self._victim = victim
        self.suite = victim.suite

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
        if not isinstance(topic, FrameTopic) or not self._history.tried:
            return None
        kind = dice.choice(("other_key", "retarget", "network", "copy", "report", "report", "receipt", "retained"))
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
        elif kind == "report":
            items = (self._report(frame),)
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

    def _report(self, frame: Frame) -> Item:
        """A report that its author never wrote, sealed to the receiver as anybody can seal: right in everything that
        is checked but whose signature it bears.
        """
        dice = self._dice
        victim = SEATS_BY_ID[dice.choice([office for office in SEATS_BY_ID if office != frame.receiver])]
        key: Any = dice.choice([STRANGER, SEATS_BY_ID[frame.sender].key, Impostor(victim.key)])
        if victim.office == frame.sender:
            key = Impostor(victim.key)
        salt = dice.randbytes(SALT_BYTES)
        content = self._content(frame, victim, salt)
        record = sign_record(key, CONTENT, encode_content(content))
        prekey = self._history.by_id(frame.receiver).own_record
        header = CopyHeader(
            network=frame.network, suite=prekey.suite, id=content.id, sender=victim.office, recipient=frame.receiver,
            lane=frame.lane, entitlement=entitlement_of(content.kind, None), created_us=content.created_us,
            expires_us=content.expires_us, deadline_us=None, number=dice.randint(1, 50),
            epoch=Epoch(dice.randbytes(EPOCH_BYTES)), prekey_id=prekey.prekey_id,
        )  # fmt: skip
        packed = pack(encode_bundle(Bundle(record, salt, FORGED_BODY, (), None)))
        data = seal_copy(key, header, packed, PrekeyPublic(prekey.suite, prekey.public), dice.randbytes(ENTROPY_BYTES))
        item = make_item(COPY_ITEM, data, (victim.office,), 1)
        self._history.forged |= {content.id, item.digest}
        return item

    def _content(self, frame: Frame, author: Seat, salt: bytes) -> Content:
        """What the author is made to say."""
        now_us = self._history.now_us
        lane = frame.lane
        return Content(
            salt_digest=salt_digest(salt), network=frame.network, sender=author.office,
            sender_address=Address(author.address), id=uuid7(now_us, self._dice.randbytes(10)),
            created_us=now_us, expires_us=now_us + LIFE_US,
            kind="incident_first" if lane is Lane.FLASH else "report",
            urgency="routine" if lane is Lane.BULK else lane.label, bulk=lane is Lane.BULK, event_level=None,
            to=(Address(SEATS_BY_ID[frame.receiver].address),), cc=(), groups=(), directory_version=1,
            title=FORGED_BODY, body_digest=body_digest(salt, FORGED_BODY), attachments=(), thread=None,
            reply_to=None, occurred_us=None, deadline_us=None, classification="none", drill=False,
            approvals=(), original_digest=None,
        )  # fmt: skip

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
            expires_us=at_us + LIFE_US,
        )  # fmt: skip
        signer: Any = dice.choice([STRANGER, Impostor(SEATS[to].key)])
        if key.public() != SEATS[to].key.public():
            signer = dice.choice([signer, key])
        return make_item(RECEIPT_ITEM, sign_record(signer, RECEIPT, encode_receipt(receipt)), (frame.sender,), 1)
