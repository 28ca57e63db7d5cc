"""The administrator's directory on its way: through the network office's daemon to everybody, or by hand (D8, G14)."""

import time
from pathlib import Path

import pytest

from tests.live.network import (
    CITY,
    COUNTY,
    PROVINCE,
    Network,
    network,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

LEARN_S = 10.0
"""Within this time connected offices know (CONTRACT section 11)."""


def act(lab: Network, *arguments: str) -> dict[str, object]:
    """An administrator's command."""
    said = lab.command("--home", str(lab.lab / "root"), "keys", *arguments, "--json")
    assert said.exit == 0, said
    return said.one()


def known(lab: Network, office: str) -> int:
    return int(lab.status(office)["trust"]["version"])


def test_g14_what_is_published_is_known_two_brokers_away_within_ten_seconds(tmp_path: Path) -> None:
    brokers, offices = province_city_counties()
    with network(tmp_path, plan_text(brokers, offices)) as lab:
        lab.up()
        with lab.daemon(COUNTY) as daemon:
            before = daemon.read("/v1/trust").one()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for version, arguments in (
            (2, ("revoke", offices[-1].address, "--since", now, "--reason", "drill")),
            (2, ("suspend", CITY, "--for", "1h", "--reason", "drill")),
            (2, ("rotate", "root")),
        ):
            assert act(lab, *arguments)["state"] == "done"
            published = act(lab, "publish")
            assert (published["version"], published["brokers"]) == (version, ["province"])
            started_s = time.monotonic()
            wanted = files(lab, PROVINCE)
            until(lambda: all(files(lab, office) == wanted for office in (CITY, COUNTY)), LEARN_S)  # noqa: B023
            print(f"{arguments[0]}: known everywhere after {time.monotonic() - started_s:.1f} s")
        # The daily timestamp, unattended; and what is published again changes nothing.
        act(lab, "publish", "--timestamp")
        until(lambda: files(lab, COUNTY) == files(lab, PROVINCE) != wanted, LEARN_S)
        assert act(lab, "publish")["changed"] is False
        # By hand to one that no network reaches: nothing older is taken, and nothing is taken back.
        lab.stop(COUNTY)
        act(lab, "rotate", "timestamp")
        by_hand = tmp_path / "directory"
        act(lab, "publish", "--to-file", str(by_hand))
        taken = lab.relay(COUNTY, "keys", "pull", "--from-file", str(by_hand)).one()
        assert taken["changed"] is True
        lab.start(COUNTY)
        root = lab.lab / "root"
        newest = max((root / "network").iterdir())
        assert files(lab, COUNTY)["timestamp.json"] != before["files"]["timestamp.json"]
        assert lab.relay(COUNTY, "keys", "show").one()["root_version"] == 3
        assert act(lab, "pull")["changed"] is False, "the province knows nothing newer than its administrator"
        assert newest == max((root / "network").iterdir())
        said = lab.command("--home", str(root), "keys", "publish", "--office-home", str(root), "--json")
        assert (said.exit, said.error()["code"]) == (69, "DAEMON_DOWN")


def files(lab: Network, office: str) -> dict[str, str]:
    with lab.daemon(office) as daemon:
        found: dict[str, str] = daemon.read("/v1/trust").one()["files"]
        return found
