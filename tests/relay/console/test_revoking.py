"""`keys revoke`: signed into the directory, and nonsense is refused before anything is signed."""

import json
import time
from pathlib import Path

import pytest

from keys.ceremony.network import read_network
from protocol.limits import SECOND_US
from relay.console.main import main
from relay.times import time_text
from tests.keys.networks import Administrator

NOW_US = time.time_ns() // 1_000
SINCE = time_text(NOW_US - 10 * SECOND_US)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    Administrator(place, now_us=NOW_US - 1_000_000, passphrase=b"of the lab")
    (place / "passphrase").write_bytes(b"of the lab")
    office = min(one.address for one in read_network(place).directory.offices.values())
    settings = f'home_version = 1\n[office]\naddress = "{office}"\nnetwork = "lab"\n'
    (place / "relay.toml").write_text(settings)
    return place


def run(root: Path, *words: str) -> int:
    return main(["--home", str(root), "keys", "revoke", *words, "--json"])


def addresses(root: Path) -> list[str]:
    return sorted(one.address for one in read_network(root).directory.offices.values())


def test_g14_an_office_is_revoked_and_the_directory_says_since_when(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network_office, other, *_ = addresses(root)
    assert run(root, other, "--since", SINCE, "--reason", "laptop stolen") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["address"], said["since"], said["key"], said["version"]) == (other, SINCE, None, 2)
    record = read_network(root).directory.by_address(other)
    assert record is not None
    assert (record.state, time_text(record.revoked_since_us or 0)) == ("revoked", SINCE)
    assert run(root, network_office, "--since", SINCE, "--reason", "x") == 65
    assert run(root, network_office, "--since", SINCE, "--reason", "x", "--yes") == 0


def test_g14_one_key_is_revoked_and_the_office_stays(root: Path) -> None:
    office = read_network(root).directory.by_address(addresses(root)[1])
    assert office is not None
    key = office.keys[0].key_id.hex()
    assert run(root, office.address, "--key", key, "--since", SINCE, "--reason", "token lost") == 0
    after = read_network(root).directory.by_address(office.address)
    assert after is not None
    assert (after.state, time_text(after.keys[0].revoked_since_us or 0)) == ("active", SINCE)


@pytest.mark.parametrize(
    ("words", "exit_", "code"),
    [
        (["999999-GO", "--since", SINCE, "--reason", "x"], 65, "NOT_FOUND"),
        (["nowhere", "--since", SINCE, "--reason", "x"], 65, "BAD_FIELD"),
        (["{}", "--since", "yesterday", "--reason", "x"], 65, "BAD_FIELD"),
        (["{}", "--since", time_text(NOW_US + 3_600 * SECOND_US), "--reason", "x"], 65, "BAD_FIELD"),
        (["{}", "--since", SINCE, "--reason", ""], 65, "BAD_FIELD"),
        (["{}", "--since", SINCE, "--reason", "x", "--key", "12"], 65, "BAD_FIELD"),
        (["{}", "--since", SINCE, "--reason", "x", "--key", "12" * 16], 65, "NOT_FOUND"),
        (["{}", "--reason", "x"], 2, "USAGE"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_signed(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], exit_: int, code: str
) -> None:
    status = run(root, *[word.format(addresses(root)[1]) for word in words])
    error = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert error["code"] == code
    assert status == error["exit"] == (66 if code == "NOT_FOUND" else exit_)
    assert read_network(root).directory.version == 1
