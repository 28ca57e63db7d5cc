"""Errors of the API: RFC 9457 problem details with the members of the error object of CONTRACT section 2."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from protocol.errors import Refused
from relay.codes import error_object, language, lookup

MEDIA_TYPE = "application/problem+json"

_BY_STATUS = {404: "UNKNOWN_PATH", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE", 415: "UNSUPPORTED_TYPE"}


def language_of(request: Request) -> str:
    """`zh_CN` or `en`, as Accept-Language wishes."""
    return language(request.headers.get("accept-language"))


def problem_object(refused: Refused, lang: str, **extra: Any) -> dict[str, Any]:
    """The problem as a JSON object. `type` is a URN of the code, `title` and `message` say what happened."""
    row = lookup(refused.code)
    what, why, _ = row.words(lang)
    found = error_object(refused.code, lang, refused.detail or why, refused.field, **extra)
    found["type"] = f"urn:relay:code:{row.code}"
    found["title"] = what
    found["status"] = row.http
    return found


def problem_response(refused: Refused, lang: str, headers: dict[str, str] | None = None, **extra: Any) -> Response:
    """The response for a refusal; `extra` members (an id, a state) are added to the object."""
    found = problem_object(refused, lang, **extra)
    sent = {"content-language": "zh-CN" if lang == "zh_CN" else "en", **(headers or {})}
    if found["status"] == 503:
        sent["retry-after"] = "2"
    return Response(msgspec.json.encode(found), found["status"], sent, MEDIA_TYPE)


async def routing_problem(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, which the router finds before any operation runs."""
    if not isinstance(error, HTTPException):
        return problem_response(Refused("INTERNAL"), language_of(request))
    refused = Refused(_BY_STATUS.get(error.status_code, "USAGE"), f"{request.method} {request.url.path}"[:200])
    return problem_response(refused, language_of(request), dict(error.headers or {}))
