"""A broker that lies in every way MQTT leaves it: nothing is lost, altered or handed out twice (G1, G2, G3, G7)."""

from collections import Counter
from pathlib import Path

import pytest

from tests.live.liar import Liar
from tests.live.network import CITY, COUNTY, BrokerPlan, OfficePlan, network, plan_text, until
from tests.live.running import free_port

pytestmark = pytest.mark.live

MESSAGES = 60
SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
keepalive_s = 2
publish_timeout_s = 1
[settings.links.patience_s]
flash = 2
urgent = 2
priority = 2
routine = 2
[settings.inbox]
redeliver_s = 300
"""


@pytest.mark.timeout(180)
def test_g01_g02_g03_g07_a_lying_broker_loses_alters_and_repeats_nothing(tmp_path: Path) -> None:
    port = free_port()
    offices = (
        OfficePlan(CITY, "city", ("open",)),
        OfficePlan(COUNTY, "county", ("open",), CITY, "liaison"),
    )
    plan = plan_text((BrokerPlan("open", tls=False),), offices, SETTINGS, extra=f"[offices.connect]\nopen = {port}\n")
    with network(tmp_path, plan) as lab:
        listens = int(next(line for line in plan.splitlines() if line.startswith("port")).split("=")[1])
        liar = Liar(port, listens, seed=1)
        try:
            lab.up()
            liar.honest = False
            bodies = {}
            for number in range(MESSAGES):
                body = f"{number} " + "水位上涨。" * 50
                bodies[lab.send(COUNTY, CITY, f"报告{number}", body)] = body
            new: Counter[str] = Counter()
            until(lambda: lab.counters(CITY)["received"] >= MESSAGES, 90, 0.2)
            until(lambda: lab.counters(COUNTY)["delivered"] >= MESSAGES, 60, 0.2)
            for message in lab.take(CITY):
                new[message["id"]] += 1
                assert message["body"] == bodies[message["id"]]
            assert new == Counter(dict.fromkeys(bodies, 1))
            for message_id in bodies:
                assert lab.state(COUNTY, message_id) == "delivered"
            print(dict(liar.done))
            assert {"swallow", "swallow and forge PUBACK", "twice", "later"} <= set(liar.done)
            for office in (CITY, COUNTY):
                assert lab.offices[office].running
                assert "Traceback" not in lab.log(office)
        finally:
            lab.down()
            liar.close()
