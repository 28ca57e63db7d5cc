"""A new storage key: whatever interrupts its coming, the command finishes it, and the old one opens nothing (G11)."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.files.keyfile import read_header, read_secret
from keys.files.private_files import KeyFileError
from keys.files.storage_key import load_storage_key, nobody, seal_under_passphrase
from keys.rows import RowCipher
from protocol.errors import Refused
from relay.clock import SystemEntropy
from relay.daemon import MIGRATIONS
from relay.lab.create import create_lab
from relay.opening import row_key
from relay.safe import require_no_rotation
from relay.storage_rotation import rotate_storage_key
from relay.store import counters, prekeys, resealing, stopped
from relay.store.database import Database, StoreLock, Txn
from relay.store.tables import ALL
from tests.inline_store import InlineStore
from tests.relay.store.place import HandClock
from tests.sim.network import sim_place

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
QUOTA = 64 << 20
FACTS = 10
STRIDE = 3
"""Every third step is died at: with 1 it takes half a minute, and was run so."""
KEY_FILES = {"identity.key", "second.key", "prekey-1.key"}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that ran: keys, and a store with rows in several tables."""
    folder = tmp_path_factory.mktemp("rotation")
    (folder / "plan.toml").write_text(PLAN)
    create_lab(folder / "plan.toml", folder / "lab")
    home = folder / "lab" / "offices" / "320000-GO"
    key = load_storage_key(home)
    opened = Database.open(
        home / "store", cipher=RowCipher(row_key(key)), entropy=SystemEntropy(), migrations=MIGRATIONS,
        quota_bytes=QUOTA, ballast_bytes=0,
    )  # fmt: skip
    store = InlineStore(opened, HandClock())
    for number in range(FACTS):
        store.run(lambda txn, number=number: counters.remember(txn, f"fact {number}", number))
    store.run(lambda txn: prekeys.keep_own(txn, bytes(16), 1, 10**18, bytes(32), bytes(7_000)))
    store.close()
    return home


def rotate(home: Path, passphrase: bytes | None = None) -> int:
    entropy = os.urandom
    return rotate_storage_key(home, (lambda _label: passphrase) if passphrase else nobody, entropy, MIGRATIONS, QUOTA)


def facts(home: Path, key: bytes) -> list[Any]:
    """What the store holds under a key; None for what does not open."""

    def look(txn: Any) -> list[Any]:
        found = [row.body for row in counters.META.select(txn, "name LIKE 'fact %'")]
        return [*found, *prekeys.own(txn)]

    return stopped.ask(home / "store", RowCipher(row_key(key)), look)


def opened_keys(home: Path, key: bytes) -> set[str]:
    """Names of the key files that a storage key opens."""
    found = set()
    for path in (home / "keys").glob("*.key"):
        if path.name in ("storage.key", "tls.key"):
            continue
        try:
            read_secret(path, read_header(path).kind, storage_key=key)
        except KeyFileError as error:
            assert error.code == "KEY_FILE_NOT_OPENED"  # noqa: PT017 - either it opens or it says this
            continue
        found.add(path.name)
    return found


def copied(made: Path, to: Path) -> Path:
    shutil.copytree(made, to)
    return to


def check_rotated(home: Path, old: bytes, new: bytes) -> None:
    assert new != old
    require_no_rotation(home)
    assert len(facts(home, new)) == FACTS + 1
    assert facts(home, old) == []
    assert opened_keys(home, new) == KEY_FILES
    assert opened_keys(home, old) == set()
    names = {path.name for path in (home / "keys").iterdir()}
    assert len(names & {"storage.key", "storage.sealed"}) == 1
    assert names - {"storage.key", "storage.sealed"} == KEY_FILES | {"tls.key", "tls.pem", "ca.pem"}


def test_g11_after_a_rotation_the_old_storage_key_opens_nothing(made: Path, tmp_path: Path) -> None:
    home = copied(made, tmp_path / "home")
    old = load_storage_key(home)
    assert rotate(home) >= FACTS
    check_rotated(home, old, load_storage_key(home))


def test_g11_a_rotation_takes_every_row_once_however_many_it_holds_in_memory(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(made, tmp_path / "home")
    old = load_storage_key(home)

    def count(txn: Txn) -> int:
        return sum(len(table.unverified_clear(txn)) for table in ALL)

    rows = stopped.ask(home / "store", RowCipher(row_key(old)), count)
    monkeypatch.setattr(resealing, "SLICE_ROWS", 3)
    assert rotate(home) == rows
    check_rotated(home, old, load_storage_key(home))


def test_a_rotation_keeps_the_key_under_the_passphrase_it_was_under(made: Path, tmp_path: Path) -> None:
    home = copied(made, tmp_path / "home")
    old = load_storage_key(home)
    seal_under_passphrase(home, old, b"first", entropy=os.urandom)
    rotate(home, b"first")
    check_rotated(home, old, load_storage_key(home, unlock=lambda _label: b"first"))


def test_a_running_relay_keeps_its_storage_key(made: Path, tmp_path: Path) -> None:
    home = copied(made, tmp_path / "home")
    old = load_storage_key(home)
    lock = StoreLock(home / "store")
    with pytest.raises(Refused, match="HOME_IN_USE"):
        rotate(home)
    lock.release()
    assert load_storage_key(home) == old
    assert len(facts(home, old)) == FACTS + 1
    rotate(home)
    check_rotated(home, old, load_storage_key(home))


def deadly(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """From its `at`-th step on, no step that the disk would see succeeds any more; says how many there were."""
    count = 0

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count > at:
                raise Killed
            return real(*arguments, **more)

        return step

    for owner, name in (
        (os, "fsync"), (os, "link"), (os, "pwrite"), (Path, "rename"), (Path, "unlink"), (Database, "commit"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, guarded(getattr(owner, name)))
    return lambda: count


def steps(made: Path, folder: Path) -> Iterator[tuple[Path, Callable[[pytest.MonkeyPatch], bool]]]:
    """A fresh home for each step at which the rotation can die, until it does not."""
    for at in range(0, 400, STRIDE):
        home = copied(made, folder / f"home-{at}")

        def run(patch: pytest.MonkeyPatch, home: Path = home, at: int = at) -> bool:
            with patch.context() as scope:
                deadly(scope, at)
                try:
                    rotate(home)
                except Killed:
                    return False
            return True

        yield home, run
        shutil.rmtree(home)


def test_g01_g11_a_rotation_that_dies_at_any_step_is_finished_by_the_next(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sim_place() as folder:
        died = die_everywhere(made, Path(folder), monkeypatch)
    assert died > 20 // STRIDE


def die_everywhere(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """At one step after the other; how many there were."""
    died = 0
    for home, run in steps(made, folder):
        old = load_storage_key(home)
        done = run(monkeypatch)
        now = load_storage_key(home)
        if not done:
            died += 1
            # Nothing is half-lost: every row opens with one of two keys that the home still has.
            if now == old and not (home / "keys" / "storage.next").exists():
                assert len(facts(home, old)) == FACTS + 1
            elif (home / "keys" / "storage.next").exists():
                with pytest.raises(Refused, match="ROTATION_UNFINISHED"):
                    require_no_rotation(home)
            rotate(home)
            if load_storage_key(home) == now != old:
                # It had come to its end but for the last file.
                check_rotated(home, old, now)
                continue
        check_rotated(home, old, load_storage_key(home))
        if done:
            break
    return died
