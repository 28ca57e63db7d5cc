"""Every command about keys under bad luck: it says what is wrong with a code, changes nothing by halves, and goes on.

Rows are commands, columns are faults: a disk that refuses at any step, a wrong passphrase, key files that are cut, bent
or open to others, a clock that is off by a year.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EROFS
from pathlib import Path
from typing import Any

import click
import pytest

from keys.ceremony.network import read_network
from keys.primitives import hkdf
from keys.trust.store import TrustStore
from relay.console.main import main
from relay.lab.create import create_lab
from relay.times import time_text
from tests.relay.console.test_looking import ALL

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
address = "320900-GO"
class = "city"
parent = "320000-GO"
brokers = ["province"]
"""
CITY, NEW = "320900-GO", "320924-GO"
YEAR_NS = 366 * 86_400 * 1_000_000_000
CUTS = (0, 2, 5, 9, 14, 21, 34)


@dataclass(frozen=True, slots=True)
class Row:
    """A command: on which home, and its words; `@` is the folder of a trial, HERE the home.

    `keyed`: a passphrase opens keys in it.
    """

    home: str
    words: str
    keyed: bool = True


SIGNED = " --passphrase-file @/passphrase"
COMMANDS = {
    "init": Row("new", "init --address 320925-GO --network lab --root ROOT -o @/out", keyed=False),
    "approve": Row("lab/root", "approve @/request --class county --parent 320900-GO -o @/out" + SIGNED),
    "reject": Row("lab/root", "reject @/request --reason no -o @/out", keyed=False),
    "install": Row("asking", "install @/response", keyed=False),
    "change": Row("lab/root", "change 320900-GO --name 盐城" + SIGNED),
    "revoke": Row("lab/root", "revoke 320900-GO --since SINCE --reason stolen" + SIGNED),
    "person init": Row("lab/root", "person init --name 李四 --office 320900-GO -o @/p/li.key" + SIGNED, keyed=False),
    "person add": Row(
        "lab/root",
        "person add 王五 --office 320900-GO --role clerk --key-out @/p/wang.key --key-passphrase-file @/passphrase"
        + SIGNED,
    ),
    "suspend": Row("lab/root", "suspend 320900-GO --for 24h --reason stolen" + SIGNED),
    "rotate root": Row("lab/root", "rotate root" + SIGNED),
    "rotate timestamp": Row("lab/root", "rotate timestamp" + SIGNED),
    "publish": Row("lab/root", "publish --to-file @/out" + SIGNED, keyed=False),
    "init-network": Row(
        "network", "init-network --network other --office 330000-GO --passphrase-file @/other", keyed=False
    ),
    "rotate identity": Row(f"lab/offices/{CITY}", "rotate identity -o @/out", keyed=False),
    "rotate tls": Row(f"lab/offices/{CITY}", "rotate tls -o @/out", keyed=False),
    "rotate storage": Row(f"lab/offices/{CITY}", "rotate storage", keyed=False),
    "passwd": Row("lab/root", "passwd HERE/keys/root-1.key --new-passphrase-file @/other" + SIGNED),
    "passwd storage": Row(f"lab/offices/{CITY}", "passwd --new-passphrase-file @/other", keyed=False),
    "backup": Row(f"lab/offices/{CITY}", "backup -o @/out --passphrase-file @/other", keyed=False),
    "backup root": Row("lab/root", "backup -o @/out --passphrase-file @/other", keyed=False),
    "recover": Row("back", "recover @/city.backup --passphrase-file @/other", keyed=False),
}
SIGNED_TOO = {
    "rotate targets": Row("lab/root", "rotate targets" + SIGNED),
    "rotate suspensions": Row("lab/root", "rotate suspensions" + SIGNED),
    "rotate snapshot": Row("lab/root", "rotate snapshot" + SIGNED),
    "rules": Row("lab/root", "rules --require-reviewer incident_first" + SIGNED),
}
"""Commands that are kept as those above are, and of which only a wrong passphrase is tried."""
REPEATED = {"FILE_EXISTS", "RESPONSE_OLD", "BAD_FIELD", "REVOKED", "KEY_FILE_NOT_OPENED", "NO_PASSPHRASE"}
"""What a command may say that had been done before the fault was noticed."""


@dataclass(slots=True)
class Trial:
    """One folder in which one command is run."""

    folder: Path
    root: str
    since: str
    said: Callable[[], tuple[str, str]]

    def run(self, row: Row) -> tuple[int, str]:
        """(exit status, code or "")."""
        here = str(self.folder / row.home)
        words = (
            row.words.replace("HERE", here)
            .replace("@", str(self.folder))
            .replace("ROOT", self.root)
            .replace("SINCE", self.since)
            .split()
        )
        self.said()
        status = main(["--home", str(self.folder / row.home), "--json", "keys", *words])
        out, err = self.said()
        assert "Traceback" not in err
        for secret in ("passphrase", "other"):
            assert (self.folder / secret).read_text().strip() not in out + err
        return status, json.loads(err.splitlines()[-1])["code"] if status else ""

    def check(self) -> None:
        """Whatever is there is whole: every home reads as one."""
        read_network(self.folder / "lab" / "root")
        for home in (*(self.folder / "lab" / "offices").iterdir(), self.folder / "back", self.folder / "asking"):
            if (home / "trust" / "root.json").exists():
                TrustStore(home).load(time.time_ns() // 1_000)

    def picture(self) -> dict[str, bytes]:
        """Every file but the counts of wrong passphrases."""
        paths = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and path.suffix != ".tries")
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module", autouse=True)
def cheap_passphrases() -> Iterator[None]:
    """What a guess costs is asked elsewhere (tests/keys/test_keyfile.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "keys.files.keyfile.argon2id", lambda passphrase, salt, **_: hkdf(passphrase + salt, b"cheap", 32)
        )
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, an office that asks, its request, the answer to it, and a backup."""
    folder = tmp_path_factory.mktemp("network")
    (folder / "plan.toml").write_text(PLAN)
    create_lab(folder / "plan.toml", folder / "lab")
    shutil.copy(folder / "lab" / "root" / "passphrase", folder / "passphrase")
    (folder / "other").write_text("another passphrase")
    root = read_network(folder / "lab" / "root").root_fingerprint

    def keys(home: Path, words: str) -> None:
        assert main(["--home", str(home), "--json", "keys", *words.replace("@", str(folder)).split()]) == 0

    keys(folder / "asking", f"init --address {NEW} --network lab --root {root} -o @/request")
    shutil.copytree(folder / "lab", folder / "elsewhere")
    keys(folder / "elsewhere" / "root", f"approve @/request --class county --parent {CITY} -o @/response" + SIGNED)
    keys(folder / "lab" / "offices" / CITY, "backup -o @/city.backup --passphrase-file @/other")
    (folder / "p").mkdir(mode=0o700)
    return folder


@pytest.fixture
def trial(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Trial]:
    root = read_network(made / "lab" / "root").root_fingerprint

    def begin(name: str) -> Trial:
        folder = tmp_path / name
        shutil.copytree(made, folder, ignore=shutil.ignore_patterns("elsewhere"))
        return Trial(folder, root, time_text(time.time_ns() // 1_000 - 1_000_000), capsys.readouterr)

    return begin


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@contextmanager
def read_only_from(cut: int) -> Iterator[Callable[[], int]]:
    """The disk takes no more changes after so many; how many were asked for."""
    asked = 0

    def fragile(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal asked
            if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*arguments, **named)
            asked += 1
            if asked > cut:
                raise OSError(EROFS, os.strerror(EROFS), str(arguments[0]))
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fsync", "link", "rename", "replace", "mkdir"):
            patch.setattr(os, name, fragile(name))
        yield lambda: asked


@pytest.mark.parametrize("name", COMMANDS)
def test_g01_a_disk_that_refuses_at_any_step_leaves_what_the_same_command_finishes(
    name: str, trial: Callable[[str], Trial]
) -> None:
    row = COMMANDS[name]
    for cut in CUTS:
        once = trial(f"cut-{cut}")
        with read_only_from(cut) as asked:
            status, code = once.run(row)
        ended = asked() <= cut
        assert (status, code) in {(0, ""), (73, "CANNOT_WRITE")}, (cut, status, code)
        again, code = once.run(row)
        assert again == 0 or (code in REPEATED and again != 70), (cut, again, code)
        once.check()
        shutil.rmtree(once.folder)
        if ended:
            break
    assert status == 0 or cut == CUTS[-1]


@pytest.mark.parametrize("name", [*(name for name, row in COMMANDS.items() if row.keyed), *SIGNED_TOO])
def test_a_wrong_passphrase_changes_nothing_and_is_counted(name: str, trial: Callable[[str], Trial]) -> None:
    """And is said: nothing waits for holders of whom one has just tried to sign."""
    row = {**COMMANDS, **SIGNED_TOO}[name]
    once = trial("wrong")
    (once.folder / "passphrase").write_text("not this one")
    before = once.picture()
    assert once.run(row) == (65, "KEY_FILE_NOT_OPENED")
    after = once.picture()
    # A person's new key may be there; what no signed file names is nobody's.
    assert all(after[file] == data for file, data in before.items())
    assert {file.rpartition("/")[0] for file in after if file not in before} <= {"p", f"{row.home}/keys"}
    assert list((once.folder / "lab" / "root" / "keys").glob(".*.tries"))


@pytest.mark.parametrize("fault", ["cut", "bent", "open", "gone"])
@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if row.home.startswith("lab")])
def test_key_files_that_are_cut_bent_open_or_gone_are_named_and_nothing_changes(
    name: str, fault: str, trial: Callable[[str], Trial]
) -> None:
    once, row = trial("damaged"), COMMANDS[name]
    for file in (once.folder / row.home / "keys").glob("*.key"):
        data = bytearray(file.read_bytes())
        match fault:
            case "cut":
                file.write_bytes(data[: len(data) // 2])
            case "bent":
                data[-1] ^= 1
                file.write_bytes(data)
            case "open":
                file.chmod(0o644)
            case _:
                file.unlink()
    before = once.picture()
    status, code = once.run(row)
    if status == 0:
        # What opens no key needs none.
        assert name in {"reject", "person init", "publish"}
        return
    assert code in {"KEY_FILE_DAMAGED", "KEY_FILE_NOT_OPENED", "KEY_FILE_MODE", "KEY_FILE_MISSING", "NOT_ENOUGH_KEYS"}
    assert fault != "open" or (status, code) == (77, "KEY_FILE_MODE")
    after = once.picture()
    assert all(after[file] == data for file, data in before.items())


def test_g11_no_option_of_any_command_takes_a_secret_itself() -> None:
    words = re.compile("passphrase|password|-pin$|secret|seed")
    taking = {
        (path, option.opts[0]): option.metavar
        for path, command in ALL
        for option in command.params
        if isinstance(option, click.Option) and any(words.search(name) for name in option.opts)
    }
    assert taking
    assert set(taking.values()) == {"FILE"}, taking


@pytest.mark.parametrize("years", [-1, 1])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_clock_that_is_off_by_a_year_breaks_nothing(
    name: str, years: int, trial: Callable[[str], Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    once, real = trial("clock"), time.time_ns
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: real() + years * YEAR_NS)
        status, code = once.run(COMMANDS[name])
    assert status != 70, code
    read_network(once.folder / "lab" / "root")
    assert status == 0 or code in {"REQUEST_EXPIRED", "CLOCK_BEHIND", "BAD_REQUEST", "BAD_FIELD", "BAD_TRUST"}, code
