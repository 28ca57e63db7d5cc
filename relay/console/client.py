"""The client of the daemon: HTTP over the Unix socket in the home's run directory."""

import http.client
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import click
import msgspec

from relay.console.choices import Choices
from relay.console.failure import Failure, failure_from
from relay.console.keys.homes import office_home

PATIENCE_S: Final = 60.0
"""How long an ordinary answer may take; the daemon answers within milliseconds."""
API_SOCKET: Final = "api.sock"
ADMIN_SOCKET: Final = "admin.sock"
"""For operations on keys and trust: only the daemon's own user and root can open it."""
PIECE_BYTES: Final = 64 * 1024
BACKLOG_PATIENCE_S: Final = 5.0
"""How long to knock while the daemon's queue of new connections is full."""


class SocketMissing(Exception):
    """Nobody listens; nothing was sent."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over a Unix socket that is reached through a descriptor of its directory.

    A socket address holds 107 bytes, a home may be longer; `/proc/self/fd/N` is always short.
    """

    def __init__(self, run: Path, timeout_s: float, name: str) -> None:
        super().__init__("relay", timeout=timeout_s)
        self._run = run
        self._name = name
        self._timeout_s = timeout_s

    def connect(self) -> None:
        try:
            directory = os.open(self._run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SocketMissing(str(error)) from None
        try:
            self.sock = self._knock(f"/proc/self/fd/{directory}/{self._name}")
        finally:
            os.close(directory)
        self.sock.settimeout(self._timeout_s)

    def _knock(self, address: str) -> socket.socket:
        until_s = time.monotonic() + BACKLOG_PATIENCE_S
        while True:
            found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            found.setblocking(False)
            try:
                found.connect(address)
            except BlockingIOError:
                found.close()
                if time.monotonic() > until_s:
                    raise Failure("BUSY", "the relay takes no new connections") from None
                time.sleep(0.02)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                found.close()
                raise SocketMissing(os.strerror(error.errno or 0)) from None
            except OSError:
                found.close()
                raise
            else:
                return found


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer of the daemon."""

    status: int
    body: bytes

    def one(self) -> dict[str, Any]:
        """The JSON object."""
        found = _decode(self.body)
        if not isinstance(found, dict):
            raise Failure("INTERNAL", "the relay's answer is not an object")
        return found

    def many(self) -> Iterator[dict[str, Any]]:
        """The JSON objects, one a line."""
        for line in self.body.splitlines():
            if line.strip():
                yield Answer(self.status, line).one()


class Daemon:
    """One connection to the daemon of a home, opened with the first request and kept for the next."""

    def __init__(self, home: Path, lang: str, socket_name: str = API_SOCKET) -> None:
        self._run = home / "run"
        self._socket_name = socket_name
        self._lang = lang.replace("_", "-")
        self._connection: _UnixConnection | None = None

    def read(self, path: str, **query: str | int | None) -> Answer:
        """GET. Raises `Failure` DAEMON_DOWN, NOT_PERMITTED, or what the daemon says."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path, None, "", PATIENCE_S)

    def change(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """POST an object as JSON. When the connection breaks after the request went out: `Failure` OUTCOME_UNKNOWN.

        `key` is the idempotency key, the message's id.
        """
        return self._ask("POST", path, msgspec.json.encode({} if body is None else body), "application/json", key=key)

    def stream(self, path: str, lines: bytes) -> Answer:
        """POST newline-delimited JSON; fails like `change`."""
        return self._ask("POST", path, lines, "application/x-ndjson")

    def pieces(self, path: str) -> Iterator[bytes]:
        """GET something long; the answer comes in pieces. Raises like `read`, before the first piece."""
        connection = self._connect(PATIENCE_S)
        try:
            connection.request("GET", path, headers={"Accept-Language": self._lang})
            response = connection.getresponse()
            if response.status >= 400:
                raise _failure_of(Answer(response.status, response.read()))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Failure("DAEMON_DOWN", f"the connection broke before the answer came: {error}") from None
        return self._rest_of(response)

    def _rest_of(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read(PIECE_BYTES):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise Failure("DAEMON_DOWN", f"the connection broke within the answer: {type(error).__name__}") from None
        finally:
            self.close()

    def wait(self, path: str, state: str, timeout_s: float) -> Answer:
        """GET that the daemon answers when `state` is reached, or after `timeout_s` with WAIT_TIMEOUT."""
        query = urlencode({"wait": state, "timeout": f"{timeout_s:g}"})
        return self._ask("GET", f"{path}?{query}", None, "", timeout_s + PATIENCE_S)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
        timeout_s: float = PATIENCE_S,
        key: str | None = None,
    ) -> Answer:
        connection = self._connect(timeout_s)
        headers = {"Accept-Language": self._lang, "Accept": "application/json, application/x-ndjson"}
        if content_type:
            headers["Content-Type"] = content_type
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            found = Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            detail = str(error) or type(error).__name__
            if method == "GET":
                raise Failure("DAEMON_DOWN", f"the connection broke before the answer came: {detail}") from None
            raise Failure("OUTCOME_UNKNOWN", detail) from None
        if response.will_close:
            self.close()
        if found.status >= 400:
            raise _failure_of(found)
        return found

    def _connect(self, timeout_s: float) -> _UnixConnection:
        """The open connection, or a new one when there is none or the daemon has hung up meanwhile."""
        if self._connection is not None and self._connection.sock is not None:
            readable, _, _ = select.select([self._connection.sock], [], [], 0)
            if not readable:
                self._connection.sock.settimeout(timeout_s)
                return self._connection
            self.close()
        connection = _UnixConnection(self._run, timeout_s, self._socket_name)
        try:
            connection.connect()
        except SocketMissing as error:
            raise Failure("DAEMON_DOWN", f"{self._run / self._socket_name}: {error}") from None
        except PermissionError:
            raise Failure("NOT_PERMITTED", str(self._run / self._socket_name)) from None
        except OSError as error:
            raise Failure("DAEMON_DOWN", str(error)) from None
        self._connection = connection
        return connection


def daemon_of(choices: Choices) -> Daemon:
    """The daemon of the chosen home, hung up when the command ends. Raises like `Choices.existing_home`."""
    found = Daemon(office_home(choices), choices.lang)
    click.get_current_context().call_on_close(found.close)
    return found


def path_of(*parts: str) -> str:
    """`/v1/` and the parts, each quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Failure("INTERNAL", "the relay's answer is not JSON") from None


def _failure_of(answer: Answer) -> Failure:
    try:
        said = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        said = None
    if isinstance(said, dict) and "code" in said:
        return failure_from(said)
    return Failure("INTERNAL", f"the relay answered with HTTP status {answer.status}")
