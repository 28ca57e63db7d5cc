"""Request bodies and query parameters, bounded before they are believed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from protocol.errors import Refused
from protocol.limits import ATTACHMENTS
from relay.api.context import Context
from relay.draft import Attachment

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
FORM: Final = "multipart/form-data"

LIST_DEFAULT: Final = 10_000
LIST_MAX: Final = 1_000_000


def media_type(request: Request) -> str:
    """The type of the body without parameters, lower case; JSON when none is given."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower() or JSON


@asynccontextmanager
async def body_of(context: Context, request: Request) -> AsyncIterator[bytes]:
    """The whole body. Its bytes count against the shared room until the caller is done with them.

    Raises `Refused` TOO_LARGE above `[limits] request_bytes`, BUSY without room or when it is not whole within `[api]
    body_s`, UNSUPPORTED_TYPE when compressed.
    """
    limit = context.settings.limits.request_bytes
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused("UNSUPPORTED_TYPE", "compressed bodies are not accepted")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise Refused("TOO_LARGE", f"the body has {declared} bytes, the limit is {limit}")
    held = 0
    chunks: list[bytes] = []
    try:
        try:
            # A client that stops in the middle would else keep its room, and with it that of all others, for ever.
            async with asyncio.timeout(context.settings.api.body_s):
                async for chunk in request.stream():
                    context.room.take(len(chunk))
                    held += len(chunk)
                    if held > limit:
                        raise Refused("TOO_LARGE", f"the body has more than {limit} bytes")
                    chunks.append(chunk)
        except TimeoutError:
            raise Refused("BUSY", f"the body was not whole within {context.settings.api.body_s:g} s") from None
        yield b"".join(chunks) if len(chunks) != 1 else chunks[0]
    finally:
        context.room.give_back(held)


async def read_form(request: Request, data: bytes) -> tuple[bytes, list[Attachment]]:
    """The part `message` of a multipart form, and its files in order (RFC 7578).

    Everything stays in memory: temporary files would hold plaintext outside the encrypted store (G11).
    Raises `Refused` BAD_FIELD for a form that is malformed, cut off or without `message`, TOO_LARGE for too many files.
    """

    async def stream() -> AsyncIterator[bytes]:
        yield data

    class MemoryParser(MultiPartParser):
        spool_max_size = len(data) + 1
        whole = False

        def on_end(self) -> None:
            self.whole = True

    parser = MemoryParser(
        request.headers,
        stream(),  # type: ignore[arg-type]  # any asynchronous iterator will do
        max_files=ATTACHMENTS + 1,
        max_fields=1,
        max_part_size=len(data) + 1,
    )
    try:
        form = await parser.parse()
        if not parser.whole:
            # What breaks off in the middle of a file would else be sent without that file.
            raise Refused("BAD_FIELD", "the form breaks off before its last boundary")
        message, files = await _parts_of(form)
    except (MultiPartException, KeyError, ValueError) as error:
        raise Refused("BAD_FIELD", f"not a multipart form: {error}"[:300]) from None
    finally:
        for file in parser._files_to_close_on_error:
            file.close()
    if message is None:
        raise Refused("BAD_FIELD", "the form has no part `message` with the JSON object", field="message")
    return message, files


async def _parts_of(form: FormData) -> tuple[bytes | None, list[Attachment]]:
    """The part `message`, if there is one, and every other file."""
    message: bytes | None = None
    files: list[Attachment] = []
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            content = await part.read()
            if name == "message":
                message = content
            else:
                files.append(Attachment(part.filename or name, content))
        elif name == "message":
            message = part.encode()
    return message, files


def lines_of(data: bytes) -> Iterator[bytes]:
    """The lines of newline-delimited JSON that are not blank."""
    return (line for line in data.split(b"\n") if line and not line.isspace())


def number_of(request: Request, name: str, default: int, highest: int) -> int:
    """A whole number from 1 to `highest` in the query. Raises `Refused` BAD_FIELD."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and 1 <= int(text) <= highest):
        raise Refused("BAD_FIELD", f"must be a whole number from 1 to {highest}", field=name)
    return int(text)


def limit_of(request: Request) -> int:
    """The longest list that the caller wants."""
    return number_of(request, "limit", LIST_DEFAULT, LIST_MAX)


def flag_of(request: Request, name: str) -> bool:
    """Whether a query parameter is `1`, `true` or `yes`. Raises `Refused` BAD_FIELD for other words."""
    text = request.query_params.get(name, "0").lower()
    if text in ("1", "true", "yes", ""):
        return True
    if text in ("0", "false", "no"):
        return False
    raise Refused("BAD_FIELD", "must be 1 or 0", field=name)


def seconds_of(request: Request, name: str, default_s: float, highest_s: float) -> float:
    """Seconds in the query, `30` or `2.5s`; more than `highest_s` is cut to it. Raises `Refused` BAD_FIELD."""
    text = request.query_params.get(name, str(default_s)).removesuffix("s")
    try:
        wanted_s = float(text)
    except ValueError:
        wanted_s = -1.0
    if not 0 <= wanted_s < float("inf"):
        raise Refused("BAD_FIELD", "must be a number of seconds", field=name)
    return min(wanted_s, highest_s)
