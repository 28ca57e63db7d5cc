"""A lab's brokers start as `argv.json` says, and its homes can connect with what they hold."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from config.load import load
from keys.tls import dns_name
from protocol.ids import Address
from protocol.lanes import Lane
from protocol.topics import frame_topic
from relay.lab.create import LabReport, create_lab
from relay.mqtt_socket import TlsFiles
from tests.live.running import Peer, free_port, until

pytestmark = pytest.mark.live

CITY, COUNTY = Address("320900-GO"), Address("320924-GO")


def make(folder: Path, *, tls: bool) -> LabReport:
    brokers = "".join(
        f'[[brokers]]\nid = "{engine}"\nengine = "{engine}"\nport = {free_port()}\ntls = {str(tls).lower()}\n'
        for engine in ("mosquitto", "nats")
    )
    offices = "".join(
        f'[[offices]]\naddress = "{address}"\nclass = "county"\nbrokers = ["mosquitto", "nats"]\n'
        for address in (CITY, COUNTY)
    )
    (folder / "plan.toml").write_text(f'network = "lab"\n{brokers}{offices}')
    return create_lab(folder / "plan.toml", folder / "a lab")


@pytest.mark.parametrize("tls", [True, False])
def test_homes_of_a_lab_reach_each_other_over_its_brokers(tmp_path: Path, *, tls: bool) -> None:
    lab = make(tmp_path, tls=tls)

    async def story() -> None:
        peers: dict[tuple[str, Address], Peer] = {}
        for address in (CITY, COUNTY):
            keys = Path(lab.homes[address]) / "keys"
            files = TlsFiles(keys / "ca.pem", keys / "tls.pem", keys / "tls.key") if tls else None
            for broker in load(Path(lab.homes[address])).settings.brokers:
                peers[broker.id, address] = Peer(broker, address, files)
                await peers[broker.id, address].transport.start()
        for engine in ("mosquitto", "nats"):
            sender, receiver = peers[engine, COUNTY], peers[engine, CITY]
            await until(lambda s=sender, r=receiver: s.is_up() and r.is_up())  # type: ignore[misc]
            assert await sender.transport.publish(engine, "fast", frame_topic(CITY, Lane.FLASH, COUNTY), b"x")
            await until(lambda r=receiver: r.payloads() == [b"x"])  # type: ignore[misc]
        await asyncio.gather(*(peer.transport.stop() for peer in peers.values()))

    processes = []
    try:
        for engine in ("mosquitto", "nats"):
            folder = Path(lab.directory) / "brokers" / engine
            with (folder / "log").open("wb") as log:
                argv = json.loads((folder / "argv.json").read_text())
                processes.append(subprocess.Popen(argv, cwd="/", stdout=log, stderr=log))
        asyncio.run(story())
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)
    assert dns_name(COUNTY) == "320924-go.office"
