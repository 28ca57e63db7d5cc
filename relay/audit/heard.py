"""What presence says of audit logs: of ours, as brokers kept it; of our neighbours', which we remember (G15)."""

from functools import partial
from typing import Any, Final

from keys.signing import UnverifiedRecord
from protocol.audit import Mark
from protocol.ids import Epoch, OfficeId, digest_text
from protocol.lanes import Lane
from protocol.limits import RECORD_BYTES
from protocol.presence import Presence, decode_presence
from relay.audit.check import Anchor
from relay.ground import Ground
from relay.store import audit_heads
from relay.times import time_text

OWN_MAX: Final = 8
"""Most heads of our own log that are remembered: the highest of each place that shows us one."""


class Heard:
    """Hears every verified presence. `anchors` are heads of our own log that we signed in this life of the home."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._own: dict[tuple[str, Epoch], Mark] = {}
        self._others: dict[OfficeId, Presence] = {}

    async def load(self) -> None:
        """After a start: what the store remembers, before anything is heard."""
        for office, _, record in await self._ground.store.read(audit_heads.remembered):
            self._others[OfficeId(office)] = _presence_of(record)

    def hear(self, presence: Presence, record: bytes, source: str) -> None:
        """A presence, verified; `source` is where it was found."""
        if presence.audit_count == 0:
            return
        mark = Mark(presence.audit_count, presence.audit_head)
        if presence.office == self._ground.identity.office:
            self._hear_own(presence.moment.epoch, mark, source)
        elif _is_further(presence, self._others.get(presence.office)):
            self._others[presence.office] = presence
            at_us = self._ground.clock.now_us()
            keep = partial(audit_heads.keep, office=presence.office, at_us=at_us, record=record)
            self._ground.spawn(self._ground.commit(Lane.BULK, keep))

    def _hear_own(self, epoch: Epoch, mark: Mark, source: str) -> None:
        known = self._own.get((source, epoch))
        if known is None and len(self._own) >= OWN_MAX:
            self._own.pop(next(iter(self._own)))
        if known is None or mark.count > known.count:
            self._own[source, epoch] = mark

    @property
    def anchors(self) -> list[Anchor]:
        """What others know of our log. After a restore that was noticed the older epoch's heads no longer count: its
        last lines are lost, and the log says `RESTORED`.
        """
        epoch = self._ground.identity.epoch
        return [Anchor(source, mark) for (source, signed_in), mark in self._own.items() if signed_in == epoch]

    async def heads(self) -> list[dict[str, Any]]:
        """The newest known head of every neighbour, with the record that it signed."""
        ground = self._ground
        return [
            _head_object(ground.address_of(office), at_us, record)
            for office, at_us, record in await ground.store.read(audit_heads.remembered)
        ]


def _is_further(presence: Presence, known: Presence | None) -> bool:
    """Whether it says more of a log: brokers may show old ones again."""
    if known is None:
        return True
    if presence.moment.epoch != known.moment.epoch:
        return presence.at_us > known.at_us
    return presence.audit_count > known.audit_count


def _presence_of(record: bytes) -> Presence:
    """A presence that was verified before it was remembered."""
    return decode_presence(UnverifiedRecord(record, max_bytes=RECORD_BYTES).payload)


def _head_object(office: str, at_us: int, record: bytes) -> dict[str, Any]:
    presence = _presence_of(record)
    return {
        "office": office,
        "count": presence.audit_count,
        "head": digest_text(presence.audit_head),
        "signed_at": time_text(presence.at_us),
        "heard_at": time_text(at_us),
        "record": record.hex(),
    }
