"""Sending and following messages over the API."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused
from relay.api.answers import ENCODER, answer_lines, answer_object
from relay.api.asked import asked_of, came_of
from relay.api.bodies import (
    FORM,
    JSON,
    NDJSON,
    body_of,
    flag_of,
    limit_of,
    lines_of,
    media_type,
    read_form,
    seconds_of,
)
from relay.api.context import Context
from relay.api.problems import language_of, problem_response
from relay.codes import error_object
from relay.draft import Draft, decode_draft

BREATH_LINES: Final = 500
"""Lines decoded before other requests get a turn: about 2 ms."""

STATES: Final = ("accepted", "custody", "delivered", "opened", "signed_for", "returned")


async def send(context: Context, request: Request) -> Response:
    """POST /v1/messages: one message as JSON or as a form, or a batch as newline-delimited JSON."""
    kind = media_type(request)
    if kind not in (JSON, FORM, NDJSON):
        raise Refused("UNSUPPORTED_TYPE", f"{kind[:80]} is not accepted")
    async with body_of(context, request) as data:
        if kind == NDJSON:
            return await _send_batch(context, request, data)
        if kind == FORM:
            message, files = await read_form(request, data)
            draft = decode_draft(message)
            draft = msgspec.structs.replace(draft, attachments=[*draft.attachments, *files])
        else:
            draft = decode_draft(data)
        draft = with_id(draft, request.headers.get("idempotency-key"))
        answer = (await context.office.send([draft]))[0]
    came_of(request, [answer], [draft.id])
    if isinstance(answer, Refused):
        return problem_response(answer, language_of(request), id=draft.id)
    return answer_object(answer, 202, {"location": f"/v1/messages/{draft.id}?box=sent"})


async def list_messages(context: Context, request: Request) -> Response:
    """GET /v1/messages: the inbox, or what was sent with `box=sent`."""
    state = request.query_params.get("state") or None
    limit = limit_of(request)
    if _box(context, request) == "sent":
        return answer_lines(await context.office.sent_list(state, limit))
    return answer_lines(await context.office.inbox_list(state, limit))


async def show_message(context: Context, request: Request) -> Response:
    """GET /v1/messages/ID: a received message with its body (which opens it), or the track of a sent one."""
    found = request.path_params["id"]
    if _box(context, request) == "sent":
        asked_of(request).only_looked = True
        return answer_object(await context.office.track(found))
    shown = await context.office.inbox_show(found)
    asked_of(request).came(shown.get("id"))
    return answer_object(shown)


async def head(context: Context, request: Request) -> Response:
    """GET /v1/messages/ID/head: the line of one received message, as a person signs for it; opens nothing."""
    return answer_object(await context.office.inbox_head(request.path_params["id"]))


async def timeline(context: Context, request: Request) -> Response:
    """GET /v1/messages/ID/timeline: the track; with `wait` only once that state is reached."""
    found = request.path_params["id"]
    wanted = request.query_params.get("wait")
    if not wanted:
        return answer_object(await context.office.track(found))
    if wanted not in STATES:
        raise Refused("BAD_FIELD", f"must be one of {', '.join(STATES)}", field="wait")
    timeout_s = seconds_of(request, "timeout", 60.0, context.settings.api.wait_max_s)
    try:
        return answer_object(await _until_stop(context, context.office.wait_for(found, wanted, timeout_s)))
    except Refused as refused:
        if refused.code != "WAIT_TIMEOUT":
            raise
        track = await context.office.track(found)
        state = _lowest_state(track)
        return problem_response(refused, language_of(request), id=track.get("id", found), state=state)


async def _until_stop(context: Context, awaited: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """What is awaited; a relay that stops does not keep its clients waiting: `Refused` WAIT_TIMEOUT."""
    coming = asyncio.ensure_future(awaited)
    stopping = asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait((coming, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            raise Refused("WAIT_TIMEOUT", "the relay is stopping")
        return coming.result()
    finally:
        for each in (coming, stopping):
            each.cancel()
        await asyncio.gather(coming, stopping, return_exceptions=True)


async def evidence(context: Context, request: Request) -> Response:
    """GET /v1/messages/ID/evidence: message, receipts and trust chain as one file."""
    found = request.path_params["id"]
    data = await context.office.evidence(found, flag_of(request, "redact_body"), _open_boxes(context, request))
    return download(data, "evidence.cbor", "application/cbor")


async def files(context: Context, request: Request) -> Response:
    """GET /v1/messages/ID/files: what was received, as written and whole; attachments are base64."""
    found = await context.office.inbox_files(request.path_params["id"])
    asked_of(request).came(found["meta"].get("id"))
    return answer_object(found)


async def file(context: Context, request: Request) -> Response:
    """GET /v1/messages/ID/files/N: the bytes of one attachment, counted from 0."""
    found = await context.office.inbox_files(request.path_params["id"])
    asked_of(request).came(found["meta"].get("id"))
    attachments: list[dict[str, Any]] = found["attachments"]
    text = request.path_params["number"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) < len(attachments)):
        raise Refused("NOT_FOUND", f"the message has {len(attachments)} attachments, counted from 0")
    chosen = attachments[int(text)]
    return download(chosen["data"], chosen["name"], "application/octet-stream")


async def cancel(context: Context, request: Request) -> Response:
    """POST /v1/messages/ID/cancel: a signed request; what was delivered stays delivered."""
    return answer_object(await context.office.cancel(request.path_params["id"]))


def download(data: bytes, name: str, kind: str) -> Response:
    """Bytes to be saved, never to be shown by a browser. The name is encoded by RFC 8187."""
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
    }
    return Response(data, 200, headers, kind)


async def _send_batch(context: Context, request: Request, data: bytes) -> Response:
    """One answer a line, in order. All good drafts go to the office in one call, hence into one commit."""
    lang = language_of(request)
    lines = list(lines_of(data))
    if len(lines) > context.settings.limits.batch_lines:
        raise Refused("TOO_LARGE", f"more than {context.settings.limits.batch_lines} lines")
    answers: list[Any] = [None] * len(lines)
    drafts: list[Draft] = []
    places: list[int] = []
    for place, line in enumerate(lines):
        try:
            draft = decode_draft(line)
        except Refused as refused:
            answers[place] = _refused_line(refused, lang, None, place)
            asked_of(request).came(None, refused.code)
            continue
        drafts.append(draft if draft.id else with_id(draft, None))
        places.append(place)
        if place % BREATH_LINES == BREATH_LINES - 1:
            await asyncio.sleep(0)
    sent = await context.office.send(drafts) if drafts else []
    came_of(request, sent, [draft.id for draft in drafts])
    for place, draft, answer in zip(places, drafts, sent, strict=True):
        if isinstance(answer, Refused):
            answers[place] = _refused_line(answer, lang, draft.id, place)
        else:
            answers[place] = {"v": 1, **answer}
    return Response(ENCODER.encode_lines(answers), 200, None, NDJSON)


def _refused_line(refused: Refused, lang: str, message_id: str | None, place: int) -> dict[str, Any]:
    """An error line of a batch; `line` counts from 1, blank lines left out."""
    return error_object(refused.code, lang, refused.detail, refused.field, id=message_id, line=place + 1)


def with_id(draft: Draft, key: str | None) -> Draft:
    """The draft with its id, taken from Idempotency-Key or made here when it has none."""
    wanted = (key or "").strip().strip('"')
    if draft.id and wanted and draft.id != wanted:
        raise Refused("BAD_FIELD", "Idempotency-Key and id differ", field="id")
    if draft.id:
        return draft
    return msgspec.structs.replace(draft, id=wanted or str(uuid.uuid4()))


def _box(context: Context, request: Request) -> str:
    """`inbox` or `sent`, checked against the roles of the caller."""
    box = request.query_params.get("box", "inbox")
    if box not in ("inbox", "sent"):
        raise Refused("BAD_FIELD", "must be inbox or sent", field="box")
    wanted = {"send", "read", "operate"} if box == "sent" else {"receive"}
    context.check_role(request.state.peer, frozenset(wanted))
    return box


def _open_boxes(context: Context, request: Request) -> frozenset[str]:
    """The boxes whose words the caller may read: a program that sends reports has no business in the inbox."""
    roles = context.roles.roles_of(request.state.peer)
    return frozenset(box for box, role in (("sent", "send"), ("inbox", "receive")) if role in roles)


def _lowest_state(track: dict[str, Any]) -> str | None:
    """What all recipients have reached, which is what a wait that ran out reports."""
    reached = [recipient.get("state") for recipient in track.get("recipients", [])]
    known = [state for state in STATES if state in reached]
    return known[0] if known else next((state for state in reached if state), None)
