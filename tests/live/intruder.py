"""An MQTT client over TLS with somebody's certificate and no manners: any client id, name, will, topic and size."""

import asyncio
import struct
from contextlib import suppress

from relay.mqtt_socket import TlsFiles, tls_context
from tests.live.raw_client import packet, text

DISCONNECT_S = 3


class Intruder:
    """One connection. `heard` is all that the broker ever sent on it, unparsed; `accepted` whether it was let in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = b""
        self.accepted = False
        self._number = 0
        self._writer = writer
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def open(
        cls,
        port: int,
        files: TlsFiles,
        client_id: str,
        *,
        clean: bool = True,
        name: str | None = None,
        will: tuple[str, bytes] | None = None,
    ) -> "Intruder":
        """Connect, by default with a clean session; a refusal by the broker is an answer too."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls_context(files), server_hostname="127.0.0.1"
        )
        found = cls(reader, writer)
        flags, body = 2 if clean else 0, text(client_id)
        if will is not None:
            flags |= 4 | 8 | 32
            body += text(will[0]) + struct.pack(">H", len(will[1])) + will[1]
        if name is not None:
            flags |= 128 | 64
            body += text(name) + text("password")
        await found._write(packet(0x10, text("MQTT") + bytes((4, flags, 0, 60)) + body))
        for _ in range(DISCONNECT_S * 50):
            if len(found.heard) >= 4 or found._listening.done():
                break
            await asyncio.sleep(0.02)
        found.accepted = found.heard[:4] == b"\x20\x02\x00\x00"
        return found

    async def subscribe(self, topic: str) -> None:
        """SUBSCRIBE at QoS 1."""
        self._number += 1
        await self._write(packet(0x82, struct.pack(">H", self._number) + text(topic) + b"\x01"))

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """PUBLISH at QoS 1; whether it is acknowledged nobody asks."""
        self._number += 1
        await self._write(packet(0x33 if retain else 0x32, text(topic) + struct.pack(">H", self._number) + payload))

    def vanish(self) -> None:
        """Break the connection without DISCONNECT, so that the broker sends the will."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self.vanish()
        await asyncio.wait([self._listening], timeout=DISCONNECT_S)
        self._writer.close()
        # The loop must not end before the transport has: its last word would come from nowhere.
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(DISCONNECT_S):
                await self._writer.wait_closed()

    async def _write(self, data: bytes) -> None:
        """What a broker that has had enough does not take is lost."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self.vanish()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while chunk := await reader.read(65_536):
                self.heard += chunk
        except (OSError, asyncio.IncompleteReadError):
            return
