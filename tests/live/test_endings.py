"""Messages that end undelivered, with real daemons: verdicts by tombstones, cancelling, corrections (G8)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.network import CITY, COUNTY, Network, network, plan_text, province_city_counties, until

pytestmark = pytest.mark.live

SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
keepalive_s = 5
[settings.receipts]
gap_notice_s = 1
grace_s = 10
settle_s = 1
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    with network(tmp_path_factory.mktemp("endings"), plan_text(brokers, offices[:3], SETTINGS)) as found:
        found.up()
        yield found


def absent(lab: Network) -> None:
    """The city is gone, and what the broker kept for it too."""
    lab.kill(CITY)
    until(lambda: CITY not in lab.status(COUNTY)["links"][0]["peers"])


def forgetful(lab: Network) -> None:
    """The broker loses its memory."""
    lab.kill_broker("yancheng")
    lab.wipe_broker("yancheng")
    lab.start_broker("yancheng")
    lab.wait_connected(COUNTY)


def test_g08_a_recipient_that_is_back_in_time_proves_that_it_was_not_delivered(lab: Network, tmp_path: Path) -> None:
    absent(lab)
    message = lab.send(COUNTY, CITY, "过期", expires_in="2s")
    until(lambda: ("tombstone", COUNTY) in lab.events(COUNTY, message))
    lab.start(CITY)
    lab.wait_state(COUNTY, message, "expired")
    assert ("expired", CITY) in lab.events(COUNTY, message)
    assert message not in [one["id"] for one in lab.inbox(CITY)]
    file = tmp_path / "evidence"
    assert lab.relay(COUNTY, "evidence", message, "-o", str(file)).exit == 0
    verified = json.loads(lab.relay(COUNTY, "verify", str(file)).out)
    assert (verified["ok"], [one["type"] for one in verified["receipts"]][-1]) == (True, "tombstone")


def test_g08_g09_silence_is_unconfirmed_and_what_is_said_later_a_correction(lab: Network) -> None:
    absent(lab)
    message = lab.send(COUNTY, CITY, "无回音", expires_in="2s")
    lab.wait_state(COUNTY, message, "unconfirmed", 40)
    lab.start(CITY)
    until(lambda: ("correction", CITY) in lab.events(COUNTY, message), 40)
    assert lab.state(COUNTY, message) == "unconfirmed"


def test_what_is_under_way_is_cancelled(lab: Network) -> None:
    absent(lab)
    message = lab.send(COUNTY, CITY, "撤销", expires_in="1h")
    until(lambda: any(one["stage"] != "waiting" for one in lab.relay(COUNTY, "queue", "list").many()))
    forgetful(lab)
    said = lab.relay(COUNTY, "cancel", message).one()
    assert (said["cancelled"], said["requested"], said["not_cancelled"]) == ([], [CITY], [])
    lab.start(CITY)
    lab.wait_state(COUNTY, message, "expired")
    assert [kind for kind, _ in lab.events(COUNTY, message)][-2:] == ["cancelled", "expired"]
    assert message not in [one["id"] for one in lab.inbox(CITY)]
    assert lab.relay(COUNTY, "cancel", message).one()["cancelled"] == [CITY]
