"""Acts on the directory by the command line's own way: signed, kept, told, and refused on the wrong home."""

import json
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keys.ceremony.network import read_network
from keys.files.keyfile import change_passphrase
from keys.files.private_files import KeyFileError
from keys.roster.directory import Directory
from protocol.errors import Refused
from relay.console.choices import Choices
from relay.console.failure import Failure
from relay.console.keys.acting import change_directory, tell_acted
from relay.console.keys.homes import held, office_home, root_home
from relay.console.keys.journal import read_journal
from tests.keys.networks import CHEAP, Administrator
from tests.relay.console.fake import make_home


def renamed(directory: Directory, _now_us: int) -> Directory:
    return replace(directory, network="renamed")


@pytest.fixture
def root(tmp_path: Path) -> Choices:
    """A root home whose keys all have the passphrase of a laboratory."""
    place = tmp_path / "root"
    Administrator(place, now_us=time.time_ns() // 1_000 - 1_000_000, passphrase=b"of the lab")
    (place / "passphrase").write_bytes(b"of the lab")
    (place / "relay.toml").write_text("home_version = 1\n")
    return Choices("en", json=True, home_given=str(place))


def test_a_change_is_signed_and_kept(root: Choices, capsys: pytest.CaptureFixture[str]) -> None:
    acted = change_directory(root, None, renamed, act="rename the network")
    assert (acted.done, acted.directory.version, acted.directory.network) == (True, 2, "renamed")
    assert read_network(root.home).directory == acted.directory
    tell_acted(root, acted, {"name": "renamed"})
    assert json.loads(capsys.readouterr().out) == {
        "v": 1,
        "act": "rename the network",
        "state": "done",
        "version": 2,
        "signatures": [
            {"file": "targets.json", "role": "targets", "holders": ["targets-1", "targets-2"], "threshold": 2}
        ],
        "name": "renamed",
    }


def test_two_administrators_sign_one_after_the_other(root: Choices, tmp_path: Path) -> None:
    """The same one twice counts once; the journal says who did what, and shows a line that was changed."""
    (root.home / "passphrase").unlink()
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"of targets-1")
    other.write_bytes(b"of the lab")
    change_passphrase(
        root.home / "keys" / "targets-1.key", b"of the lab", b"of targets-1", entropy=random.randbytes, cost=CHEAP
    )
    acted = change_directory(root, one, renamed, act="rename the network")
    assert (acted.done, acted.directory.version) == (False, 1)
    assert [(found.holders, found.missing) for found in acted.signatures] == [(("targets-1",), 1)]
    with pytest.raises(KeyFileError, match=r"targets-2.key.*does not open"):
        change_directory(root, one, renamed, act="rename the network")
    with pytest.raises(Refused, match="ACT_DIFFERS"):
        change_directory(root, other, lambda it, _: replace(it, network="other"), act="rename the network")
    acted = change_directory(root, other, renamed, act="rename the network")
    assert (acted.done, acted.directory.network, acted.path) == (True, "renamed", None)
    assert list((root.home / "pending").iterdir()) == []
    lines, broken = read_journal(root.home)
    assert [(line["state"], line["holders"]) for line in lines] == [
        ("pending", ["targets-1"]),
        ("done", ["targets-1", "targets-2"]),
    ]
    assert broken is None
    journal = root.home / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"pending", b"done", 1))
    assert read_journal(root.home)[1] == 2


def test_what_would_contradict_itself_is_not_signed(root: Choices) -> None:
    with pytest.raises(Failure, match=r"BAD_FIELD.*name is empty"):
        change_directory(root, None, lambda directory, _: replace(directory, network=""), act="nothing")
    assert read_network(root.home).directory.version == 1


def test_damaged_files_are_named(root: Choices) -> None:
    (root.home / "network" / "00000001" / "timestamp.json").write_bytes(b"{}")
    with pytest.raises(Failure, match=r"BAD_TRUST.*TRUST_MALFORMED"):
        change_directory(root, None, renamed, act="rename the network")


def test_the_wrong_kind_of_home_is_said(root: Choices, tmp_path: Path) -> None:
    office = Choices("en", home_given=str(make_home(tmp_path / "office")))
    assert (root_home(root), office_home(office)) == (root.home, office.home)
    for look, other in ((root_home, office), (office_home, root)):
        with pytest.raises(Refused, match="WRONG_HOME"):
            look(other)
    with pytest.raises(Refused, match="WRONG_HOME"):
        change_directory(office, None, renamed, act="rename the network")


def test_one_act_at_a_time_on_one_home(root: Choices, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one waits a little and is told; it never signs what would follow a directory that is gone."""
    monkeypatch.setattr("relay.console.keys.homes.HOLD_S", 0.0)
    with held(root.home), pytest.raises(Refused, match="HOME_BUSY"):
        change_directory(root, None, renamed, act="rename the network")
    assert not (root.home / "pending").exists()
    assert change_directory(root, None, renamed, act="rename the network").done
