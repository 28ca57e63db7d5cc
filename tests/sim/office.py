"""One simulated office: the real engine over a store that survives, and crashes that nothing else does."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from config.schema import Broker as BrokerSettings
from config.schema import Links, Office, Patience, Settings, Store
from keys.directory import Directory
from keys.prekeys import PrekeyRecord, make_prekey, parse_prekey
from keys.primitives import PrekeyPrivate, SigningKey, sha256
from keys.rows import RowCipher
from keys.trust.store import Trust, UpdateResult
from protocol.ids import NetworkId, OfficeId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.outbox import Outbox
from relay.daemon import MIGRATIONS, timing_of, witnesses_of
from relay.engine import Engine
from relay.graph import graph_of
from relay.ground import Ground
from relay.identity import Identity
from relay.keyring import Keyring
from relay.news import News
from relay.opening import awake, remembered_clock
from relay.service import OfficeService
from relay.shelf import Shelf
from relay.store import prekeys
from relay.store.database import Database
from relay.store.inline import InlineStore
from relay.window import Window
from tests.sim.broker import Broker, SimLinks
from tests.sim.virtual import START_US, InlineOffload, OfficeClock, SeededEntropy, SlowStore, Time

PATIENCE = Patience(flash=5, urgent=10, priority=15, routine=20, bulk=30)


@dataclass(frozen=True, slots=True)
class Seat:
    """What an office is, whatever happens to it: its name, keys and brokers."""

    address: str
    office: OfficeId
    key: SigningKey
    prekey_seed: bytes
    brokers: tuple[str, ...]


class FixedTrust:
    """A trust store whose directory nobody changes but the storm."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory

    def trust(self) -> Trust:
        far_us = START_US + 400 * 86_400 * SECOND_US
        digest = sha256(bytes(str(self.directory.version), "ascii"))
        return Trust(self.directory, (), self.directory.version, digest, 1, "", 1, START_US, far_us, far_us, START_US)

    def publishable_files(self) -> dict[str, bytes]:
        return {}

    def update(self, files: Mapping[str, bytes], now_us: int) -> UpdateResult:
        return UpdateResult(False, self.trust())


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
        self.slow_s = 0.02
        self.quota_bytes = 1 << 30
        self.knows_prekeys: list[PrekeyRecord] = []
        self._trust = FixedTrust(directory)
        self._brokers = {name: brokers[name] for name in seat.brokers}
        self._place = place
        self._entropy = SeededEntropy(f"{seed} {seat.address} entropy")
        self._store: SlowStore | None = None
        self._engine: Engine | None = None
        self._links: SimLinks | None = None
        self._ground: Ground | None = None
        self._changing = asyncio.Lock()
        place.mkdir()
        self._prekey_seed = seat.prekey_seed
        self.own_record = make_prekey(
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
    def ground(self) -> Ground:
        assert self._ground is not None
        return self._ground

    @property
    def links(self) -> SimLinks:
        assert self._links is not None
        return self._links

    def look(self, query: Callable[[Any], Any]) -> Any:
        """What is durable at this very moment; also when the process does not run."""
        if self._store is not None:
            return self._store.inline.run(query)
        database = self._open()
        try:
            return InlineStore(database, self.clock).run(query)
        finally:
            database.close()

    async def start(self) -> None:
        """A process from exec to READY, as relay/daemon.py does it; nothing when it runs."""
        async with self._changing:
            if self._engine is None:
                try:
                    await self._start()
                except BaseException:
                    await self._end()
                    raise

    async def _start(self) -> None:
        self.boots += 1
        store = self._store = SlowStore(self._open(), self.clock, self.dice, self.slow_s)
        self.clock.resume(await remembered_clock(store))
        birth = await awake(store, self._entropy)
        seat, directory = self.seat, self._trust.directory
        settings = self._settings()
        outbox = Outbox(seat.office, timing_of(settings))
        graph, shared = graph_of(directory, seat.office)
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
            self._links = SimLinks(self._brokers, f"{seat.address}-{birth.client_secret}", hooks, self.dice)
            return self._links

        self._engine = Engine(self._ground, self._trust, connect, ())  # type: ignore[arg-type]
        await self._engine.start(self._failed)

    async def crash(self) -> None:
        """kill -9: what is not committed is gone, and so is everything in memory."""
        async with self._changing:
            await self._end()

    async def _end(self) -> None:
        engine, store, links = self._engine, self._store, self._links
        self._engine = self._store = self._links = None
        if store is None:
            return
        store.close()
        if links is not None:
            links.end(politely=False)
        if engine is not None:
            await engine.stop()

    def lose_prekey(self) -> None:
        """A home restored without its newest private halves: the next start publishes a new prekey, the old is gone."""
        seed = self._entropy.bytes(32)
        self._prekey_seed = seed
        self.own_record = make_prekey(
            self.seat.key, network_id=self._trust.directory.network_id, office_id=self.seat.office, suite=1, seed=seed,
            now_us=self.clock.now_us(), previous=self.own_record,
        )  # fmt: skip

    async def _keyring(self, store: SlowStore) -> Keyring:
        keyring = Keyring()
        keyring.own[self.own_record.prekey_id] = PrekeyPrivate(1, self._prekey_seed)
        keyring.own_record = self.own_record
        for record in self.knows_prekeys:
            await store.write(
                Lane.PRIORITY,
                partial(prekeys.keep, office=record.office_id, epoch=record.epoch, record=record.data),
            )
        for data in await store.read(prekeys.records):
            keyring.take(parse_prekey(data))
        return keyring

    def _open(self) -> Database:
        return Database.open(
            self._place,
            cipher=RowCipher(sha256(self.seat.address.encode())),
            entropy=self._entropy,
            migrations=MIGRATIONS,
            quota_bytes=self.quota_bytes,
            ballast_bytes=0,
        )

    def _settings(self) -> Settings:
        brokers = tuple(BrokerSettings(id=name, tls=False) for name in self.seat.brokers)
        return Settings(
            home_version=1,
            office=Office(address=self.seat.address, network="sim"),
            brokers=brokers,
            links=Links(retry_min_s=0.5, retry_max_s=10, patience_s=PATIENCE),
            store=Store(quota_bytes=self.quota_bytes),
        )

    def _failed(self, error: BaseException | None) -> None:
        """The daemon would exit here; a correct engine has no reason to."""
        self.failures.append(error or RuntimeError("a part of the engine ended"))


def network_id() -> NetworkId:
    return NetworkId(sha256(b"simulated network")[:16])
