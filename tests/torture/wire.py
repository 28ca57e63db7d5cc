"""A proxy between one office and its broker that sees every packet the office sends before anybody else does.

When the frame that is waited for has come out of the office's socket, and before a byte of it goes on, the tap strikes:
that is the very moment at which a receipt or custody leaves (G7).
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Final, Literal

from keys.signing import UnverifiedRecord
from protocol.frame import RECEIPT_ITEM, decode_frame_payload, decode_items, split_frame
from protocol.ids import message_id_text
from protocol.limits import FRAME_BYTES, RECORD_BYTES
from protocol.receipt import decode_receipt

Aim = Literal["delivered", "custody"]

PUBLISH: Final = 3
QOS_BITS: Final = 0x06
RETAIN_BIT: Final = 0x01
HEADER_BYTES_MAX: Final = 5


class Tap:
    """The proxy, in a thread of its own, for an office that connects to `port`."""

    def __init__(self, port: int, broker_port: int) -> None:
        self._port = port
        self._broker_port = broker_port
        self._up = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed: tuple[Aim, Callable[[], None]] | None = None
        self.struck = threading.Event()
        self.left: frozenset[str] = frozenset()
        self.fresh: frozenset[str] = frozenset()
        self._seen: set[str] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    def arm(self, aim: Aim, strike: Callable[[], None]) -> None:
        """Strike once, when the next frame leaves that carries a `delivered` receipt of ours for the first time, or
        that gives custody. `left` then names the messages whose receipts were in that frame, `fresh` the new ones.
        """
        self.struck.clear()
        self._armed = aim, strike

    def close(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._up.set()
        await self._stop.wait()
        server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            writer.close()
            return
        back = asyncio.create_task(_copy(their_reader, writer))
        try:
            while True:
                header, body = await _packet(reader)
                if header[0] >> 4 == PUBLISH and not header[0] & RETAIN_BIT:
                    self._look(_payload(header, body))
                their_writer.write(header + body)
                await their_writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            back.cancel()
        finally:
            their_writer.close()
            writer.close()

    def _look(self, payload: bytes) -> None:
        """Strike if this is the frame that is waited for."""
        record, items = split_frame(payload, max_bytes=FRAME_BYTES)
        custody = decode_frame_payload(UnverifiedRecord(record, max_bytes=FRAME_BYTES).payload).custody
        receipts = [
            decode_receipt(UnverifiedRecord(item.data, max_bytes=RECORD_BYTES).payload)
            for item in decode_items(items, max_bytes=FRAME_BYTES)
            if item.kind == RECEIPT_ITEM
        ]
        left = frozenset(message_id_text(receipt.id) for receipt in receipts if receipt.type == "delivered")
        fresh = left - self._seen
        self._seen |= left
        if self._armed is None:
            return
        aim, strike = self._armed
        if custody if aim == "custody" else fresh:
            strike()
            self._armed = None
            self.left, self.fresh = left, fresh
            self.struck.set()


def _payload(header: bytes, body: bytes) -> bytes:
    """What a PUBLISH carries."""
    start = 2 + int.from_bytes(body[:2]) + (2 if header[0] & QOS_BITS else 0)
    return body[start:]


async def _packet(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(fixed header, the rest) of one MQTT packet."""
    header = await reader.readexactly(2)
    while header[-1] & 0x80:
        assert len(header) < HEADER_BYTES_MAX
        header += await reader.readexactly(1)
    length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(header[1:]))
    return header, await reader.readexactly(length)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other end has gone, which both ends learn from the closing
    finally:
        writer.close()
