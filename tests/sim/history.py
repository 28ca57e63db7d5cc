"""What happened in a simulation, seen by somebody who sees everything; `tests/sim/checks` judges it."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keys.roster.directory import Directory
from keys.signing import UnverifiedRecord
from protocol import limits
from protocol.copy import OUTER_BYTES, read_outer, split_copy
from protocol.frame import COPY_ITEM, decode_frame_payload, decode_items, split_frame
from protocol.ids import message_id_text
from protocol.lanes import RECEIPT as RECEIPT_CLASS
from protocol.receipt import Place, Receipt, decode_receipt
from relay.store import lives
from tests.sim.broken import Broken
from tests.sim.checks import forgery, reading, secrecy, truth
from tests.sim.checks.revocation import Revocation
from tests.sim.facts import CopyFact, Sent
from tests.sim.virtual import START_US, Time

if TYPE_CHECKING:
    from tests.sim.office import OfficeProcess

FRAME_MAX = limits.FRAME_BYTES + 4096


@dataclass
class History:
    """Facts by the order in which they became true.

    Keys of messages are (message id as text, address of the recipient); `begun` has (id as text, recipient's office).
    `forged` holds ids and digests that only a forger ever used.
    """

    directory: Directory
    """The newest that there is."""
    time: Time
    offices: "dict[str, OfficeProcess]" = field(default_factory=dict)
    tried: dict[tuple[str, str], Sent] = field(default_factory=dict)
    accepted: dict[tuple[str, str], Sent] = field(default_factory=dict)
    taken_as_new: Counter[tuple[str, str]] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    copies: dict[bytes, CopyFact] = field(default_factory=dict)
    begun: set[tuple[str, bytes]] = field(default_factory=set)
    forged: set[bytes] = field(default_factory=set)
    revoked: Revocation | None = None
    told: dict[tuple[str, bytes, bytes], bytes] = field(default_factory=dict)
    """The first bytes of each delivered receipt and of each recipient's tombstone."""
    told_before: set[bytes] = field(default_factory=set)
    """The same of lives that are lost: true when they were signed, and still on their way."""
    places: dict[tuple[bytes, bytes, bytes], Place] = field(default_factory=dict)
    """Where messages stand that their authors declared dead, by author, id and recipient."""
    tombstones: set[bytes] = field(default_factory=set)
    """Of authors: each was recorded when it was first published."""
    lost: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """What an office did between two virtual times is gone from its disk, since it was restored."""
    edited: set[str] = field(default_factory=set)
    """Whose audit log somebody edited; an office that was put back to before that is not among them."""
    _dated: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    _epochs: dict[str, bytes] = field(default_factory=dict)
    _receipts: dict[bytes, Receipt] = field(default_factory=dict)
    _trace: Any = field(default_factory=hashlib.sha256)

    @property
    def now_us(self) -> int:
        """True wall time."""
        return START_US + self.time.us

    def digest(self) -> str:
        """Equal for two runs in which the same was published at the same times."""
        return str(self._trace.hexdigest())

    def by_id(self, office: bytes) -> "OfficeProcess":
        """The process of an office."""
        return next(one for one in self.offices.values() if one.seat.office == office)

    def seat_of(self, address: str) -> str:
        """Under which address the office began that has, had or will have this one."""
        office = self.directory.by_address(address)
        return address if office is None else office.call_sign

    def exempt(self, *addresses: str) -> bool:
        """Whether one of them was revoked: what it sends, and what is for it, need not arrive any more."""
        return self.revoked is not None and any(
            self.offices[one].seat.office == self.revoked.office for one in addresses
        )

    def on_restored(self, office: "OfficeProcess", since_us: int, epoch: bytes, *, edited: bool) -> None:
        """An office goes on from what it was at a time, in the epoch of that time, with a log that was edited or not.
        What it signed since it forgot.
        """
        self._epochs[office.seat.address] = epoch
        self.lost.setdefault(office.seat.address, []).append((since_us, self.time.us))
        if not edited:
            self.edited.discard(office.seat.address)
        self.told_before |= {data for key, data in self.told.items() if key[2] == office.seat.office}
        self.told = {key: data for key, data in self.told.items() if key[2] != office.seat.office}

    def is_unaware(self, address: str) -> bool:
        """Whether an office was restored and is still in the epoch of that state: nobody has shown it what it did."""
        life = self.offices[address].look(lives.recall)
        return life is not None and life.epoch == self._epochs.get(address)

    def may_be_lost(self, address: str, from_us: int) -> bool:
        """Whether something that the office did at that time, or later, may be gone with a restore."""
        return any(from_us <= until_us for _, until_us in self.lost.get(address, ()))

    def on_publish(self, broker: str, topic: str, payload: bytes) -> None:
        """Every publish, before the broker touches it: it must be true already."""
        self.counts["publishes"] += 1
        self._trace.update(f"{self.time.us} {broker} {topic} ".encode())
        self._trace.update(payload)
        secrecy.check_bytes(payload, topic)
        parts = topic.split("/")
        if parts[2] in ("presence", "prekey", "trust"):
            return
        speaker = self.offices[parts[4]]
        record, items = split_frame(payload, max_bytes=FRAME_MAX)
        frame = decode_frame_payload(UnverifiedRecord(record, max_bytes=FRAME_MAX).payload)
        for item in decode_items(items, max_bytes=FRAME_MAX):
            self.counts["items"] += 1
            if item.kind == COPY_ITEM:
                self._see_copy(item.digest, item.data)
            else:
                truth.check_receipt(self, self._receipt(item.digest, item.data), item.data)
        self.counts["custody"] += len(frame.custody)
        truth.check_custody(self, frame.custody, speaker)

    def _see_copy(self, digest: bytes, data: bytes) -> None:
        if digest in self.copies:
            return
        forgery.check_copy(self, digest)
        outer, ciphertext = split_copy(data)
        payload = UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload
        header = read_outer(payload, outer, ciphertext, data).header
        if self._dated.setdefault((header.sender, header.id), header.created_us) != header.created_us:
            self.counts["used again"] += 1
            if self.by_id(header.sender).seat.address not in self.lost:
                raise Broken("G1", f"{header.id.hex()} was accepted twice by an office that was never restored")
        self.copies[digest] = CopyFact(
            header.sender, header.recipient, header.id, header.expires_us, header.entitlement == RECEIPT_CLASS,
            header.prekey_id, header.lane, header.number, header.epoch,
            header.created_us,
        )  # fmt: skip
        self.begun.add((message_id_text(header.id), header.recipient))

    def _receipt(self, digest: bytes, data: bytes) -> Receipt:
        receipt = self._receipts.get(digest)
        if receipt is None:
            receipt = decode_receipt(UnverifiedRecord(data, max_bytes=limits.RECORD_BYTES).payload)
            self._receipts[digest] = receipt
        return receipt

    def on_taken(self, by: str, one: dict[str, Any]) -> None:
        """A program took a message."""
        self.counts["taken"] += 1
        forgery.check_taken(self, by, one["id"])
        reading.check_taken(self, by, one)

    def check_processes(self) -> None:
        """No part of an engine ended by itself."""
        for office in self.offices.values():
            for failure in office.failures:
                if isinstance(failure, Broken):
                    # A check that was made in the middle of the engine's work.
                    raise failure
                raise Broken("G16", f"{office.seat.address} failed: {failure!r}") from failure


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
