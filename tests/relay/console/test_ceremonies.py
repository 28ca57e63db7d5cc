"""The ceremonies by the command line: founding, going on, replacing keys, suspending, signing on two machines."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.ceremony.network import read_network
from keys.files.keyfile import change_passphrase, read_header
from keys.files.tries import wrong_tries
from protocol.limits import SECOND_US
from relay.console.main import main
from tests.keys.networks import CHEAP, Administrator
from tests.relay.console.fake import Ran

Keys = Callable[..., Ran]


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Keys:
    """`relay --home ROOT keys …`, with cheap passphrases from one file."""
    monkeypatch.setattr("keys.files.keyfile.PRODUCTION_COST", CHEAP)
    (tmp_path / "words").write_text("the words of all holders\n")

    def run(*arguments: str, home: str = "root", words: str | None = "words", json: bool = True) -> Ran:
        capsys.readouterr()
        given = [] if words is None else ["--passphrase-file", str(tmp_path / words)]
        status = main(["--home", str(tmp_path / home), "keys", *arguments, *given, *(["--json"] if json else [])])
        caught = capsys.readouterr()
        return Ran(status, caught.out, caught.err)

    return run


FOUND = ("init-network", "--network", "js", "--office", "320000-GO", "--root", "2/3", "--targets", "2/2")


@pytest.fixture
def root(keys: Keys, tmp_path: Path) -> Path:
    assert keys(*FOUND).exit == 0
    return tmp_path / "root"


def plain(keys: Keys, *arguments: str) -> Ran:
    """A command that opens no key."""
    return keys(*arguments, words=None)


def test_a_network_is_founded_without_offices_and_never_twice(keys: Keys, root: Path) -> None:
    network = read_network(root)
    assert (dict(network.directory.offices), network.directory.network) == ({}, "js")
    again = keys(*FOUND)
    assert (again.exit, again.error()["code"]) == (73, "FILE_EXISTS")
    assert read_network(root) == network
    shown = plain(keys, "show").object()
    assert (shown["root_fingerprint"], shown["offices"], shown["pending"]) == (network.root_fingerprint, 0, [])
    assert {one["name"]: one["of"] for one in shown["roles"]} == {
        "root": "2/3", "targets": "2/2", "suspensions": "1/2", "snapshot": "1/1", "timestamp": "1/1",
    }  # fmt: skip
    assert plain(keys, "show", "root").object()["holders"] == ["root-1", "root-2", "root-3"]
    assert plain(keys, "show", "320000-GO").exit == 66
    listed = plain(keys, "list").lines()
    assert [one["name"] for one in listed if one.get("of") == "targets"] == [
        "targets-1",
        "targets-2",
    ]
    assert (root / "keys" / "tls-ca.key").is_file()
    assert read_header(root / "keys" / "root-1.key").sealed_by == "passphrase"


def test_people_are_told_the_fingerprint_and_what_comes_next(keys: Keys, root: Path, tmp_path: Path) -> None:
    told = keys(*FOUND, home="other", json=False)
    assert told.exit == 0
    assert "keys init --network js --root" in told.out
    assert str(tmp_path / "other" / "keys" / "root-3.key") in told.out
    assert "the words" not in told.out + told.err


@pytest.mark.parametrize(
    "bad",
    [
        ("--root", "4/3"), ("--root", "0/3"), ("--targets", "three"), ("--root", "11/11"), ("--network", "a\nb"),
        ("--office", "nowhere"), ("--media", "/nowhere"),
    ],
)  # fmt: skip
def test_what_could_never_sign_is_refused_and_nothing_made(keys: Keys, bad: tuple[str, str], tmp_path: Path) -> None:
    ran = keys(*FOUND, *bad)
    assert ran.exit in (65, 66)
    assert not (tmp_path / "root" / "network").exists()
    assert not list((tmp_path / "root").glob("keys/*.key"))


def test_an_interrupted_ceremony_goes_on_with_the_keys_that_are_there(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each single file, as if the machine had been switched off."""
    from keys.ceremony import founding

    made = 0
    whole = founding.make_key

    def interrupted(*arguments: object, **named: object) -> object:
        nonlocal made
        if made == 1:
            raise OSError(5, "switched off")
        made += 1
        return whole(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(founding, "make_key", interrupted)
    before: dict[str, bytes] = {}
    for _ in range(8):
        made = 0
        assert keys(*FOUND).exit == 70
        there = {path.name: path.read_bytes() for path in (tmp_path / "root" / "keys").iterdir()}
        assert {name: there[name] for name in before} == before
        before = there
        assert not (tmp_path / "root" / "network").exists()
    monkeypatch.undo()
    monkeypatch.setattr("keys.files.keyfile.PRODUCTION_COST", CHEAP)
    (tmp_path / "wrong").write_text("others")
    assert keys(*FOUND, words="wrong").error()["code"] == "KEY_FILE_NOT_OPENED"
    assert keys(*FOUND[:-2], "--targets", "1/1").error()["code"] == "FILE_EXISTS"
    assert keys(*FOUND).exit == 0
    network = read_network(tmp_path / "root")
    assert network.directory.version == 1


def test_each_holder_has_a_medium_and_brings_it_when_signing(keys: Keys, tmp_path: Path) -> None:
    media = [tmp_path / f"medium-{number}" for number in (1, 2, 3)]
    for place in media:
        place.mkdir(mode=0o700)
    given = [word for place in media for word in ("--media", str(place))]
    assert keys(*FOUND, *given).exit == 0
    assert sorted(path.name for path in media[1].iterdir()) == ["root-2.key", "suspensions-2.key", "targets-2.key"]
    assert not list((tmp_path / "root" / "keys").glob("root-*.key"))
    ran = keys("rotate", "timestamp")
    assert (ran.exit, ran.error()["code"]) == (65, "NOT_ENOUGH_KEYS")
    waits = keys("rotate", "timestamp", "--keys", str(media[2]))
    assert (waits.object()["state"], waits.object()["signatures"][0]["holders"]) == ("pending", ["root-3"])
    assert keys("rotate", "timestamp", "--keys", str(media[0])).object()["state"] == "done"
    missing = keys("rotate", "snapshot", "--keys", str(tmp_path / "nowhere"))
    assert (missing.exit, missing.error()["code"]) == (66, "FILE_MISSING")


@pytest.mark.parametrize("role", ["root", "targets", "suspensions", "snapshot", "timestamp"])
def test_every_role_is_rotated(keys: Keys, root: Path, role: str) -> None:
    before = {one["name"]: one["holders"] for one in plain(keys, "show").object()["roles"]}
    ran = keys("rotate", role)
    assert (ran.exit, ran.object()["state"]) == (0, "done")
    after = {one["name"]: one["holders"] for one in plain(keys, "show").object()["roles"]}
    assert {name for name in before if before[name] != after[name]} == {role}
    assert not set(before[role]) & set(after[role])


def test_one_lost_root_key_is_replaced_and_the_others_stay(keys: Keys, root: Path) -> None:
    (root / "keys" / "root-2.key").unlink()
    assert keys("rotate", "root", "--lost", "root-2").object()["state"] == "done"
    assert plain(keys, "show", "root").object()["holders"] == ["root-1", "root-3", "root-4"]
    assert keys("rotate", "root", "--lost", "root-2").error()["code"] == "NOT_FOUND"
    assert keys("rotate", "root", "--lost", "root-1", "--quorum", "2/4").object()["state"] == "done"
    assert plain(keys, "show", "root").object()["holders"] == ["root-3", "root-4", "root-5", "root-6"]
    assert keys("rotate", "root", "--lost", "root-3", "--quorum", "2/1").error()["code"] == "BAD_FIELD"


def test_a_rotation_waits_for_a_holder_on_another_machine(keys: Keys, root: Path, tmp_path: Path) -> None:
    """The act travels as a file; what it would do is shown before it is signed."""
    other = tmp_path / "other"
    shutil.copytree(root, other)
    for path in (other / "keys").iterdir():
        if path.name != "root-2.key":
            path.unlink()
    for name in ("root-2.key", "root-3.key"):
        (root / "keys" / name).unlink()
    waits = keys("rotate", "timestamp").object()
    assert waits["state"] == "pending"
    shown = plain(keys, "pending", "show", waits["file"]).object()
    assert [change.split(":")[0] for change in shown["changes"]] == ["role timestamp"]
    carried = tmp_path / "carried.act"
    shutil.copy(waits["file"], carried)
    signed = keys("pending", "sign", str(carried), home="other").object()
    assert (signed["state"], signed["signatures"][0]["holders"]) == ("pending", ["root-1", "root-2"])
    done = keys("pending", "sign", str(carried))
    assert (done.exit, done.object()["state"]) == (0, "done")
    assert plain(keys, "pending", "list").lines()[0]["state"] == "outdated"
    assert plain(keys, "pending", "drop", "1").object()["state"] == "dropped"
    assert plain(keys, "pending", "list").out == ""


def test_the_directory_is_carried_as_a_file(keys: Keys, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(root, other)
    file = tmp_path / "directory"
    assert keys("publish", "--timestamp", "--to-file", str(file)).object()["file"] == str(file)
    assert keys("publish", "--to-file", str(file)).exit == 73
    bent = bytearray(file.read_bytes())
    bent[len(bent) // 2] ^= 1
    (tmp_path / "bent").write_bytes(bytes(bent))
    assert plain_in(keys, "other", "pull", "--from-file", str(tmp_path / "bent")).error()["code"] == "BAD_TRUST"
    assert plain_in(keys, "other", "pull", "--from-file", str(file)).object() == {"v": 1, "version": 1, "changed": True}
    assert plain_in(keys, "other", "pull", "--from-file", str(file)).object()["changed"] is False
    strange = keys(*FOUND, home="strange")
    assert strange.exit == 0
    assert keys("publish", "--to-file", str(tmp_path / "strange.dir"), home="strange").exit == 0
    ran = plain_in(keys, "other", "pull", "--from-file", str(tmp_path / "strange.dir"))
    assert ran.error()["code"] == "BAD_TRUST"


def plain_in(keys: Keys, home: str, *arguments: str) -> Ran:
    return keys(*arguments, home=home, words=None)


def test_who_publishes_must_be_known(keys: Keys, root: Path, tmp_path: Path) -> None:
    assert keys("publish").error()["code"] == "BAD_CONFIG"
    assert keys("publish", "--office-home", str(tmp_path / "nowhere")).error()["code"] == "HOME_MISSING"


def test_a_wrong_passphrase_is_counted_once_and_says_no_more_than_that_it_does_not_open(
    keys: Keys, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("guessed")
    ran = keys("rotate", "timestamp", words="wrong")
    assert (ran.exit, ran.error()["code"]) == (65, "KEY_FILE_NOT_OPENED")
    assert "guessed" not in ran.out + ran.err
    assert not (root / "keys" / "timestamp-2.key").exists(), "no key is left that nobody signed for"
    tries = {label: wrong_tries(root / "keys" / f"{label}.key") for label in ("root-1", "root-2", "targets-1")}
    assert {label: one.count if one else 0 for label, one in tries.items()} == {
        "root-1": 1,
        "root-2": 1,
        "targets-1": 0,
    }
    altered = bytearray((root / "keys" / "root-1.key").read_bytes())
    altered[-1] ^= 1
    (root / "keys" / "root-1.key").write_bytes(bytes(altered))
    bent = keys("rotate", "timestamp", words="wrong")
    assert (bent.exit, bent.error()["code"]) == (65, "KEY_FILE_NOT_OPENED")
    # One damaged key is one holder less, and there are enough of the others.
    assert keys("rotate", "timestamp").object()["state"] == "done"


@pytest.mark.parametrize("role", ["root", "targets", "suspensions", "snapshot", "timestamp"])
def test_a_rotation_that_only_its_new_keys_would_sign_says_why_and_leaves_nothing(
    keys: Keys, root: Path, tmp_path: Path, role: str
) -> None:
    (tmp_path / "wrong").write_text("guessed")
    (tmp_path / "new").write_text("words of the new keys")
    before = sorted(path.name for path in (root / "keys").glob("*.key"))
    new = () if role in ("snapshot", "timestamp") else ("--new-passphrase-file", str(tmp_path / "new"))
    ran = keys("rotate", role, *new, words="wrong")
    assert (ran.exit, ran.error()["code"]) == (65, "KEY_FILE_NOT_OPENED")
    assert sorted(path.name for path in (root / "keys").glob("*.key")) == before
    assert plain(keys, "pending", "list").out == ""


def test_whose_passphrase_is_wrong_beside_another_who_signs_is_told_so(keys: Keys, tmp_path: Path) -> None:
    """Two holders at one table, each with a medium; only one of the two keys opens."""
    media = [tmp_path / f"medium-{number}" for number in (1, 2)]
    for place in media:
        place.mkdir(mode=0o700)
    assert keys(*FOUND, *(word for place in media for word in ("--media", str(place)))).exit == 0
    other = media[1] / "targets-2.key"
    change_passphrase(other, b"the words of all holders", b"of targets-2", entropy=random.randbytes, cost=CHEAP)
    act = ("rules", "--require-reviewer", "incident_first")
    here = [word for place in media for word in ("--keys", str(place))]
    waits = keys(*act, *here).object()
    assert (waits["state"], waits["signatures"][0]["holders"]) == ("pending", ["targets-1"])
    assert [(one["code"], one["file"]) for one in waits["troubles"]] == [("KEY_FILE_NOT_OPENED", str(other))]
    # Alone there is no signature to keep, and it is an error.
    alone = keys(*act, "--keys", str(media[1]))
    assert (alone.exit, alone.error()["code"]) == (65, "KEY_FILE_NOT_OPENED")
    told = keys("rules", "--require-issuer", "incident_first", *here, json=False)
    assert told.exit == 0
    assert f"The key file does not open. [KEY_FILE_NOT_OPENED] {other}" in told.err
    assert "Note: wrong passphrases tried on targets-2.key" in told.err
    (tmp_path / "of-two").write_text("of targets-2")
    assert keys(*act, "--keys", str(media[1]), words="of-two").object()["state"] == "done"


def test_a_suspension_takes_one_key_and_72_hours_at_most(keys: Keys, root: Path) -> None:
    for arguments, code in (
        (("--for", "24h", "--reason", "x"), "NOT_FOUND"),
        (("--for", "24h"), "BAD_FIELD"),
        (("--lift", "--for", "2h"), "USAGE"),
        ((), "USAGE"),
    ):
        assert keys("suspend", "320000-GO", *arguments).error()["code"] == code


def test_a_suspension_goes_on_within_its_72_hours_and_is_not_begun_again_for_two_weeks(
    keys: Keys, tmp_path: Path
) -> None:
    """By the commands: for longer, lifted, taken up again; and what whoever signs beside them is shown of it."""
    admin = Administrator(tmp_path / "root", now_us=time.time_ns() // 1_000 - SECOND_US, passphrase=b"w")
    (tmp_path / "words").write_text("w\n")
    (admin.place / "relay.toml").write_text("home_version = 1\n")
    whom = next(iter(admin.network.directory.offices.values())).address

    def suspend(*arguments: str) -> Ran:
        return keys("suspend", whom, *arguments)

    first = suspend("--for", "24h", "--reason", "drill").object()
    longer = suspend("--for", "71h", "--reason", "still").object()
    assert longer["until"] > first["until"]
    lifted = suspend("--lift")
    assert lifted.object()["state"] == "done"
    assert suspend("--lift").error()["code"] == "NOT_FOUND"
    assert plain(keys, "show").object()["suspended"] == []
    assert suspend("--for", "1h", "--reason", "once more").exit == 0
    refused = suspend("--for", "72h", "--reason", "too long").error()
    assert (refused["code"], refused["field"]) == ("BAD_FIELD", "address")
    assert "another begins from" in refused["detail"]
