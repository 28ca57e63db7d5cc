"""The network directory over the API: the administrator gives it to the network office, and takes it from any."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from relay.api.answers import answer_object
from relay.api.bodies import body_of
from relay.api.context import Context
from relay.draft import decode_json

FILES: Final = 1_100
"""Most trust files of one request: every root that there can be, and one generation."""


class TrustFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trust files by name, each in base64."""

    files: Annotated[dict[str, bytes], Meta(min_length=1, max_length=FILES)]


_FILES: Final = msgspec.json.Decoder(TrustFiles)


async def trust_take(context: Context, request: Request) -> Response:
    """POST /v1/trust: verifies newer trust files, takes them and publishes them at once."""
    async with body_of(context, request) as data:
        given = decode_json(data, _FILES)
        return answer_object(await context.office.trust_take(given.files))


async def trust_files(context: Context, _request: Request) -> Response:
    """GET /v1/trust: the trust files that this relay has verified."""
    return answer_object(await context.office.trust_files())
