"""A TCP or TLS socket that never blocks: opened with a deadline, cancellable at every step, read ahead in blocks.

paho opens its sockets in a thread and waits there for a silent broker; ten silent brokers would use up the threads of
the whole daemon, and nothing could stop them. Here the event loop does the waiting.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of this office's broker certificate; read at every connect, so that renewal needs no restart."""

    ca: Path
    certificate: Path
    key: Path


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.3 with our certificate, trusting only the network's own CA; the broker's name is checked.

    TLS 1.3 because it also hides which office connects. Raises `OSError` when a file is missing or wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cafile=files.ca)
    context.load_cert_chain(files.certificate, files.key)
    return context


class ReadAhead:
    """A non-blocking socket for paho, which reads a packet in six small pieces: one system call serves many of them."""

    __slots__ = ("_buffer", "_position", "_sock", "error")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.error: OSError | None = None
        """The error that broke the connection, which paho would only log."""
        self._buffer = b""
        self._position = 0

    def recv(self, buffer_size: int) -> bytes:
        """At most `buffer_size` bytes; raises `BlockingIOError` or `ssl.SSLWantReadError` when there are none yet."""
        if self._position == len(self._buffer):
            # Never more than READ_BYTES, whatever length a broker announced: memory stays bounded.
            try:
                self._buffer = self._sock.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except OSError as error:
                self.error = error
                raise
            self._position = 0
        chunk = self._buffer[self._position : self._position + buffer_size]
        self._position += len(chunk)
        return chunk

    def pending(self) -> int:
        """Bytes that `recv` can give without asking the kernel."""
        inner = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        return len(self._buffer) - self._position + inner

    def send(self, buffer: bytes | bytearray) -> int:
        """Send what fits; raises like a non-blocking socket."""
        return self._sock.send(buffer)

    def fileno(self) -> int:
        """The descriptor, -1 when closed."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Only False makes sense; the socket is born non-blocking."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


async def open_socket(host: str, port: int, context: ssl.SSLContext | None, server_name: str) -> ReadAhead:
    """Connect, and shake hands when there is a TLS context; the caller sets the deadline.

    Nagle is off: it costs 40 ms a message (D3). The certificate must name `server_name`, be it an IP address.
    Raises `OSError` (of which `ssl.SSLError` is one). Whatever goes wrong, the socket is closed.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, address)
        if context is not None:
            sock = await _shake_hands(sock, server_name, context)
    except BaseException:
        sock.close()
        raise
    return ReadAhead(sock)


async def _shake_hands(sock: socket.socket, server_name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """The TLS socket over a connected one, after the handshake."""
    wrapped = context.wrap_socket(sock, server_hostname=server_name, do_handshake_on_connect=False)
    try:
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(wrapped, write=False)
            except ssl.SSLWantWriteError:
                await _ready(wrapped, write=True)
            else:
                return wrapped
    except BaseException:
        wrapped.close()
        raise


async def _ready(sock: socket.socket, *, write: bool) -> None:
    """Wait until the socket can be read, or written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = sock.fileno()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    if write:
        loop.add_writer(descriptor, wake)
    else:
        loop.add_reader(descriptor, wake)
    try:
        await ready
    finally:
        if write:
            loop.remove_writer(descriptor)
        else:
            loop.remove_reader(descriptor)
