"""Keys are renewed while mail flows: nothing is lost, nothing comes twice, nobody restarts but for the storage key."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keys.tls import expires_us
from tests.live.network import CITY, COUNTY, PROVINCE, BrokerPlan, Network, OfficePlan, network, plan_text, until

pytestmark = pytest.mark.live

SETTINGS = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
[settings.links.patience_s]
flash = 1
urgent = 1
priority = 1
routine = 2
bulk = 2
[settings.prekeys]
look_s = 0.3
[settings.trust]
adopt_s = 1
"""
PLAN = plan_text(
    [BrokerPlan("province")],
    [
        OfficePlan(PROVINCE, "province", ("province",)),
        OfficePlan(CITY, "city", ("province",), PROVINCE),
        OfficePlan(COUNTY, "county", ("province",), CITY, "liaison"),
    ],
    SETTINGS,
)


@contextmanager
def traffic(lab: Network) -> Iterator[list[tuple[str, str, str]]]:
    """Mail both ways between city and county as long as the block lasts: (sender, recipient, id) of what was taken."""
    sent: list[tuple[str, str, str]] = []
    stop = threading.Event()

    def pump() -> None:
        while not stop.wait(0.1):
            for sender, recipient in ((CITY, COUNTY), (COUNTY, CITY)):
                if lab.offices[sender].running:
                    try:
                        sent.append((sender, recipient, lab.send(sender, recipient, f"第 {len(sent)} 份")))
                    except Exception:  # noqa: BLE001 - a daemon that starts or stops; what was not answered is not counted
                        time.sleep(0.1)

    thread = threading.Thread(target=pump)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def check_all_arrived(lab: Network, sent: list[tuple[str, str, str]]) -> None:
    """Every message is delivered, and was handed out as new exactly once."""
    for sender, _, message in sent:
        lab.wait_delivered(sender, message, 30)
    for office in (CITY, COUNTY):
        expected = {message for _, recipient, message in sent if recipient == office}
        taken = [one for one in lab.take(office) if "redelivered" not in one["flags"]]
        new = [one["id"] for one in taken]
        assert len(new) == len(set(new))
        assert expected <= set(new)


def root(lab: Network, *words: str) -> dict[str, Any]:
    return lab.command("--home", str(lab.lab / "root"), *words, "--json").one()


def renew(lab: Network, office: str, what: str, folder: Path) -> dict[str, Any]:
    """Request, approval, publication, installation; as people would, with the commands."""
    request, response = folder / f"{what}.request", folder / f"{what}.response"
    lab.relay(office, "keys", "rotate", what, "-o", str(request)).one()
    root(lab, "keys", "approve", str(request), "-o", str(response))
    if what == "identity":
        root(lab, "keys", "publish")
    return lab.relay(office, "keys", "install", str(response)).one()


def audit(lab: Network, office: str) -> str:
    return "".join(path.read_text() for path in sorted((lab.home(office) / "audit").glob("*.jsonl")))


def test_g01_g02_keys_are_rotated_during_traffic_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    with network(tmp_path, PLAN) as lab:
        lab.up()
        keys = lab.home(COUNTY) / "keys"
        names = ("identity.key", "second.key", "tls.pem")
        identity, second, certificate = ((keys / name).read_bytes() for name in names)
        with traffic(lab) as sent:
            until(lambda: len(sent) > 6)
            # Prekey: at once, by the running relay.
            before = lab.relay(COUNTY, "keys", "rotate", "prekey").one()
            assert before["epoch"] == 2
            # TLS: a new certificate, and connections made anew.
            renewed = renew(lab, COUNTY, "tls", tmp_path)
            assert renewed["renewed"]
            until(lambda: '"did":"certificate"' in audit(lab, COUNTY), 10)
            assert (keys / "tls.pem").read_bytes() != certificate
            assert expires_us((keys / "tls.pem").read_bytes()) >= expires_us(certificate)
            lab.wait_connected(COUNTY)
            # Identity: used as soon as the directory that names it is here, and prekeys are signed by it too.
            renew(lab, COUNTY, "identity", tmp_path)
            until(lambda: '"did":"identity"' in audit(lab, COUNTY), 30)
            until(lambda: audit(lab, COUNTY).count('"did":"own_prekey"') >= 2, 10)
            assert (keys / "identity.key").read_bytes() != identity
            assert (keys / "second.key").read_bytes() != second
            assert not (keys / "next").exists()
            count = len(sent)
            until(lambda: len(sent) > count + 6)
            # Storage: the relay stops for it; the others wait.
            lab.stop(COUNTY)
            storage = (keys / "storage.key").read_bytes()
            assert lab.relay(COUNTY, "keys", "rotate", "storage").one()["rows"] > 0
            assert (keys / "storage.key").read_bytes() != storage
            lab.start(COUNTY)
            lab.wait_connected(COUNTY)
            count = len(sent)
            until(lambda: len(sent) > count + 6)
        check_all_arrived(lab, sent)
        assert lab.counters(CITY)["quarantined"] == lab.counters(COUNTY)["quarantined"] == 0
        found = lab.relay(COUNTY, "doctor").many()
        assert {one["check"]: one["result"] for one in found}["validity"] == "PASS"


def test_what_ends_is_told_in_time(tmp_path: Path) -> None:
    with network(tmp_path, PLAN) as lab:
        said = lab.relay(COUNTY, "keys", "needs-renewal")
        assert said.exit == 1
        lab.up()
        said = lab.relay(COUNTY, "keys", "needs-renewal", "--within", "30d")
        assert said.exit == 1
        items = {one["what"]: one for one in json.loads(said.out)["items"]}
        assert {"identity", "second", "tls", "tls_ca", "prekey", "root", "targets", "snapshot", "timestamp"} <= set(
            items
        )
        assert not any(one["due"] for one in items.values())
        said = lab.relay(COUNTY, "keys", "needs-renewal", "--within", "800d")
        assert said.exit == 0
        due = {one["what"] for one in json.loads(said.out)["items"] if one["due"]}
        assert "identity" in due
        assert lab.command("--home", str(lab.lab / "root"), "keys", "needs-renewal", "--json").exit == 1
