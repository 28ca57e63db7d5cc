"""`keys passwd`, `backup`, `recover`: a home comes back from its backup, and from nothing that only looks like one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.problems import ConfigError
from keys.files.backup import BACKUP_BYTES, Backup, open_backup, seal_backup
from keys.files.keyfile import Argon2Cost, read_header, read_secret
from keys.files.private_files import KeyFileError
from keys.files.storage_key import how_kept, load_storage_key
from keys.trust.metadata import TrustError
from keys.trust.store import TrustStore
from protocol.errors import Refused
from relay.console.main import main
from relay.lab.create import create_lab
from relay.safekeeping import back_up, recover
from tests.relay.console.fake import Ran

CHEAP = Argon2Cost(8, 1, 1)
COUNTY = "320924-GO"
PLAN = """
network = "lab"
[[brokers]]
id = "province"
port = 18831
tls = true
[[offices]]
address = "320000-GO"
class = "province"
brokers = ["province"]
[[offices]]
address = "320924-GO"
class = "county"
parent = "320000-GO"
brokers = ["province"]
"""

Relay = Callable[..., Ran]
TROUBLE = (Refused, KeyFileError, TrustError, ConfigError)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    (folder / "plan.toml").write_text(PLAN)
    create_lab(folder / "plan.toml", folder / "lab")
    return folder / "lab"


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    """A copy of the lab that a test may change."""
    shutil.copytree(made, tmp_path / "lab")
    for name, text in (("one", "first passphrase"), ("two", "second passphrase")):
        (tmp_path / name).write_text(text + "\n")
    return tmp_path / "lab"


@pytest.fixture
def office(lab: Path) -> Path:
    return lab / "offices" / COUNTY


@pytest.fixture
def relay(capsys: pytest.CaptureFixture[str]) -> Relay:
    def run(home: Path, *arguments: object) -> Ran:
        capsys.readouterr()
        status = main(["--home", str(home), "keys", *map(str, arguments), "--json"])
        caught = capsys.readouterr()
        return Ran(status, caught.out, caught.err)

    return run


def sealed(home: Path, passphrase: bytes = b"of the backup") -> bytes:
    found = back_up(home, lambda _label: None, 1_800_000_000_000_000)
    return seal_backup(found, passphrase, label="test", entropy=os.urandom, cost=CHEAP)


def kept_files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def test_an_office_comes_back_from_its_backup(relay: Relay, office: Path, tmp_path: Path) -> None:
    file, new = tmp_path / "county.backup", tmp_path / "new machine" / "relay"
    said = relay(office, "backup", "-o", file, "--passphrase-file", tmp_path / "one").object()
    assert (said["address"], said["token"], file.stat().st_mode & 0o777) == (COUNTY, False, 0o600)
    header = read_header(file, BACKUP_BYTES)
    assert (header.kind, COUNTY in header.label) == ("backup", True)
    again = relay(office, "backup", "-o", file, "--passphrase-file", tmp_path / "one")
    assert (again.exit, again.error()["code"]) == (73, "FILE_EXISTS")
    back = relay(new, "recover", file, "--passphrase-file", tmp_path / "one").object()
    assert (back["kind"], back["address"]) == ("office", COUNTY)
    was, now = kept_files(office), kept_files(new)
    left_out = {name for name in was if name not in now}
    assert left_out == {"keys/prekey-1.key"}
    assert all(was[name] == data for name, data in now.items())
    assert {path.stat().st_mode & 0o777 for path in new.rglob("*") if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in new.rglob("*") if path.is_file()} == {0o600}
    assert TrustStore(new).load(1).directory == TrustStore(office).load(1).directory
    over = relay(new, "recover", file, "--passphrase-file", tmp_path / "one")
    assert (over.exit, over.error()["code"]) == (73, "FILE_EXISTS")


def test_the_administrator_comes_back_too_without_the_passphrases_of_others(
    relay: Relay, lab: Path, tmp_path: Path
) -> None:
    root, file, new = lab / "root", tmp_path / "root.backup", tmp_path / "new"
    relay(root, "backup", "-o", file, "--passphrase-file", tmp_path / "one").object()
    assert relay(new, "recover", file, "--passphrase-file", tmp_path / "one").object()["kind"] == "root"
    was, now = kept_files(root), kept_files(new)
    assert {name for name in was if name not in now} == {"passphrase"}
    assert all(was[name] == data for name, data in now.items())


def _code(act: Callable[[], Any]) -> str:
    with pytest.raises(TROUBLE) as caught:
        act()
    return str(caught.value.code)


def test_g11_a_backup_opens_nothing_that_was_captured_before(office: Path) -> None:
    names = back_up(office, lambda _label: None, 1).files
    assert "keys/identity.key" in names
    assert not [name for name in names if "prekey-" in name and name.startswith("keys/")]
    storage_key = load_storage_key(office, environ={})
    seed = read_secret(office / "keys" / "prekey-1.key", "prekey", storage_key=storage_key)
    assert not [name for name, data in names.items() if seed in data]


def test_a_wrong_passphrase_a_cut_and_an_edit_are_refused_and_leave_nothing(office: Path, tmp_path: Path) -> None:
    data, file, new = sealed(office), tmp_path / "backup", tmp_path / "new"

    def tried(bent: bytes, passphrase: bytes = b"of the backup") -> str:
        file.write_bytes(bent)
        found = _code(lambda: recover(file, new, lambda _what: passphrase, 2))
        assert not new.exists()
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
        return found

    assert tried(data, b"of another") == "KEY_FILE_NOT_OPENED"
    step = len(data) // 40
    for at in range(0, len(data), step):
        assert tried(data[:at]) == "KEY_FILE_DAMAGED"
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        assert tried(bytes(flipped)) in {"KEY_FILE_DAMAGED", "KEY_FILE_NOT_OPENED", "KEY_FILE_KIND"}
    assert tried((office / "keys" / "identity.key").read_bytes()) == "KEY_FILE_KIND"
    assert tried(b"-----BEGIN AGE ENCRYPTED FILE-----") == "KEY_FILE_DAMAGED"
    assert _code(lambda: recover(tmp_path / "none", new, lambda _what: b"x", 2)) == "FILE_MISSING"


NAMES = "../out /etc/passwd keys/../../out keys/.hidden store/relay.db keys keys//a keys/a/../b a".split()


@pytest.mark.parametrize("name", [*NAMES, "keys/a\0b", "keys/a\nb"])
def test_no_file_of_a_backup_leaves_the_home(name: str, office: Path, tmp_path: Path) -> None:
    found = back_up(office, lambda _label: None, 1)
    bent = Backup(found.home_kind, found.network_id, found.address, 1, {**found.files, name: b"x"})
    data = seal_backup(bent, b"p", label="", entropy=os.urandom, cost=CHEAP)
    assert _code(lambda: open_backup(tmp_path / "x", data, b"p")) == "KEY_FILE_DAMAGED"


def test_a_backup_of_another_network_or_without_its_parts_makes_no_home(office: Path, tmp_path: Path) -> None:
    found, new = back_up(office, lambda _label: None, 1), tmp_path / "new"
    fingerprint = TrustStore(office).load(1).root_fingerprint

    def tried(root: str | None = None, **changes: Any) -> str:
        parts = {name: getattr(found, name) for name in ("home_kind", "network_id", "address", "made_us", "files")}
        data = seal_backup(Backup(**{**parts, **changes}), b"p", label="", entropy=os.urandom, cost=CHEAP)
        (tmp_path / "backup").write_bytes(data)
        try:
            recover(tmp_path / "backup", new, lambda _what: b"p", 2, root=root)
        except TROUBLE as error:
            assert not new.exists()
            return str(error.code)
        shutil.rmtree(new)
        return "OK"

    def without(part: str) -> dict[str, bytes]:
        return {name: data for name, data in found.files.items() if not name.startswith(part)}

    assert tried() == tried(fingerprint) == "OK"
    assert tried("0" * len(fingerprint)) == "WRONG_NETWORK"
    assert tried(network_id=bytes(16)) == "WRONG_NETWORK"
    assert tried(files=without("keys/storage")) == "KEY_FILE_MISSING"
    assert tried(files=without("trust/")) == "TRUST_MISSING"
    assert tried(files=without("relay.toml")) in {"BAD_CONFIG", "HOME_VERSION"}
    other = {**found.files, "relay.toml": found.files["relay.toml"].replace(b'"lab"', b'"another"')}
    assert tried(files=other) == "BAD_CONFIG"


def test_a_damaged_key_is_found_when_the_backup_is_made(office: Path) -> None:
    path = office / "keys" / "identity.key"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert _code(lambda: back_up(office, lambda _label: None, 1)) == "KEY_FILE_NOT_OPENED"


def test_what_only_this_machine_opens_goes_into_the_backup_as_it_is(
    office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = office / "keys" / "storage.key"
    key = bare.read_bytes()
    (tmp_path / "credentials").mkdir()
    bare.rename(tmp_path / "credentials" / "relay.storage")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "backup").write_bytes(sealed(office))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    recover(tmp_path / "backup", tmp_path / "new", lambda _what: b"of the backup", 2)
    assert load_storage_key(tmp_path / "new", environ={}) == key


def test_passwd_moves_the_storage_key_and_changes_a_key_file(relay: Relay, lab: Path, tmp_path: Path) -> None:
    office, one, two = lab / "offices" / COUNTY, tmp_path / "one", tmp_path / "two"
    key = load_storage_key(office, environ={})
    assert relay(office, "passwd", "--new-passphrase-file", one).object()["kept"] == "passphrase"
    assert how_kept(office, {}) == "passphrase"
    wrong = relay(office, "passwd", "--passphrase-file", two, "--new-passphrase-file", two)
    assert (wrong.exit, wrong.error()["code"]) == (65, "KEY_FILE_NOT_OPENED")
    alone = relay(office, "passwd", "--new-passphrase-file", two)
    assert (alone.exit, alone.error()["code"]) == (65, "NO_PASSPHRASE")
    told = relay(office, "passwd", "--passphrase-file", one, "--new-passphrase-file", two)
    assert (told.exit, "storage.sealed" in told.err, told.err.strip().endswith(": 1.")) == (0, True, True)
    assert relay(office, "passwd", "--passphrase-file", two, "--new-passphrase-file", two).err == ""
    assert load_storage_key(office, unlock=lambda _label: b"second passphrase", environ={}) == key
    # The backup of such a home stays under the passphrase, and nobody who has none makes one.
    assert _code(lambda: back_up(office, lambda _label: None, 1)) == "NO_PASSPHRASE"
    assert "keys/storage.sealed" in back_up(office, lambda _label: b"second passphrase", 1).files
    assert relay(office, "passwd", "--keep", "file", "--passphrase-file", two).object()["kept"] == "file"
    assert load_storage_key(office, environ={}) == key
    root_key, lab_file = lab / "root" / "keys" / "root-1.key", lab / "root" / "passphrase"
    said = relay(lab / "root", "passwd", root_key, "--passphrase-file", lab_file, "--new-passphrase-file", one)
    assert said.object()["file"] == str(root_key)
    assert read_secret(root_key, "root", passphrase=b"first passphrase")
    for mistake in ((office / "keys" / "identity.key",), (root_key, "--keep", "file")):
        refused = relay(office, "passwd", *mistake)
        assert (refused.exit, refused.error()["code"]) == (65, "BAD_FIELD")
    assert relay(office, "passwd", tmp_path / "none").exit == 66
    open_file = relay(lab / "root", "passwd", root_key.rename(tmp_path / "k.key"))
    assert (open_file.exit, open_file.error()["code"]) in {(77, "KEY_FILE_MODE"), (65, "NO_PASSPHRASE")}
