"""MQTT 3.1.1 to any broker: the only importer of aiomqtt and paho (D1, D3, D4, D9).

aiomqtt 2.5 as it comes opens sockets in threads, acknowledges before the application has the message, drops what does
not fit its queue, and spends two tasks on each message it hands over. `MqttConnection` keeps its set-up, subscriptions
and will, and replaces the socket, the reading, the writing and the acknowledging.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, TypeVar

import aiomqtt
import structlog
from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessage, error_string

from config.schema import Broker
from protocol.limits import DIRECTORY_BYTES, FRAME_BYTES
from relay.mqtt_link import WINDOW, Link, LinkError, LinkState, Received, Timing
from relay.mqtt_socket import ReadAhead, TlsFiles, open_socket, tls_context
from relay.ports import Arrived, LinkChanged

T = TypeVar("T")

log = structlog.get_logger(__name__)

PACKET_BYTES_MAX: Final = DIRECTORY_BYTES + FRAME_BYTES
"""Largest packet taken from a broker: a directory file is the largest thing on any topic."""

PACKETS_AT_ONCE: Final = 32
"""Packets read before other tasks get their turn."""

FIRST_GROUP: Final = "fast"
"""The lane group whose link comes up first: what waited for a broker starts with flash."""

STOP_S: Final = 1.5
"""How long `stop` waits for links to end."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the connection breaks."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """Arrived and not yet handed over, per connection: above either number the socket is not read."""

    messages: int = 256
    bytes: int = 4 * 1024 * 1024


class MqttConnection(aiomqtt.Client):
    """One connection, from CONNECT to its end. The session outlives it; `anew` discards what was kept of one before."""

    def __init__(
        self,
        broker: Broker,
        files: TlsFiles | None,
        client_id: str,
        will: Will | None,
        timing: Timing,
        bounds: QueueBounds,
        *,
        anew: bool = False,
    ) -> None:
        super().__init__(
            broker.host,
            broker.port,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=anew,
            keepalive=max(1, ceil(timing.keepalive_s)),
            timeout=timing.connect_s,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain) if will else None,
            max_inflight_messages=WINDOW,
        )
        self.pending_calls_threshold = 10 * WINDOW
        self.spoilt = False
        self._broker = broker
        self._files = files
        self._bounds = bounds
        self._sock: ReadAhead | None = None
        self._descriptor = -1
        self._writing = False
        self._paused = False
        self._queued: deque[Received] = deque()
        self._queued_bytes = 0
        self._arrival = asyncio.Event()
        self._acknowledged: dict[int, asyncio.Future[bool]] = {}
        self._end: asyncio.Future[str] = self._loop.create_future()
        self._reason: str | None = None
        paho = self._client
        paho.disable_logger()
        paho.manual_ack_set(True)
        paho.on_message = self._take
        paho.on_publish = self._on_puback
        paho.on_disconnect = self._on_end

    async def open(self) -> None:
        """Socket, TLS, CONNECT, CONNACK. Raises `LinkError`; the caller sets the deadline."""
        try:
            context = tls_context(self._files) if self._broker.tls and self._files else None
            if self._broker.tls and context is None:
                raise LinkError("TLS is on and this office has no certificate")
            name = self._broker.server_name or self._broker.host
            sock = await open_socket(self._broker.host, self._broker.port, context, name)
        except ssl.SSLCertVerificationError as error:
            raise LinkError(f"the broker's certificate is not valid: {error.verify_message}") from error
        except (OSError, ValueError) as error:
            raise LinkError(_words(error)) from error
        self._sock = sock
        # paho would open a socket of its own and block on it.
        self._client._create_socket = lambda: sock  # type: ignore[method-assign]
        self._client_connect()
        await asyncio.wait((self._connected, self._end), return_when=asyncio.FIRST_COMPLETED)
        if not self._connected.done():
            raise LinkError(self._end.result())
        refusal = self._connected.exception()
        if refusal is not None:
            raise LinkError(f"the broker refused the connection: {refusal}")

    async def subscribe_all(self, filters: Sequence[str]) -> list[str]:
        """Subscribe with QoS 1; the filters that the broker refused. Raises `LinkError`."""
        answer = await self._answered(self.subscribe([(text, 1) for text in filters]))
        codes = [code if isinstance(code, int) else code.value for code in answer]
        return [text for text, code in zip(filters, codes, strict=False) if code >= 0x80]

    async def unsubscribe_all(self, filters: Sequence[str]) -> None:
        """Unsubscribe, and wait until the broker says so. Raises `LinkError`."""
        await self._answered(self.unsubscribe(list(filters)))

    async def _answered(self, call: Coroutine[Any, Any, T]) -> T:
        """What the broker answers, while the connection lives. Raises `LinkError`."""
        wanted = asyncio.ensure_future(call)
        try:
            await asyncio.wait((wanted, self._end), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also when our own deadline cancels this: nobody is left to hear what the broker answers.
            wanted.cancel()
        if not wanted.done():
            raise LinkError(self._end.result())
        try:
            return wanted.result()
        except aiomqtt.MqttError as error:
            cause = self._end.result() if self._end.done() else f"subscribing failed: {error}"
            raise LinkError(cause) from error

    def send(self, topic: str, payload: bytes, retain: bool) -> asyncio.Future[bool]:
        """Queue a PUBLISH with QoS 1; the future says whether PUBACK came before the end of the connection."""
        answer: asyncio.Future[bool] = self._loop.create_future()
        if self._end.done():
            answer.set_result(False)
            return answer
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc == MQTT_ERR_SUCCESS:
            self._acknowledged[info.mid] = answer
        else:
            answer.set_result(False)
        return answer

    async def next(self) -> Received:
        """The next message, in order of arrival."""
        while not self._queued:
            self._arrival.clear()
            await self._arrival.wait()
        message = self._queued.popleft()
        self._queued_bytes -= len(message.payload)
        if self._paused and not self._is_full():
            self._paused = False
            # Ended meanwhile, its descriptor is closed, or by now somebody else's.
            if not self._end.done():
                self._loop.add_reader(self._descriptor, self._read)
                # Bytes already read ahead make no descriptor readable.
                self._loop.call_soon(self._read)
        return message

    def acknowledge(self, message: Received) -> None:
        """PUBACK; at QoS 0 there is nothing to say."""
        if message.quality and not self._end.done():
            self._client.ack(message.number, message.quality)

    async def closed(self) -> str:
        """Wait for the end; why it came."""
        return await asyncio.shield(self._end)

    def close(self, reason: str) -> None:
        """End the connection now, with a DISCONNECT if it still can be written, so that no will is sent."""
        if self._end.done():
            return
        self._reason = reason
        paho = self._client
        paho.disconnect()
        paho.loop_write()
        paho._sock_close()  # The public way would wait for the broker.
        if self._sock is not None:
            self._sock.close()
        self._finish(reason)

    # What paho calls, and what it is driven by.

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        self._descriptor = sock.fileno()
        self._loop.add_reader(self._descriptor, self._read)
        self._misc_task = self._loop.create_task(self._misc_loop(), name=f"keepalive {self._broker.id}")

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        if self._misc_task is not None:
            self._misc_task.cancel()

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        # Everything published in one turn of the loop is written together, mostly without waiting for the socket.
        self._loop.call_soon(self._write)

    def _on_socket_unregister_write(self, client: Any, userdata: Any, sock: Any) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._descriptor)

    def _write(self) -> None:
        if self._end.done():
            return
        self._client.loop_write()
        if not self._end.done() and self._client.want_write() and not self._writing:
            self._writing = True
            self._loop.add_writer(self._descriptor, self._write)

    def _read(self) -> None:
        paho, sock = self._client, self._sock
        for _ in range(PACKETS_AT_ONCE):
            if self._end.done() or sock is None or self._paused:
                return
            try:
                paho.loop_read()
            except (ValueError, KeyError, IndexError, UnicodeError) as error:
                self._spoil(f"the broker sent nonsense: {type(error).__name__}")
                return
            if paho._in_packet["remaining_length"] > PACKET_BYTES_MAX:
                self._spoil("the broker sent an oversize packet")
                return
            if paho._in_messages:
                self._spoil("the broker sent QoS 2, which nobody asked for")
                return
            if not sock.pending():
                return
        self._loop.call_soon(self._read)

    def _spoil(self, reason: str) -> None:
        """End the connection for what came on it; the next one must not get it again."""
        self.spoilt = True
        self.close(reason)

    def _is_full(self) -> bool:
        return len(self._queued) >= self._bounds.messages or self._queued_bytes >= self._bounds.bytes

    def _take(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        received = Received(message.topic, bytes(message.payload), message.retain, message.mid, message.qos)
        self._queued.append(received)
        self._queued_bytes += len(received.payload)
        self._arrival.set()
        if self._is_full() and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._descriptor)

    def _on_puback(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        answer = self._acknowledged.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(True)

    def _on_end(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        cause = self._sock.error if self._sock is not None else None
        self._finish(self._reason or (_words(cause) if cause else _ending(reason_code)))

    def _finish(self, reason: str) -> None:
        if self._end.done():
            return
        self._end.set_result(reason)
        if not self._disconnected.done():
            self._disconnected.set_result(None)
        for answer in self._acknowledged.values():
            if not answer.done():
                answer.set_result(False)
        self._acknowledged.clear()


def _ending(reason_code: Any) -> str:
    """Why paho says a connection ended."""
    text = error_string(reason_code) if isinstance(reason_code, int) else str(reason_code)
    return "the broker closed the connection" if text == "Unspecified error" else f"connection lost: {text}"


def _words(error: BaseException) -> str:
    """A socket or TLS error for `status`."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


class MqttTransport:
    """`relay.ports.Transport` over MQTT: one named task per broker and lane group.

    `filters` gives the subscriptions of a group. `will_for(broker id, group)` is asked at every connect, because a
    presence carries a counter; None means no will. `client_secret` is random per installation, `[A-Za-z0-9_-]`.
    `on_arrived` and `on_changed` are awaited, one call at a time per connection; while `on_arrived` runs, that
    connection gets no more than the broker's window. Raises `ValueError` for a secret with other characters.
    """

    def __init__(
        self,
        brokers: Sequence[Broker],
        *,
        files: TlsFiles | None,
        client_secret: str,
        filters: Mapping[str, Sequence[str]],
        will_for: Callable[[str, str], Will | None],
        on_arrived: Callable[[Arrived], Awaitable[None]],
        on_changed: Callable[[LinkChanged], Awaitable[None]],
        now_us: Callable[[], int],
        timing: Timing | None = None,
        bounds: QueueBounds | None = None,
    ) -> None:
        # NATS refuses a dot in a client id.
        if not re.fullmatch(r"[A-Za-z0-9_-]+", client_secret):
            raise ValueError("a client secret has letters, digits, _ and - only")
        self._tasks: list[asyncio.Task[None]] = []
        self._links: dict[tuple[str, str], Link] = {}
        timing, bounds = timing or Timing(), bounds or QueueBounds()
        for broker in brokers:
            # The leader is made before those that follow it.
            for group, texts in sorted(filters.items(), key=lambda item: item[0] != FIRST_GROUP):

                def connect(client_id: str, anew: bool, broker: Broker = broker, group: str = group) -> MqttConnection:
                    will = will_for(broker.id, group)
                    return MqttConnection(broker, files, client_id, will, timing, bounds, anew=anew)

                self._links[broker.id, group] = Link(
                    broker.id,
                    group,
                    client_id=f"{group}-{client_secret}",
                    filters=texts,
                    connect=connect,
                    on_arrived=on_arrived,
                    on_changed=on_changed,
                    timing=timing,
                    now_us=now_us,
                    leader=self._links.get((broker.id, FIRST_GROUP)),
                )

    async def start(self) -> None:
        """Start every link and return at once; no broker is waited for."""
        for link in self._links.values():
            name = f"link {link.broker} {link.group}"
            self._tasks.append(asyncio.create_task(link.run(), name=name))

    async def stop(self) -> None:
        """Disconnect in good order, within 2 s; the broker sends no will, so say goodbye before."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in pending:
                log.warning("link_did_not_stop", task=task.get_name())
        self._tasks.clear()

    async def publish(self, broker: str, group: str, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish with QoS 1, see `relay.ports.Transport`; any number of callers, `WINDOW` at a time per link."""
        link = self._links.get((broker, group))
        return link is not None and await link.publish(topic, payload, retain)

    async def subscribe(self, broker: str, group: str, filters: Sequence[str]) -> bool:
        """See `relay.ports.Transport`."""
        link = self._links.get((broker, group))
        return link is not None and await link.subscribe(filters)

    async def unsubscribe(self, broker: str, group: str, filters: Sequence[str]) -> bool:
        """See `relay.ports.Transport`."""
        link = self._links.get((broker, group))
        return link is not None and await link.unsubscribe(filters)

    def renew(self) -> None:
        """See `relay.ports.Transport`."""
        for link in self._links.values():
            link.renew()

    def links(self) -> list[LinkState]:
        """How every link is, in the order of the settings."""
        return [link.state() for link in self._links.values()]
