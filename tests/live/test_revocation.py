"""An office is revoked in a running network: province - broker - city - broker - counties (G14)."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.network import CITY, COUNTY, OTHER, PROVINCE, Network, network, plan_text, province_city_counties, until

EFFECT_S, SPREAD_S = 5.0, 60.0
"""G14: at a node that has the directory, and everywhere that is connected."""
SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
keepalive_s = 5
[settings.trust]
refresh_s = 5
"""


def versions(lab: Network, *offices: str) -> list[int]:
    return [lab.status(office)["trust"]["version"] for office in offices]


def flags(lab: Network, office: str) -> dict[str, list[str]]:
    return {one["title"]: one["flags"] for one in lab.inbox(office)}


def alarms(lab: Network, office: str) -> dict[str, str]:
    return {one["code"]: one["detail"] for one in lab.status(office)["alarms"]}


def noted(lab: Network, office: str) -> list[str]:
    """What the audit log says of the revocation, in order."""
    files = sorted((lab.home(office) / "audit").glob("*.jsonl"))
    lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
    did = [json.loads(line)["did"] for line in lines]
    return [word for word in did if word in ("refused", "doubted", "revocation")]


def root(lab: Network, *words: str) -> Any:
    said = lab.command("--home", str(lab.lab / "root"), "keys", *words, "--json")
    return said.one()


@pytest.mark.timeout(180)
def test_g14_a_revocation_reaches_every_office_of_a_chain_and_is_in_force_there(tmp_path: Path) -> None:
    plan = plan_text(*province_city_counties(), settings=SETTINGS)
    with network(tmp_path, plan) as lab:
        lab.up()
        before = lab.send(COUNTY, PROVINCE, "before")
        lab.wait_delivered(COUNTY, before)
        time.sleep(0.1)
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000 % 1_000_000:06}Z"
        after = lab.send(COUNTY, PROVINCE, "after")
        lab.wait_delivered(COUNTY, after)
        lab.stop(COUNTY)
        queued = lab.send(PROVINCE, COUNTY, "to the thief")
        until(lambda: lab.state(PROVINCE, queued) == "custody")
        said = root(lab, "revoke", COUNTY, "--since", since, "--reason", "laptop stolen")
        assert (said["version"], said["since"]) == (2, since)
        assert root(lab, "publish")["version"] == 2
        began = time.monotonic()
        until(lambda: versions(lab, PROVINCE, CITY, OTHER) == [2, 2, 2], SPREAD_S)
        print(f"three offices over two brokers knew it after {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        until(lambda: flags(lab, PROVINCE) == {"before": [], "after": ["doubted"]}, EFFECT_S)
        until(lambda: lab.state(PROVINCE, queued) == "refused", EFFECT_S)
        print(f"it had its effect at the province {time.monotonic() - began:.1f} s later")
        (recipient,) = lab.track(PROVINCE, queued)["recipients"]
        assert (recipient["code"], recipient["final"]) == ("REVOKED", True)
        refusal = lab.relay(OTHER, "send", "--to", COUNTY, "--title", "t")
        assert (refusal.exit, refusal.error()["code"]) == (65, "REVOKED")
        assert COUNTY in alarms(lab, CITY)["OFFICE_REVOKED"]
        # The thief goes on, and hears of it like everybody: nothing of it is believed any more.
        lab.start(COUNTY)
        until(lambda: versions(lab, COUNTY) == [2], SPREAD_S)
        refusal = lab.relay(COUNTY, "send", "--to", PROVINCE, "--title", "t")
        assert (refusal.exit, refusal.error()["code"]) == (65, "REVOKED")
        assert lab.command("audit", "verify", home=PROVINCE).exit == 0
        until(lambda: noted(lab, PROVINCE) == ["refused", "doubted", "revocation"])
        assert [len(lab.inbox(office)) for office in (PROVINCE, CITY, OTHER)] == [2, 0, 0]
        # The quick brake: another county is stopped by one administrator, and let go again; nothing is lost.
        root(lab, "suspend", OTHER, "--for", "1h", "--reason", "drill")
        root(lab, "publish")
        until(lambda: all(OTHER in alarms(lab, one).get("OFFICE_SUSPENDED", "") for one in (PROVINCE, CITY)), SPREAD_S)
        waits = lab.send(OTHER, CITY, "waits")
        time.sleep(2)
        assert lab.state(OTHER, waits) == "accepted"
        assert lab.inbox(CITY) == []
        root(lab, "suspend", OTHER, "--lift")
        root(lab, "publish")
        lab.wait_delivered(OTHER, waits, SPREAD_S)
        assert flags(lab, CITY) == {"waits": []}
