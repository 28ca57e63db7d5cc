"""What happened in a simulation, seen by somebody who sees everything, and the guarantees checked on it."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keys.directory import Directory
from keys.signing import UnverifiedRecord
from protocol import limits
from protocol.copy import OUTER_BYTES, read_outer, split_copy
from protocol.frame import COPY_ITEM, decode_frame_payload, decode_items, split_frame
from protocol.ids import message_id_text
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.receipt import decode_receipt
from relay.store import held, inbox
from tests.sim.virtual import START_US, Time

if TYPE_CHECKING:
    from tests.sim.office import OfficeProcess

FRAME_MAX = limits.FRAME_BYTES + 4096
VERDICTS = ("delivered", "refused", "expired", "unconfirmed")
CANARY = "鸩止渴 canary"
"""In every body; nobody but sender and recipient may ever see it."""


class Broken(AssertionError):
    """A guarantee did not hold."""


@dataclass(slots=True)
class Sent:
    """One accepted message to one office."""

    sender: str
    to: str
    title: str
    body: str
    lives_s: float
    at_us: int


@dataclass(slots=True)
class _Copy:
    sender: bytes
    recipient: bytes
    message_id: bytes
    expires_us: int
    is_receipt: bool
    prekey_id: bytes


@dataclass
class History:
    """Facts by the order in which they became true."""

    directory: Directory
    time: Time
    offices: "dict[str, OfficeProcess]" = field(default_factory=dict)
    tried: dict[tuple[str, str], Sent] = field(default_factory=dict)
    accepted: dict[tuple[str, str], Sent] = field(default_factory=dict)
    taken_as_new: Counter[tuple[str, str]] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    _trace: Any = field(default_factory=hashlib.sha256)
    _copies: dict[bytes, _Copy] = field(default_factory=dict)
    _begun: set[tuple[str, bytes]] = field(default_factory=set)
    _receipts: dict[tuple[str, bytes, bytes], bytes] = field(default_factory=dict)

    def digest(self) -> str:
        """Equal for two runs in which the same was published at the same times."""
        return str(self._trace.hexdigest())

    # What is seen.

    def on_publish(self, broker: str, topic: str, payload: bytes) -> None:
        """Every publish, before the broker touches it: it must be true already (G7)."""
        self.counts["published"] += 1
        self._trace.update(f"{self.time.us} {broker} {topic} ".encode() + payload)
        if CANARY.encode() in payload:
            raise Broken(f"G11: plaintext on {topic}")
        parts = topic.split("/")
        if parts[2] in ("presence", "prekey", "trust"):
            return
        speaker = self.offices[parts[4]]
        record, items = split_frame(payload, max_bytes=FRAME_MAX)
        frame = decode_frame_payload(UnverifiedRecord(record, max_bytes=FRAME_MAX).payload)
        for item in decode_items(items, max_bytes=FRAME_MAX):
            self.counts["items"] += 1
            if item.kind == COPY_ITEM:
                self._see_copy(item.digest, item.data, speaker)
            else:
                self._see_receipt(item.data, speaker)
        for digest in frame.custody:
            self._check_custody(digest, speaker)

    def _see_copy(self, digest: bytes, data: bytes, speaker: "OfficeProcess") -> None:
        outer, ciphertext = split_copy(data)
        payload = UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload
        header = read_outer(payload, outer, ciphertext, data).header
        is_receipt = header.entitlement == RECEIPT_CLASS
        self._copies[digest] = _Copy(
            header.sender, header.recipient, header.id, header.expires_us, is_receipt, header.prekey_id
        )
        self._begun.add((message_id_text(header.id), header.recipient))
        if not speaker.look(lambda txn: held.is_held(txn, digest) or held.passed_to(txn, digest) is not None):
            # Released between plan and publish: only a verdict or expiry may explain it.
            self.counts["sent_after_release"] += 1

    def _see_receipt(self, data: bytes, speaker: "OfficeProcess") -> None:
        receipt = decode_receipt(UnverifiedRecord(data, max_bytes=limits.RECORD_BYTES).payload)
        if receipt.type != "delivered":
            return
        key = (receipt.type, receipt.id, receipt.by)
        if self._receipts.setdefault(key, data) != data:
            raise Broken("D1: a duplicate was answered with another receipt")
        office = self._by_id(receipt.by)
        if office.look(lambda txn: inbox.digests(txn, receipt.to, receipt.id)) is None:
            raise Broken("G7: a delivered receipt without the message in the inbox")

    def _check_custody(self, digest: bytes, speaker: "OfficeProcess") -> None:
        self.counts["custody"] += 1
        copy = self._copies.get(digest)
        if copy is None or copy.is_receipt:
            return

        def durable(txn: Any) -> bool:
            known = inbox.digests(txn, copy.sender, copy.message_id)
            return held.is_held(txn, digest) or held.passed_to(txn, digest) is not None or known is not None

        if speaker.seat.office == copy.recipient and copy.prekey_id not in speaker.ground.keyring.own:
            # It ends there all the same: the origin keeps the content and is told to seal again (D7).
            return
        over = START_US + self.time.us >= copy.expires_us
        if not over and not speaker.look(durable):
            raise Broken(f"G7: {speaker.seat.address} gave custody of what it does not hold")

    def on_taken(self, by: str, one: dict[str, Any]) -> None:
        """A program took a message."""
        key = (one["id"], by)
        sent = self.tried.get(key)
        if sent is None:
            raise Broken(f"G3: {by} got {one['id']}, which nobody sent it")
        if (one["body"], one["title"], one["from"]) != (sent.body, sent.title, sent.sender):
            raise Broken(f"G3: {by} got another text than was sent")
        if "redelivered" not in one["flags"]:
            self.taken_as_new[key] += 1
            if self.taken_as_new[key] > 1:
                raise Broken(f"G2: {by} took {one['id']} twice as new")

    # What must hold.

    def check_stories(
        self, stories: dict[str, dict[str, Any]], accepted: dict[tuple[str, str], Sent], *, healed: bool
    ) -> None:
        """G1, G7, G8, G16 over what senders say and inboxes hold; `accepted` before the senders were asked."""
        for (message_id, to), sent in accepted.items():
            story = stories.get(message_id)
            if story is None:
                raise Broken(f"G1: {sent.sender} forgot {message_id}")
            (recipient,) = [one for one in story["recipients"] if one["to"] == to]
            self._check_verdict(recipient, message_id, sent)
            arrived = self._inbox_state(to, sent.sender, message_id)
            if recipient["state"] in ("delivered", "opened", "signed_for", "returned") and arrived is None:
                raise Broken(f"G7: {message_id} is {recipient['state']} and not in the inbox of {to}")
            if healed and not recipient["final"]:
                events = [(event["type"], event["by"]) for event in recipient["events"]]
                raise Broken(
                    f"G16: {message_id} from {sent.sender} to {to} is {recipient['state']} after healing: {events}"
                )
            long_lived = sent.at_us + sent.lives_s * limits.SECOND_US > self.time.us
            if healed and long_lived and recipient["state"] in ("expired", "unconfirmed"):
                raise Broken(f"G1: {message_id} was given up as {recipient['state']} before its time")
            if not recipient["final"] and not self._held_somewhere(sent, message_id):
                raise Broken(f"G1: {message_id} has no verdict and nobody holds it")

    def _check_verdict(self, recipient: dict[str, Any], message_id: str, sent: Sent) -> None:
        types = [event["type"] for event in recipient["events"]]
        verdicts = [type_ for type_ in types if type_ in VERDICTS]
        if len(verdicts) > 1:
            raise Broken(f"G8: {message_id} to {sent.to} has verdicts {verdicts}")
        if recipient["final"] and not verdicts and not {"opened", "signed_for", "returned"} & set(types):
            raise Broken(f"G8: {message_id} is final without a verdict: {types}")
        if recipient["state"] == "expired" and (message_id, self._office_id(sent.to)) in self._begun:
            raise Broken(f"G8: {message_id} is called expired although it was sent")

    def _held_somewhere(self, sent: Sent, message_id: str) -> bool:
        sender = self.offices[sent.sender]
        raw = bytes.fromhex(message_id.replace("-", ""))

        def kept(txn: Any) -> bool:
            from relay.store import sent as sent_table

            return sent_table.message(txn, raw) is not None

        return bool(sender.look(kept))

    def _inbox_state(self, at: str, sender: str, message_id: str) -> Any:
        raw = bytes.fromhex(message_id.replace("-", ""))
        from_id = self._office_id(sender)
        return self.offices[at].look(lambda txn: inbox.digests(txn, from_id, raw))

    def _office_id(self, address: str) -> bytes:
        return self.offices[address].seat.office

    def _by_id(self, office: bytes) -> "OfficeProcess":
        return next(one for one in self.offices.values() if one.seat.office == office)

    def check_processes(self) -> None:
        """No part of an engine ended by itself."""
        for office in self.offices.values():
            for failure in office.failures:
                raise Broken(f"{office.seat.address} failed: {failure!r}") from failure


def tally(stories: dict[str, dict[str, Any]]) -> Counter[str]:
    """How many recipients are in each state."""
    return Counter(recipient["state"] for story in stories.values() for recipient in story["recipients"])


def seen(stories: dict[str, dict[str, Any]]) -> Counter[str]:
    """How often each kind of event was recorded by senders."""
    return Counter(
        event["type"]
        for story in stories.values()
        for recipient in story["recipients"]
        for event in recipient["events"]
    )
