"""What this relay remembers of its neighbours' lives, and tells them (D11, G12, SPEC M59, M60, M63)."""

import asyncio
from functools import partial
from typing import Final

import structlog

from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.witness import Shown, Witness
from relay.ground import Ground
from relay.store import events, witnesses
from relay.store.events import Event

PAUSE_S: Final = 1.0
"""What came together is written down together."""

_log = structlog.get_logger()


class Neighbours:
    """Hears every verified frame and presence of neighbours."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._witness = Witness()
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """After a start: what is remembered, before anything is heard."""
        for office, shown in await self._ground.store.read(witnesses.remembered):
            self._witness.recall(office, shown)

    def hear(self, office: OfficeId, shown: Shown) -> None:
        """A neighbour signed this: it is remembered, and answered with what we know if that may be news to it."""
        ground = self._ground
        now_us = ground.clock.monotonic_us()
        if not self._still_proves(office):
            self._witness.forget(office)
        noted = self._witness.note(office, shown, now_us)
        if noted.owed is not None:
            ground.outbox.debts.owe_witness(office, Lane.URGENT, noted.owed)
            ground.kick()
        if noted.new_epoch:
            self._distrust(office, now_us)
        self._changed.set()

    async def run(self) -> None:
        """Write down for ever what is new; a few seconds late, since older proof is proof too."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(PAUSE_S)
            due = self._witness.unwritten(self._ground.clock.monotonic_us())
            if due:
                await self._ground.commit(Lane.BULK, partial(witnesses.keep, shown=due))
                now_us = self._ground.clock.monotonic_us()
                for office, shown in due:
                    self._witness.wrote(office, shown, now_us)

    def _still_proves(self, office: OfficeId) -> bool:
        """Whether the key that signed what we remember is valid now, so that the neighbour would believe it."""
        key_id, ground = self._witness.key_of(office), self._ground
        return key_id is None or ground.directory.has_key(office, key_id, ground.clock.now_us())

    def _distrust(self, office: OfficeId, now_us: int) -> None:
        """A neighbour began a new epoch: what it had custody of before may be lost with its older life (D1)."""
        ground = self._ground
        lost = [
            parcel
            for parcel, stage, hop, _ in ground.outbox.describe()
            if stage == "kept" and hop == office
        ]  # fmt: skip
        _log.warning("neighbour_in_new_epoch", neighbour=ground.address_of(office), in_its_custody=len(lost))
        log = []
        for parcel in lost:
            ground.outbox.lost(parcel.digest, office, now_us)
            log.append(Event(parcel.message_id, parcel.recipient, "custody_lost", ground.clock.now_us(), office))
        if log:
            ground.spawn(ground.commit(Lane.ROUTINE, partial(events.append, events=log)))
