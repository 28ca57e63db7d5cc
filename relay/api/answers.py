"""Successful answers: JSON objects with `"v":1`, and lists of them one a line."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from starlette.responses import Response

from relay.api.bodies import JSON, NDJSON

ENCODER: Final = msgspec.json.Encoder()


def versioned(found: dict[str, Any]) -> dict[str, Any]:
    """The object with `"v":1` in front."""
    return {"v": 1, **found}


def answer_object(found: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """One object."""
    return Response(ENCODER.encode(versioned(found)), status, headers, JSON)


def answer_lines(found: Iterable[dict[str, Any]]) -> Response:
    """One object a line."""
    return Response(ENCODER.encode_lines([versioned(one) for one in found]), 200, None, NDJSON)
