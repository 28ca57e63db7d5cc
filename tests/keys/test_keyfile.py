"""Key files: nothing overwritten, nothing read that others could have changed, every altered byte refused."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.files.keyfile import Argon2Cost, read_header, read_secret, write_secret
from keys.files.private_files import KeyFileError, erase, read_private, replace, tidy, write_new
from protocol.errors import Refused
from tests.keys.networks import CHEAP

STORAGE = bytes(range(32))
SECRET = b"a secret of thirty-two bytes ...."


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "identity.key"
    write_secret(path, "identity", SECRET, storage_key=STORAGE, entropy=os.urandom, label="320000-GO", public=b"public")
    return path


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "root-1.key"
    write_secret(path, "root", SECRET, passphrase=b"open", entropy=os.urandom, cost=CHEAP)
    return path


def _code(path: Path, kind: str = "identity", **keys: bytes) -> str:
    with pytest.raises(KeyFileError) as caught:
        read_secret(path, kind, **keys)
    assert SECRET.decode() not in str(caught.value)
    return caught.value.code


def test_a_secret_comes_back(sealed: Path, locked: Path) -> None:
    assert read_secret(sealed, "identity", storage_key=STORAGE) == SECRET
    assert read_secret(locked, "root", passphrase=b"open") == SECRET
    header = read_header(sealed)
    assert (header.kind, header.label, header.sealed_by, header.public) == (
        "identity",
        "320000-GO",
        "storage",
        b"public",
    )
    assert read_header(locked).sealed_by == "passphrase"
    assert SECRET not in sealed.read_bytes()
    assert SECRET not in locked.read_bytes()


def test_files_and_directories_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "a" / "keys" / "x.key"
        write_secret(path, "identity", SECRET, storage_key=STORAGE, entropy=os.urandom)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["x.key"]


def test_nothing_is_overwritten(sealed: Path) -> None:
    before = sealed.read_bytes()
    with pytest.raises(Refused, match="FILE_EXISTS"):
        write_secret(sealed, "identity", b"other", storage_key=STORAGE, entropy=os.urandom)
    assert sealed.read_bytes() == before
    assert [entry.name for entry in sealed.parent.iterdir()] == ["identity.key"]


def test_every_altered_byte_is_refused(sealed: Path) -> None:
    whole = sealed.read_bytes()
    for at in range(len(whole)):
        for change in (0x01, 0x80):
            replace(sealed, whole[:at] + bytes((whole[at] ^ change,)) + whole[at + 1 :])
            assert _code(sealed, storage_key=STORAGE) in {"KEY_FILE_DAMAGED", "KEY_FILE_KIND", "KEY_FILE_NOT_OPENED"}


def test_every_altered_byte_is_refused_under_a_passphrase(locked: Path) -> None:
    whole = locked.read_bytes()
    for at in range(len(whole)):
        replace(locked, whole[:at] + bytes((whole[at] ^ 0x01,)) + whole[at + 1 :])
        found = _code(locked, "root", passphrase=b"open")
        assert found in {"KEY_FILE_DAMAGED", "KEY_FILE_KIND", "KEY_FILE_NOT_OPENED"}


def test_every_truncation_and_an_extension_are_damage(sealed: Path) -> None:
    whole = sealed.read_bytes()
    for part in [whole[:end] for end in range(len(whole))] + [whole + b"\0", b"x" * 100_000]:
        replace(sealed, part)
        assert _code(sealed, storage_key=STORAGE) == "KEY_FILE_DAMAGED"


@settings(max_examples=60)
@given(junk=st.binary(max_size=120))
def test_junk_is_damage(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "keys" / "x.key"
    replace(path, junk)
    assert _code(path, storage_key=STORAGE) == "KEY_FILE_DAMAGED"


def test_a_wrong_passphrase_is_not_told_from_an_altered_file(locked: Path) -> None:
    with pytest.raises(KeyFileError) as wrong:
        read_secret(locked, "root", passphrase=b"shut")
    whole = locked.read_bytes()
    replace(locked, whole[:-1] + bytes((whole[-1] ^ 1,)))
    with pytest.raises(KeyFileError) as altered:
        read_secret(locked, "root", passphrase=b"open")
    assert str(wrong.value) == str(altered.value)
    assert wrong.value.code == "KEY_FILE_NOT_OPENED"


def test_another_storage_key_another_kind_and_the_wrong_sort_of_key(sealed: Path, locked: Path) -> None:
    assert _code(sealed, storage_key=bytes(32)) == "KEY_FILE_NOT_OPENED"
    assert _code(sealed, "prekey", storage_key=STORAGE) == "KEY_FILE_KIND"
    assert _code(sealed, passphrase=b"open") == "KEY_FILE_NOT_OPENED"
    assert _code(locked, "root", storage_key=STORAGE) == "KEY_FILE_NOT_OPENED"
    with pytest.raises(ValueError, match="one of the two"):
        read_secret(sealed, "identity")
    with pytest.raises(ValueError, match="one of the two"):
        read_secret(sealed, "identity", storage_key=STORAGE, passphrase=b"open")


def test_an_empty_passphrase_and_a_forged_cost_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty passphrase"):
        write_secret(tmp_path / "keys" / "x.key", "root", SECRET, passphrase=b"", entropy=os.urandom, cost=CHEAP)
    for cost in ((4, 1, 1), (2**21, 1, 1), (64, 17, 1), (64, 1, 17), (64, 1, 9)):
        with pytest.raises(ValueError, match="Argon2id"):
            Argon2Cost(*cost)


def test_a_file_that_others_can_read_is_refused_with_the_command_to_run(sealed: Path) -> None:
    sealed.chmod(0o640)
    with pytest.raises(KeyFileError) as caught:
        read_secret(sealed, "identity", storage_key=STORAGE)
    assert (caught.value.code, caught.value.hint) == ("KEY_FILE_MODE", f"chmod 600 {sealed}")
    sealed.chmod(0o600)
    sealed.parent.chmod(0o750)
    with pytest.raises(KeyFileError) as caught:
        read_secret(sealed, "identity", storage_key=STORAGE)
    assert caught.value.hint == f"chmod 700 {sealed.parent}"


def test_missing_files_directories_pipes_and_links(sealed: Path) -> None:
    folder = sealed.parent
    assert _code(folder / "none.key", storage_key=STORAGE) == "KEY_FILE_MISSING"
    (folder / "folder.key").mkdir()
    assert _code(folder / "folder.key", storage_key=STORAGE) == "KEY_FILE_UNREADABLE"
    os.mkfifo(folder / "pipe.key", 0o600)
    assert _code(folder / "pipe.key", storage_key=STORAGE) == "KEY_FILE_UNREADABLE"
    (folder / "link.key").symlink_to(sealed)
    assert _code(folder / "link.key", storage_key=STORAGE) == "KEY_FILE_UNREADABLE"


def test_a_replaced_file_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "floor"
    for content in (b"one", b"two"):
        replace(path, content)
        assert read_private(path, 10) == content
    with pytest.raises(KeyFileError, match="longer"):
        read_private(path, 2)


@pytest.mark.parametrize("step", range(6))
def test_g11_what_a_kill_left_of_an_erased_key_is_erased_by_the_next_run(tmp_path: Path, step: int) -> None:
    path = tmp_path / "prekey-1.key"
    write_new(path, b"secret" * 100)
    calls = 0

    def die(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                raise KeyboardInterrupt
            return real(*args, **named)

        return call

    with (
        patch("os.fsync", die(os.fsync)), patch("os.pwrite", die(os.pwrite)), patch("os.rename", die(os.rename)),
        patch("os.unlink", die(os.unlink)), suppress(KeyboardInterrupt),
    ):  # fmt: skip
        erase(path)
    tidy(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ([] if step else ["prekey-1.key"])


def test_a_medium_without_links_takes_new_files_and_overwrites_none(tmp_path: Path) -> None:
    # FAT and exFAT, as USB sticks are sold, answer link(2) with EPERM.
    with patch("os.link", side_effect=PermissionError(errno.EPERM, "Operation not permitted")):
        write_new(tmp_path / "root-1.key", b"one")
        with pytest.raises(Refused, match="FILE_EXISTS"):
            write_new(tmp_path / "root-1.key", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"root-1.key": b"one"}


def test_what_has_another_name_is_not_overwritten(tmp_path: Path) -> None:
    """A writer that was killed between link and unlink leaves two names of one file."""
    path, other, lone = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    path.write_bytes(b"in force")
    os.link(path, other)
    lone.write_bytes(b"old")
    with lone.open("rb") as held:
        for each in (other, lone, tmp_path / "nothing"):
            erase(each)
        assert held.read() == bytes(3)
    assert path.read_bytes() == b"in force"
    assert [each.name for each in tmp_path.iterdir()] == ["one"]
