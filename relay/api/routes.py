"""The table of all operations: path, method, who may, what does it, what goes in and comes out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api import audit, events, inbox, messages, operations, shapes, trust
from relay.api.bodies import FORM, JSON, NDJSON
from relay.api.context import Context
from relay.draft import Draft

Handler = Callable[[Context, Request], Awaitable[Response]]

ANYBODY: Final[frozenset[str]] = frozenset()
"""No role needed: whoever the file mode lets in."""
LOOK: Final = frozenset({"read", "operate"})
FOLLOW: Final = frozenset({"read", "send", "receive", "operate"})
SEND: Final = frozenset({"send"})
SENT: Final = frozenset({"send", "receive"})
RECEIVE: Final = frozenset({"receive"})
SIGN: Final = frozenset({"sign"})
SIGN_OR_READ: Final = SIGN | RECEIVE
OPERATE: Final = frozenset({"operate"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `roles`: any of them suffices, none means anybody. `takes` and `gives` are msgspec types.

    `noted` is the word for it in the audit log; what only looks at the relay's state is not noted.
    """

    method: str
    path: str
    roles: frozenset[str]
    handler: Handler
    gives: Any = shapes.Anything
    answer_type: str = JSON
    takes: Any = None
    body_types: tuple[str, ...] = (JSON,)
    status: int = 200
    query: tuple[str, ...] = ()
    noted: str = ""


OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/messages",
        SEND,
        messages.send,
        gives=shapes.Accepted,
        takes=Draft,
        body_types=(JSON, FORM, NDJSON),
        status=202,
        noted="send",
    ),
    Operation(
        "GET",
        "/v1/messages",
        FOLLOW,
        messages.list_messages,
        gives=shapes.InboxLine,
        answer_type=NDJSON,
        query=("box", "state", "limit"),
    ),
    Operation(
        "GET",
        "/v1/messages/{id}",
        FOLLOW,
        messages.show_message,
        gives=shapes.InboxLine,
        query=("box",),
        noted="show",
    ),
    Operation("GET", "/v1/messages/{id}/head", SIGN_OR_READ, messages.head, gives=shapes.InboxLine),
    Operation(
        "GET",
        "/v1/messages/{id}/timeline",
        FOLLOW,
        messages.timeline,
        gives=shapes.Track,
        query=("wait", "timeout"),
    ),
    Operation(
        "GET",
        "/v1/messages/{id}/evidence",
        SENT,
        messages.evidence,
        gives=bytes,
        answer_type="application/cbor",
        query=("redact_body",),
        noted="evidence",
    ),
    Operation("GET", "/v1/messages/{id}/files", RECEIVE, messages.files, noted="save"),
    Operation(
        "GET",
        "/v1/messages/{id}/files/{number}",
        RECEIVE,
        messages.file,
        gives=bytes,
        answer_type="application/octet-stream",
        noted="save",
    ),
    Operation("POST", "/v1/messages/{id}/sign-for", SIGN, inbox.sign_for, takes=inbox.SignFor, noted="sign_for"),
    Operation("POST", "/v1/messages/{id}/return", SIGN, inbox.return_message, takes=inbox.Return, noted="return"),
    Operation(
        "POST",
        "/v1/messages/{id}/forward",
        SEND,
        inbox.forward,
        gives=shapes.Accepted,
        takes=Draft,
        status=202,
        noted="forward",
    ),
    Operation("POST", "/v1/messages/{id}/cancel", SEND, messages.cancel, noted="cancel"),
    Operation(
        "POST",
        "/v1/inbox/take",
        RECEIVE,
        inbox.take,
        gives=shapes.InboxLine,
        answer_type=NDJSON,
        takes=inbox.Take,
        noted="take",
    ),
    Operation(
        "POST",
        "/v1/inbox/ack",
        RECEIVE,
        inbox.acknowledge,
        answer_type=NDJSON,
        takes=inbox.Acknowledge,
        noted="ack",
    ),
    Operation(
        "GET",
        "/v1/events",
        FOLLOW,
        events.events,
        gives=shapes.Event,
        answer_type="text/event-stream",
        query=("after",),
    ),
    Operation("GET", "/v1/office", FOLLOW | SIGN, operations.office, gives=shapes.Office),
    Operation("GET", "/v1/status", FOLLOW, operations.status),
    Operation("POST", "/v1/clock/accept", OPERATE, operations.clock_accept, noted="clock_accept"),
    Operation("POST", "/v1/accept/audit", OPERATE, operations.audit_accept, noted="audit_accept"),
    Operation("POST", "/v1/accept/home", OPERATE, operations.home_accept, noted="home_accept"),
    Operation("POST", "/v1/renew/prekey", OPERATE, operations.prekey_renew, noted="prekey_renew"),
    Operation("GET", "/v1/statistics", LOOK, operations.statistics, answer_type=NDJSON, query=("limit",)),
    Operation("GET", "/v1/queue", LOOK, operations.queue_list, answer_type=NDJSON, query=("limit",)),
    Operation("GET", "/v1/queue/{id}", LOOK, operations.queue_show),
    Operation("GET", "/v1/quarantine", LOOK, operations.quarantine_list, answer_type=NDJSON),
    Operation("GET", "/v1/quarantine/{key}", OPERATE, operations.quarantine_show, noted="quarantine_show"),
    Operation("GET", "/v1/overdue", FOLLOW, operations.overdue, answer_type=NDJSON),
    Operation("POST", "/v1/fsck", OPERATE, operations.fsck, noted="fsck"),
    Operation("GET", "/v1/doctor", OPERATE, operations.doctor, answer_type=NDJSON),
    Operation(
        "GET", "/v1/audit", OPERATE, audit.lines, answer_type=NDJSON, query=("limit", "after"), noted="audit_tail"
    ),
    Operation("GET", "/v1/audit/heads", OPERATE, audit.heads, answer_type=NDJSON),
    Operation("POST", "/v1/audit/verify", OPERATE, audit.verify, takes=audit.VerifyAudit, noted="audit_verify"),
    Operation(
        "GET",
        "/v1/audit/export",
        OPERATE,
        audit.export,
        gives=bytes,
        answer_type="application/x-tar",
        noted="audit_export",
    ),
    Operation("POST", "/v1/trust", OPERATE, trust.trust_take, takes=trust.TrustFiles, noted="trust_take"),
    Operation("GET", "/v1/trust", LOOK, trust.trust_files),
    Operation("GET", "/livez", ANYBODY, operations.live),
    Operation("GET", "/readyz", ANYBODY, operations.ready),
    Operation("GET", "/metrics", LOOK, operations.metrics, gives=bytes, answer_type="text/plain"),
)
