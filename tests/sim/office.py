"""One simulated office: the real engine over a store that survives, and crashes that nothing else does."""

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from config.schema import Audit, Limits, Links, Office, Patience, Prekeys, Settings, Store
from config.schema import Broker as BrokerSettings
from keys.prekeys import PrekeyRecord, make_prekey
from keys.primitives import SigningKey, sha256
from keys.roster.directory import Directory
from keys.roster.suspensions import Suspension
from keys.rows import RowCipher
from protocol.ids import Address, NetworkId, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.outbox import Outbox
from relay.audit.folder import FOLDER
from relay.audit.keeper import Keeper
from relay.audit.notes import RELAY
from relay.daemon import MIGRATIONS, timing_of, witnesses_of
from relay.engine import Engine
from relay.graph import graph_of
from relay.ground import Ground
from relay.identity import Identity
from relay.keyring import Keyring
from relay.news import News
from relay.offers import Source
from relay.opening import awake, read_keyring, remembered_clock
from relay.service import OfficeService
from relay.shelf import Shelf
from relay.store import prekeys
from relay.store.database import Database
from relay.store.salvage import open_store
from relay.window import Window
from tests.sim.broker import Broker
from tests.sim.lanes import LaneWatch
from tests.sim.links import SimLinks
from tests.sim.logs import Syncs, replace_log
from tests.sim.prekeys import keep_first, lose_all
from tests.sim.store import PLENTY_BYTES, SimStore, move_back, peek, put_back, save_files, tear_tail
from tests.sim.trust import FixedTrust
from tests.sim.virtual import RUNS_IN, START_US, InlineOffload, OfficeClock, SeededEntropy, Time, VirtualLoop

PATIENCE = Patience(flash=5, urgent=10, priority=15, routine=20, bulk=30)
BALLAST_BYTES = 256 << 10
QUARANTINE = Limits(quarantine_rows=40, quarantine_bytes=100_000)
"""Small, so that the ring goes round (G13)."""
AUDIT = Audit(sync_s=2, head_s=20, tell_s=15, file_bytes=16 << 10)
"""Slow to sync, so that power cuts tear it; quick with heads, news and files (G15)."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What an office is, whatever happens to it: its name, keys and brokers."""

    address: str
    office: OfficeId
    key: SigningKey
    prekey_seed: bytes
    brokers: tuple[str, ...]


class OfficeProcess:
    """A seat with its store on disk and, while it runs, an engine."""

    def __init__(
        self, seat: Seat, directory: Directory, brokers: dict[str, Broker], place: Path, time: Time, seed: str
    ) -> None:
        self.seat = seat
        self.clock = OfficeClock(time)
        self.dice = random.Random(f"{seed} {seat.address} dice")
        self.failures: list[BaseException] = []
        self.boots = 0
        self.restores = 0
        self.slow_s = 0.02
        self.quota_bytes = 1 << 30
        self.ballast_bytes = 0
        self.knows_prekeys: list[PrekeyRecord] = []
        self.client_suffix = ""
        """What a link adds to its client id after it was taken over."""
        self.lanes = LaneWatch(seat.address)
        self.disturbed_us = 0
        """When it last started, or went on after a pause; virtual time."""
        self.ended = asyncio.Event()
        self._time = time
        self._trust = FixedTrust(directory)
        self._brokers = {name: brokers[name] for name in seat.brokers}
        self._place = place
        self._entropy = SeededEntropy(f"{seed} {seat.address} entropy")
        self._store: SimStore | None = None
        self._engine: Engine | None = None
        self._links: SimLinks | None = None
        self._ground: Ground | None = None
        self._keeper: Keeper | None = None
        self._changing = asyncio.Lock()
        self._saved = place.with_suffix(".saved")
        place.mkdir()
        self.prekeys = Prekeys()
        self.audit = AUDIT
        """Settings of the next start."""
        self._prekeys_lost = self._first_kept = False
        self._first_record = make_prekey(
            seat.key, network_id=directory.network_id, office_id=seat.office, suite=1, seed=seat.prekey_seed,
            now_us=START_US,
        )  # fmt: skip

    @property
    def running(self) -> bool:
        return self._engine is not None

    @property
    def service(self) -> OfficeService:
        assert self._engine is not None
        return self._engine.service

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    @property
    def ground(self) -> Ground:
        assert self._ground is not None
        return self._ground

    @property
    def keeper(self) -> Keeper:
        assert self._keeper is not None
        return self._keeper

    @property
    def log(self) -> Path:
        """The folder of its audit log."""
        return self._place / FOLDER

    @property
    def links(self) -> SimLinks:
        assert self._links is not None
        return self._links

    @property
    def store(self) -> SimStore:
        assert self._store is not None
        return self._store

    def look(self, query: Callable[[Any], Any]) -> Any:
        """What is durable at this very moment; also when the process does not run."""
        if self._store is not None:
            return self._store.peek(query)
        database = self._open()
        try:
            return peek(database, self.clock, query)
        finally:
            database.close()

    def call(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """An API call: a task of this process, which stands still when the process does."""
        return asyncio.get_running_loop().create_task(work, context=self._context())

    def _context(self) -> contextvars.Context:
        context = contextvars.copy_context()
        context.run(RUNS_IN.set, self)
        return context

    async def start(self) -> None:
        """A process from exec to READY, as relay/daemon.py does it; nothing when it runs."""
        async with self._changing:
            if self._engine is None:
                try:
                    await self.call(self._start())
                except BaseException:
                    await self._end()
                    raise

    async def _start(self) -> None:
        self.boots += 1
        self.disturbed_us = self._time.us
        self.ended = asyncio.Event()
        store = self._store = SimStore(self._open(), self.clock, self.dice, self.slow_s, self._failed)
        store.database.ballast._measure_free = lambda _: PLENTY_BYTES
        self.clock.resume(await remembered_clock(store))
        birth = await awake(store, self._entropy)
        seat, directory = self.seat, self._trust.directory
        settings = self._settings()
        outbox = Outbox(seat.office, timing_of(settings))
        self.lanes.follow(outbox)
        graph, shared = graph_of(directory.at(self.clock.now_us()), seat.office)
        outbox.set_graph(graph, shared, self.clock.monotonic_us())
        self._ground = Ground(
            settings=settings,
            identity=Identity(seat.office, seat.key, birth.life, birth.boot),
            clock=self.clock,
            witnesses=witnesses_of(settings),
            entropy=self._entropy,
            store=store,
            offload=InlineOffload(),
            trust=self._trust.trust(),
            outbox=outbox,
            keyring=await self._keyring(store),
            news=News(),
            shelf=Shelf(),
            failed=self._failed,
            # Every other life in a window so small that most parcels wait in the store.
            window=Window(parcels=4, least=1) if self.boots % 2 else Window(),
        )

        def connect(hooks: Any) -> SimLinks:
            client = f"{seat.address}-{birth.client_secret}{self.client_suffix}"
            self._links = SimLinks(self._brokers, client, hooks, self.dice, self.lanes.on_start, self._failed)
            return self._links

        self._keeper = Keeper(self._ground, self._place)
        await self._keeper.prepare()
        self._ground.audit.add(RELAY, "start", boot=birth.boot)
        self._engine = Engine(self._ground, self._trust, connect, (), self._keeper)  # type: ignore[arg-type]
        await self._engine.start(self._failed)

    async def crash(self) -> None:
        """kill -9: what is not committed is gone, and so is everything in memory; the WAL stays behind."""
        async with self._changing:
            await self._end()

    async def lose_power(self) -> None:
        """The same, and the write that was under way leaves junk behind the last durable frame; of the audit log there
        is what was synced, and of the rest whatever the disk had got to.
        """
        async with self._changing:
            if await self._end():
                tear_tail(self._place, self.dice.randbytes(self.dice.randrange(1, 5_000)))
                _syncs().lose_unsynced(self.log, self.dice)

    async def _end(self) -> bool:
        """The end of the process at this moment; whether there was one."""
        engine, store, links, keeper = self._engine, self._store, self._links, self._keeper
        self._engine = self._store = self._links = self._keeper = None
        if store is None:
            return False
        self.ended.set()
        # Closing a database tidies up, which a process that is killed cannot do.
        save_files(self._place, self._saved)
        store.close()
        move_back(self._saved, self._place)
        if links is not None:
            links.end(politely=False)
        if keeper is not None and keeper._log is not None:
            # What is dead writes no more lines.
            keeper._log.close()
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            loop.thaw(self)
        if engine is not None:
            await engine.stop()
        return True

    def set_clock(self, off_s: float) -> None:
        """Its wall clock is off by so much from now on."""
        self.clock.skew_us = round(off_s * SECOND_US)
        self.disturbed_us = self._time.us

    # The directory.

    @property
    def directory(self) -> Directory:
        """The newest that its trust store took."""
        return self._trust.directory

    async def offer(self, directory: Directory, publisher: Address) -> None:
        """A directory reaches it: a running engine considers it, another finds it at its next start."""
        files = {"roster.cbor": directory.encode()}
        # One that is just starting has read its trust already.
        async with self._changing:
            engine = self._engine
            if engine is None:
                self._trust.take(files, self.clock.now_us())
        if engine is not None:
            await self.call(engine._spreading.consider(Source("", publisher), files))

    def suspend(self, *suspensions: Suspension) -> None:
        """The suspensions in force are these, as of now."""
        self._trust.suspensions = suspensions
        self.ground.take_trust(self._trust.trust())

    # Backups.

    def back_up(self, name: str = "backup") -> Path:
        """Copy store and audit log as they lie on the disk at this moment, as a snapshot of the disk would."""
        copy = self._place.with_suffix(f".{name}")
        save_files(self._place, copy)
        replace_log(copy / FOLDER, self.log)
        return copy

    def clone(self, brokers: dict[str, Broker]) -> "OfficeProcess":
        """A home that begins with the same files, on another machine: its randomness is its own."""
        twin = OfficeProcess(
            self.seat, self._trust.directory, brokers, self._place.with_suffix(".twin"), self._time, "twin"
        )
        twin.knows_prekeys = self.knows_prekeys
        twin.client_suffix = "-twin"
        copy = self.back_up()
        put_back(copy, twin._place)
        _syncs().put_back(twin.log, copy / FOLDER)
        return twin

    async def restore(self, copy: Path) -> None:
        """kill -9, an older state comes back, and the home is started on it."""
        self.restores += 1
        await self.crash()
        put_back(copy, self._place)
        _syncs().put_back(self.log, copy / FOLDER)
        await self.start()

    # SIGSTOP.

    def pause(self) -> None:
        """The process stands still; its sockets stay open and fill."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.freeze(self)

    def resume(self) -> None:
        """It goes on where it stood."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if loop.thaw(self):
            self.disturbed_us = self._time.us

    def lose_prekey(self) -> None:
        """The next start finds no private half and no memory of epochs: only a part of the home came back."""
        self._prekeys_lost = True

    @property
    def own_record(self) -> PrekeyRecord:
        """Its newest prekey."""
        newest = None if self._ground is None else self._ground.keyring.own_record
        return newest or self._first_record

    async def _keyring(self, store: SimStore) -> Keyring:
        if self._prekeys_lost:
            self._prekeys_lost = False
            await store.write(Lane.PRIORITY, lose_all)
        elif not self._first_kept and not await store.read(prekeys.own_epoch):
            await store.write(Lane.PRIORITY, partial(keep_first, record=self._first_record, seed=self.seat.prekey_seed))
        # Like the file that the daemon erases: what was lost does not come back.
        self._first_kept = True
        for record in self.knows_prekeys:
            await store.write(Lane.PRIORITY, partial(prekeys.keep, record=record))
        return await read_keyring(store)

    def _open(self) -> Database:
        return open_store(
            self._place,
            cipher=RowCipher(sha256(self.seat.address.encode())),
            entropy=self._entropy,
            migrations=MIGRATIONS,
            quota_bytes=self.quota_bytes,
            ballast_bytes=self.ballast_bytes,
            now_us=self.clock.now_us(),
        )

    def _settings(self) -> Settings:
        brokers = tuple(BrokerSettings(id=name, tls=False) for name in self.seat.brokers)
        return Settings(
            home_version=1,
            office=Office(address=self.seat.address, network="sim"),
            brokers=brokers,
            prekeys=self.prekeys,
            links=Links(retry_min_s=0.5, retry_max_s=10, patience_s=PATIENCE),
            limits=QUARANTINE,
            audit=self.audit,
            store=Store(quota_bytes=self.quota_bytes),
        )

    def _failed(self, error: BaseException | None) -> None:
        """The daemon would exit here; a correct engine has no reason to."""
        self.failures.append(error or RuntimeError("a part of the engine ended"))


def network_id() -> NetworkId:
    return NetworkId(sha256(b"simulated network")[:16])


def _syncs() -> Syncs:
    """What the disks of this network were asked to make durable."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.syncs
