"""The OpenAPI 3.1 document, made from the table of operations and the msgspec types."""

import re
from typing import Any, Final

import msgspec

from relay.api import shapes
from relay.api.bodies import FORM, JSON, NDJSON
from relay.api.problems import MEDIA_TYPE
from relay.api.routes import OPERATIONS, Operation
from relay.codes import CODES

_REFERENCE: Final = "#/components/schemas/{name}"
_QUERY: Final[dict[str, dict[str, Any]]] = {
    "box": {"enum": ["inbox", "sent"], "default": "inbox"},
    "state": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1},
    "wait": {"enum": ["delivered", "opened", "signed_for"]},
    "timeout": {"type": "number", "description": "seconds"},
    "redact_body": {"enum": ["0", "1"]},
    "after": {"type": "integer"},
}


def openapi_document(version: str) -> dict[str, Any]:
    """The document of this API. `version` is that of the program."""
    types = [shapes.Problem]
    for operation in OPERATIONS:
        types += [kind for kind in (operation.takes, operation.gives) if kind is not None and kind is not bytes]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    named = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, named)
    components["Code"] = {"enum": sorted(CODES), "description": "stable codes, see docs/codes.md"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Relay of one office",
            "version": version,
            "description": "Served on the Unix sockets below HOME/run. The caller's user and groups decide its roles.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(operation: Operation, named: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """The operation object of one row of the table."""
    text = (operation.handler.__doc__ or "").strip().partition(": ")[2] or operation.path
    found: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": text,
        "parameters": _parameters(operation),
        "responses": {
            str(operation.status): {"description": "done", "content": _content(operation, named)},
            "default": {"description": "a problem", "content": {MEDIA_TYPE: {"schema": named[shapes.Problem]}}},
        },
    }
    if operation.roles:
        found["x-roles"] = sorted(operation.roles)
    if operation.takes is not None:
        schema = named[operation.takes]
        form = {"type": "object", "properties": {"message": schema}, "required": ["message"]}
        found["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": form if kind == FORM else schema} for kind in operation.body_types},
        }
    if operation.body_types == (JSON, FORM, NDJSON):
        lines = {NDJSON: {"schema": {"anyOf": [named[operation.gives], named[shapes.Problem]]}}}
        found["responses"]["200"] = {"description": "a batch: one answer a line, in order", "content": lines}
    return found


def _content(operation: Operation, named: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    if operation.gives is bytes:
        return {operation.answer_type: {}}
    return {operation.answer_type: {"schema": named[operation.gives]}}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    """Path, query and header parameters."""
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    found += [{"name": name, "in": "query", "schema": _QUERY[name]} for name in operation.query]
    if operation.status == 202:
        found.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "format": "uuid"}})
    if operation.path == "/v1/events":
        found.append({"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}})
    return found
