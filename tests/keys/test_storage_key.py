"""Where the storage key is kept, and that no change of its place can lose it."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.files.keyfile import Argon2Cost, change_passphrase, read_secret, write_secret
from keys.files.private_files import KeyFileError
from keys.files.storage_key import (
    create_storage_key,
    how_kept,
    keep_bare,
    load_storage_key,
    nobody,
    seal_under_passphrase,
    seal_under_token,
)
from keys.files.tries import wrong_tries
from keys.primitives import hkdf
from protocol.errors import Refused

CHEAP = Argon2Cost(8, 1, 1)
STORAGE = bytes(range(32))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is asked here is the order of steps; `fail_at` counts this fsync too."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


def derive(salt: bytes) -> bytes:
    """A token."""
    return hkdf(b"in the token", salt, 32)


def unlock(label: str) -> bytes:
    assert label == "storage"
    return "口令".encode()


def load(home: Path, **how: Any) -> bytes:
    return load_storage_key(home, **{"unlock": unlock, "derive": derive, "environ": {}, **how})


def under_passphrase(home: Path, key: bytes) -> None:
    seal_under_passphrase(home, key, unlock("storage"), entropy=os.urandom, cost=CHEAP)


def under_token(home: Path, key: bytes) -> None:
    seal_under_token(home, key, derive, entropy=os.urandom)


PLACES: dict[str, Callable[[Path, bytes], None]] = {
    "file": keep_bare,
    "passphrase": under_passphrase,
    "token": under_token,
}


def test_the_key_comes_from_the_credential_or_else_the_home(tmp_path: Path) -> None:
    home, credentials = tmp_path / "home", tmp_path / "credentials"
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    made = create_storage_key(home, os.urandom)
    assert load(home) == made
    with pytest.raises(Refused, match="FILE_EXISTS"):
        create_storage_key(home, os.urandom)
    credentials.mkdir()
    assert load(home, environ=environ) == made
    (credentials / "relay.storage").write_bytes(STORAGE)
    assert (load(home, environ=environ), how_kept(home, environ)) == (STORAGE, "credential")
    (credentials / "relay.storage").write_bytes(b"short")
    with pytest.raises(KeyFileError, match="32 bytes"):
        load(home, environ=environ)
    with pytest.raises(KeyFileError, match="KEY_FILE_MISSING"):
        load(tmp_path / "elsewhere")


@given(moves=st.lists(st.sampled_from(sorted(PLACES)), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_g11_the_key_stays_the_same_wherever_it_goes_and_lies_bare_in_one_place_only(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str]
) -> None:
    home = tmp_path_factory.mktemp("home")
    key = create_storage_key(home, os.urandom)
    for place in moves:
        PLACES[place](home, key)
        assert load(home) == key
        assert how_kept(home, {}) == place
        bare = [path.name for path in (home / "keys").iterdir() if key in path.read_bytes()]
        assert bare == (["storage.key"] if place == "file" else [])
        assert {path.stat().st_mode & 0o777 for path in (home / "keys").iterdir()} == {0o600}


@pytest.mark.parametrize("before", sorted(PLACES))
@pytest.mark.parametrize("after", sorted(PLACES))
def test_g11_a_change_that_is_cut_at_any_step_leaves_a_key_that_opens(tmp_path: Path, before: str, after: str) -> None:
    steps = ("write", "fsync", "rename", "replace", "unlink", "open")
    cuts = 0
    for cut in range(100):
        home = tmp_path / str(cut)
        key = create_storage_key(home, os.urandom)
        PLACES[before](home, key)
        reached, cutting = fail_at(steps, cut)
        try:
            PLACES[after](home, key)
        except OSError:
            cuts += 1
        cutting.undo()
        assert load(home) == key
        # The same command again finishes what was begun.
        PLACES[after](home, key)
        assert how_kept(home, {}) == after
        if reached() <= cut:
            break
    assert cuts >= 4


def fail_at(names: tuple[str, ...], cut: int) -> tuple[Callable[[], int], pytest.MonkeyPatch]:
    """Let the call number `cut` of these functions of `os` fail, and those after it; how many were made."""
    made, monkeypatch = 0, pytest.MonkeyPatch()

    def fragile(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            made += 1
            if made > cut:
                raise OSError(5, "cut here")
            return real(*arguments, **named)

        return call

    for name in names:
        monkeypatch.setattr(os, name, fragile(name))
    return lambda: made, monkeypatch


def test_a_passphrase_comes_from_its_credential_or_from_somebody_or_the_start_is_refused(tmp_path: Path) -> None:
    home, credentials = tmp_path / "home", tmp_path / "credentials"
    key = create_storage_key(home, os.urandom)
    under_passphrase(home, key)
    with pytest.raises(Refused, match="NO_PASSPHRASE"):
        load(home, unlock=nobody)
    credentials.mkdir()
    (credentials / "relay.passphrase").write_bytes("口令\n".encode())
    assert load(home, unlock=nobody, environ={"CREDENTIALS_DIRECTORY": str(credentials)}) == key
    with pytest.raises(Refused, match="FILE_EXISTS"):
        create_storage_key(home, os.urandom)


def test_a_token_that_is_not_set_or_another_one_opens_nothing(tmp_path: Path) -> None:
    key = create_storage_key(tmp_path, os.urandom)
    under_token(tmp_path, key)
    with pytest.raises(Refused, match="BAD_CONFIG"):
        load_storage_key(tmp_path, environ={})
    with pytest.raises(KeyFileError, match="KEY_FILE_NOT_OPENED"):
        load(tmp_path, derive=lambda salt: hkdf(b"another token", salt, 32))


def test_wrong_passphrases_are_counted_until_the_right_one_comes(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root-1.key"
    write_secret(path, "root", STORAGE, passphrase=b"right", entropy=os.urandom, cost=CHEAP)
    assert wrong_tries(path) is None
    for count in (1, 2, 3):
        with pytest.raises(KeyFileError, match="KEY_FILE_NOT_OPENED"):
            read_secret(path, "root", passphrase=b"wrong")
        found = wrong_tries(path)
        assert found is not None
        assert found.count == count
        assert found.first_us <= found.last_us
    (tmp_path / "keys" / ".root-1.key.tries").write_bytes(b"\x84")
    assert wrong_tries(path) is None
    with pytest.raises(KeyFileError):
        read_secret(path, "root", passphrase=b"wrong")
    assert read_secret(path, "root", passphrase=b"right") == STORAGE
    assert wrong_tries(path) is None
    assert [each.name for each in path.parent.iterdir()] == ["root-1.key"]


def test_a_changed_passphrase_opens_and_the_old_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "targets-2.key"
    write_secret(path, "targets", STORAGE, passphrase=b"old", entropy=os.urandom, cost=CHEAP, label="x", public=b"p")
    change_passphrase(path, b"old", b"new", entropy=os.urandom, cost=CHEAP)
    assert read_secret(path, "targets", passphrase=b"new") == STORAGE
    for wrong in (b"old", b"new "):
        with pytest.raises(KeyFileError, match="KEY_FILE_NOT_OPENED"):
            change_passphrase(path, wrong, b"third", entropy=os.urandom, cost=CHEAP)
    with pytest.raises(ValueError, match="empty"):
        change_passphrase(path, b"new", b"", entropy=os.urandom, cost=CHEAP)
    assert read_secret(path, "targets", passphrase=b"new") == STORAGE


def test_g11_a_change_of_passphrase_that_is_cut_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path,
) -> None:
    opened = set()
    for cut in range(60):
        path = tmp_path / str(cut) / "person.key"
        write_secret(path, "person", STORAGE, passphrase=b"old", entropy=os.urandom, cost=CHEAP)
        reached, cutting = fail_at(("write", "fsync", "rename", "replace", "unlink", "open"), cut)
        with suppress(OSError, KeyFileError):
            change_passphrase(path, b"old", b"new", entropy=os.urandom, cost=CHEAP)
        cutting.undo()
        found = {word for word in (b"old", b"new") if _opens(path, word)}
        assert len(found) == 1
        opened |= found
        if reached() <= cut:
            break
    assert opened == {b"old", b"new"}


def _opens(path: Path, passphrase: bytes) -> bool:
    try:
        return read_secret(path, "person", passphrase=passphrase) == STORAGE
    except KeyFileError:
        return False
