"""The engine: the parts of a running relay, wired once, and the tasks they run in.

API ─► Acceptor ─► Sealer ─► Outbox ─► Pump ══ MQTT ══► Intake ─► inbox or outbox
                                ▲                          │
                                └── custody, receipts ◄────┘
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from keys.enrol.expiry import Expiry
from keys.trust.store import TrustStore
from protocol.errors import Refused, RemoteError
from protocol.lanes import GROUPS, Lane
from protocol.topics import FrameTopic, PrekeyTopic, PresenceTopic, TrustTopic, parse_topic, subscriptions
from relay.accept import Acceptor
from relay.audit.keeper import Keeper
from relay.beacon import Beacon
from relay.connecting import Connect, Hooks
from relay.ground import Ground
from relay.home import Home
from relay.identity import FrameCounter
from relay.intake import Intake, suspect_of
from relay.janitor import Janitor
from relay.neighbours import Neighbours
from relay.ports import Arrived, LinkChanged
from relay.pump import Pump
from relay.recovery import Recovery
from relay.renewal import Renewal
from relay.restoring import Restorer
from relay.retention import Retention
from relay.revocations import Revocations
from relay.rotation import KeyHome, Rotation
from relay.sealer import Sealer
from relay.service import OfficeService
from relay.spreading import Spreading
from relay.status import Status
from relay.store import counters, held, quarantine
from relay.store.database import Txn
from relay.store.quarantine import Suspect
from relay.suites import Suites
from relay.timekeeper import Timekeeper
from relay.validity import of_office

GOODBYE_S = 1.0
"""How long neighbours are told that we leave; after that they learn it from our will."""

_log = structlog.get_logger()


class Engine:
    """Everything between the API and the brokers."""

    def __init__(
        self, ground: Ground, trust_store: TrustStore, connect: Connect, problems: tuple[str, ...],
        keeper: Keeper | None = None, keys: KeyHome | None = None,
    ) -> None:  # fmt: skip
        """`keeper` writes the audit log; without one its notes go nowhere. `keys` is looked after for rotated keys."""
        self._ground = ground
        self._keeper = keeper
        self._sealer = Sealer(ground)
        self._home = Home(ground, self._renew)
        self._neighbours = Neighbours(ground)
        self._renewal = Renewal(ground, self._publish_prekey)
        self._beacon = Beacon(ground, self._sealer, self._home, self._neighbours, self._renewal)
        self._recovery = Recovery(ground, self._sealer, self._beacon.take_prekey)
        self._intakes = {group: Intake(ground, group, self._recovery, self._home, self._neighbours) for group in GROUPS}
        me = ground.me.call_sign
        self._transport = connect(
            Hooks(
                filters={group: subscriptions(me, group) for group in GROUPS},
                will_for=self._beacon.will_for,
                on_arrived=self._on_arrived,
                on_changed=self._on_changed,
            )
        )
        self._beacon.attach(self._transport)
        self._spreading = Spreading(ground, trust_store, self._transport)
        self._beacon.on_newer = self._spreading.look_again
        self._spreading.on_signed_twice = self._beacon.forks.signed_twice
        counter = FrameCounter(ground.identity.boot)
        self._pumps = [Pump(ground, self._transport, group, counter, self._recovery) for group in GROUPS]
        self._rotation = None if keys is None else Rotation(ground, keys, self._renew, self._renewal.want)
        self._janitor = Janitor(ground)
        self._retention = Retention(ground)
        self._revocations = Revocations(ground, self._sealer)
        ground.trust_takers.append(self._revocations.came)
        self._suites = Suites(ground, self._renew)
        self._restorer = Restorer(ground, self._sealer)
        self._timekeeper = Timekeeper(ground)
        self._tasks: list[asyncio.Task[None]] = []
        validity = None if keys is None else partial(self._ends, trust_store, keys.home)
        status = Status(ground, self._beacon, self._transport, problems, validity)
        acceptor = Acceptor(ground, self._sealer)
        self.service = OfficeService(
            ground, acceptor, trust_store, status, self._timekeeper, keeper, self._home, self._spreading, self._renewal
        )

    async def start(self, failed: Callable[[BaseException], None]) -> None:
        """Start every task; `failed` is told when one of them ends, which none should."""
        self._ground.window.open(await self._ground.store.read(held.ways))
        await self._home.load()
        await self._neighbours.load()
        parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "sealer": self._sealer.run,
            "spreading": self._spreading.run,
            "beacon-again": self._beacon.tell_again,
            "neighbours": self._neighbours.run,
            "janitor": self._janitor.run,
            "renewal": self._renewal.run,
            **({} if self._rotation is None else {"rotation": self._rotation.run}),
            **({} if self._keeper is None else {"audit": self._keeper.run}),
            "retention": self._retention.run,
            "revocations": self._revocations.run,
            "suites": self._suites.run,
            "restorer": self._restorer.run,
            "timekeeper": self._timekeeper.run,
            **{f"intake-{group}": intake.run for group, intake in self._intakes.items()},
            **{f"pump-{group}": pump.run for group, pump in zip(GROUPS, self._pumps, strict=True)},
        }
        for name, work in parts.items():
            task = asyncio.create_task(work(), name=name)
            task.add_done_callback(partial(_ended, failed=failed))
            self._tasks.append(task)
        await self._transport.start()

    async def say_goodbye(self) -> None:
        """Tell neighbours and close the connections."""
        try:
            await asyncio.wait_for(self._beacon.say_goodbye(), GOODBYE_S)
        except TimeoutError:
            _log.info("goodbye_unheard")
        await self._transport.stop()

    async def stop(self) -> None:
        """End every task; what is durable carries on at the next start."""
        await self._transport.stop()
        tasks = [*self._tasks, *self._ground.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ends(self, trust_store: TrustStore, home: Path) -> Callable[[], list[Expiry]]:
        """What tells, in a thread, what this office depends on and until when; clock and directory are the loop's."""
        ground = self._ground
        own, files, now_us = ground.keyring.own_record, trust_store.publishable_files(), ground.clock.now_us()
        directory, office = ground.directory, ground.identity.office
        return lambda: list(of_office(home, directory, office, files, own, now_us))

    def _renew(self) -> None:
        self._transport.renew()

    async def _publish_prekey(self) -> None:
        await self._beacon.publish_own_prekey()

    async def _on_changed(self, changed: LinkChanged) -> None:
        """A connection came up or went down."""
        await self._beacon.on_link(changed)
        if changed.group == "slow":
            await self._spreading.on_link(changed.broker, up=changed.up)

    async def _on_arrived(self, arrived: Arrived) -> None:
        """What a broker hands over: to the part that understands it, or into quarantine."""
        try:
            topic = parse_topic(arrived.topic)
            match topic:
                case FrameTopic():
                    if topic.receiver != self._ground.me.call_sign:
                        raise RemoteError("WRONG_TOPIC", "a frame for another office")
                    await self._intakes[topic.lane.group].put(arrived, topic)
                case PresenceTopic():
                    await self._beacon.on_presence(arrived, topic)
                case PrekeyTopic():
                    await self._beacon.on_prekey(arrived, topic)
                case TrustTopic():
                    await self._spreading.on_trust(arrived, topic)
        except RemoteError as error:
            await self._quarantine(suspect_of(arrived, error, self._ground.clock.now_us()))

    async def _quarantine(self, suspect: Suspect) -> None:
        limits = self._ground.settings.limits
        change = partial(
            _quarantine, suspect=suspect, rows_max=limits.quarantine_rows, bytes_max=limits.quarantine_bytes
        )
        try:
            await self._ground.store.write(Lane.BULK, change)
        except Refused as refused:
            # A sample is not worth waiting for room while mail waits behind it.
            _log.warning("suspect_not_kept", code=refused.code, suspect=suspect.code, source=suspect.source)


def _quarantine(txn: Txn, suspect: Suspect, rows_max: int, bytes_max: int) -> None:
    quarantine.put(txn, [suspect], rows_max, bytes_max)
    counters.count(txn, {"quarantined": 1})


def _ended(task: asyncio.Task[None], failed: Callable[[BaseException], None]) -> None:
    """A part of the engine ended by itself: the relay cannot go on without it."""
    if not task.cancelled():
        failed(task.exception() or RuntimeError(f"{task.get_name()} ended"))
