"""One lasting link: keeps the connection of one lane group to one broker alive, and lets publishes through it.

The link knows nothing of MQTT's bytes; relay/mqtt.py gives it connections. That way the back-off, the window and the
defence against take-over of our client id are tested with a broker of ten lines.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from relay.ports import Arrived, LinkChanged

log = structlog.get_logger(__name__)

WINDOW: Final = 20
"""Publishes under way at once on a connection (D3); mosquitto drops silently above its own limit of 20."""

BRIEF_LIFE_S: Final = 5.0
"""A connection thrown out within this time of its start is suspect: another client may hold our id (D9)."""

BRIEF_LIVES: Final = 3
"""So many suspect ends in a row, with the broker reachable each time, count as take-over."""


class LinkError(Exception):
    """A connection could not be made or broke; the text is for `status`, in English, without secrets."""


@dataclass(frozen=True, slots=True)
class Received:
    """A PUBLISH taken off a connection; `number` acknowledges it and means nothing elsewhere."""

    topic: str
    payload: bytes
    retained: bool
    number: int
    quality: int


class Connection(Protocol):
    """One MQTT connection, from CONNECT to its end.

    `spoilt`: it ended by something that no connection can take, such as an oversize packet. The session at the broker
    holds it still and would send it again, before anything else, for ever.
    """

    spoilt: bool

    async def open(self) -> None: ...

    async def subscribe_all(self, filters: Sequence[str]) -> list[str]: ...

    async def unsubscribe_all(self, filters: Sequence[str]) -> None: ...

    def send(self, topic: str, payload: bytes, retain: bool) -> "asyncio.Future[bool]": ...

    async def next(self) -> Received: ...

    def acknowledge(self, message: Received) -> None: ...

    async def closed(self) -> str: ...

    def close(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `retry_min_s`, `retry_max_s` and `keepalive_s` are settings of `[links]`.

    `connect_s` bounds socket, TLS, CONNACK and SUBACK together; `publish_s` is how long a PUBACK may take before the
    connection counts as dead: a window of full frames over a 2 Mbit/s line takes 5 s.
    """

    retry_min_s: float = 1.0
    retry_max_s: float = 60.0
    keepalive_s: float = 30.0
    connect_s: float = 10.0
    publish_s: float = 30.0


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link for `status`: `state` is connecting, connected, waiting or stopped, since `since_us`."""

    broker: str
    group: str
    state: str
    since_us: int
    last_error: str | None


class Link:
    """Runs until cancelled: connect, subscribe, hand over what arrives, wait with full jitter, again."""

    def __init__(
        self,
        broker: str,
        group: str,
        *,
        client_id: str,
        filters: Sequence[str],
        connect: Callable[[str, bool], Connection],
        on_arrived: Callable[[Arrived], Awaitable[None]],
        on_changed: Callable[[LinkChanged], Awaitable[None]],
        timing: Timing,
        now_us: Callable[[], int],
        leader: "Link | None" = None,
    ) -> None:
        """`connect` makes a connection with this client id, and when true one that discards the session before it.

        `leader` is the link to the same broker that comes back first after a break, so that flash does (D4).
        """
        self.broker = broker
        self.group = group
        self._base_id = client_id
        self._client_id = client_id
        self._filters = tuple(filters)
        self._connect = connect
        self._on_arrived = on_arrived
        self._on_changed = on_changed
        self._timing = timing
        self._now_us = now_us
        self._window = asyncio.Semaphore(WINDOW)
        self._live: Connection | None = None
        self._leader = leader
        self._came_up = asyncio.Event()
        self._told: LinkChanged | None = None
        self._state = LinkState(broker, group, "stopped", now_us(), None)
        self._attempt = 0
        self._brief_lives = 0
        self._renewed = False
        self._spoilt = False

    def state(self) -> LinkState:
        """How the link is now."""
        return self._state

    @property
    def client_id(self) -> str:
        """The MQTT client id in use; it changes only after a take-over."""
        return self._client_id

    async def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        """True on PUBACK; False when the link is down, breaks, or stays silent, which also ends the connection."""
        live = self._live
        if live is None:
            return False
        async with self._window:
            if self._live is not live:
                return False
            try:
                async with asyncio.timeout(self._timing.publish_s):
                    return await live.send(topic, payload, retain)
            except TimeoutError:
                live.close("the broker did not acknowledge a publish in time")
                return False

    async def subscribe(self, filters: Sequence[str]) -> bool:
        """Hear more; false when the link is down, breaks, or the broker refuses or stays silent."""
        live = self._live
        if live is None:
            return False
        try:
            async with asyncio.timeout(self._timing.connect_s):
                return not await live.subscribe_all(filters)
        except (TimeoutError, LinkError):
            return False

    async def unsubscribe(self, filters: Sequence[str]) -> bool:
        """Hear less; false when the link is down, breaks, or the broker stays silent."""
        live = self._live
        if live is None:
            return False
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await live.unsubscribe_all(filters)
        except (TimeoutError, LinkError):
            return False
        return True

    def renew(self) -> None:
        """End the connection, if there is one; the next one asks for a will anew."""
        if self._live is not None:
            self._renewed = True
            self._live.close("made anew")

    async def run(self) -> None:
        """Keep the link up until cancelled; network trouble never ends it."""
        try:
            await self._follow(self._timing.connect_s)
            while True:
                started_s = time.monotonic()
                was_up, error = await self._live_guarded()
                lived_s = time.monotonic() - started_s
                self._judge(was_up, lived_s)
                taken_over = self._brief_lives >= BRIEF_LIVES
                error = self._change_id(error) if taken_over else error
                self._enter("waiting", error)
                await self._tell(LinkChanged(self.broker, self.group, False, error, taken_over))
                await self._rest()
        finally:
            self._enter("stopped", self._state.last_error)

    async def _rest(self) -> None:
        """The pause before the next attempt; while the leader is down, its return ends the pause."""
        delay_s = self._delay_s()
        if self._leader is None or self._leader._came_up.is_set():
            await asyncio.sleep(delay_s)
        await self._follow(max(delay_s, self._timing.connect_s))

    async def _follow(self, patience_s: float) -> None:
        """Let the leader connect first; one that cannot does not hold us for longer than `patience_s`."""
        if self._leader is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._leader._came_up.wait()

    async def _live_guarded(self) -> tuple[bool, str]:
        """`_live_once`, for whom a fault of our own is one more reason to try again, loudly."""
        try:
            return await self._live_once()
        except Exception as fault:
            log.exception("link_failed", alarm=True, broker=self.broker, group=self.group)
            return False, f"internal error: {type(fault).__name__}"

    async def _live_once(self) -> tuple[bool, str]:
        """One connection from start to end: whether it came up, and why it ended."""
        self._enter("connecting", self._state.last_error)
        # What a discarded session loses was in nobody's custody (D1): its senders send it again.
        connection = self._connect(self._client_id, self._spoilt)
        intake: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await connection.open()
                # What a persistent session kept arrives before SUBACK, so the intake starts first.
                intake = asyncio.create_task(self._take_in(connection), name=f"intake {self.broker} {self.group}")
                refused = await connection.subscribe_all(self._filters)
            error = f"the broker refused to subscribe {', '.join(refused)}" if refused else None
            if error:
                log.warning("subscription_refused", broker=self.broker, group=self.group, filters=refused)
            self._live = connection
            self._came_up.set()
            self._enter("connected", error)
            await self._tell(LinkChanged(self.broker, self.group, True, error))
            return True, await connection.closed()
        except TimeoutError:
            return False, f"no answer within {self._timing.connect_s:g} s"
        except LinkError as failure:
            return False, str(failure)
        finally:
            self._live = None
            self._spoilt = connection.spoilt
            self._came_up.clear()
            connection.close("closed by us")
            if intake is not None:
                intake.cancel()
                # Not `await intake`: there a cancellation of our own would look like the intake's, and be lost.
                await asyncio.wait([intake])
                if not intake.cancelled() and (fault := intake.exception()) is not None:
                    raise fault

    async def _take_in(self, connection: Connection) -> None:
        """Hand over one message at a time, and acknowledge it only then: the broker's window is the backpressure."""
        while True:
            message = await connection.next()
            arrived = Arrived(self.broker, message.topic, message.payload, message.retained)
            try:
                await self._on_arrived(arrived)
            except Exception as failure:
                # A message that trips the intake over must not come again for ever and block the rest (D1: a PUBACK
                # is a hint, the sender keeps the message until custody).
                log.exception("intake_failed", broker=self.broker, group=self.group, error=type(failure).__name__)
            connection.acknowledge(message)

    def _judge(self, was_up: bool, lived_s: float) -> None:
        """Count attempts for the back-off, and lives so brief that somebody may be throwing us out."""
        if was_up and lived_s >= BRIEF_LIFE_S:
            self._attempt = 0
        else:
            self._attempt += 1
        if not (self._renewed or self._spoilt):
            self._brief_lives = self._brief_lives + 1 if was_up and lived_s < BRIEF_LIFE_S else 0
        # A life that we ended ourselves, or for what came on it, tells nothing of others who hold our id.
        self._renewed = False

    def _change_id(self, error: str) -> str:
        """After repeated take-over, another client id; the error text to show."""
        self._brief_lives = 0
        self._client_id = f"{self._base_id}-{secrets.token_hex(4)}"
        log.error("client_id_taken_over", alarm=True, broker=self.broker, group=self.group, lives=BRIEF_LIVES)
        return f"thrown out {BRIEF_LIVES} times right after connecting; client id changed ({error})"

    def _delay_s(self) -> float:
        """Exponential back-off with full jitter between the two settings, so that offices do not return in step."""
        low, high = self._timing.retry_min_s, self._timing.retry_max_s
        ceiling = min(high, low * 2 ** min(self._attempt, 20))
        return max(low, random.uniform(0, ceiling))  # noqa: S311  jitter is no secret

    def _enter(self, state: str, error: str | None) -> None:
        self._state = LinkState(self.broker, self.group, state, self._now_us(), error)

    async def _tell(self, changed: LinkChanged) -> None:
        """Tell the engine of a change; the same failure again is no news."""
        if self._told == changed:
            return
        self._told = changed
        log.info("link_up" if changed.up else "link_down", broker=self.broker, group=self.group, error=changed.error)
        try:
            await self._on_changed(changed)
        except Exception:
            log.exception("link_change_failed", alarm=True, broker=self.broker, group=self.group)
