"""`relay broker …` in the administrator's directory: folders brought up to date, certificates, and revoked ones."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from keys.ceremony.network import read_network
from relay.lab.create import LabReport, create_lab
from tests.keys.acts import publish_directory
from tests.keys.test_certificates import server_request
from tests.relay.console.fake import Ran
from tests.relay.console.test_tools import PLAN
from tests.root import needs_root

Relay = Callable[..., Ran]

COUNTY = """
[[offices]]
address = "320924-GO"
class = "county"
parent = "320000-GO"
brokers = ["province"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabReport:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "plan.toml").write_text(PLAN + COUNTY, "utf-8")
    return create_lab(folder / "plan.toml", folder / "net")


def revoke(root: Path, address: str) -> None:
    """As `keys revoke` does it, in short."""
    directory = read_network(root).directory
    now_us = directory.issued_us + 1_000_000
    office = directory.by_address(address)
    assert office is not None
    gone = replace(office, state="revoked", revoked_since_us=now_us)
    passphrase = (root / "passphrase").read_bytes()
    publish_directory(
        root,
        replace(directory, offices={**directory.offices, gone.id: gone}),
        now_us,
        unlock=lambda _label: passphrase,
    )


def test_a_folder_follows_the_directory(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    root, out = lab.root_home, tmp_path / "province"
    command = ("broker", "config", "province", "--engine", "mosquitto", "--out", str(out), "--home", root, "--json")
    first = relay(*command).object()
    assert (first["made"], first["joined"], first["missing"]) == (
        True, ["320000-GO", "320924-GO"], ["broker.pem", "broker.key"],
    )  # fmt: skip
    made = relay(
        "broker", "certificate", "mq.example", "10.0.0.7", "--out", str(out), "--home", root, "--json"
    ).object()
    certificate = x509.load_pem_x509_certificate((out / "broker.pem").read_bytes())
    assert f"{certificate.serial_number:x}" == made["serial"]
    assert made["expires_at"].endswith("Z")
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((out / "ca.pem").read_bytes()))

    revoke(Path(root), "320924-GO")
    listed = relay("broker", "revocations", "--home", root, "--json").object()
    assert [each["name"] for each in listed["revoked"]] == ["320924-GO"]
    after = relay(*command).object()
    assert (after["left"], after["joined"], after["missing"]) == (["320924-GO"], [], [])
    assert (out / "crl.pem").read_bytes() == Path(listed["file"]).read_bytes()
    assert "320924-GO" not in (out / "acl.conf").read_text()
    again = relay(*command).object()
    assert (again["changed"], again["commands"]) == ([], [])
    said = relay(*command[:-1], "--lang", "zh_CN")
    assert "无变动" in said.out


@needs_root
def test_a_renewed_certificate_can_be_read_by_the_broker(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    os.chown(out, 12345, 12346)
    assert relay("broker", "certificate", "mq.example", "--out", str(out), "--home", lab.root_home).exit == 0
    assert {(file.stat().st_uid, file.stat().st_gid) for file in out.iterdir()} == {(12345, 12346)}


def test_a_broker_s_certificate_is_renewed_before_it_ends(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    command = ("broker", "certificate", "soon.example", "--out", str(tmp_path), "--home", lab.root_home, "--json")
    asking = ("keys", "needs-renewal", "--within", "100d", "--home", lab.root_home, "--json")

    def ends() -> list[tuple[str, bool]]:
        items = json.loads(relay(*asking).out)["items"]
        return [(one["next"], one["due"]) for one in items if (one["what"], one["name"]) == ("broker", "soon.example")]

    assert relay(*command, "--days", "70").exit == 0
    assert ends() == [("relay broker certificate", True)]
    assert relay(*command).exit == 0
    assert ends() == [("relay broker certificate", False)]


def test_a_withdrawn_certificate_is_listed_and_its_owner_stays(relay: Relay, lab: LabReport) -> None:
    root = Path(lab.root_home)
    listed = relay("broker", "revocations", "--withdraw", "320000-GO", "--home", str(root), "--json").object()
    assert "320000-GO" in [each["name"] for each in listed["revoked"]]
    again = relay("broker", "revocations", "--withdraw", "320000-GO", "--home", str(root), "--json")
    assert (again.exit, again.error()["code"]) == (66, "NOT_FOUND")


def test_an_authority_is_replaced_in_steps(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    command = ("broker", "authority", "--home", lab.root_home, "--json")
    (before,) = relay(*command).object()["authorities"]
    passphrase = ("--passphrase-file", str(Path(lab.root_home) / "passphrase"))
    assert relay(*command, "--new", "--drop-older", *passphrase).error()["code"] == "BAD_FIELD"
    new, old = relay(*command, "--new", *passphrase).object()["authorities"]
    assert (old["serial"], new["serial"] != before["serial"]) == (before["serial"], True)
    out = tmp_path / "broker"
    assert relay("broker", "certificate", "mq.example", "--out", str(out), "--home", lab.root_home, "--json").exit == 0
    assert (out / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 2
    assert relay("broker", "revocations", "--home", lab.root_home, "--json").exit == 0
    (left,) = relay(*command, "--drop-older").object()["authorities"]
    assert left["serial"] == new["serial"]


def test_a_request_made_where_the_broker_is_is_answered(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(server_request())
    (tmp_path / "key").write_bytes(b"-----BEGIN PRIVATE KEY-----")
    out = tmp_path / "out"
    command = ("broker", "certificate", "mq.example", "--home", lab.root_home, "--out", str(out), "--json", "--request")
    assert relay(*command, str(tmp_path / "request")).exit == 0
    assert sorted(file.name for file in out.iterdir()) == ["broker.pem", "ca.pem"]
    for wrong, code in ((tmp_path / "key", "FILE_UNREADABLE"), (tmp_path / "none", "FILE_MISSING")):
        ran = relay(*command, str(wrong))
        assert (ran.exit, ran.error()["code"]) == (66, code)


@pytest.mark.parametrize("name", ["320000-GO", "a b", "x/y", "市.example", "", "a=b", "x" * 254])
def test_a_server_is_not_called_like_an_office(relay: Relay, lab: LabReport, tmp_path: Path, name: str) -> None:
    ran = relay("broker", "certificate", name, "--home", lab.root_home, "--out", str(tmp_path / "out"), "--json")
    assert (ran.exit, ran.error()["code"]) == (65, "BAD_FIELD")
    assert not (tmp_path / "out").exists()


def test_an_office_prints_configurations_and_issues_nothing(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    office = lab.homes["320000-GO"]
    printed = relay("broker", "config", "province", "--engine", "rabbitmq", "--home", office, "--json").object()
    users = json.loads(printed["files"]["definitions.json"])["users"]
    assert users[0]["name"] == "320000-GO"
    for command in (("broker", "certificate", "mq.example", "--out", str(tmp_path)), ("broker", "revocations")):
        ran = relay(*command, "--home", office, "--json")
        assert ran.error()["code"] == "WRONG_HOME"


def test_without_the_passphrase_nothing_is_issued(relay: Relay, lab: LabReport, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    ran = relay(
        "broker", "certificate", "mq.example", "--out", str(tmp_path / "out"),
        "--passphrase-file", str(tmp_path / "wrong"), "--home", lab.root_home, "--json",
    )  # fmt: skip
    assert ran.exit != 0
    assert not (tmp_path / "out").exists()
    assert "wrong" not in ran.error().get("detail", "").replace(str(tmp_path), "")
