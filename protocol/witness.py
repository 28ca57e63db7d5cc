"""What one relay remembers of its neighbours' lives, to tell them when they were restored (D11, SPEC M58-M60).

For each neighbour the record of the highest moment seen. Whoever shows another start is shown that record: if it is
of the same life nothing follows, else the neighbour learns what it cannot know by itself.
"""

from dataclasses import dataclass, field
from typing import Final

from protocol.ids import KeyId, OfficeId, StartId
from protocol.limits import RECORD_BYTES, SECOND_US
from protocol.moment import Moment

AGAIN_US: Final = 60 * SECOND_US
"""A start that is not above what is remembered is told so at most this often."""
TOLD_MAX: Final = 8
"""Most starts of one neighbour that are told so within that time: a broker may replay frames of old ones for ever."""
WRITE_US: Final = 5 * SECOND_US
"""A higher count of the same start is written down at most this often: each costs one row."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A verified record of a neighbour: its moment, the record itself, and the key that signed it."""

    moment: Moment
    record: bytes
    key_id: KeyId


@dataclass(frozen=True, slots=True)
class Noted:
    """What follows from a record: what is to be shown to the neighbour, and whether its epoch changed."""

    owed: bytes | None = None
    new_epoch: bool = False


@dataclass(slots=True)
class _Memory:
    shown: Shown
    written: Moment | None
    written_us: int
    told_us: dict[StartId, int] = field(default_factory=dict)


class Witness:
    """The neighbours' highest moments. Times are microseconds that never fall."""

    __slots__ = ("_changed", "_known")

    def __init__(self) -> None:
        self._known: dict[OfficeId, _Memory] = {}
        self._changed: set[OfficeId] = set()

    def recall(self, office: OfficeId, shown: Shown) -> None:
        """What the store remembers, before anything is noted."""
        self._known[office] = _Memory(shown, shown.moment, 0)

    def forget(self, office: OfficeId) -> None:
        """The remembered record no longer proves anything: its key is not valid any more."""
        self._known.pop(office, None)
        self._changed.discard(office)

    def key_of(self, office: OfficeId) -> KeyId | None:
        """The key that signed what is remembered of a neighbour, if anything is."""
        known = self._known.get(office)
        return None if known is None else known.shown.key_id

    def note(self, office: OfficeId, shown: Shown, now_us: int) -> Noted:
        """A neighbour said something. Records over the limit say nothing here, since they could not be shown."""
        if len(shown.record) > RECORD_BYTES:
            return Noted()
        known = self._known.get(office)
        if known is None:
            self._known[office] = _Memory(shown, None, now_us)
            self._changed.add(office)
            return Noted()
        before, now = known.shown.moment, shown.moment
        if now.start == before.start:
            if now.commits > before.commits:
                known.shown = shown
                self._changed.add(office)
            return Noted()
        record = known.shown.record
        if now.began > before.commits:
            # A later start of the same life, as far as can be seen from here; the neighbour itself can see further.
            known.shown, known.written = shown, None
            self._changed.add(office)
            return Noted(record, now.epoch != before.epoch)
        known.told_us = {start: at_us for start, at_us in known.told_us.items() if now_us - at_us < AGAIN_US}
        if now.start in known.told_us or len(known.told_us) >= TOLD_MAX:
            return Noted()
        known.told_us[now.start] = now_us
        return Noted(record)

    def unwritten(self, now_us: int) -> list[tuple[OfficeId, Shown]]:
        """What is to be written down now: every new start, and higher counts now and then."""
        return [(office, self._known[office].shown) for office in self._changed if _is_due(self._known[office], now_us)]

    def wrote(self, office: OfficeId, shown: Shown, now_us: int) -> None:
        """It is durable."""
        known = self._known.get(office)
        if known is not None and known.shown.moment.start == shown.moment.start:
            known.written, known.written_us = shown.moment, now_us
            if known.shown is shown:
                self._changed.discard(office)


def _is_due(known: _Memory, now_us: int) -> bool:
    return known.written is None or now_us - known.written_us >= WRITE_US
