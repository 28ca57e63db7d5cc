"""A broker in memory that may drop, double, delay, reorder, replay, damage and lie.

It keeps what MQTT promises when nobody tampers: sessions that outlive connections, retained messages, wills.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from relay.mqtt import Will

QUEUE_MESSAGES = 1_000
"""Beyond this a session's queue drops, with a PUBACK all the same (D1)."""
REMEMBERED = 200


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


HONEST = Malice()


@dataclass(slots=True)
class Message:
    """One PUBLISH on its way to a session."""

    topic: str
    payload: bytes
    retained: bool


class Socket(Protocol):
    """The broker's end of a connection."""

    def arrives(self, message: Message, late_s: float) -> None:
        """Hand a message over, `late_s` later than usual."""
        ...

    def broken(self) -> None:
        """The connection is gone."""
        ...


@dataclass(slots=True)
class _Session:
    filters: tuple[str, ...] = ()
    link: "Socket | None" = None
    waiting: list[Message] = field(default_factory=list)


class Broker:
    """One broker. `watch` sees every publish before the broker does anything with it."""

    def __init__(self, name: str, dice: random.Random, watch: Callable[[str, str, bytes], None]) -> None:
        self.name = name
        self.malice = Malice()
        self.up = True
        self.published = 0
        self.arrived = 0
        """Messages that went out to sessions, copies too."""
        self._dice = dice
        self._watch = watch
        self._sessions: dict[str, _Session] = {}
        self._retained: dict[str, bytes] = {}
        self.severed: set[tuple[str, str]] = set()
        """Pairs of offices (from, to) between which nothing passes, in this direction."""
        self.barred: set[str] = set()
        """Offices whose grants were taken away: they are refused."""
        self.seen: list[tuple[str, Message]] = []
        """A sample of what was delivered, and to whom."""
        self._routes: dict[str, list[tuple[str, _Session]]] = {}

    def wipe(self) -> None:
        """The broker dies and comes back without its database."""
        self.go_down()
        self._sessions.clear()
        self._routes.clear()
        self._retained.clear()
        self.seen.clear()
        self.up = True

    def go_down(self) -> None:
        """Every connection breaks."""
        self.up = False
        for session in list(self._sessions.values()):
            if session.link is not None:
                session.link.broken()

    def bar(self, office: str) -> None:
        """Take an office's grants away."""
        self.barred.add(office)
        for client, session in list(self._sessions.items()):
            if office_of(client) == office and session.link is not None:
                session.link.broken()

    def attach(self, client: str, filters: tuple[str, ...], link: "Socket") -> None:
        """CONNECT and SUBSCRIBE: retained messages first, then what the session kept."""
        session = self._sessions.setdefault(client, _Session())
        if session.link is not None:
            session.link.broken()
        if session.filters != filters:
            self._routes.clear()
        session.filters, session.link = filters, link
        for topic, payload in self._retained.items():
            if _matches(topic, filters):
                self._deliver(client, session, Message(topic, payload, retained=True))
        waiting, session.waiting = session.waiting, []
        for message in waiting:
            self._deliver(client, session, message)

    def detach(self, client: str, link: "Socket", will: Will | None) -> None:
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
        if self.malice.swallow_publish and self._dice.random() < self.malice.swallow_publish:
            return
        self.inject(topic, payload, retain=retain)

    def inject(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """What the broker itself, or a stranger who got in, hands out in anybody's name."""
        if retain:
            self._retained[topic] = payload
        message = Message(topic, payload, retained=False)
        routes = self._routes.get(topic)
        if routes is None:
            routes = [(name, one) for name, one in self._sessions.items() if _matches(topic, one.filters)]
            self._routes[topic] = routes
        for name, session in tuple(routes):
            self._deliver(name, session, message)

    def _deliver(self, client: str, session: _Session, message: Message) -> None:
        dice, malice = self._dice, self.malice
        if self.severed and (message.topic.split("/")[-1], office_of(client)) in self.severed:
            return
        if session.link is None:
            if len(session.waiting) < QUEUE_MESSAGES:
                session.waiting.append(message)
            return
        if len(self.seen) < REMEMBERED:
            self.seen.append((client, message))
        else:
            self.seen[dice.randrange(REMEMBERED)] = (client, message)
        if malice == HONEST:
            self.arrived += 1
            session.link.arrives(message, 0.0)
            return
        if dice.random() < malice.drop:
            return
        if dice.random() < malice.damage:
            message = Message(message.topic, _flip(message.payload, dice), message.retained)
        copies = 2 if dice.random() < malice.double else 1
        for _ in range(copies):
            late_s = dice.uniform(0, malice.late_s) if dice.random() < malice.late else 0.0
            self.arrived += 1
            session.link.arrives(message, late_s)
        if dice.random() < malice.replay:
            name, old = dice.choice(self.seen)
            again = self._sessions.get(name)
            if again is not None and again.link is not None:
                again.link.arrives(old, dice.uniform(0, 5))


def _flip(payload: bytes, dice: random.Random) -> bytes:
    if not payload:
        return b"\x00"
    at = dice.randrange(len(payload))
    return payload[:at] + bytes((payload[at] ^ (1 << dice.randrange(8)),)) + payload[at + 1 :]


def office_of(client: str) -> str:
    """The address in a client id: group, address, secret."""
    return client.split("-", 1)[1].rsplit("-", 1)[0]


@lru_cache(maxsize=10_000)
def _matches(topic: str, filters: tuple[str, ...]) -> bool:
    parts = topic.split("/")
    return any(
        len(wanted) == len(parts) and all(w in ("+", p) for w, p in zip(wanted, parts, strict=True))
        for wanted in (text.split("/") for text in filters)
    )
