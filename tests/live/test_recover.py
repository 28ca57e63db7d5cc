"""A home that is lost and comes back from its key backup; a storage key that is asked for at the start."""

import os
import pty
import select
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from keys.ceremony.network import read_network
from keys.trust.store import TrustStore
from tests.keys.acts import publish_directory
from tests.live.network import (
    CITY,
    COUNTY,
    BrokerPlan,
    Network,
    OfficePlan,
    find_canaries,
    network,
    plan_text,
    until,
)

pytestmark = pytest.mark.live
PLAN = plan_text(
    [BrokerPlan("yancheng")],
    [OfficePlan(CITY, "city", ("yancheng",)), OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison")],
)
PASSPHRASE = "three herons over the salt marsh"


def alarms(lab: Network, office: str) -> set[str]:
    return {alarm["code"] for alarm in lab.status(office)["alarms"]}


def keys(lab: Network, home: Path, *words: str) -> dict[str, Any]:
    return lab.command("keys", *words, "--home", str(home), "--json").one()


def test_g12_g14_an_office_that_lost_its_disk_comes_back_from_the_backup_of_its_keys(tmp_path: Path) -> None:
    secret, file = tmp_path / "secret", tmp_path / "county.backup"
    secret.write_text(PASSPHRASE + "\n")
    with network(tmp_path, PLAN) as lab:
        lab.up()
        home = lab.home(COUNTY)
        keys(lab, home, "backup", "-o", str(file), "--passphrase-file", str(secret))
        for message in [lab.send(CITY, COUNTY, "前"), lab.send(CITY, COUNTY, "又")]:
            lab.wait_delivered(CITY, message)
        ours = lab.send(COUNTY, CITY, "报")
        lab.wait_delivered(COUNTY, ours)
        before = lab.status(COUNTY)["home"]["epoch"]
        version = publish(lab)
        lab.kill(COUNTY)
        shutil.rmtree(home)
        meanwhile = lab.send(CITY, COUNTY, "磁盘坏时发出")

        assert keys(lab, home, "recover", str(file), "--passphrase-file", str(secret))["address"] == COUNTY
        lab.start(COUNTY)
        # Neighbours and brokers show it what it signed before, so it begins a life of its own.
        until(lambda: "RESTORED" in alarms(lab, COUNTY), 30)
        assert lab.status(COUNTY)["home"]["epoch"] != before
        # It speaks and is heard; nobody is told of a gap that is none, and nothing comes twice.
        lab.wait_delivered(COUNTY, lab.send(COUNTY, CITY, "复"))
        assert [message["flags"] for message in lab.inbox(CITY)] == [[], []]
        # What was sealed to the prekey that died with the disk is sealed again to the next one.
        lab.wait_delivered(CITY, meanwhile, 40)
        assert [message["id"] for message in lab.inbox(COUNTY)] == [meanwhile]
        assert "resealed" in {kind for kind, _ in lab.events(CITY, meanwhile)}
        # The directory of the backup is old; it is brought up to date and never goes back.
        until(lambda: lab.status(COUNTY)["trust"]["version"] == version, 30)
        lab.relay(COUNTY, "home", "accept").one()
        assert alarms(lab, COUNTY) == set()


def typed_at_a_terminal(argv: Sequence[str], environment: Mapping[str, str], passphrase: str) -> bool:
    """Whether a daemon on a terminal asks for the passphrase without showing it, and is READY then."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, {**environment, "CREDENTIALS_DIRECTORY": ""})  # noqa: S606 - a child with a terminal
    said, typed, deadline = "", False, time.monotonic() + 30
    try:
        while "READY" not in said and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 4_096).decode()
            if not typed and said.rstrip().endswith(":"):
                os.write(terminal, passphrase.encode() + b"\n")
                typed = True
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return typed and "READY" in said and passphrase not in said


def publish(lab: Network) -> int:
    """A newer directory, as `keys publish` would bring it to the city; its version."""

    now_us, root = time.time_ns() // 1_000, lab.lab / "root"
    passphrase = (root / "passphrase").read_bytes()
    directory = read_network(root).directory
    made = publish_directory(root, directory, now_us, unlock=lambda _label: passphrase)
    lab.kill(CITY)
    store = TrustStore(lab.home(CITY))
    store.load(now_us)
    assert store.update(made.files, now_us).changed
    lab.start(CITY)
    lab.wait_connected(CITY)
    return made.directory.version


def test_g11_a_daemon_takes_its_passphrase_at_the_start_and_keeps_it_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    secret = credentials / "relay.passphrase"
    secret.write_text(PASSPHRASE + "\n")
    with network(tmp_path, PLAN) as lab:
        assert keys(lab, lab.home(COUNTY), "passwd", "--new-passphrase-file", str(secret))["kept"] == "passphrase"

        def refused() -> tuple[int, str]:
            said = lab.command("run", "--json", home=COUNTY)
            return said.exit, said.error()["code"]

        assert refused() == (65, "NO_PASSPHRASE")
        lab._environment["CREDENTIALS_DIRECTORY"] = str(credentials)
        lab.adopt(COUNTY)
        lab.up()
        lab.wait_delivered(COUNTY, lab.send(COUNTY, CITY, "由口令开启"))
        assert lab.stop(COUNTY) == 0
        assert lab.relay(COUNTY, "fsck").one()["ok"] is True
        assert typed_at_a_terminal(lab.offices[COUNTY].argv, lab._environment, PASSPHRASE)
        secret.write_text("another\n")
        assert refused() == (78, "BAD_KEYS")
        found = lab.relay(COUNTY, "doctor")
        assert "WRONG_PASSPHRASES" in found.out
        assert find_canaries([lab.folder / "lab", *lab.folder.glob("*.log")], [PASSPHRASE]) == []
