"""A new office and an office that moves, with the commands that administrators run, real brokers and their grants."""

import getpass
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keys.ceremony.network import read_network
from keys.trust.store import TrustStore
from tests.live.network import (
    CITY,
    COUNTY,
    OTHER,
    PROVINCE,
    Network,
    Process,
    network,
    plan_text,
    province_city_counties,
)

pytestmark = pytest.mark.live

NEW_OFFICE, NEW_ADDRESS = "320925-GO", "321322-GO"


def administer(net: Network, *arguments: str) -> dict[str, object]:
    """A command on the administrator's directory."""
    return net.command("--home", str(net.lab / "root"), *arguments, "--json").one()


def enrol(net: Network, address: str) -> None:
    """From an empty directory to a home, by request and response; the broker's folder is brought up to date."""
    home, request, response = net.home(address), net.folder / "request", net.folder / "response"
    wish = ("--class", "county", "--parent", CITY, "--broker", "yancheng", "--standing", "liaison")
    asked = ("--address", address, "--network", "lab", "--root", net.root_fingerprint, "-o", str(request))
    made = net.relay(address, "keys", "init", *asked, *wish).one()
    assert administer(net, "keys", "fingerprint", str(request))["fingerprint"] == made["fingerprint"]
    administer(net, "keys", "approve", str(request), "-o", str(response))
    net.relay(address, "keys", "install", str(response)).one()
    folder = str(net.lab / "brokers" / "yancheng")
    user = ("--user", getpass.getuser())
    administer(net, "broker", "config", "yancheng", "--engine", "mosquitto", "--out", folder, *user)
    argv = [sys.executable, "-m", "relay", "--home", str(home), "run"]
    net.offices[address] = Process(argv, net.folder / f"{address}.log", net.offices[COUNTY].environment)


def carry_trust(net: Network) -> None:
    """The newest directory comes to every home by hand."""
    files = read_network(net.lab / "root").files
    for home in sorted((net.lab / "offices").iterdir()):
        store = TrustStore(home)
        store.load(time.time_ns() // 1_000)
        assert store.update(files, time.time_ns() // 1_000).code is None


def test_g01_g10_an_office_enrols_and_another_moves_with_mail_on_its_way(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as net:
        enrol(net, NEW_OFFICE)
        date = datetime.now(UTC) + timedelta(seconds=8)
        moved = administer(
            net, "keys", "change", COUNTY, "--address", NEW_ADDRESS, "--parent", NEW_OFFICE, "--from", date.isoformat()
        )
        assert moved["state"] == "done"
        carry_trust(net)
        net.up(but=[COUNTY, OTHER])
        before = net.send(PROVINCE, COUNTY, "to the old address, before the date")
        # The new office sends and is sent to, past the grants of a broker that knows it by its certificate.
        net.wait_delivered(NEW_OFFICE, net.send(NEW_OFFICE, PROVINCE, "we are here"))
        net.wait_delivered(PROVINCE, net.send(PROVINCE, NEW_OFFICE, "welcome"))
        time.sleep(max(0.0, (date - datetime.now(UTC)).total_seconds()) + 1.5)
        late = net.relay(PROVINCE, "send", "--to", COUNTY, "--title", "to the old address, after it").one()
        assert (late["to"], late["renamed"]) == ([COUNTY], [{"to": COUNTY, "now": NEW_ADDRESS}])
        # Its settings still call it by the old name, and so do its certificate and its topics.
        net.start(COUNTY)
        net.wait_delivered(PROVINCE, before)
        net.wait_delivered(PROVINCE, str(late["id"]))
        net.wait_delivered(CITY, net.send(CITY, NEW_ADDRESS, "to the new address"))
        net.wait_delivered(COUNTY, net.send(COUNTY, PROVINCE, "from the new place"))
        assert net.status(COUNTY)["office"] == NEW_ADDRESS
        assert {each["from"] for each in net.inbox(PROVINCE)} == {NEW_ADDRESS, NEW_OFFICE}
        found = net.relay(COUNTY, "doctor").out
        assert "OFFICE_RENAMED" in found
