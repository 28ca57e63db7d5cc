"""The stream of events (server-sent events of the HTML standard)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from protocol.errors import Refused
from relay.api.answers import ENCODER
from relay.api.context import Context

FROM_NOW_ON = -1


async def events(context: Context, request: Request) -> Response:
    """GET /v1/events: events after `Last-Event-ID` (or `?after=`), then new ones until the daemon stops."""
    after = request.headers.get("last-event-id") or request.query_params.get("after") or str(FROM_NOW_ON)
    if not (after.removeprefix("-").isdecimal() and after.isascii() and len(after) <= 18):
        raise Refused("BAD_FIELD", "must be the number of an event", field="Last-Event-ID")
    if context.event_clients >= context.settings.limits.event_clients:
        raise Refused("BUSY", "too many followers of the event stream")
    source = context.office.events(max(int(after), FROM_NOW_ON))
    return StreamingResponse(
        _stream(context, source),
        headers={"cache-control": "no-store"},
        media_type="text/event-stream",
    )


def event_text(event: dict[str, Any]) -> bytes:
    """One event: its number as `id`, its type as `event`, the whole object as `data`."""
    data = ENCODER.encode({"v": 1, **event})
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event["seq"], str(event["type"]).encode(), data)


async def _stream(context: Context, source: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Events as they come; a comment when none came for `[api] heartbeat_s`, so that dead clients are noticed."""
    context.event_clients += 1
    stopping = asyncio.ensure_future(context.stopping.wait())
    coming: asyncio.Future[dict[str, Any]] | None = None
    try:
        yield b": events\n\n"
        while not context.stopping.is_set():
            coming = coming or asyncio.ensure_future(anext(source))
            await asyncio.wait(
                (coming, stopping),
                timeout=context.settings.api.heartbeat_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not coming.done():
                if not context.stopping.is_set():
                    yield b": \n\n"
                continue
            done, coming = coming, None
            try:
                event = done.result()
            except StopAsyncIteration:
                return
            yield event_text(event)
    finally:
        context.event_clients -= 1
        stopping.cancel()
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming
        if hasattr(source, "aclose"):
            await source.aclose()
