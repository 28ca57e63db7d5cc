"""`keys person`: made, added, listed and revoked in an administrator's home; nonsense is refused before signing."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from keys.ceremony.network import read_network
from keys.roster.office_record import OfficeRecord
from protocol.limits import SECOND_US
from relay.console.main import main
from relay.times import time_text
from tests.keys.networks import Administrator

NOW_US = time.time_ns() // 1_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    Administrator(place, now_us=NOW_US - 1_000_000, passphrase=b"of the lab")
    (place / "passphrase").write_bytes(b"of the lab")
    (place / "relay.toml").write_text(
        f'home_version = 1\n[office]\naddress = "{office(place).address}"\nnetwork = "lab"\n'
    )
    return place


def office(place: Path) -> OfficeRecord:
    """One office of the network, as the newest directory has it."""
    offices = read_network(place).directory.offices.values()
    return min(offices, key=lambda one: one.address)


class Told:
    """What commands of one home print."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._home = home
        self._capsys = capsys

    def many(self, *words: str) -> list[dict[str, Any]]:
        """The objects of a command that succeeds."""
        assert main(["--home", str(self._home), "keys", "person", *words, "--json"]) == 0, self._capsys.readouterr()
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]

    def one(self, *words: str) -> dict[str, Any]:
        """The object of a command that succeeds."""
        (found,) = self.many(*words)
        return found

    def refused(self, *words: str) -> tuple[int, str]:
        """Exit status and code of a command that does not."""
        exit_ = main(["--home", str(self._home), "keys", "person", *words, "--json"])
        return exit_, json.loads(self._capsys.readouterr().err.splitlines()[-1])["code"]


@pytest.fixture
def told(root: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(root, capsys)


def test_g10_a_key_made_by_its_owner_is_added_by_the_request_and_by_no_other_name(
    root: Path, told: Told, tmp_path: Path
) -> None:
    where = office(root).address
    word = tmp_path / "word"
    word.write_text("correct horse battery staple\n")
    init = (
        "init",
        "--name",
        "孙梅",
        "--office",
        where,
        "-o",
        str(tmp_path / "sun.key"),
        "--passphrase-file",
        str(word),
    )
    made = told.one(*init)
    assert (Path(made["key_file"]).stat().st_mode & 0o777, Path(made["request"]).is_file()) == (0o600, True)
    assert told.refused(*init) == (73, "FILE_EXISTS")
    add = ("--office", where, "--role", "issuer", "--public", made["request"])
    assert told.refused("add", "别人", *add) == (65, "BAD_FIELD")
    assert office(root).person("孙梅") is None
    added = told.one("add", "孙梅", *add)
    assert (added["key_id"], added["roles"], added["state"]) == (made["key_id"], ["issuer"], "done")
    person = office(root).person("孙梅")
    assert person is not None
    assert (person.key_id.hex(), person.roles) == (made["key_id"], ("issuer",))
    request = Path(made["request"])
    request.write_bytes(request.read_bytes()[:-1])
    assert told.refused("add", "孙梅", *add) == (65, "BAD_FIELD")


def test_g14_a_person_is_added_listed_and_revoked(root: Path, told: Told) -> None:
    where = office(root).address
    words = ("add", "吴刚", "--office", where, "--role", "clerk", "--role", "reviewer", "--days", "30")
    made = told.one(*words)
    assert Path(made["key_file"]) == root / "persons" / f"{where}-吴刚.key"
    assert told.one(*words)["key_id"] == made["key_id"]
    listed = {one["name"]: one for one in told.many("list", "--office", where)}
    assert (listed["吴刚"]["roles"], listed["吴刚"]["state"]) == (["reviewer", "clerk"], "valid")
    # The moment of import may be longer ago than a new key is dated back.
    since = time_text(time.time_ns() // 1_000 - SECOND_US)
    assert told.one("revoke", "吴刚", "--office", where, "--since", since, "--reason", "调离")["since"] == since
    assert [one["state"] for one in told.many("list") if one["name"] == "吴刚"] == ["revoked"]
    assert told.refused(*words) == (65, "BAD_FIELD")
    again = told.one(*words, "--key-out", str(root / "persons" / "again.key"))
    assert again["key_id"] != made["key_id"]
    assert [one["state"] for one in told.many("list") if one["name"] == "吴刚"] == ["revoked", "valid"]


def test_what_cannot_be_is_refused_and_leaves_no_key(root: Path, told: Told) -> None:
    where = office(root).address
    now = time_text(NOW_US)
    for words, exit_, code in (
        (("revoke", "没人", "--office", where, "--since", now, "--reason", "x"), 65, "UNKNOWN_PERSON"),
        (("revoke", "没人", "--office", where, "--since", "yesterday", "--reason", "x"), 65, "BAD_FIELD"),
        (("revoke", "没人", "--office", where, "--since", now, "--reason", " "), 65, "BAD_FIELD"),
        (("add", "甲", "--office", "999999-GO", "--role", "clerk"), 66, "NOT_FOUND"),
        (("add", "甲", "--office", "x", "--role", "clerk"), 65, "BAD_FIELD"),
        (("add", "a\tb", "--office", where, "--role", "clerk"), 65, "BAD_FIELD"),
        (("add", "乙", "--office", where, "--role", "boss"), 2, "USAGE"),
        (("add", "乙", "--office", where, "--role", "clerk", "--public", "x", "--key-out", "y"), 2, "USAGE"),
        (("add", "乙", "--office", where, "--role", "clerk", "--public", "/nowhere/x"), 66, "FILE_MISSING"),
        (("list", "--office", "999999-GO"), 66, "NOT_FOUND"),
    ):
        assert told.refused(*words) == (exit_, code), words
    assert not (root / "persons").exists()
    assert read_network(root).directory.version == 1
