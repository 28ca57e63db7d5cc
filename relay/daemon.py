"""The running relay: start order, tasks, signals, stop order (CONTRACT section 1).

Start: settings, store (which locks the home), keys, trust, engine, API, then READY; brokers connect on their own.
Everything after a start is crash-only: kill -9 at any instant, start again, and it carries on.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import structlog

from config.load import load
from config.logs import set_up_logging
from config.schema import Settings
from keys.enrol.candidate import held
from keys.enrol.rotation import adopt
from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError, tidy
from keys.mldsa import SecondKey
from keys.rows import RowCipher
from keys.signer import Signer, SignerLost
from keys.trust.metadata import TrustError
from keys.trust.store import Trust, TrustStore
from protocol.clock_guard import Witnesses
from protocol.errors import Refused
from protocol.ids import KeyId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from protocol.outbox import Outbox
from protocol.parcel import Timing
from relay import notify
from relay.api.server import open_sockets, start_api
from relay.audit.keeper import Keeper
from relay.audit.notes import RELAY, Notes
from relay.clock import GuardedClock, SystemEntropy, machine_boot, read_clocks
from relay.connecting import Connect, connect_mqtt
from relay.engine import Engine
from relay.graph import graph_of
from relay.ground import Ground
from relay.identity import Identity
from relay.memory import leave_no_core, lock_memory
from relay.news import News
from relay.opening import (
    awake,
    find_office,
    load_keyring,
    read_second_key,
    remembered_clock,
    require_suites,
    row_key,
)
from relay.rotation import KeyHome, named_keys
from relay.safe import Safe, require_no_rotation
from relay.shelf import Shelf
from relay.store.database import HomeInUse, StoreUnusable
from relay.store.group import StoreFailed
from relay.store.salvage import open_store
from relay.store.writer import GroupCommitStore
from relay.version import program_version

T = TypeVar("T")

MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"
CRYPTO_THREADS: Final = 2
"""Verification of Ed25519 gains from a second thread, sealing does not (DESIGN, performance budget)."""
PIECES_AT_ONCE: Final = 2
"""Work on so few objects takes under 2 ms and stays on the event loop (measured: p50 of a single message)."""
EXIT_FAILED: Final = 70
"""EX_SOFTWARE: a part of the relay ended by itself."""
EXIT_STORE_FAILED: Final = 71
"""EX_OSERR: the disk failed under us; a restart recovers from what is durable."""

_log = structlog.get_logger()


class ThreadOffload:
    """CPU work in threads."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crypto")

    def run(self, work: Callable[[], T], pieces: int) -> "asyncio.Future[T]":
        """The result of `work`; a few pieces are done at once, since two changes of thread would cost as much."""
        loop = asyncio.get_running_loop()
        if pieces > PIECES_AT_ONCE:
            return loop.run_in_executor(self._pool, work)
        done: asyncio.Future[T] = loop.create_future()
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - the waiter gets it, as from a thread
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Let running work end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def run(home: Path, unlock: Unlock) -> int:
    """Run the relay of a home until SIGTERM; the exit status. `unlock` is asked for what no credential holds.

    Raises `ConfigError`, or `Refused` HOME_IN_USE, BAD_STORE, BAD_KEYS, BAD_TRUST, SUITE_MISSING for what an
    administrator must mend.
    """
    loaded = load(home)
    leave_no_core()
    set_up_logging(loaded.settings.log)
    if not lock_memory():
        _log.warning("memory_not_locked")
    try:
        return asyncio.run(_Daemon(home, loaded.settings, unlock).run())
    except HomeInUse:
        raise Refused("HOME_IN_USE", str(home)) from None
    except StoreUnusable as error:
        raise Refused("BAD_STORE", f"{error.code}: {error.detail}") from None
    except sqlite3.Error as error:
        raise Refused("BAD_STORE", f"{home / 'store'}: {error}") from None
    except KeyFileError as error:
        raise Refused("BAD_KEYS", str(error)) from None
    except TrustError as error:
        raise Refused("BAD_TRUST", str(error)) from None


def _log_failure(failure: BaseException) -> None:
    _log.critical("relay_failed", error=str(failure), kind=type(failure).__name__)


def timing_of(settings: Settings) -> Timing:
    """The outbox's times from the settings."""
    links = settings.links
    patience = {lane: round(getattr(links.patience_s, lane.label) * SECOND_US) for lane in Lane}
    return Timing(
        round(links.retry_min_s * SECOND_US), round(links.retry_max_s * SECOND_US), patience, links.window_items
    )


def witnesses_of(settings: Settings) -> Witnesses:
    """Where neighbours' clocks are compared, by the settings."""
    clock = settings.clock
    return Witnesses(round(clock.fresh_s * SECOND_US), round(clock.witness_s * SECOND_US))


class _Daemon:
    """One run."""

    def __init__(self, home: Path, settings: Settings, unlock: Unlock) -> None:
        self._home = home
        self._unlock = unlock
        self._settings = settings
        self._clock = GuardedClock(read_clocks, machine_boot(), round(settings.clock.jump_s * SECOND_US))
        self._entropy = SystemEntropy()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self) -> int:
        require_no_rotation(self._home)
        safe = Safe(self._home, self._unlock, self._lose_signer(asyncio.get_running_loop()))
        store = await self._open_store(safe.storage_key)
        offload = ThreadOffload(CRYPTO_THREADS)
        try:
            ground, trust_store, connect = await self._lay_ground(store, safe, offload)
            keeper = Keeper(ground, self._home)
            await keeper.prepare()
            ground.audit.add(RELAY, "start", version=program_version(), boot=ground.identity.boot)
            engine = Engine(ground, trust_store, connect, store.problems, keeper, self._keys(safe, ground))
            try:
                await self._serve(engine, store, ground.audit)
            finally:
                await engine.stop()
                await self._close_audit(ground.audit, keeper)
        except StoreFailed as failure:
            self._fail(failure)
        finally:
            offload.close()
            if isinstance(self._failure, StoreFailed):
                self._leave_at_once(self._failure)
            await store.close()
        if isinstance(self._failure, SignerLost):
            raise Refused("TOKEN_MISSING", str(self._failure))
        if self._failure is not None:
            _log_failure(self._failure)
            return EXIT_FAILED
        return 0

    async def _close_audit(self, notes: Notes, keeper: Keeper) -> None:
        """The last lines; none on a disk that failed under the store, and none where nothing can sign their head."""
        if not isinstance(self._failure, StoreFailed | SignerLost):
            notes.add(RELAY, "stop", code="OK" if self._failure is None else type(self._failure).__name__)
            await keeper.close()

    @staticmethod
    def _leave_at_once(failure: StoreFailed) -> NoReturn:
        """End without closing the store: SQLite would sync what it could not sync before, and be told that all is well.

        Only the next start, which recovers from the disk, knows what is there.
        """
        _log_failure(failure)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_STORE_FAILED)

    async def _open_store(self, storage_key: bytes) -> GroupCommitStore:
        store = self._settings.store
        directory = self._home / "store"
        open_database = partial(
            open_store,
            directory,
            cipher=RowCipher(row_key(storage_key)),
            entropy=self._entropy,
            migrations=MIGRATIONS,
            quota_bytes=store.quota_bytes,
            ballast_bytes=store.ballast_bytes,
            now_us=self._clock.now_us(),
        )
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            return await GroupCommitStore.open(open_database, self._clock, self._fail)
        except OSError as error:
            # A disk that is read-only or fails is not a fault of this program.
            raise StoreUnusable("STORE_DISK", f"{directory}: {error.strerror}") from error

    def _tidy_keys(self, named: Collection[KeyId]) -> None:
        """What a crash left of keys that are deleted, and new keys that came into force while we were down."""
        try:
            with held(self._home):
                for folder in (self._home / "keys", self._home / "keys" / "next"):
                    tidy(folder)
            adopt(self._home, named)
        except Refused as refused:
            # `relay keys` is at work; `Rotation` takes up what it leaves. A start that fails here is not tried again.
            _log.warning("keys_not_taken_up", code=refused.code)

    def _keys(self, safe: Safe, ground: Ground) -> KeyHome:
        """What opens the office's signing keys again when they were rotated."""

        def open_again(trust: Trust) -> tuple[Signer, SecondKey | None]:
            return safe.signer(ground.identity.office, trust), read_second_key(self._home, safe.storage_key)

        return KeyHome(self._home, open_again)

    async def _lay_ground(
        self, store: GroupCommitStore, safe: Safe, offload: ThreadOffload
    ) -> tuple[Ground, TrustStore, Connect]:
        """Everything that the engine stands on, read from the home."""
        settings, home = self._settings, self._home
        self._clock.resume(await remembered_clock(store))
        trust_store = TrustStore(home)
        trust = trust_store.load(self._clock.now_us())
        self._clock.raise_floor(trust.clock_floor_us)
        office = find_office(settings, trust)
        require_suites(trust.directory)
        self._tidy_keys(named_keys(trust.directory, office, self._clock.now_us()))
        key = safe.signer(office, trust)
        birth = await awake(store, self._entropy)
        identity = Identity(office, key, birth.life, birth.boot, read_second_key(home, safe.storage_key))
        keep_us = round(settings.prekeys.keep_s * SECOND_US)
        now_us = self._clock.now_us()
        keyring = await load_keyring(home, safe.storage_key, identity, trust, store, now_us, keep_us)
        outbox = Outbox(office, timing_of(settings))
        graph, shared = graph_of(trust.directory.at(self._clock.now_us()), office)
        outbox.set_graph(graph, shared, self._clock.monotonic_us())
        ground = Ground(
            settings=settings,
            identity=identity,
            clock=self._clock,
            witnesses=witnesses_of(settings),
            entropy=self._entropy,
            store=store,
            offload=offload,
            trust=trust,
            outbox=outbox,
            keyring=keyring,
            news=News(),
            shelf=Shelf(),
            failed=self._fail,
        )
        connect = partial(
            connect_mqtt, settings=settings, home=home, client_secret=birth.client_secret, clock=self._clock
        )
        return ground, trust_store, connect

    async def _serve(self, engine: Engine, store: GroupCommitStore, notes: Notes) -> None:
        """API up, READY, work until told to stop or until something breaks."""
        listeners = open_sockets(self._home / "run", self._settings)
        api = await start_api(engine.service, self._settings, listeners, version=program_version(), notes=notes)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        await engine.start(self._fail)
        watch = asyncio.create_task(api.failed(), name="api")
        watch.add_done_callback(lambda _: self._stop.set())
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        notify.ready(f"{self._settings.office.address} is up")
        pulse = asyncio.create_task(self._beat(store), name="watchdog")
        try:
            await self._stop.wait()
        finally:
            notify.stopping()
            pulse.cancel()
            await asyncio.gather(api.stop(), engine.say_goodbye(), return_exceptions=True)
            watch.cancel()

    async def _beat(self, store: GroupCommitStore) -> None:
        """Tell systemd's watchdog that loop and store both answer."""
        interval_s = notify.watchdog_interval_s()
        while interval_s is not None:
            await asyncio.sleep(interval_s)
            await store.read(lambda txn: txn.now_us)
            notify.alive("working")

    def _lose_signer(self, loop: asyncio.AbstractEventLoop) -> Callable[[SignerLost], None]:
        """What to call, from any thread, when the signing key is gone: the relay ends, its next start looks again."""

        def tell(gone: SignerLost) -> None:
            loop.call_soon_threadsafe(self._fail, gone)

        return tell

    def _fail(self, error: BaseException | None) -> None:
        """Something broke for good: stop, and let the next start recover."""
        if self._failure is None:
            self._failure = error
        self._stop.set()
