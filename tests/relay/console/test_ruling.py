"""`keys rules`, and a network on its way from Ed25519 to SM2: rules, enrolment and persons by the commands."""

import time
from pathlib import Path

import pytest

from keys.ceremony.network import read_network
from keys.prekeys import parse_prekey
from keys.trust.store import TrustStore
from relay.console.main import main
from relay.lab.create import create_lab
from tests.gm import needs_gm
from tests.relay.console.fake import Run

PLAN = """
network = "lab"
[[brokers]]
id = "province"
port = 18831
tls = false
[[offices]]
address = "320000-GO"
class = "province"
brokers = ["province"]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN)
    return Path(create_lab(tmp_path / "plan.toml", tmp_path / "lab").directory)


def test_rules_are_shown_changed_and_taken_back(lab: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    root = lab / "root"
    assert run(root, "rules")["rules"] == {
        "suites": [1, 2], "require_reviewer": [], "require_issuer": [], "emergency_bypass": None,
    }  # fmt: skip
    wanted = ("--require-reviewer", "special", "--require-reviewer", "digest", "--require-issuer", "special")
    changed = run(root, "rules", *wanted, "--suite", "1", "--emergency-bypass", "copy_city")
    assert (changed["state"], changed["version"]) == ("done", 2)
    assert changed["act"] == "rules suites 1, reviewer digest special, issuer special, bypass copy_city"
    assert (
        run(root, "rules")["rules"]
        == changed["rules"]
        == {
            "suites": [1],
            "require_reviewer": ["digest", "special"],
            "require_issuer": ["special"],
            "emergency_bypass": "copy_city",
        }
    )
    back = run(root, "rules", "--require-reviewer", "none", "--emergency-bypass", "none")
    assert back["rules"]["require_reviewer"] == []
    assert back["rules"]["require_issuer"] == ["special"]
    assert back["rules"]["emergency_bypass"] is None
    refused = run(root, "rules", "--suite", "gm")
    assert (refused["status"], refused["code"], refused["field"]) == (65, "BAD_FIELD", "suite")
    assert "320000-GO" in refused["detail"]
    assert run(lab / "offices" / "320000-GO", "rules")["code"] == "WRONG_HOME"
    assert main(["--home", str(root), "--lang", "zh_CN", "keys", "rules"]) == 0
    assert "允许的套件：1" in capsys.readouterr().out


@needs_gm
def test_an_office_with_an_sm2_key_is_taken_in_once_the_rules_allow_it(lab: Path, run: Run, tmp_path: Path) -> None:
    root, home = lab / "root", tmp_path / "home"
    fingerprint = read_network(root).root_fingerprint
    where = ("--address", "320900-GO", "--network", "lab", "--root", fingerprint, "--class", "city")
    made = run(home, "init", *where, "--suite", "gm", "-o", tmp_path / "request")
    assert made["status"] == 0
    # Suites are the network's: one that it does not allow is refused whatever the request says.
    refused = run(root, "approve", tmp_path / "request", "-o", tmp_path / "response")
    assert (refused["status"], refused["code"], refused["field"]) == (65, "BAD_REQUEST", "320900-GO")
    assert run(root, "rules", "--suite", "1", "--suite", "gm")["rules"]["suites"] == [1, 3]
    assert run(root, "approve", tmp_path / "request", "-o", tmp_path / "response")["state"] == "done"
    assert run(home, "install", tmp_path / "response")["status"] == 0
    directory = TrustStore(home).load(time.time_ns() // 1_000).directory
    office = directory.by_address("320900-GO")
    assert office is not None
    assert [key.suite for key in office.keys] == [3, 128]
    assert parse_prekey((home / "trust" / "prekeys" / "320900-GO.cbor").read_bytes()).suite == 3
    # A person whom the administrator makes a key for gets one of the network's first suite, by request of any.
    key = tmp_path / "person.key"
    asked = run(home, "person", "init", "--name", "周敏", "--office", "320900-GO", "-o", key, "--suite", "gm",
                "--passphrase-file", root / "passphrase")  # fmt: skip
    assert asked["status"] == 0
    added = run(
        root, "person", "add", "周敏", "--office", "320900-GO", "--role", "issuer", "--public", asked["request"]
    )
    assert (added["state"], added["key_id"]) == ("done", asked["key_id"])
    (person,) = read_network(root).directory.offices[office.id].persons
    assert (person.suite, person.key_id.hex()) == (3, asked["key_id"])
    # The last Ed25519 office is not left behind by mistake.
    assert run(root, "rules", "--suite", "gm")["code"] == "BAD_FIELD"
