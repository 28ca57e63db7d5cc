"""Reading and checking the audit log over the API (CONTRACT section 8)."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from protocol.audit import Mark
from protocol.ids import Digest
from relay.api.answers import answer_lines, answer_object
from relay.api.asked import asked_of
from relay.api.bodies import body_of, limit_of, number_of
from relay.api.context import Context
from relay.draft import decode_json

HEADS: Final = 100
"""Most heads from outside in one check."""
COUNT_MAX: Final = 10**12


class KnownHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A head that somebody remembers; without `count` the hash may be that of any line."""

    head: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    count: Annotated[int, Meta(ge=0, le=COUNT_MAX)] = 0

    def mark(self) -> Mark:
        """As the check takes it."""
        return Mark(self.count, Digest(bytes.fromhex(self.head)))


class VerifyAudit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Heads from outside to check the log against."""

    heads: Annotated[list[KnownHead], Meta(max_length=HEADS)] = []


_VERIFY: Final = msgspec.json.Decoder(VerifyAudit)


async def lines(context: Context, request: Request) -> Response:
    """GET /v1/audit: the last lines of the audit log, oldest first; with `after` only those behind that number."""
    after = number_of(request, "after", 0, COUNT_MAX)
    # Who follows the log would otherwise write into it for ever.
    asked_of(request).only_looked = after > 0
    return answer_lines(await context.office.audit_lines(limit_of(request), after))


async def heads(context: Context, _request: Request) -> Response:
    """GET /v1/audit/heads: how far the audit logs of neighbours are, by what they signed and this relay remembers."""
    return answer_lines(await context.office.audit_heads())


async def verify(context: Context, request: Request) -> Response:
    """POST /v1/audit/verify: checks every line, signature and known head of the audit log."""
    async with body_of(context, request) as data:
        wish = decode_json(data.strip() or b"{}", _VERIFY)
    return answer_object(await context.office.audit_verify([known.mark() for known in wish.heads]))


async def export(context: Context, _request: Request) -> Response:
    """GET /v1/audit/export: the whole audit log with trust files and a signed head, as a tar archive."""
    return StreamingResponse(await context.office.audit_export(), 200, None, "application/x-tar")
