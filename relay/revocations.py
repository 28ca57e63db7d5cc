"""What the directory in force says of offices that are not to be believed, put into effect (D8, G14).

A revocation changes what is here already (`relay/aftermath.py`), once; a suspension changes only whom we deal with,
while it lasts. What comes later is judged where it is examined.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog

from keys.prekeys import PrekeyRecord, verify_prekey
from keys.primitives import sha256
from keys.roster.directory import Directory
from keys.roster.persons import person_revocations
from keys.roster.revocation import revocations
from protocol.cbor import Value, dumps
from protocol.errors import RemoteError
from protocol.ids import OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.aftermath import Aftermath, Swept
from relay.audit.notes import RELAY
from relay.graph import graph_of
from relay.ground import Ground
from relay.sealer import Sealer
from relay.store import counters, held, prekeys, sent
from relay.store.database import Txn
from relay.times import time_text

LOOK_S: Final = 1.0
"""How often time is asked whether a suspension begins or ends."""
MAIL_US: Final = 30 * SECOND_US
"""How often the store is asked whether something waits for an office that is revoked: nothing should."""
AGAIN_S: Final = 2.0
"""What was being examined or composed by the directory before is in the store by then, and is looked at once more."""
ALARM_US: Final = 30 * 86_400 * SECOND_US
"""How long a revocation is an alarm: a month to call about what is doubted."""
NAMED_MAX: Final = 5
"""Most offices named in an alarm."""
DONE: Final = "revocations"
"""The fact of the home that says which revocations have had their effect here."""

_log = structlog.get_logger()


class Revocations:
    """Watches the directory in force."""

    def __init__(self, ground: Ground, sealer: Sealer) -> None:
        self._ground = ground
        self._sealer = sealer
        self._came = asyncio.Event()
        self._suspended: frozenset[OfficeId] = frozenset()
        self._counts: dict[OfficeId, Counter[str]] = {}
        self._goes_on = False
        """Whether a turn was interrupted, so that what it did is still to be noted."""
        self._revoked: dict[OfficeId, int] = {}

    def came(self) -> None:
        """Another directory is in force, or other suspensions."""
        self._read()
        self._came.set()

    async def run(self) -> None:
        """Act for ever."""
        self._read()
        done = await self._ground.store.read(partial(counters.recall, name=DONE))
        while True:
            self._came.clear()
            done = await self._act(done)
            looked_us = self._ground.clock.monotonic_us()
            while not self._came.is_set() and self._ground.clock.monotonic_us() - looked_us < MAIL_US:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._came.wait()
                if self._ground.suspended() != self._suspended:
                    self._redraw()

    async def _act(self, done: Value) -> Value:
        """Give the revocations in force their effect; the mark of those that had it, where `done` was it before.

        When another directory comes meanwhile nothing is noted yet: the next turn does it all again, and notes it once.
        """
        dropped = await self._drop_prekeys()
        await self._end_mail()
        mark = _mark(self._ground)
        if mark != done:
            if not self._goes_on:
                self._counts.clear()
            await self._sweep()
            await asyncio.sleep(AGAIN_S)
            await self._drop_prekeys(dropped)
            await self._end_mail()
            await self._sweep()
            self._goes_on = self._came.is_set()
            if self._goes_on:
                self._sound()
                return done
            self._note()
            await self._ground.commit(Lane.ROUTINE, partial(counters.remember, name=DONE, value=mark))
        self._sound()
        return mark

    # Whom we deal with.

    def _read(self) -> None:
        """What the directory in force says."""
        self._revoked = revocations(self._ground.directory)
        self._redraw()

    def _redraw(self) -> None:
        """No way leads over a suspended office or to it; what it had custody of goes round a revoked one."""
        ground = self._ground
        now_us, suspended = ground.clock.monotonic_us(), ground.suspended()
        if suspended != self._suspended:
            names = [ground.address_of(office) for office in sorted(suspended)]
            _log.warning("suspensions_changed", offices=names)
            ground.audit.add(RELAY, "suspensions", offices=[office.hex() for office in sorted(suspended)])
        self._suspended = suspended
        ground.outbox.set_graph(*graph_of(ground.directory, ground.identity.office, suspended), now_us)
        gone = frozenset(filter(self._is_gone, self._revoked))
        kept = [(one, hop) for one, stage, hop, _ in ground.outbox.describe() if gone and stage == "kept"]
        for parcel, hop in kept:
            if hop is not None and hop in gone and hop != parcel.recipient:
                ground.outbox.lost(parcel.digest, hop, now_us)
        self._sound()
        ground.kick()

    def _is_gone(self, office: OfficeId) -> bool:
        record = self._ground.directory.by_id(office)
        return record is not None and record.state == "revoked" and office != self._ground.identity.office

    # What is here already.

    async def _sweep(self) -> None:
        """Everything of offices that have been revoked, or keys of theirs, a bounded change at a time."""
        ground = self._ground
        revoked = {one: since for one, since in self._revoked.items() if one != ground.identity.office}
        for office, since_us in revoked.items():
            record = ground.directory.offices[office]
            await self._repeat(office, b"", partial(Aftermath.drop_mail_of, office=record))
            doubt = partial(Aftermath.doubt_messages_of, office=record, since_us=since_us)
            await self._repeat(office, b"", doubt)
        persons = person_revocations(ground.directory)
        for office, since_us in persons.items():
            record = ground.directory.offices[office]
            await self._repeat(None, b"", partial(Aftermath.doubt_messages_of, office=record, since_us=since_us))
        records = {one: ground.directory.offices[one] for one in (*revoked, *persons)}
        if records:
            await self._repeat(None, 0, partial(Aftermath.doubt_answers_of, offices=records))

    async def _end_mail(self) -> None:
        """What waits for offices that are revoked has its verdict now; also what was accepted a moment ago."""
        ground = self._ground
        gone = [one for one in self._revoked if self._is_gone(one)]
        if gone:
            for office in await ground.store.read(partial(_with_mail, offices=gone)):
                await self._repeat(office, office, Aftermath.end_mail_to)

    async def _drop_prekeys(self, before: Collection[OfficeId] = ()) -> set[OfficeId]:
        """A prekey whose signer counts no more may be a thief's: nothing is sealed to it, and what is, is once more.

        The offices of which one was dropped, now or `before`: then copies were perhaps being sealed to it.
        """
        ground = self._ground
        now_us = ground.clock.now_us()
        dropped = set(before)
        for office in tuple(self._revoked):
            record = ground.keyring.records.get(office)
            if record is not None and _is_forsaken(record, ground.directory, now_us):
                ground.keyring.drop(office)
                await ground.commit(Lane.PRIORITY, partial(prekeys.forget, office=office))
                dropped.add(office)
        for office in sorted(dropped):
            if not self._is_gone(office):
                await self._repeat(office, office, Aftermath.take_back_copies_to)
        if dropped:
            await self._sealer.load()
        return dropped

    async def _repeat(
        self, office: OfficeId | None, after: bytes | int, step: Callable[[Aftermath, Any], Swept]
    ) -> None:
        """Make changes until there is nothing more to do, each from where the last ended; act on each when durable."""
        ground, limits = self._ground, self._ground.settings.limits
        next_: bytes | int | None = after

        def change(txn: Txn, at: bytes | int) -> Swept:
            network = ground.directory.network_id
            one = Aftermath(txn, ground.identity, network, limits.quarantine_rows, limits.quarantine_bytes)
            return step(one, at)

        while next_ is not None:
            swept = await ground.commit(Lane.ROUTINE, partial(change, at=next_))
            ground.release(swept.released)
            ground.hold(swept.taken)
            ground.news.publish(swept.events)
            if office is not None:
                self._counts.setdefault(office, Counter()).update(swept.counts)
            next_ = swept.after
            ground.kick()

    # What people are told.

    def _note(self) -> None:
        """For the audit log, office by office: since when, and what that did here."""
        for office, since_us in self._revoked.items():
            counts = self._counts.get(office, Counter())
            self._ground.audit.add(RELAY, "revocation", office=office.hex(), since=time_text(since_us), **counts)

    def _sound(self) -> None:
        ground, now_us = self._ground, self._ground.clock.now_us()
        recent = {one: us for one, us in self._revoked.items() if us > now_us - ALARM_US}
        shown = [self._told(one, us) for one, us in sorted(recent.items(), key=lambda item: -item[1])]
        if shown:
            ground.alarms.sound("OFFICE_REVOKED", now_us, _some(shown))
        else:
            ground.alarms.clear("OFFICE_REVOKED")
        stopped = [ground.address_of(one) for one in sorted(self._suspended)]
        if stopped:
            ground.alarms.sound("OFFICE_SUSPENDED", now_us, _some(stopped))
        else:
            ground.alarms.clear("OFFICE_SUSPENDED")

    def _told(self, office: OfficeId, since_us: int) -> str:
        counts = self._counts.get(office, Counter())
        done = ", ".join(
            f"{counts[name]} {name}" for name in ("ended", "dropped", "doubted", "resealed") if counts[name]
        )
        return f"{self._ground.address_of(office)} since {time_text(since_us)}" + (f": {done}" if done else "")


def _some(names: Collection[str]) -> str:
    named = "; ".join([*names][:NAMED_MAX])
    return named + (f"; and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else "")


def _mark(ground: Ground) -> bytes:
    """What tells one set of revocations from another."""
    found = []
    for office in ground.directory.offices.values():
        keys = [[one.key_id, one.revoked_since_us] for one in office.keys]
        keys += [[one.key_id, one.revoked_since_us] for one in office.persons]
        if office.revoked_since_us is not None or any(since_us is not None for _, since_us in keys):
            found.append([office.id, office.revoked_since_us, keys])
    return sha256(dumps(found))


def _with_mail(txn: Txn, offices: Collection[OfficeId]) -> list[OfficeId]:
    """Those of the offices to whom something is held, or waits for a prekey."""
    return [one for one in offices if held.is_way(txn, one) or sent.waiting_for(txn, one, 1)]


def _is_forsaken(record: PrekeyRecord, directory: Directory, now_us: int) -> bool:
    """Whether the directory does not vouch any more for the keys that signed a prekey."""
    try:
        verify_prekey(record.data, directory, now_us)
    except RemoteError as error:
        return error.code in ("KEY_NOT_VALID", "UNKNOWN_KEY", "UNKNOWN_OFFICE")
    return False
