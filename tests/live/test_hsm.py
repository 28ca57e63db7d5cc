"""A daemon whose signing key and storage key are in a token (SoftHSM2): it works, and says what is wrong."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.ceremony.network import read_network
from keys.files.keyfile import read_header
from keys.trust.store import TrustStore
from relay.console.failure import Failure
from tests.live.network import (
    PROVINCE,
    BrokerPlan,
    Network,
    OfficePlan,
    find_canaries,
    network,
    new_id,
    plan_text,
    until,
)
from tests.tokens import LABEL, MODULE, PIN, SoftToken, make_token

pytestmark = pytest.mark.live
NEWCOMER = "320900-GO"
TAKEN_UP_SOON = """
[prekeys]
look_s = 0.3
[trust]
adopt_s = 1
"""
PAIR = 2
"""Objects that a new key is in its token."""
PLAN = plan_text((BrokerPlan("province", tls=False),), (OfficePlan(PROVINCE, "province", ("province",)),))


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    return make_token(tmp_path_factory.mktemp("hsm"))


@pytest.fixture(scope="module")
def pin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the credential."""
    file = tmp_path_factory.mktemp("credentials") / "relay.pin"
    file.write_text(PIN + "\n")
    return file


@pytest.fixture(scope="module")
def lab(token: SoftToken, pin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network that has taken in an office with its keys in a token; brokers and the province run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDENTIALS_DIRECTORY", str(pin.parent))
        for name, value in token.environment.items():
            patch.setenv(name, value)
        with network(tmp_path_factory.mktemp("lab"), PLAN) as found:
            enrol(found)
            found.up(but=[NEWCOMER])
            yield found


def enrol(lab: Network) -> None:
    """What an office and an administrator do by hand."""
    home, root, carried = lab.home(NEWCOMER), lab.lab / "root", lab.folder / "carried"
    carried.mkdir()

    def keys(where: Path, *words: str) -> dict[str, Any]:
        return lab.command("keys", *words, "--home", str(where), "--json").one()

    keys(
        home, "init", "--address", NEWCOMER, "--network", "lab", "--class", "city", "--parent", PROVINCE,
        "--broker", "province", "--root", lab.root_fingerprint, "--hsm-module", MODULE, "--hsm-token", LABEL,
        "-o", str(carried / "request"),
    )  # fmt: skip
    keys(root, "approve", str(carried / "request"), "-o", str(carried / "response"))
    keys(home, "install", str(carried / "response"))
    assert keys(home, "passwd", "--keep", "token")["kept"] == "token"
    (carried / "secret").write_text("of the backup\n")
    saved = keys(home, "backup", "-o", str(carried / "backup"), "--passphrase-file", str(carried / "secret"))
    assert saved["token"] is True
    with (home / "relay.toml").open("a") as settings:
        settings.write(TAKEN_UP_SOON)
    lab.adopt(NEWCOMER)
    store, now_us = TrustStore(lab.home(PROVINCE)), time.time_ns() // 1_000
    store.load(now_us)
    assert store.update(read_network(root).files, now_us).changed


@pytest.fixture
def running(lab: Network) -> Iterator[Network]:
    """The newcomer runs for a test."""
    lab.start(NEWCOMER)
    lab.wait_connected(NEWCOMER)
    yield lab
    if lab.offices[NEWCOMER].child is not None:
        lab.stop(NEWCOMER)


def refused(lab: Network) -> tuple[int, str]:
    """A start that does not come up."""
    said = lab.command("run", "--json", home=NEWCOMER)
    assert PIN not in said.out + said.err
    return said.exit, said.error()["code"]


def test_an_office_with_its_keys_in_a_token_sends_and_receives(running: Network) -> None:
    there = running.send(NEWCOMER, PROVINCE, "由令牌签名")
    running.wait_delivered(NEWCOMER, there)
    back = running.send(PROVINCE, NEWCOMER, "收悉")
    running.wait_delivered(PROVINCE, back)
    assert running.stop(NEWCOMER) == 0
    for command in (("fsck",), ("audit", "verify")):
        assert running.relay(NEWCOMER, *command).one()["ok"] is True
    found = [json.loads(line) for line in running.relay(NEWCOMER, "doctor").out.splitlines()]
    assert [one["code"] for one in found if one["check"] == "keys"] == ["KEY_OK"]


def test_g11_a_stolen_disk_has_no_key_that_opens_or_signs(lab: Network) -> None:
    keys = lab.home(NEWCOMER) / "keys"
    assert not (keys / "storage.key").exists()
    assert sorted(path.name for path in keys.glob("storage.*")) == ["storage.sealed"]
    # The credential stays behind, as in the machine that was not stolen.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(lab._environment, "CREDENTIALS_DIRECTORY", "")
        assert refused(lab) == (65, "NO_PIN")


def test_a_wrong_pin_is_tried_once_and_the_start_is_not_tried_again(lab: Network, pin: Path) -> None:
    pin.write_text("999999\n")
    try:
        assert refused(lab) == (78, "TOKEN_PIN")
    finally:
        pin.write_text(PIN + "\n")
    unit = (Path(__file__).parents[2] / "systemd" / "relay.service").read_text()
    (line,) = [line for line in unit.splitlines() if line.startswith("RestartPreventExitStatus=")]
    assert {"65", "78"} <= set(line.partition("=")[2].split())
    assert "75" not in line


def test_a_token_that_is_away_at_the_start_is_waited_for_outside(lab: Network, token: SoftToken) -> None:
    token.pull()
    try:
        assert refused(lab) == (75, "TOKEN_MISSING")
        found = lab.relay(NEWCOMER, "doctor").out
        assert "TOKEN_MISSING" in found
    finally:
        token.plug()
    lab.start(NEWCOMER)
    assert lab.stop(NEWCOMER) == 0


def test_g01_a_token_pulled_out_of_a_running_relay_loses_nothing(running: Network, token: SoftToken) -> None:
    lab = running
    before = [lab.send(NEWCOMER, PROVINCE, f"此前 {number}") for number in range(20)]
    waiting = new_id()
    token.pull()
    try:
        with pytest.raises(Failure) as caught:
            lab.send(NEWCOMER, PROVINCE, "令牌已拔", id=waiting)
        # It cannot say that it was accepted, and does not say that it was refused.
        assert caught.value.code in {"OUTCOME_UNKNOWN", "DAEMON_DOWN"}
        until(lambda: not lab.offices[NEWCOMER].running)
        child = lab.offices[NEWCOMER].child
        assert child is not None
        assert child.returncode == 75
        assert "[TOKEN_MISSING]" in lab.log(NEWCOMER)
        assert "Traceback" not in lab.log(NEWCOMER)
        meanwhile = lab.send(PROVINCE, NEWCOMER, "拔出期间")
    finally:
        lab.offices[NEWCOMER].child = None
        token.plug()
    lab.start(NEWCOMER)
    assert lab.send(NEWCOMER, PROVINCE, "令牌已拔", id=waiting) == waiting
    for message in (*before, waiting):
        lab.wait_delivered(NEWCOMER, message)
    lab.wait_delivered(PROVINCE, meanwhile)
    received = [one["id"] for one in lab.inbox(PROVINCE)]
    assert sorted(received) == sorted({*received})
    assert {*before, waiting} <= {*received}


def test_g01_g11_the_signing_key_is_made_anew_in_its_token_while_the_relay_runs(
    running: Network, token: SoftToken
) -> None:
    """With the storage key in the same token: taken up without a restart, and found by the next start."""
    lab, home, carried = running, running.home(NEWCOMER), running.folder / "renewal"
    carried.mkdir()

    def keys(where: Path, *words: str) -> dict[str, Any]:
        return lab.command("keys", *words, "--home", str(where), "--json").one()

    def identity() -> tuple[str, bytes]:
        found = read_header(home / "keys" / "identity.key")
        return found.kind, found.public

    def objects() -> int:
        return len(list((token.folder / "tokens").rglob("*.object")))

    before, count = identity(), objects()
    refused = lab.command(
        "keys", "rotate", "identity", "--suite", "gm", "-o", str(carried / "gm"), "--home", str(home), "--json"
    )
    assert (refused.exit, refused.error()["code"]) == (65, "BAD_FIELD")
    early = lab.send(NEWCOMER, PROVINCE, "由旧钥签名")
    keys(home, "rotate", "identity", "-o", str(carried / "request"))
    keys(home, "rotate", "identity", "-o", str(carried / "again"))  # no key is made for what waits already
    assert (carried / "again").read_bytes() == (carried / "request").read_bytes()
    assert (identity(), objects()) == (before, count + PAIR)
    keys(lab.lab / "root", "approve", str(carried / "request"), "-o", str(carried / "response"))
    keys(home, "install", str(carried / "response"))
    keys(lab.lab / "root", "publish")
    until(lambda: identity() != before, 30)
    until(lambda: not (home / "keys" / "next").exists())
    kind, public = identity()
    assert kind == before[0] == "token"
    assert public != before[1]
    late = lab.send(NEWCOMER, PROVINCE, "由新钥签名")
    back = lab.send(PROVINCE, NEWCOMER, "收悉")
    for sender, message in ((NEWCOMER, early), (NEWCOMER, late), (PROVINCE, back)):
        lab.wait_delivered(sender, message)
    assert lab.stop(NEWCOMER) == 0
    assert lab.relay(NEWCOMER, "audit", "verify").one()["ok"] is True
    lab.start(NEWCOMER)
    lab.wait_delivered(NEWCOMER, lab.send(NEWCOMER, PROVINCE, "重启之后"))
    # The certificate alone: asked for by the key in the token, which stays what it is.
    keys(home, "rotate", "tls", "-o", str(carried / "tls"))
    assert lab.relay(NEWCOMER, "keys", "rotate", "cancel").one()["state"] == "cancelled"
    assert (identity(), objects()) == (("token", public), count + PAIR)


def test_g11_the_pin_is_in_no_file_and_no_log(lab: Network, pin: Path) -> None:
    assert os.environ["CREDENTIALS_DIRECTORY"] == str(pin.parent)
    assert find_canaries([lab.folder], [PIN]) == []
