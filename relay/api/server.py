"""The API server inside the daemon's event loop: two Unix sockets, no signal handlers, a short goodbye."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn

from config.problems import ConfigError, Problem
from config.schema import Settings
from protocol.errors import Refused
from relay.api.app import build_app
from relay.api.peer import PeerProtocol, group_number
from relay.api.service import OfficeOperations
from relay.api.sockets import ADMIN_MODE, ADMIN_SOCKET, API_MODE, API_SOCKET, BACKLOG, Listener, bind_socket
from relay.audit.notes import Notes

_POLL_S: Final = 0.005
_GOODBYE_S: Final = 1.0
"""Time beyond `[api] stop_s` after which a server that does not stop is cancelled."""


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: SIGTERM belongs to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class ApiServer:
    """A running API. Made by `start_api`."""

    _server: _Uvicorn
    _task: asyncio.Task[None]
    _listeners: tuple[Listener, ...]
    _stopping: asyncio.Event
    _stop_s: float

    async def stop(self) -> None:
        """Takes no more requests, lets those under way finish for `[api] stop_s`, hangs up, removes socket files."""
        self._stopping.set()
        self._server.should_exit = True
        await asyncio.wait((self._task,), timeout=self._stop_s)
        # A client that no longer reads would hold its answer open for ever.
        for connection in tuple(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.wait((self._task,), timeout=_GOODBYE_S)
        if not self._task.done():
            self._task.cancel()
        for listener in self._listeners:
            listener.remove()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def failed(self) -> None:
        """Returns or raises only when the server ends by itself, which the daemon treats as a crash."""
        await asyncio.shield(self._task)


def open_sockets(run_directory: Path, settings: Settings) -> tuple[Listener, ...]:
    """Binds api.sock (0660) and admin.sock (0600), not listening yet.

    Raises `Refused` HOME_IN_USE, FILE_EXISTS or CANNOT_WRITE, `ConfigError` for an unknown socket group.
    """
    run_directory.mkdir(mode=0o700, exist_ok=True)
    group = settings.api.socket_group
    if isinstance(group, str):
        try:
            group = group_number(group)
        except KeyError:
            text = f"the system does not know the group {group!r}"
            raise ConfigError([Problem("wrong", "[api] socket_group", text, detail_zh="系统中没有此组")]) from None
    api = bind_socket(run_directory, API_SOCKET, API_MODE, group)
    try:
        admin = bind_socket(run_directory, ADMIN_SOCKET, ADMIN_MODE)
    except Refused:
        api.socket.close()
        api.remove()
        raise
    return api, admin


async def start_api(
    office: OfficeOperations,
    settings: Settings,
    listeners: tuple[Listener, ...],
    *,
    version: str = "0",
    notes: Notes | None = None,
) -> ApiServer:
    """Serves the office on sockets from `open_sockets`; returns when connections are answered.

    Raises `ConfigError` for role members that the system does not know.
    """
    stopping = asyncio.Event()
    config = uvicorn.Config(
        build_app(office, settings, version=version, stopping=stopping, notes=notes),
        http=partial(PeerProtocol, most=settings.limits.user_connections),  # type: ignore[arg-type]  # makes one
        ws="none",
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.api.keepalive_s,
        timeout_graceful_shutdown=math.ceil(settings.api.stop_s + _GOODBYE_S),
    )
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve([listener.socket for listener in listeners]), name="api")
    while not server.started:
        if task.done():
            await task
            raise Refused("INTERNAL", "the API server ended before it had started")
        await asyncio.sleep(_POLL_S)
    return ApiServer(server, task, listeners, stopping, settings.api.stop_s)
