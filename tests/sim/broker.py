"""A broker in memory that may drop, double, delay, reorder, replay, damage and lie, and the links to it.

It keeps what MQTT promises when nobody tampers: sessions that outlive connections, retained messages, wills.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.limits import SECOND_US
from relay.connecting import Hooks
from relay.mqtt import Will
from relay.mqtt_link import LinkState
from relay.ports import Arrived, LinkChanged

QUEUE_MESSAGES = 1_000
"""Beyond this a session's queue drops, with a PUBACK all the same (D1)."""
REMEMBERED = 200
RECONNECT_S = (0.2, 2.0)


@dataclass(slots=True)
class Malice:
    """Probabilities of what a broker does to one message for one session; `late_s` is the most it delays one."""

    drop: float = 0.0
    double: float = 0.0
    replay: float = 0.0
    damage: float = 0.0
    late: float = 0.0
    late_s: float = 0.0
    swallow_publish: float = 0.0
    deaf: float = 0.0
    """Share of publishes that are neither taken nor acknowledged, until the link's time is up."""


@dataclass(slots=True)
class _Message:
    topic: str
    payload: bytes
    retained: bool


@dataclass(slots=True)
class _Session:
    filters: tuple[str, ...] = ()
    link: "Link | None" = None
    waiting: list[_Message] = field(default_factory=list)


class Broker:
    """One broker. `watch` sees every publish before the broker does anything with it."""

    def __init__(self, name: str, dice: random.Random, watch: Callable[[str, str, bytes], None]) -> None:
        self.name = name
        self.malice = Malice()
        self.up = True
        self.published = 0
        self._dice = dice
        self._watch = watch
        self._sessions: dict[str, _Session] = {}
        self._retained: dict[str, bytes] = {}
        self._seen: list[tuple[str, _Message]] = []

    def wipe(self) -> None:
        """The broker dies and comes back without its database."""
        self.go_down()
        self._sessions.clear()
        self._retained.clear()
        self._seen.clear()
        self.up = True

    def go_down(self) -> None:
        """Every connection breaks."""
        self.up = False
        for session in list(self._sessions.values()):
            if session.link is not None:
                session.link.broken()

    def attach(self, client: str, filters: tuple[str, ...], link: "Link") -> None:
        """CONNECT and SUBSCRIBE: retained messages first, then what the session kept."""
        session = self._sessions.setdefault(client, _Session())
        if session.link is not None:
            session.link.broken()
        session.filters, session.link = filters, link
        for topic, payload in self._retained.items():
            if _matches(topic, filters):
                self._deliver(client, session, _Message(topic, payload, retained=True))
        waiting, session.waiting = session.waiting, []
        for message in waiting:
            self._deliver(client, session, message)

    def detach(self, client: str, link: "Link", will: Will | None) -> None:
        """The end of a connection; with a will when it broke."""
        session = self._sessions.get(client)
        if session is not None and session.link is link:
            session.link = None
            if will is not None and self.up:
                self.publish(client, will.topic, will.payload, retain=will.retain)

    def publish(self, client: str, topic: str, payload: bytes, *, retain: bool) -> None:
        """PUBLISH from a client: to every session that subscribed."""
        self._watch(self.name, topic, payload)
        self.published += 1
        if self._dice.random() < self.malice.swallow_publish:
            return
        if retain:
            self._retained[topic] = payload
        message = _Message(topic, payload, retained=False)
        for name, session in self._sessions.items():
            if _matches(topic, session.filters):
                self._deliver(name, session, message)

    def _deliver(self, client: str, session: _Session, message: _Message) -> None:
        dice, malice = self._dice, self.malice
        if session.link is None:
            if len(session.waiting) < QUEUE_MESSAGES:
                session.waiting.append(message)
            return
        if len(self._seen) < REMEMBERED:
            self._seen.append((client, message))
        else:
            self._seen[dice.randrange(REMEMBERED)] = (client, message)
        if dice.random() < malice.drop:
            return
        if dice.random() < malice.damage:
            message = _Message(message.topic, _flip(message.payload, dice), message.retained)
        copies = 2 if dice.random() < malice.double else 1
        for _ in range(copies):
            late_s = dice.uniform(0, malice.late_s) if dice.random() < malice.late else 0.0
            session.link.arrives(message, late_s)
        if dice.random() < malice.replay:
            name, old = dice.choice(self._seen)
            again = self._sessions.get(name)
            if again is not None and again.link is not None:
                again.link.arrives(old, dice.uniform(0, 5))


def _flip(payload: bytes, dice: random.Random) -> bytes:
    if not payload:
        return b"\x00"
    at = dice.randrange(len(payload))
    return payload[:at] + bytes((payload[at] ^ (1 << dice.randrange(8)),)) + payload[at + 1 :]


def _matches(topic: str, filters: tuple[str, ...]) -> bool:
    parts = topic.split("/")
    return any(
        len(wanted) == len(parts) and all(w in ("+", p) for w, p in zip(wanted, parts, strict=True))
        for wanted in (text.split("/") for text in filters)
    )


class Link:
    """One connection of an office, reconnecting for ever."""

    def __init__(self, broker: Broker, group: str, client: str, hooks: Hooks, dice: random.Random) -> None:
        self.broker = broker
        self.group = group
        self.cut = False
        self.deaf = False
        self.mute = False
        self._client = client
        self._hooks = hooks
        self._dice = dice
        self._up = False
        self._ended = asyncio.Event()
        self._arrived: asyncio.Queue[_Message] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._take_in())]
        self._acks: dict[asyncio.Future[bool], None] = {}

    @property
    def up(self) -> bool:
        return self._up

    async def _run(self) -> None:
        while True:
            if self.broker.up and not self.cut:
                await self._live()
            await asyncio.sleep(self._dice.uniform(*RECONNECT_S))

    async def _live(self) -> None:
        will = self._hooks.will_for(self.broker.name, self.group)
        self._ended.clear()
        self._up = True
        self.broker.attach(self._client, tuple(self._hooks.filters[self.group]), self)
        try:
            await self._hooks.on_changed(LinkChanged(self.broker.name, self.group, True, None))
            await self._ended.wait()
        finally:
            self._up = False
            self.broker.detach(self._client, self, will)
        await self._hooks.on_changed(LinkChanged(self.broker.name, self.group, False, "broken"))

    async def _take_in(self) -> None:
        """One message at a time, as the real link does; an error of the engine is the history's to judge."""
        while True:
            message = await self._arrived.get()
            await self._hooks.on_arrived(Arrived(self.broker.name, message.topic, message.payload, message.retained))

    def arrives(self, message: _Message, late_s: float) -> None:
        """The broker hands over a message; after the usual time, or later."""
        if self.deaf:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self._dice.uniform(0.001, 0.003) + late_s, self._arrived.put_nowait, message)

    def broken(self) -> None:
        """The connection is gone."""
        self._ended.set()
        for ack in list(self._acks):
            if not ack.done():
                ack.set_result(False)

    def stop(self, *, politely: bool) -> None:
        """The end of the office's process: with a DISCONNECT, or without."""
        self._up = False
        if politely:
            self.broker.detach(self._client, self, None)
        for task in self._tasks:
            task.cancel()
        self.broken()

    async def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        if not self._up or self._ended.is_set():
            return False
        ack: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._acks[ack] = None
        try:
            if self.mute or self._dice.random() < self.broker.malice.deaf:
                async with asyncio.timeout(10):
                    return await ack
            self.broker.publish(self._client, topic, payload, retain=retain)
            asyncio.get_running_loop().call_later(self._dice.uniform(0.001, 0.004), _acknowledge, ack)
            return await ack
        except TimeoutError:
            self.broken()
            return False
        finally:
            self._acks.pop(ack, None)

    def state(self) -> LinkState:
        return LinkState(self.broker.name, self.group, "connected" if self._up else "waiting", SECOND_US, None)


def _acknowledge(ack: "asyncio.Future[bool]") -> None:
    if not ack.done():
        ack.set_result(True)


class SimLinks:
    """`relay.connecting.Links` to brokers in memory."""

    def __init__(self, brokers: dict[str, Broker], client: str, hooks: Hooks, dice: random.Random) -> None:
        self._brokers = brokers
        self._client = client
        self._hooks = hooks
        self._dice = dice
        self.open: dict[tuple[str, str], Link] = {}

    async def start(self) -> None:
        for name, broker in self._brokers.items():
            for group in self._hooks.filters:
                self.open[name, group] = Link(broker, group, f"{group}-{self._client}", self._hooks, self._dice)

    async def stop(self) -> None:
        self.end(politely=True)

    def end(self, *, politely: bool) -> None:
        for link in self.open.values():
            link.stop(politely=politely)
        self.open.clear()

    async def publish(self, broker: str, group: str, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        link = self.open.get((broker, group))
        return link is not None and await link.publish(topic, payload, retain)

    def links(self) -> list[LinkState]:
        return [link.state() for link in self.open.values()]
