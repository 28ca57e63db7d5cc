"""Two relays over RabbitMQ, where it is installed: they find each other, deliver, and survive the broker (G1, G16)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.ids import Address
from relay.brokers.site import Site
from tests.live import rabbit
from tests.live.network import COUNTY, PROVINCE, BrokerPlan, Network, OfficePlan, network, plan_text, until
from tests.live.running import free_port

pytestmark = [pytest.mark.live, rabbit.needs_rabbitmq, pytest.mark.timeout(240)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    """A laboratory whose broker is replaced by RabbitMQ, on its port and with its certificates."""
    offices = (
        OfficePlan(PROVINCE, "province", ("province",)),
        OfficePlan(COUNTY, "county", ("province",), PROVINCE, "direct"),
    )
    plan = plan_text((BrokerPlan("province"),), offices)
    port = next(int(line.split("=")[1]) for line in plan.splitlines() if line.startswith("port"))
    with network(tmp_path, plan) as found:
        folder = found.lab / "brokers" / "province"
        (folder / "argv.json").unlink()
        site = Site("province", folder, "127.0.0.1", port, True, (Address(COUNTY), Address(PROVINCE)))
        rabbit.write(site, folder, free_port(), free_port())
        for office in (PROVINCE, COUNTY):
            settings = found.home(office) / "relay.toml"
            settings.write_text(settings.read_text().replace('engine = "mosquitto"', 'engine = "rabbitmq"'))
        yield found


def test_g01_g16_two_relays_find_each_other_on_rabbitmq_and_survive_its_end(lab: Network) -> None:
    folder = lab.lab / "brokers" / "province"
    broker = rabbit.start(folder)
    try:
        # One after the other, so that the second has only what is retained to know the first by.
        for office in (PROVINCE, COUNTY):
            lab.start(office)
            lab.wait_connected(office)
        for office, other in ((PROVINCE, COUNTY), (COUNTY, PROVINCE)):
            until(lambda office=office, other=other: other in str(lab.status(office)["links"]))  # type: ignore[misc]
            lab.wait_delivered(office, lab.send(office, other, "经由另一种代理"), 30)
        rabbit.end(broker, folder)
        message = lab.send(COUNTY, PROVINCE, "代理中断之时")
        broker = rabbit.start(folder)
        lab.wait_delivered(COUNTY, message, 60)
    finally:
        rabbit.end(broker, folder)
