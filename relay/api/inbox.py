"""Taking, answering and passing on what was received."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused
from relay.api.answers import answer_lines, answer_object
from relay.api.asked import asked_of, came_of
from relay.api.bodies import body_of
from relay.api.context import Context
from relay.api.messages import with_id
from relay.api.problems import language_of, problem_response
from relay.codes import error_object
from relay.draft import decode_draft, decode_json

Text = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Take(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many messages a program wants."""

    max: Annotated[int, Meta(ge=1, le=10_000)] = 100


class Acknowledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages that a program has put away safely."""

    ids: Annotated[list[str], Meta(min_length=1, max_length=10_000)]


class SignFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs for a message; `signature` is base64 of that person's own signature, if there is one."""

    by: Text
    signature: bytes | None = None


class Return(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a message is returned."""

    reason: Text


_TAKE: Final = msgspec.json.Decoder(Take)
_ACKNOWLEDGE: Final = msgspec.json.Decoder(Acknowledge)
_SIGN_FOR: Final = msgspec.json.Decoder(SignFor)
_RETURN: Final = msgspec.json.Decoder(Return)


async def take(context: Context, request: Request) -> Response:
    """POST /v1/inbox/take: new messages with their bodies, in lane order, each handed out as new once."""
    async with body_of(context, request) as data:
        wish = decode_json(data.strip() or b"{}", _TAKE)
    taken = await context.office.inbox_take(wish.max)
    came_of(request, list(taken), [""] * len(taken))
    return answer_lines(taken)


async def acknowledge(context: Context, request: Request) -> Response:
    """POST /v1/inbox/ack: taken messages are not handed out again. One line for each id, each with its own `exit`."""
    async with body_of(context, request) as data:
        wish = decode_json(data, _ACKNOWLEDGE)
    answers = await context.office.inbox_ack(wish.ids)
    came_of(request, list(answers), wish.ids)
    lang = language_of(request)
    return answer_lines(
        error_object(answer.code, lang, answer.detail, answer.field, id=given)
        if isinstance(answer, Refused)
        else {**answer, "exit": 0}
        for given, answer in zip(wish.ids, answers, strict=True)
    )


async def sign_for(context: Context, request: Request) -> Response:
    """POST /v1/messages/ID/sign-for."""
    async with body_of(context, request) as data:
        wish = decode_json(data, _SIGN_FOR)
    signed = await context.office.sign_for(request.path_params["id"], wish.by, wish.signature)
    asked_of(request).came(signed.get("id"))
    return answer_object(signed)


async def return_message(context: Context, request: Request) -> Response:
    """POST /v1/messages/ID/return."""
    async with body_of(context, request) as data:
        wish = decode_json(data, _RETURN)
    returned = await context.office.return_message(request.path_params["id"], wish.reason)
    asked_of(request).came(returned.get("id"))
    return answer_object(returned)


async def forward(context: Context, request: Request) -> Response:
    """POST /v1/messages/ID/forward: a new message that carries the original with its own signature inside.

    Whoever may not read the inbox may not send it away either.
    """
    context.check_role(request.state.peer, frozenset({"receive"}))
    async with body_of(context, request) as data:
        draft = with_id(decode_draft(data), request.headers.get("idempotency-key"))
    try:
        answer = await context.office.forward(request.path_params["id"], draft)
    except Refused as refused:
        asked_of(request).came(draft.id, refused.code)
        return problem_response(refused, language_of(request), id=draft.id)
    came_of(request, [answer], [draft.id])
    return answer_object(answer, 202, {"location": f"/v1/messages/{draft.id}?box=sent"})
