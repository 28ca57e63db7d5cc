"""Looking at the state of the daemon and its queues."""

from starlette.requests import Request
from starlette.responses import Response

from relay.api.answers import answer_lines, answer_object
from relay.api.bodies import limit_of
from relay.api.context import Context

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def status(context: Context, _request: Request) -> Response:
    """GET /v1/status."""
    return answer_object(await context.office.status())


async def office(context: Context, _request: Request) -> Response:
    """GET /v1/office: which office and network this is, as persons' signatures name them."""
    return answer_object(await context.office.office())


async def clock_accept(context: Context, _request: Request) -> Response:
    """POST /v1/clock/accept: the wall clock is right."""
    return answer_object(await context.office.clock_accept())


async def audit_accept(context: Context, _request: Request) -> Response:
    """POST /v1/accept/audit: what is wrong with the audit log is known; the alarm about it ends, the damage stays."""
    return answer_object(await context.office.audit_accept())


async def home_accept(context: Context, _request: Request) -> Response:
    """POST /v1/accept/home: what happened to the home is known; the alarms about it end."""
    return answer_object(await context.office.home_accept())


async def statistics(context: Context, request: Request) -> Response:
    """GET /v1/statistics: what was counted on each of the latest days (UTC), the newest first."""
    return answer_lines(await context.office.statistics(limit_of(request)))


async def prekey_renew(context: Context, _request: Request) -> Response:
    """POST /v1/renew/prekey: others seal to a new prekey from now on."""
    return answer_object(await context.office.prekey_renew())


async def queue_list(context: Context, request: Request) -> Response:
    """GET /v1/queue: copies that wait or are under way."""
    return answer_lines(await context.office.queue_list(limit_of(request)))


async def queue_show(context: Context, request: Request) -> Response:
    """GET /v1/queue/ID."""
    return answer_object(await context.office.queue_show(request.path_params["id"]))


async def quarantine_list(context: Context, _request: Request) -> Response:
    """GET /v1/quarantine: what could not be parsed or verified."""
    return answer_lines(await context.office.quarantine_list())


async def quarantine_show(context: Context, request: Request) -> Response:
    """GET /v1/quarantine/KEY."""
    return answer_object(await context.office.quarantine_show(request.path_params["key"]))


async def overdue(context: Context, _request: Request) -> Response:
    """GET /v1/overdue: messages past their deadline."""
    return answer_lines(await context.office.overdue())


async def fsck(context: Context, _request: Request) -> Response:
    """POST /v1/fsck: checks every row of the store."""
    return answer_object(await context.office.fsck())


async def doctor(context: Context, _request: Request) -> Response:
    """GET /v1/doctor: what is right, what will not be for long and what is wrong, one object a check."""
    return answer_lines(await context.office.doctor())


async def live(_context: Context, _request: Request) -> Response:
    """GET /livez: the process answers."""
    return answer_object({"live": True})


async def ready(context: Context, _request: Request) -> Response:
    """GET /readyz: 200 when store, keys and directory are up, else 503 with what is missing."""
    found = await context.office.ready()
    return answer_object(found, 200 if found.get("ready") else 503)


async def metrics(context: Context, _request: Request) -> Response:
    """GET /metrics: text format of Prometheus."""
    return Response(await context.office.metrics(), 200, None, METRICS_TYPE)
