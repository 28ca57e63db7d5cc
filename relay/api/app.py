"""The ASGI application: every operation behind its role check, every refusal a problem."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from config.schema import Settings
from protocol.errors import Refused
from relay.api.answers import ENCODER
from relay.api.bodies import JSON
from relay.api.context import BodyRoom, Context
from relay.api.openapi import openapi_document
from relay.api.peer import role_table
from relay.api.problems import language_of, problem_response, routing_problem
from relay.api.routes import OPERATIONS, Operation
from relay.api.service import OfficeOperations
from relay.store.group import StoreFailed

_log = structlog.get_logger()


def build_app(
    office: OfficeOperations, settings: Settings, *, version: str = "0", stopping: asyncio.Event | None = None
) -> Starlette:
    """The application for one office. `stopping` ends event streams when it is set.

    Raises `config.problems.ConfigError` for role members that the system does not know.
    """
    context = Context(
        office=office,
        settings=settings,
        roles=role_table(settings.api.roles, os.getuid()),
        room=BodyRoom(settings.limits.requests_bytes),
        stopping=stopping or asyncio.Event(),
    )
    document = ENCODER.encode(openapi_document(version))

    async def openapi(_request: Request) -> Response:
        return Response(document, 200, None, JSON)

    routes = [
        Route(operation.path, _endpoint(context, operation), methods=[operation.method]) for operation in OPERATIONS
    ]
    routes.append(Route("/openapi.json", openapi, methods=["GET"]))
    return Starlette(routes=routes, exception_handlers={HTTPException: routing_problem})


def _endpoint(context: Context, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    """The operation as Starlette calls it."""

    async def endpoint(request: Request) -> Response:
        try:
            if operation.roles:
                context.check_role(getattr(request.state, "peer", None), operation.roles)
            return await operation.handler(context, request)
        except Refused as refused:
            return problem_response(refused, language_of(request))
        except StoreFailed:
            return problem_response(Refused("OUTCOME_UNKNOWN", "the store failed"), language_of(request))
        except ClientDisconnect:
            # Nobody is there to read it; nothing was handed to the office before the body was whole.
            return Response(status_code=400)
        except Exception:  # noqa: BLE001  # the last fence: users get a code, the log gets the rest
            _log.exception("api_operation_failed", method=operation.method, path=operation.path)
            return problem_response(Refused("INTERNAL"), language_of(request))

    return endpoint
