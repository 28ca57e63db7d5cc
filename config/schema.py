"""Every setting of `relay.toml`: its name, its unit (last part of the name), its range and its default.

`config/example.toml` holds the same list with the reason for each default; a test keeps the two equal.
Hard limits of the wire format are no settings, see `protocol/limits.py`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from protocol.limits import MAX_LIFE_US, SECOND_US

HOME_VERSION: Final = 1
"""The layout of a home directory that this program reads and writes."""

_MAX_LIFE_S: Final = MAX_LIFE_US // SECOND_US
_DAY_S: Final = 86_400
_YEAR_S: Final = 366 * _DAY_S

Seconds = Annotated[float, Meta(ge=0.01, le=_YEAR_S)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 50)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Days = Annotated[int, Meta(ge=1, le=36_500)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
Owner = Annotated[int, Meta(ge=0, le=0xFFFF_FFFE)] | Annotated[str, Meta(min_length=1, max_length=64)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of `relay.toml`."""


class Office(Section, frozen=True):
    """Who this is. Both are compared with the keys and the directory, so a copied home does not speak for another."""

    address: str
    network: Annotated[str, Meta(min_length=1, max_length=64)]


class Broker(Section, frozen=True):
    """One MQTT broker that this office connects to, as the directory names it."""

    id: Name
    engine: Literal["mosquitto", "nats", "rabbitmq"] = "mosquitto"
    host: Host = "127.0.0.1"
    port: Port = 8883
    tls: bool = True
    server_name: str = ""


class Patience(Section, frozen=True):
    """Seconds, per lane, without custody after sending or without `delivered` after custody (D1, D2)."""

    flash: Seconds = 5
    urgent: Seconds = 10
    priority: Seconds = 30
    routine: Seconds = 60
    bulk: Seconds = 300


class Links(Section, frozen=True):
    """Connections to brokers."""

    retry_min_s: Seconds = 0.5
    retry_max_s: Seconds = 30
    keepalive_s: Annotated[int, Meta(ge=1, le=65_535)] = 20
    connect_timeout_s: Seconds = 10
    publish_timeout_s: Seconds = 10
    window_items: Count = 2_000
    incoming_frames: Annotated[int, Meta(ge=1, le=10_000)] = 64
    patience_s: Patience = Patience()


class Store(Section, frozen=True):
    """The database of this office."""

    quota_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 50)] = 10 * (1 << 30)
    ballast_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 16 * (1 << 20)


class Deadlines(Section, frozen=True):
    """Seconds, per lane, within which a message should be delivered unless `--deliver-within` says otherwise."""

    flash: Seconds = 900
    urgent: Seconds = 3_600
    priority: Seconds = 6 * 3_600
    routine: Seconds = _DAY_S
    bulk: Seconds = 3 * _DAY_S


class Messages(Section, frozen=True):
    """What this office sends."""

    expires_s: Annotated[float, Meta(ge=0.01, le=_MAX_LIFE_S)] = 30 * _DAY_S
    attachment_bytes_max: Bytes = 2 * (1 << 30)
    deadline_s: Deadlines = Deadlines()


class Receipts(Section, frozen=True):
    """Answers about messages."""

    gap_notice_s: Seconds = 45
    grace_s: Annotated[float, Meta(ge=0.01, le=150)] = 60
    settle_s: Annotated[float, Meta(ge=0, le=150)] = 30


class Trust(Section, frozen=True):
    """The network directory."""

    stale_s: Annotated[float, Meta(ge=0.01, le=_YEAR_S)] = 7 * _DAY_S
    stop_s: Annotated[float, Meta(ge=0.01, le=_YEAR_S)] = 45 * _DAY_S
    refresh_s: Seconds = 300
    adopt_s: Annotated[float, Meta(ge=0, le=_DAY_S)] = 30
    behind_s: Seconds = 60


class Clock(Section, frozen=True):
    """When the wall clock is believed, see `protocol/clock_guard.py`."""

    jump_s: Annotated[float, Meta(ge=1, le=86_400)] = 300
    skew_s: Annotated[float, Meta(ge=1, le=3_600)] = 60
    fresh_s: Seconds = 30
    witness_s: Seconds = 3_600
    keep_s: Seconds = 600


class Inbox(Section, frozen=True):
    """What this office receives."""

    redeliver_s: Seconds = 60


class Limits(Section, frozen=True):
    """Bounds on what others, inside and outside, may use."""

    quarantine_rows: Count = 10_000
    quarantine_bytes: Bytes = 64 * (1 << 20)
    request_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 30)] = 16 * (1 << 20)
    requests_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 34)] = 32 * (1 << 20)
    batch_lines: Count = 20_000
    event_clients: Annotated[int, Meta(ge=0, le=10_000)] = 32
    user_connections: Annotated[int, Meta(ge=1, le=10_000)] = 256


class Prekeys(Section, frozen=True):
    """The keys that others seal to: how often they are renewed, and how long their private halves are kept (D7)."""

    renew_s: Seconds = 7 * _DAY_S
    valid_s: Annotated[float, Meta(ge=0.01, le=_MAX_LIFE_S)] = 45 * _DAY_S
    keep_s: Annotated[float, Meta(ge=0.01, le=_MAX_LIFE_S)] = 45 * _DAY_S
    look_s: Seconds = 60


class Retention(Section, frozen=True):
    """Days that finished things are kept. Nothing unread or unacknowledged is ever purged."""

    inbox_days: Days = 1_095
    sent_days: Days = 1_095
    evidence_days: Days = 3_650
    audit_days: Annotated[int, Meta(ge=180, le=36_500)] = 365
    statistics_days: Annotated[int, Meta(ge=730, le=36_500)] = 1_095


class Audit(Section, frozen=True):
    """The audit log in HOME/audit. How long it is kept is `[retention] audit_days`."""

    write_s: Annotated[float, Meta(ge=0, le=10)] = 0.02
    sync_s: Annotated[float, Meta(ge=0, le=60)] = 0.25
    head_s: Annotated[float, Meta(ge=0, le=3_600)] = 60
    tell_s: Seconds = 3_600
    check_s: Seconds = _DAY_S
    file_bytes: Annotated[int, Meta(ge=4_096, le=1 << 30)] = 16 * (1 << 20)


class Members(Section, frozen=True):
    """Users and groups that have one role: numbers, or names that the system knows."""

    users: tuple[Owner, ...] = ()
    groups: tuple[Owner, ...] = ()


class Roles(Section, frozen=True):
    """Who may do what over the API. The daemon's own user and root have every role."""

    read: Members = Members()
    send: Members = Members()
    receive: Members = Members()
    sign: Members = Members()
    operate: Members = Members()


class Api(Section, frozen=True):
    """The local HTTP API."""

    socket_group: Owner | None = None
    stop_s: Annotated[float, Meta(ge=0, le=60)] = 3
    body_s: Seconds = 30
    keepalive_s: Annotated[int, Meta(ge=1, le=3_600)] = 60
    wait_max_s: Seconds = 3_600
    heartbeat_s: Seconds = 15
    roles: Roles = Roles()


class Hsm(Section, frozen=True):
    """A token for the office's signing key or storage key (PKCS#11); its PIN is never a setting."""

    module: Annotated[str, Meta(max_length=4_096)] = ""
    token: Annotated[str, Meta(max_length=32)] = ""


class Network(Section, frozen=True, kw_only=True):
    """For the network administrator's directory only: where the network office lives, whose daemon publishes."""

    office_home: Annotated[str, Meta(max_length=4_096)] = ""


class Log(Section, frozen=True):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Section, frozen=True):
    """The whole of `relay.toml`, checked."""

    home_version: int
    office: Office
    brokers: tuple[Broker, ...] = ()
    links: Links = Links()
    store: Store = Store()
    messages: Messages = Messages()
    receipts: Receipts = Receipts()
    trust: Trust = Trust()
    clock: Clock = Clock()
    inbox: Inbox = Inbox()
    limits: Limits = Limits()
    prekeys: Prekeys = Prekeys()
    retention: Retention = Retention()
    audit: Audit = Audit()
    api: Api = Api()
    log: Log = Log()
    hsm: Hsm = Hsm()
    network: Network = Network()
