"""Configuration of RabbitMQ 4 with its MQTT plugin (rabbitmq.com/docs/mqtt, /docs/access-control), for one broker.

RabbitMQ turns `/` into `.` and `+` into `*` and asks a topic exchange, so a grant becomes a regular expression over the
routing key; our topics have no dots of their own. An office is a user without a password whose name is the common name
of its certificate. What RabbitMQ retains does not answer subscriptions with wildcards (rabbitmq-server issue 8824), so
relays ask there for the records of their neighbours by name (`relay/beacon.py`); nodes of a cluster do not share them.
"""

from typing import Any, Final

import msgspec

from protocol.ids import Address
from relay.brokers.grants import grants_of
from relay.brokers.site import PACKET_EXTRA_BYTES, PAYLOAD_BYTES_MAX, QUEUED_MAX, SESSION_DAYS, Site

EXCHANGE: Final = "amq.topic"
VHOST: Final = "/"
PREFETCH: Final = 20

_QUEUES: Final = r"mqtt-subscription-(fast|slow)-[0-9A-Za-z_-]+qos[01]"
"""Queues that the plugin names after client ids; ours begin with the lane group."""

_END: Final = r"$(?!\n)"
"""The very end: `$` alone lets a line feed follow."""

_NAME: Final = "[0-9A-Za-z_-]+"
_NAME_OR_STAR: Final = r"([0-9A-Za-z_-]+|\*)"


def configuration(site: Site) -> str:
    """The text of `rabbitmq.conf`: MQTT over TLS for clients with a certificate, and no other way in."""
    lines = [
        f"# Broker {site.id}: made by relay; offices and their grants are in definitions.json.",
        "listeners.tcp = none",
        "mqtt.listeners.tcp = none",
        f"mqtt.listeners.ssl.default = {site.listen}:{site.port}",
        "mqtt.tcp_listen_options.nodelay = true",
        "mqtt.allow_anonymous = false",
        "mqtt.ssl_cert_login = true",
        "ssl_cert_login_from = common_name",
        f"ssl_options.cacertfile = {site.file('ca.pem')}",
        f"ssl_options.certfile = {site.file('broker.pem')}",
        f"ssl_options.keyfile = {site.file('broker.key')}",
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
        "ssl_options.depth = 1",
        "ssl_options.versions.1 = tlsv1.3",
        "ssl_options.versions.2 = tlsv1.2",
        f"mqtt.vhost = {VHOST}",
        f"mqtt.exchange = {EXCHANGE}",
        f"mqtt.prefetch = {PREFETCH}",
        f"mqtt.max_session_expiry_interval_seconds = {SESSION_DAYS * 86_400}",
        f"mqtt.max_packet_size_authenticated = {PAYLOAD_BYTES_MAX + PACKET_EXTRA_BYTES}",
        "mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_dets",
        f"load_definitions = {site.file('definitions.json')}",
    ]
    return "\n".join(lines) + "\n"


def environment(site: Site) -> str:
    """The text of `rabbitmq-env.conf`: one node, whose Erlang ports answer this machine only."""
    return (
        f"# Broker {site.id}: made by relay. A cluster needs other addresses here, behind a firewall.\n"
        "export ERL_EPMD_ADDRESS=127.0.0.1\n"
        'SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"\n'
    )


def definitions(site: Site) -> str:
    """The text of `definitions.json`: a user for each office with its grants; what is not granted is denied."""
    found: dict[str, Any] = {
        "users": [_user(office) for office in site.offices],
        "vhosts": [{"name": VHOST}],
        "permissions": [_permission(office) for office in site.offices],
        "topic_permissions": [_topic_permission(office) for office in site.offices],
        "policies": [
            {
                "name": "relay",
                "vhost": VHOST,
                "pattern": "^mqtt-subscription-",
                "apply-to": "queues",
                "priority": 0,
                "definition": {"max-length": QUEUED_MAX},
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def enabled_plugins() -> str:
    """The text of `enabled_plugins`."""
    return "[rabbitmq_mqtt].\n"


def write_pattern(office: Address) -> str:
    """The routing keys that an office may publish to."""
    return _pattern(grants_of(office).publish, _NAME)


def read_pattern(office: Address) -> str:
    """The binding keys that an office may subscribe to, with `*` where MQTT has `+`; never with `#`."""
    return _pattern(grants_of(office).read, _NAME_OR_STAR)


def files(site: Site) -> dict[str, str]:
    """Every file of the configuration, by name."""
    return {
        "rabbitmq.conf": configuration(site),
        "rabbitmq-env.conf": environment(site),
        "definitions.json": definitions(site),
        "enabled_plugins": enabled_plugins(),
    }


def _pattern(texts: tuple[str, ...], wildcard: str) -> str:
    """A regular expression that these topic filters match as a whole."""
    keys = (text.replace("/", r"\.").replace("+", wildcard) for text in texts)
    return f"^({'|'.join(keys)}){_END}"


def _user(office: Address) -> dict[str, Any]:
    """A user whom no password lets in."""
    return {
        "name": office,
        "password_hash": "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


def _permission(office: Address) -> dict[str, str]:
    """Queues of MQTT sessions, and the one exchange; client ids hold a secret, so nobody names another's queue."""
    return {
        "user": office,
        "vhost": VHOST,
        "configure": f"^{_QUEUES}{_END}",
        "write": rf"^({_QUEUES}|amq\.topic){_END}",
        "read": rf"^({_QUEUES}|amq\.topic){_END}",
    }


def _topic_permission(office: Address) -> dict[str, str]:
    return {
        "user": office,
        "vhost": VHOST,
        "exchange": EXCHANGE,
        "write": write_pattern(office),
        "read": read_pattern(office),
    }
