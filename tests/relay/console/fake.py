"""A small HTTP server on the socket of a home, and what a command left behind."""

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

ID = "01985f00-0000-7000-8000-000000000001"
Answerer = Callable[["Seen"], tuple[int, bytes] | None]


@dataclass
class Seen:
    """One request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeDaemon:
    """Answers by `answer`; None breaks the connection without a word."""

    home: Path
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    answer: Answerer = lambda seen: (200, b"{}")


def accepted(seen: Seen) -> tuple[int, bytes]:
    """What a daemon says to a message or a batch of them."""
    if seen.headers["Content-Type"] == "application/x-ndjson":
        lines = [accepted_object(json.loads(line)) for line in seen.body.splitlines()]
        return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return 202, json.dumps(accepted_object(seen.json())).encode()


def accepted_object(draft: dict[str, Any]) -> dict[str, Any]:
    to = draft["to"] if isinstance(draft["to"], list) else [draft["to"]]
    return {
        "v": 1,
        "id": draft["id"],
        "state": "accepted",
        "lane": draft.get("urgency", "routine"),
        "digest": "sha256:00",
        "to": to,
        "accepted_at": "2026-07-01T00:00:00.000000Z",
    }


def problem(code: str, status: int = 422, **extra: Any) -> tuple[int, bytes]:
    return status, json.dumps({"v": 1, "type": f"urn:relay:code:{code}", "code": code, "exit": 65, **extra}).encode()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    fake: FakeDaemon


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.fake.connections += 1

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, self.path, dict(self.headers), body)
        self.server.fake.seen.append(seen)
        found = self.server.fake.answer(seen)
        if found is None:
            self.close_connection = True
            return
        self.send_response(found[0])
        self.send_header("Content-Length", str(len(found[1])))
        self.end_headers()
        self.wfile.write(found[1])

    do_GET = do_POST = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def make_home(home: Path, settings: str = "home_version = 1\n") -> Path:
    (home / "run").mkdir(parents=True)
    (home / "relay.toml").write_text(settings, "utf-8")
    return home


def serve(home: Path) -> Iterator[FakeDaemon]:
    directory = os.open(home / "run", os.O_PATH)
    server = _Server(f"/proc/self/fd/{directory}/api.sock", _Handler)
    os.close(directory)
    server.fake = FakeDaemon(home)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.fake
    server.shutdown()
    server.server_close()
    thread.join()


Run = Callable[..., dict[str, Any]]
"""Runs a command of `keys` on a home; what it printed, with its exit status."""


@dataclass
class Ran:
    """What a command left behind."""

    exit: int
    out: str
    err: str

    def object(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1])
