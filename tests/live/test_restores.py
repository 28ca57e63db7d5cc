"""Real homes that are copied, put back and doubled: their neighbours tell them (G12, D11)."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.live.network import (
    CITY,
    COUNTY,
    BrokerPlan,
    Network,
    OfficePlan,
    Process,
    network,
    plan_text,
    until,
)

pytestmark = pytest.mark.live

PLAN = plan_text(
    [BrokerPlan("yancheng")],
    [OfficePlan(CITY, "city", ("yancheng",)), OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison")],
)


def alarms(lab: Network, office: str) -> dict[str, str]:
    return {alarm["code"]: alarm["detail"] for alarm in lab.status(office)["alarms"]}


def taken(lab: Network, office: str) -> tuple[list[str], list[str]]:
    """What is handed out now and acknowledged: (as new, as a repetition)."""
    new: list[str] = []
    again: list[str] = []
    for message in lab.take(office):
        (again if "redelivered" in message["flags"] else new).append(message["id"])
    with lab.daemon(office) as daemon:
        list(daemon.change("/v1/inbox/ack", {"ids": [*new, *again]}).many())
    return new, again


SOCKETS = shutil.ignore_patterns("*.sock")


def put_back(copy: Path, home: Path) -> None:
    shutil.rmtree(home)
    shutil.copytree(copy, home, ignore=SOCKETS)


def test_g12_g02_a_home_put_back_from_a_copy_is_told_and_hands_out_nothing_as_new_twice(tmp_path: Path) -> None:
    with network(tmp_path, PLAN) as lab:
        lab.up()
        early = [lab.send(CITY, COUNTY, f"早 {n}") for n in range(3)]
        for message in early:
            lab.wait_delivered(CITY, message)
        lab.kill(COUNTY)
        shutil.copytree(lab.home(COUNTY), tmp_path / "copy", ignore=SOCKETS)
        lab.start(COUNTY)
        assert sorted(taken(lab, COUNTY)[0]) == sorted(early)
        late = [lab.send(CITY, COUNTY, f"晚 {n}") for n in range(2)]
        for message in late:
            lab.wait_delivered(CITY, message)
        assert sorted(taken(lab, COUNTY)[0]) == sorted(late)
        ours = [lab.send(COUNTY, CITY, f"复 {n}") for n in range(3)]
        for message in ours:
            lab.wait_delivered(COUNTY, message)
        before: dict[str, Any] = lab.status(COUNTY)["home"]
        lab.kill(COUNTY)
        put_back(tmp_path / "copy", lab.home(COUNTY))
        lab.start(COUNTY)
        until(lambda: "RESTORED" in alarms(lab, COUNTY))
        after = lab.status(COUNTY)["home"]
        assert after["epoch"] != before["epoch"]
        assert after["restored_at"] is not None
        # Nothing is new that was handed out before, and what was not is told of by a gap.
        assert taken(lab, COUNTY) == ([], early)
        fresh = lab.send(CITY, COUNTY, "新")
        lab.wait_delivered(CITY, fresh)
        (message,) = lab.take(COUNTY)
        assert (message["id"], message["flags"]) == (fresh, ["gap"])
        # Its own numbers begin anew: nobody sees a gap that is none.
        again = lab.send(COUNTY, CITY, "再")
        lab.wait_delivered(COUNTY, again)
        assert all(message["flags"] == [] for message in lab.inbox(CITY))
        assert lab.relay(COUNTY, "home", "accept").one()["epoch"] == after["epoch"]
        assert alarms(lab, COUNTY) == {}
        lab.stop(COUNTY)
        lab.start(COUNTY)
        lab.wait_connected(COUNTY)
        lab.wait_delivered(COUNTY, lab.send(COUNTY, CITY, "三"))
        assert alarms(lab, COUNTY) == {}


def test_g12_a_clone_that_runs_beside_the_original_is_an_alarm_at_both(tmp_path: Path) -> None:
    with network(tmp_path, PLAN) as lab:
        lab.up()
        lab.kill(COUNTY)
        twin = "twin"
        shutil.copytree(lab.home(COUNTY), lab.home(twin), ignore=SOCKETS)
        argv = [str(lab.home(twin)) if part == str(lab.home(COUNTY)) else part for part in lab.offices[COUNTY].argv]
        lab.offices[twin] = Process(argv, tmp_path / "twin.log", lab.offices[COUNTY].environment)
        lab.start(COUNTY)
        lab.wait_connected(COUNTY)
        lab.start(twin)
        until(lambda: "CLONED" in alarms(lab, COUNTY), 30)
        until(lambda: {"CLONED", "RESTORED"} & alarms(lab, twin).keys() != set(), 30)
        assert lab.status(COUNTY)["home"]["epoch"] != lab.status(twin)["home"]["epoch"]
        assert "home accept" in alarms(lab, COUNTY)["CLONED"]
        # Each has connections of its own in the end, and the one that stays goes on alone.
        lab.kill(twin)
        lab.wait_connected(COUNTY, 30)
        lab.relay(COUNTY, "home", "accept").one()
        lab.wait_delivered(COUNTY, lab.send(COUNTY, CITY, "还在"), 30)
        assert "RESTORED" not in alarms(lab, COUNTY)
