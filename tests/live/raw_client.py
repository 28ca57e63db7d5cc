"""An MQTT client without manners: a socket, CONNECT, and whatever bytes one likes (QoS 0)."""

import asyncio
import struct


def packet(first: int, body: bytes) -> bytes:
    """One MQTT packet: type and flags, length, body."""
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((first,)) + bytes(digits) + body


def text(value: str) -> bytes:
    """A string as MQTT writes it."""
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def connect(client_id: str) -> bytes:
    """CONNECT of MQTT 3.1.1 with a clean session and no keepalive."""
    return packet(0x10, text("MQTT") + bytes((4, 2, 0, 0)) + text(client_id))


def publish(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """PUBLISH at QoS 0."""
    return packet(0x31 if retain else 0x30, text(topic) + payload)


class RawClient:
    """One connection; what the broker says is not listened to."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @classmethod
    async def open(cls, port: int, client_id: str) -> "RawClient":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect(client_id))
        await writer.drain()
        assert (await reader.readexactly(4))[3] == 0, "the broker refused a stranger"
        return cls(writer)

    async def write(self, data: bytes) -> None:
        """Raises `ConnectionError` when the broker has had enough."""
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()
