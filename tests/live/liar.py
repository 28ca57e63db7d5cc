"""A lying broker: a proxy that knows MQTT's packets, and drops, doubles, delays, reorders, forges and cuts (D1).

What it does to a packet is drawn from a seed. PUBACKs are forged for frames that it swallows, so an office that took
them for custody would lose them.
"""

import asyncio
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

PUBLISH, PUBACK = 3, 4
RETAIN_BIT: Final = 0x01
FATES: Final = {
    "pass": 60,
    "swallow": 8,
    "swallow and forge PUBACK": 8,
    "twice": 8,
    "later": 8,
    "drop PUBACK": 6,
    "cut": 2,
}
"""What may become of a frame, with its weight."""


@dataclass(slots=True)
class Liar:
    """The proxy in a thread of its own; while `honest`, it passes everything on."""

    port: int
    broker_port: int
    seed: int
    honest: bool = True
    done: Counter[str] = field(default_factory=Counter)
    _up: threading.Event = field(default_factory=threading.Event)
    _stop: asyncio.Event | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    def close(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._meet, "127.0.0.1", self.port)
        self._up.set()
        await self._stop.wait()
        server.close()

    async def _meet(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection of an office, until either side ends it or it is cut."""
        try:
            broker, to_broker = await asyncio.open_connection("127.0.0.1", self.broker_port)
        except OSError:
            to_client.close()
            return
        ways = (self._carry(client, to_broker, to_client), self._carry(broker, to_client, to_broker))
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        to_client.close()
        to_broker.close()

    async def _carry(
        self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        """Packets of one direction; what is to come later waits until another one has gone before it."""
        later: list[bytes] = []
        while True:
            first, packet = await read_packet(reader)
            fate = self._fate(first)
            self.done[fate] += fate != "pass"
            if fate == "cut":
                onward.write(packet[: len(packet) // 2])
                await onward.drain()
                return
            if fate.startswith("swallow"):
                if fate.endswith("PUBACK"):
                    back.write(bytes((PUBACK << 4, 2)) + packet_id(packet))
            elif fate == "later":
                later.append(packet)
            elif fate != "drop PUBACK":
                onward.write(packet * (2 if fate == "twice" else 1) + b"".join(later))
                later.clear()
            await onward.drain()

    def _fate(self, first: int) -> str:
        if self.honest or first & RETAIN_BIT:
            return "pass"
        if first >> 4 == PUBLISH:
            return self._random.choices(list(FATES), list(FATES.values()))[0].replace("drop PUBACK", "pass")
        return "drop PUBACK" if first >> 4 == PUBACK and self._random.random() < 0.05 else "pass"


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The first byte of a packet, and the whole of it. Raises `asyncio.IncompleteReadError`."""
    head = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        digit = await reader.readexactly(1)
        head += digit
        length |= (digit[0] & 0x7F) << shift
        shift += 7
        if digit[0] < 0x80:
            return head[0], head + await reader.readexactly(length)


def packet_id(publish: bytes) -> bytes:
    """The identifier of a PUBLISH with QoS 1."""
    start = 1
    while publish[start] >= 0x80:
        start += 1
    topic = int.from_bytes(publish[start + 1 : start + 3], "big")
    return publish[start + 3 + topic : start + 5 + topic]
