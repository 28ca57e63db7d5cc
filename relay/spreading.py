"""How a newer directory reaches everybody, and how little an up-to-date office is sent (D8, D9, G14).

Everybody hears the timestamps that publishers retain, some hundred bytes each, and nothing else. One that verifies and
is newer than ours proves that a newer directory exists, whoever passes it on; only then its publisher's other files are
asked for, the roster last, and only where it changed. A publisher that has nothing to show for it is left for another.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from keys.trust.metadata import CURRENT_FILES, ROSTER_FILE, TARGETS, TIMESTAMP, root_file
from keys.trust.store import TrustStore, UpdateResult
from protocol.ids import Address
from protocol.limits import SECOND_US
from protocol.topics import TIMESTAMPS, TrustTopic, trust_topic
from relay.audit.notes import RELAY
from relay.ground import Ground
from relay.offers import Offers, Source
from relay.ports import Arrived, Transport
from relay.times import span_text

SETTLE_S: Final = 0.3
"""Trust files come one by one; this long after the last one they are looked at together."""
ASK_S: Final = 5.0
"""How long one publisher may take to show what its timestamp promises, before another is asked."""
REST_US: Final = 10 * SECOND_US
"""How long a publisher that was asked in vain is left alone."""
ROOTS_AT_ONCE: Final = 8
"""How many roots after ours are asked for at once; with more, what these bring is asked upon."""
LOOK_S: Final = 1.0
"""How often time is asked: a publisher too slow, a look at the brokers due, a directory too old."""
SMALL: Final = tuple(name for name in CURRENT_FILES if name not in (TIMESTAMP, ROSTER_FILE))

_log = structlog.get_logger()


@dataclass(slots=True)
class _Ask:
    """One source that was asked for files since a monotonic time."""

    source: Source
    since_us: int
    topics: list[str] = field(default_factory=list)


class Spreading:
    """Takes newer directories and passes on what it verified."""

    def __init__(self, ground: Ground, trust_store: TrustStore, transport: Transport) -> None:
        self._ground = ground
        self._store = trust_store
        self._transport = transport
        self._offers = Offers()
        self._came = asyncio.Event()
        self._ask: _Ask | None = None
        self._rests: dict[Source, int] = {}
        self._up: set[str] = set()
        self._proven: set[Source] = set()
        self._looked_us = 0
        self._due_us = 0
        self.on_signed_twice: Callable[[str], None] | None = None
        """Is told of files that verify and differ from ours of the same version."""
        self._given = False
        """Whether an administrator gave us the directory: then we are the network office, whoever is below us."""
        self._considering = asyncio.Lock()

    async def on_link(self, broker: str, *, up: bool) -> None:
        """The connection came up, on which trust travels, or went down."""
        (self._up.add if up else self._up.discard)(broker)
        if up:
            await self.publish(broker)
        elif self._ask is not None and self._ask.source.broker == broker:
            # The broker may remember for us what we heard: what comes without being asked for is stopped when it comes.
            self._ask = None

    async def publish(self, broker: str) -> None:
        """What we verified, where others read it from us; the timestamp last, which announces it."""
        ground = self._ground
        if self._publishes():
            files = self._store.publishable_files()
            for name in sorted(files, key=lambda one: one == TIMESTAMP):
                topic = trust_topic(ground.me.call_sign, name)
                await self._transport.publish(broker, "slow", topic, files[name], retain=True)

    async def give(self, files: Mapping[str, bytes]) -> tuple[UpdateResult, list[str]]:
        """Take what the network's administrator gives and publish it, here and from now on.

        (what came of it, the brokers that it was published to). What does not verify is not published.
        """
        publishes = self._publishes()
        result = await self.consider(Source("", self._ground.me.address), files)
        if result.code is not None:
            return result, []
        self._given = True
        for broker in sorted(self._up) if not (result.changed and publishes) else []:
            await self.publish(broker)
        return result, sorted(self._up)

    def _publishes(self) -> bool:
        """Whether others read the directory from us: we join brokers, have offices below us, or were given it."""
        me = self._ground.identity.office
        below = any(office.parent == me for office in self._ground.directory.offices.values())
        return below or self._given or len(self._ground.settings.brokers) > 1

    async def on_trust(self, arrived: Arrived, topic: TrustTopic) -> None:
        """A trust file of some publisher, looked at together with the others a moment later. Raises `RemoteError`.

        Our own may be newer than we are: then this home was restored from a backup.
        """
        known = self._ground.directory.by_address
        source = Source(arrived.broker, topic.publisher)
        if arrived.payload and self._offers.take(
            source, topic.file, arrived.payload, lambda one: known(one) is not None
        ):
            self._came.set()
        if topic.file != TIMESTAMP and (self._ask is None or self._ask.source != source):
            # A session that outlived our process, or an answer that came late.
            self._ground.spawn(self._transport.unsubscribe(arrived.broker, "slow", [arrived.topic]))

    def look_again(self) -> None:
        """Somebody says that there is a newer directory: what publishers retain is looked at soon."""
        self._due_us = min(self._due_us, self._looked_us + REST_US)

    async def run(self) -> None:
        """Look at what is offered for ever."""
        ground = self._ground
        self._looked(ground.clock.monotonic_us())
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._came.wait()
            except TimeoutError:
                await self._mind_time()
                self._sound()
                continue
            await asyncio.sleep(SETTLE_S)
            self._came.clear()
            for source, files in self._offers:
                known = self._store.publishable_files()
                if any(known.get(name) != data for name, data in files.items()):
                    await self.consider(source, files)
            self._sound()

    async def consider(self, source: Source, files: Mapping[str, bytes]) -> UpdateResult:
        """Verify one source's files as a whole: take them if they are newer, or ask for what is missing."""
        async with self._considering:
            return await self._consider(source, files)

    async def _consider(self, source: Source, files: Mapping[str, bytes]) -> UpdateResult:
        ground = self._ground
        result: UpdateResult = await ground.offload.run(
            partial(self._store.take, files, ground.clock.now_us()), len(files)
        )
        await self._keep()
        if result.changed:
            await self._take(source.publisher, result)
        if result.code is None:
            self._proven.discard(source)
            if self._ask is not None and self._ask.source == source:
                await self._end_ask()
            return result
        if result.code == "TRUST_EQUIVOCATION" and self.on_signed_twice is not None:
            self.on_signed_twice(f"{result.detail}, shown by {source.publisher}")
        stamp = files.get(TIMESTAMP, b"")
        newer = await ground.offload.run(partial(self._store.is_outdated_by, stamp, ground.clock.now_us()), 1)
        (self._proven.add if newer else self._proven.discard)(source)
        if newer or result.code == "TRUST_UNSIGNED":
            # Signed by a key that only a newer root names, or by nobody: small files will tell.
            await self._ask_for(source, files)
        else:
            _log.warning("trust_not_taken", publisher=source.publisher, broker=source.broker, code=result.code)
        return result

    async def _keep(self) -> None:
        """Write down what was taken. A disk that refuses holds up no revocation: it is in force, and tried again."""
        ground = self._ground
        try:
            await ground.offload.run(self._store.keep, len(CURRENT_FILES))
        except OSError as error:
            detail = f"{error.strerror or error}; a restart would go back to the directory before"
            ground.alarms.sound("TRUST_NOT_KEPT", ground.clock.now_us(), detail)
        else:
            ground.alarms.clear("TRUST_NOT_KEPT")

    async def _take(self, publisher: Address, result: UpdateResult) -> None:
        """Another directory is in force; whoever reads us hears of it."""
        ground = self._ground
        ground.take_trust(result.trust)
        # What others announced is compared with this one.
        self._proven.clear()
        self._came.set()
        _log.info("trust_taken", version=result.trust.version, publisher=publisher)
        ground.audit.add(RELAY, "trust", version=result.trust.version, publisher=publisher)
        for broker in sorted(self._up):
            await self.publish(broker)
        ground.kick()

    # Asking.

    async def _ask_for(self, source: Source, files: Mapping[str, bytes]) -> None:
        """The small files of a source; and its roster when its targets are others than ours. One at a time."""
        ground = self._ground
        now_us = ground.clock.monotonic_us()
        if self._ask is None and source.broker and now_us >= self._rests.get(source, 0):
            self._ask = _Ask(source, now_us)
            next_root = ground.trust.root_version + 1
            roots = [root_file(number) for number in range(next_root, next_root + ROOTS_AT_ONCE)]
            await self._subscribe(self._ask, [*SMALL, *roots])
        ask = self._ask
        if ask is not None and ask.source == source:
            targets = files.get(TARGETS)
            if targets is not None and targets != self._store.publishable_files()[TARGETS]:
                await self._subscribe(ask, [ROSTER_FILE])

    async def _subscribe(self, ask: _Ask, names: list[str]) -> None:
        topics = [trust_topic(ask.source.publisher, name) for name in names]
        wanted = [topic for topic in topics if topic not in ask.topics]
        if wanted:
            ask.topics += wanted
            await self._transport.subscribe(ask.source.broker, "slow", wanted)

    async def _end_ask(self) -> None:
        """Hear no more than timestamps again."""
        ask, self._ask = self._ask, None
        if ask is not None:
            await self._transport.unsubscribe(ask.source.broker, "slow", ask.topics)
            # Whoever else announced something newer has its turn.
            self._came.set()

    async def _mind_time(self) -> None:
        ground = self._ground
        now_us = ground.clock.monotonic_us()
        ask = self._ask
        if ask is not None and now_us - ask.since_us >= ASK_S * SECOND_US:
            _log.warning("trust_not_shown", publisher=ask.source.publisher, broker=ask.source.broker)
            self._rests[ask.source] = now_us + REST_US
            await self._end_ask()
        elif self._proven and ask is None:
            self._came.set()
        if "TRUST_NOT_KEPT" in ground.alarms:
            async with self._considering:
                await self._keep()
        if now_us >= self._due_us:
            # Brokers lose what they were given (D1): what they retain is read once more.
            self._looked(now_us)
            for broker in sorted(self._up):
                await self._transport.subscribe(broker, "slow", [TIMESTAMPS])

    def _looked(self, now_us: int) -> None:
        self._looked_us = now_us
        self._due_us = now_us + round(self._ground.settings.trust.refresh_s * SECOND_US)

    # What people are told.

    def _sound(self) -> None:
        """A newer directory exists that we could not get, or ours is old."""
        ground = self._ground
        now_us = ground.clock.now_us()
        if not self._proven:
            ground.behind_since_us = None
            ground.alarms.clear("TRUST_BEHIND")
        else:
            if ground.behind_since_us is None:
                ground.behind_since_us = now_us
            if now_us - ground.behind_since_us >= ground.settings.trust.behind_s * SECOND_US:
                named = ", ".join(sorted({one.publisher for one in self._proven})[:5])
                detail = f"shown by {named}; until it is here nothing is accepted"
                ground.alarms.sound("TRUST_BEHIND", now_us, detail)
        age_s = ground.trust.age_us(now_us) // SECOND_US
        if age_s > ground.settings.trust.stale_s:
            stop = age_s > ground.settings.trust.stop_s
            what = "nothing is accepted any more" if stop else "revocations since then are not known here"
            ground.alarms.sound("TRUST_OLD", now_us, f"signed {span_text(age_s * SECOND_US)} ago; {what}")
        else:
            ground.alarms.clear("TRUST_OLD")
