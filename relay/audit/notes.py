"""What is to be written into the audit log, until it is written: a bounded queue on the event loop.

Nobody waits for the log. When it cannot be written the newest notes are counted instead of kept, and the log says later
how many there were. No note carries titles, bodies, names of persons or reasons (G11).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.audit import START, Mark
from protocol.ids import message_id_text
from protocol.presence import Presence
from relay.ports import Clock
from relay.store.events import Event

RELAY: Final = "relay"
"""Who acted when nobody asked for it."""
WAITING_MAX: Final = 50_000
"""Most messages in notes in memory, at most 25 MiB: more than the largest batch, and at 1,500 messages a second ten
seconds of a disk that hangs.
"""
IDS: Final = 64
"""Most message ids in one line, so that a line stays short."""
EVENTS: Final = frozenset(
    {
        *("received", "refused_here", "delivered", "refused", "expired", "unconfirmed", "correction", "cancelled"),
        *("custody_lost", "tombstone", "gap", "gap_closed", "doubted", "opened", "signed_for", "returned"),
    }
)
"""Events of messages that are noted: verdicts and human acts. Custody on the way is in the store, with its proof."""
ACTS: Final = frozenset({"opened", "signed_for", "returned"})
"""Acts of readers; those of this office are noted by the API, with who they were."""
CODED: Final = frozenset({"refused", "refused_here", "correction", "gap_closed"})
"""Events whose code is a stable word and no text of a person."""

Details = Mapping[str, str | int | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened. `by` is a caller, `uid:1000/gid:1000`, or `relay`; `did` one word for it."""

    at_us: int
    by: str
    did: str
    details: Details = field(default_factory=dict)


class Notes:
    """Notes that wait for the log, and how far the log is durable.

    `mark` is what neighbours and the store may be told. `came` is set when something waits.
    """

    def __init__(self, clock: Clock, me: bytes) -> None:
        self._clock = clock
        self._me = me
        self._waiting_max = 0
        self._held = 0
        self._waiting: deque[Note] = deque()
        self._lost = 0
        self.came = asyncio.Event()
        self.mark: Mark = START
        self.listener: Callable[[Presence, bytes, str], None] | None = None
        """Is told every verified presence, which says how far a log is."""

    def begin(self, mark: Mark, waiting_max: int = WAITING_MAX) -> None:
        """Somebody will write from now on, behind `mark`; without a log nothing is kept."""
        self.mark = mark
        self._waiting_max = waiting_max
        self._lost = 0

    def add(self, by: str, did: str, **details: str | int | Sequence[str]) -> None:
        """Note something; never waits and never fails."""
        if self._held >= self._waiting_max:
            self._lost += 1
            return
        self._held += _messages(details)
        self._waiting.append(Note(self._clock.now_us(), by, did, details))
        self.came.set()

    def add_ids(self, by: str, did: str, ids: Sequence[str], **details: str | int) -> None:
        """Note that the same was done with some messages and had the same result."""
        if len(ids) == 1:
            self.add(by, did, id=ids[0], **details)
            return
        for start in range(0, len(ids), IDS):
            self.add(by, did, ids=ids[start : start + IDS], **details)

    def add_events(self, events: Iterable[Event]) -> None:
        """Note what became of messages; called after the commit. What befell many alike is one line."""
        alike: dict[tuple[str, bytes, str], list[str]] = {}
        for event in events:
            if event.type in EVENTS and not (event.type in ACTS and event.by == self._me):
                code = event.code if event.type in CODED else ""
                alike.setdefault((event.type, event.office, code), []).append(message_id_text(event.message_id))
        for (type_, office, code), ids in alike.items():
            self.add_ids(RELAY, type_, ids, office=office.hex(), **({"code": code} if code else {}))

    def add_alarm(self, what: str, code: str) -> None:
        """Note that an alarm began or ended."""
        self.add(RELAY, what, code=code)

    def hear(self, presence: Presence, record: bytes, source: str) -> None:
        """A verified presence, of ours or of a neighbour, and where it was found."""
        if self.listener is not None:
            self.listener(presence, record, source)

    def take(self, most: int) -> list[Note]:
        """The next notes; with the last of them one about those that were not kept."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._held -= sum(_messages(note.details) for note in taken)
        if not self._waiting:
            self.came.clear()
            if self._lost:
                taken.append(Note(self._clock.now_us(), RELAY, "lost", {"count": self._lost}))
                self._lost = 0
        return taken

    def __len__(self) -> int:
        return len(self._waiting)


def _messages(details: Details) -> int:
    """How many messages a note names, at least one: what it takes in memory."""
    ids = details.get("ids", ())
    return len(ids) if isinstance(ids, Sequence) and ids else 1
