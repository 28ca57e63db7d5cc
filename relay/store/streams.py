"""Streams of numbers from other offices, and the gaps in them (G4). Synchronous changes and queries."""

from dataclasses import dataclass
from typing import Final

from protocol import stream
from protocol.cbor import dumps, loads
from protocol.fields import elements
from protocol.ids import Epoch, MessageId, OfficeId
from protocol.lanes import Lane
from protocol.receipt import Place
from protocol.stream import Hole, Stream
from relay.store import inbox
from relay.store.counters import blob, number
from relay.store.damage import SALVAGED, was_moved_aside
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.inbox import FILLS_GAP, GAP
from relay.store.sealed_table import Row, Value
from relay.store.tables import STREAMS

EPOCHS_MAX: Final = 4
"""Most epochs remembered of one office on one lane: a new one begins after each restore, and an office could begin as
many as it likes. The one that began first is forgotten."""
STREAM_BYTES: Final = 16 * 1024
"""Most bytes of a stream: 100 holes of at most 60 bytes, and some to spare."""

_Key = tuple[OfficeId, Lane, Epoch]


@dataclass(slots=True)
class _Open:
    """One stream during a change."""

    stream: Stream
    began_us: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that are missing in one stream, as people were told."""

    sender: OfficeId
    lane: Lane
    hole: Hole


class Streams:
    """Numbers of (sender, lane, epoch) during one change: each stream is read once and written once.

    `log` is what people are to be told: that numbers of a gap which they know of came or died.
    """

    def __init__(self, txn: Txn, me: OfficeId) -> None:
        self._txn = txn
        self._me = me
        self._open: dict[_Key, _Open] = {}
        self.log: list[Event] = []

    def note(self, sender: OfficeId, place: Place, message_id: MessageId, code: str = "") -> int:
        """A number came with a message, or with a tombstone, then with the `code` of what it died of.

        GAP when it skipped others, FILLS_GAP when it was one of those skipped, else 0.
        """
        one = self._stream((sender, place.lane, place.epoch), place.number)
        step = stream.take(one.stream, place.number, message_id, self._txn.now_us)
        one.stream = step.stream
        if step.filled is not None and step.filled.noticed:
            detail = f"{place.lane.label} {place.number}"
            self.log.append(
                Event(message_id, sender, "gap_closed", self._txn.now_us, self._me, code=code, detail=detail)
            )
        return GAP if step.skipped else FILLS_GAP if step.filled is not None else 0

    def close(self) -> None:
        """Write every stream that was noted."""
        for (sender, lane, epoch), one in self._open.items():
            _write(self._txn, sender, lane, epoch, one.stream, one.began_us)

    def _stream(self, key: _Key, came: int) -> _Open:
        """A stream as it is known before a number came. Where its row was damaged nothing below that number counts as
        missing: nobody knows any more what is, and what came before would be missing for ever.
        """
        if key not in self._open:
            row = STREAMS.get(self._txn, *key)
            if row is None:
                self._make_room(*key[:2])
                # Written at once, so that it counts when another epoch begins in the same change.
                _write(self._txn, *key, Stream(), self._txn.now_us)
                begun = Stream(came - 1) if _was_known(self._txn, *key) else Stream()
                self._open[key] = _Open(begun, self._txn.now_us)
            else:
                self._open[key] = _Open(stream_of(row), number(row["began_us"]))
        return self._open[key]

    def _make_room(self, sender: OfficeId, lane: Lane) -> None:
        """Forget the oldest epochs of a sender and a lane; a new one begins."""
        where = "sender = ? AND lane = ?"
        rows = STREAMS.unverified_clear(self._txn, where, (sender, int(lane)), order="began_us DESC, rowid DESC")
        for row in rows[EPOCHS_MAX - 1 :]:
            STREAMS.delete(self._txn, row["sender"], row["lane"], row["epoch"])
            self._open.pop((sender, lane, Epoch(blob(row["epoch"]))), None)


def tell(txn: Txn, before_us: int, limit: int, me: OfficeId) -> list[Event]:
    """Holes that are open since before a time become gaps that people are told of."""
    log = []
    for row in STREAMS.select(txn, "untold_us IS NOT NULL AND untold_us <= ?", (before_us,), limit=limit):
        sender, lane, epoch = OfficeId(blob(row["sender"])), Lane(number(row["lane"])), Epoch(blob(row["epoch"]))
        told, holes = stream.notice(stream_of(row), before_us)
        _write(txn, sender, lane, epoch, told, number(row["began_us"]))
        log += [
            Event(hole.after, sender, "gap", txn.now_us, me, detail=f"{lane.label} {numbers_text(hole)}")
            for hole in holes
        ]
    return log


def gaps(txn: Txn, limit: int) -> list[Gap]:
    """Gaps that people were told of and that are still open, the oldest first."""
    rows = STREAMS.select(txn, "told_us IS NOT NULL", order="told_us", limit=limit)
    found = [
        Gap(OfficeId(blob(row["sender"])), Lane(number(row["lane"])), hole)
        for row in rows
        for hole in stream_of(row).holes
        if hole.noticed
    ]
    return sorted(found, key=lambda gap: gap.hole.since_us)[:limit]


def numbers_text(hole: Hole) -> str:
    """`7`, or `7-9`."""
    return str(hole.first) if hole.count == 1 else f"{hole.first}-{hole.last}"


def _write(txn: Txn, sender: OfficeId, lane: Lane, epoch: Epoch, one: Stream, began_us: int) -> None:
    holes = [[hole.first, hole.last, hole.since_us, hole.after, hole.noticed] for hole in one.holes]
    clear: dict[str, Value] = {
        "sender": sender, "lane": lane, "epoch": epoch, "began_us": began_us,
        "told_us": stream.open_since_us(one, noticed=True), "untold_us": stream.open_since_us(one, noticed=False),
    }  # fmt: skip
    STREAMS.put(txn, clear, dumps([one.highest, holes]))


def _was_known(txn: Txn, sender: OfficeId, lane: Lane, epoch: Epoch) -> bool:
    """Whether a stream without a row had one: it was moved aside, or lost with its page while a message is here."""
    if was_moved_aside(txn, STREAMS.name, f"{sender.hex()}/{int(lane)}/{epoch.hex()}"):
        return True
    return was_moved_aside(txn, STREAMS.name, SALVAGED) and inbox.last_epoch(txn, sender, lane) == epoch


def stream_of(row: Row) -> Stream:
    """The stream that a row holds."""
    highest, holes = elements(loads(row.body, max_bytes=STREAM_BYTES), 2, "stream")
    return Stream(highest, tuple(Hole(first, last, since, after, told) for first, last, since, after, told in holes))
