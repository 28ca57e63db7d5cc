"""A working network goes over from Ed25519 to SM2, office by office, while mail flows; then only suite 3 is allowed."""

from pathlib import Path
from typing import Any

import pytest

from tests.gm import needs_gm
from tests.live.network import CITY, COUNTY, BrokerPlan, Network, OfficePlan, network, plan_text, until
from tests.live.test_rotations import SETTINGS, audit, check_all_arrived, root, traffic

pytestmark = [pytest.mark.live, needs_gm]

PLAN = plan_text(
    [BrokerPlan("yancheng")],
    [OfficePlan(CITY, "city", ("yancheng",)), OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison")],
    SETTINGS,
)


def go_over(lab: Network, office: str, folder: Path) -> None:
    """New signing keys, SM2 this time; used once the directory names them, and a prekey of suite 3 with them."""
    request, response = folder / f"{office}.request", folder / f"{office}.response"
    lab.relay(office, "keys", "rotate", "identity", "--suite", "gm", "-o", str(request)).one()
    root(lab, "keys", "approve", str(request), "-o", str(response))
    root(lab, "keys", "publish")
    lab.relay(office, "keys", "install", str(response)).one()
    until(lambda: '"did":"identity"' in audit(lab, office), 30)


def suites(lab: Network, *words: str) -> Any:
    """Change the rules, publish, and wait until everybody has them."""
    version = root(lab, "keys", "rules", *words)["version"]
    root(lab, "keys", "publish")
    for office in (CITY, COUNTY):
        until(lambda office=office: lab.status(office)["trust"]["version"] >= version, 30)  # type: ignore[misc]


def test_g01_g02_g10_a_network_goes_over_to_sm2_and_loses_nothing(tmp_path: Path) -> None:
    with network(tmp_path, PLAN) as lab:
        lab.up()
        with traffic(lab) as sent:
            suites(lab, "--suite", "1", "--suite", "gm")
            for office in (COUNTY, CITY):
                go_over(lab, office, tmp_path)
                count = len(sent)
                until(lambda count=count: len(sent) > count + 4)  # type: ignore[misc]
        check_all_arrived(lab, sent)
        # Whoever had the new directory a moment later than the neighbour asked for a frame again; nothing else was odd.
        held = [one for office in (CITY, COUNTY) for one in lab.relay(office, "quarantine", "list").many()]
        assert {one["code"] for one in held} <= {"UNKNOWN_KEY"}
        # Everybody has gone over: the way back is closed, and mail still flows.
        suites(lab, "--suite", "gm")
        for sender, recipient in ((CITY, COUNTY), (COUNTY, CITY)):
            lab.wait_delivered(sender, lab.send(sender, recipient, "国密"), 30)
