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
from keys.signer import SignerLost
from protocol.errors import Refused
from relay.api.answers import ENCODER
from relay.api.asked import Asked
from relay.api.bodies import JSON
from relay.api.context import BodyRoom, Context
from relay.api.openapi import openapi_document
from relay.api.peer import Peer, role_table
from relay.api.problems import language_of, problem_response, routing_problem
from relay.api.routes import OPERATIONS, Operation
from relay.api.service import OfficeOperations
from relay.audit.notes import Notes
from relay.store.group import StoreFailed

_log = structlog.get_logger()


def build_app(
    office: OfficeOperations,
    settings: Settings,
    *,
    version: str = "0",
    stopping: asyncio.Event | None = None,
    notes: Notes | None = None,
) -> Starlette:
    """The application for one office. `stopping` ends event streams when it is set; `notes` go into the audit log.

    Raises `config.problems.ConfigError` for role members that the system does not know.
    """
    context = Context(
        office=office,
        settings=settings,
        roles=role_table(settings.api.roles, os.getuid()),
        room=BodyRoom(settings.limits.requests_bytes),
        stopping=stopping or asyncio.Event(),
        notes=notes,
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
        asked = request.state.asked = Asked()
        code = "INTERRUPTED"
        try:
            if operation.roles:
                context.check_role(getattr(request.state, "peer", None), operation.roles)
            response = await operation.handler(context, request)
            code = "OK"
            return response
        except Refused as refused:
            code = refused.code
            return problem_response(refused, language_of(request))
        except StoreFailed:
            code = "OUTCOME_UNKNOWN"
            return problem_response(Refused(code, "the store failed"), language_of(request))
        except SignerLost as gone:
            code = "OUTCOME_UNKNOWN"
            return problem_response(Refused(code, str(gone)), language_of(request))
        except ClientDisconnect:
            # Nobody is there to read it; nothing was handed to the office before the body was whole.
            return Response(status_code=400)
        except Exception:  # noqa: BLE001  # the last fence: users get a code, the log gets the rest
            _log.exception("api_operation_failed", method=operation.method, path=operation.path)
            code = "INTERNAL"
            return problem_response(Refused(code), language_of(request))
        finally:
            _note(context, operation, request, asked, code)

    return endpoint


def _note(context: Context, operation: Operation, request: Request, asked: Asked, code: str) -> None:
    """Into the audit log: what is noted of this operation, and whoever asked for what is not theirs to ask."""
    did = operation.noted or ("look" if code == "NOT_PERMITTED" else "")
    if did and not asked.only_looked and context.notes is not None:
        peer: Peer | None = getattr(request.state, "peer", None)
        by = "unknown" if peer is None else peer.actor
        asked.note(context.notes, by, did, request.path_params.get("id"), code)
