"""What the engine asks of its connections, and the connections over MQTT that the daemon gives it.

The simulator gives the engine others: everything above this line is the same there.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config.schema import Settings
from relay import mqtt_link
from relay.mqtt import MqttTransport, QueueBounds, Will
from relay.mqtt_link import LinkState
from relay.mqtt_socket import TlsFiles
from relay.ports import Arrived, Clock, LinkChanged, Transport


class Links(Transport, Protocol):
    """Connections with their start and their end."""

    async def start(self) -> None:
        """Start connecting; no broker is waited for."""
        ...

    async def stop(self) -> None:
        """End every connection. Safe to call again."""
        ...

    def links(self) -> list[LinkState]:
        """How every connection is."""
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """What connections need of the engine.

    `filters` are the subscriptions of each lane group. `will_for(broker, group)` is asked at every connect. What
    arrives and what changes is told one call at a time per connection.
    """

    filters: Mapping[str, Sequence[str]]
    will_for: Callable[[str, str], Will | None]
    on_arrived: Callable[[Arrived], Awaitable[None]]
    on_changed: Callable[[LinkChanged], Awaitable[None]]


Connect = Callable[[Hooks], Links]
"""Makes the connections of one relay."""


def connect_mqtt(hooks: Hooks, settings: Settings, home: Path, client_secret: str, clock: Clock) -> MqttTransport:
    """Connections over MQTT to the brokers of the settings, with the TLS files of a home."""
    links, keys = settings.links, home / "keys"
    files = TlsFiles(keys / "ca.pem", keys / "tls.pem", keys / "tls.key")
    return MqttTransport(
        settings.brokers,
        files=files if any(broker.tls for broker in settings.brokers) else None,
        client_secret=client_secret,
        filters=hooks.filters,
        will_for=hooks.will_for,
        on_arrived=hooks.on_arrived,
        on_changed=hooks.on_changed,
        now_us=clock.now_us,
        timing=mqtt_link.Timing(
            retry_min_s=links.retry_min_s,
            retry_max_s=links.retry_max_s,
            keepalive_s=links.keepalive_s,
            connect_s=links.connect_timeout_s,
            publish_s=links.publish_timeout_s,
        ),
        bounds=QueueBounds(messages=links.incoming_frames),
    )
