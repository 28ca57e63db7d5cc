"""A broker with certificates in a temporary folder, started and ended by its own process handle."""

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config.schema import Broker
from keys.tls import Authority, new_authority
from protocol.ids import Address
from protocol.topics import subscriptions
from relay.brokers import mosquitto, nats
from relay.brokers.site import Site, write_tls
from relay.mqtt import MqttTransport, QueueBounds, Will
from relay.mqtt_link import Timing
from relay.mqtt_socket import TlsFiles
from relay.ports import Arrived, LinkChanged
from tests.certificates import office_credential
from tests.live import rabbit

ENGINES = {"mosquitto": mosquitto.write, "nats": nats.write}
QUICK = Timing(retry_min_s=0.05, retry_max_s=0.2, keepalive_s=2, connect_s=3, publish_s=3)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class RunningBroker:
    def __init__(self, folder: Path, engine: str, offices: tuple[Address, ...], *, tls: bool = True) -> None:
        self.folder, self.engine = folder / "broker", engine
        self.port = free_port()
        self.authority: Authority = new_authority("test", days=2)
        site = Site("province", self.folder, "127.0.0.1", self.port, tls, offices)
        if tls:
            server = self.authority.issue_server(("127.0.0.1", "localhost"), days=2)
            write_tls(self.folder, self.authority.credential.certificate, server, self.authority.issue_spare(days=2))
        if engine == "rabbitmq":
            rabbit.write(site, self.folder, free_port(), free_port())
        else:
            ENGINES[engine](site, self.folder)
        self.settings = Broker(id="province", engine=engine, port=self.port, tls=tls)  # type: ignore[arg-type]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = json.loads((self.folder / "argv.json").read_text())
        with (self.folder / "log").open("ab") as log:
            own_group = self.engine == "rabbitmq"
            self.process = subprocess.Popen(argv, cwd="/", stdout=log, stderr=log, start_new_session=own_group)
        deadline = time.monotonic() + (180 if self.engine == "rabbitmq" else 30)
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process is not None and self.engine == "rabbitmq":
            rabbit.end(self.process, self.folder)
            self.process = None
        elif self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def files_of(self, office: Address) -> TlsFiles:
        certificate, key = self.folder / f"{office}.pem", self.folder / f"{office}.key"
        if not certificate.exists():
            issued = office_credential(self.authority, office, days=2)
            certificate.write_bytes(issued.certificate)
            key.write_bytes(issued.key)
        return TlsFiles(self.folder / "ca.pem", certificate, key)


@contextmanager
def running(folder: Path, engine: str, offices: tuple[Address, ...], *, tls: bool = True) -> Iterator[RunningBroker]:
    broker = RunningBroker(folder, engine, offices, tls=tls)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Peer:
    """A transport that keeps what it hears."""

    def __init__(
        self,
        broker: Broker,
        office: Address,
        files: TlsFiles | None,
        *,
        filters: Mapping[str, tuple[str, ...]] | None = None,
        will: Will | None = None,
        secret: str = "",
        on_arrived: Callable[[Arrived], None] | None = None,
        bounds: QueueBounds | None = None,
        timing: Timing = QUICK,
    ) -> None:
        self.arrived: list[Arrived] = []
        self.changes: list[LinkChanged] = []
        self.hold: asyncio.Event = asyncio.Event()
        self.hold.set()
        self.transport = MqttTransport(
            [broker],
            files=files,
            client_secret=secret or f"{office}-test",
            filters=filters or {group: subscriptions(office, group) for group in ("fast", "slow")},
            will_for=lambda broker_id, group: will,
            on_arrived=self._on_arrived,
            on_changed=self._on_changed,
            now_us=lambda: time.time_ns() // 1000,
            timing=timing,
            bounds=bounds,
        )

    async def _on_arrived(self, arrived: Arrived) -> None:
        self.arrived.append(arrived)
        await self.hold.wait()

    async def _on_changed(self, change: LinkChanged) -> None:
        self.changes.append(change)

    def is_up(self) -> bool:
        return all(link.state == "connected" for link in self.transport.links())

    def payloads(self) -> list[bytes]:
        return [arrived.payload for arrived in self.arrived]

    async def __aenter__(self) -> "Peer":
        await self.transport.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.stop()


async def until(condition: Callable[[], bool], *, within_s: float = 8) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
