"""A new storage key for a stopped home: whoever had the old one, and a later disk, opens nothing (G11).

    keys/storage.next    the new key, sealed under the old one: a rotation is under way as long as it is there

1. The new key is kept beside the old one. 2. Every row of the store is sealed under it, in one transaction. 3. So is
every key file. 4. It takes the old one's place, under whatever that was kept. 5. storage.next goes.
A crash at any point leaves a home that says so, and that the same command finishes: each step finds what is done.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from keys.enrol.candidate import held
from keys.files.keyfile import (
    KEY_FILE_BYTES,
    STORAGE_KEY_BYTES,
    Unlock,
    read_header,
    read_secret,
    seal_secret,
    write_secret,
)
from keys.files.private_files import KeyFileError, erase, read_private, replace, tidy
from keys.files.storage_key import BARE, LABEL, SEALED, how_kept, keep_bare, seal_under_passphrase, seal_under_token
from keys.rows import RowCipher
from protocol.errors import Refused
from relay.clock import SystemEntropy, read_clocks
from relay.opening import row_key
from relay.safe import NEXT_STORAGE_KEY, Safe, nobody_hears
from relay.store.database import DATABASE_NAME, HomeInUse, StoreUnusable
from relay.store.resealing import reseal

_KIND: Final = "storage-next"
_OLD: Final = ".old"

Entropy = Callable[[int], bytes]


def rotate_storage_key(home: Path, unlock: Unlock, entropy: Entropy, migrations: Path, quota_bytes: int) -> int:
    """Give a stopped home a new storage key, or finish what an interrupted run began; how many rows were sealed anew.

    `unlock` is asked once for the passphrase that the old key is under; the new one is kept under the same.
    Raises `Refused` HOME_IN_USE while the daemon runs, BAD_FIELD for a key that systemd gives, BAD_STORE, STORE_FULL;
    `KeyFileError`; `OSError`.
    """
    kept = how_kept(home)
    if kept == "credential":
        raise Refused("BAD_FIELD", "systemd gives the storage key: change its credential", field="storage")
    asked: dict[str, bytes | None] = {}

    def unlock_once(label: str) -> bytes | None:
        if label not in asked:
            asked[label] = unlock(label)
        return asked[label]

    with held(home):
        safe = Safe(home, unlock_once, nobody_hears)
        old, waiting = safe.storage_key, home / "keys" / NEXT_STORAGE_KEY
        for folder in (home / "keys", home / "keys" / "next"):
            tidy(folder)
        if _is_done(home, old):
            erase(waiting)
            return 0
        if not waiting.exists():
            write_secret(waiting, _KIND, entropy(STORAGE_KEY_BYTES), storage_key=old, entropy=entropy)
        new = read_secret(waiting, _KIND, storage_key=old)
        count = _reseal_store(home, old, new, migrations, quota_bytes)
        for path in _key_files(home):
            _reseal_file(path, old, new, entropy)
        _take_place(home, new, kept, safe, asked.get(LABEL), entropy)
        erase(waiting)
    return count


def _is_done(home: Path, key: bytes) -> bool:
    """Whether the key in force is the new one already, and only storage.next is left of a rotation.

    It is when storage.next, which the old key sealed, does not open, while the key files do.
    """
    waiting = home / "keys" / NEXT_STORAGE_KEY
    if not waiting.exists():
        return False
    try:
        read_secret(waiting, _KIND, storage_key=key)
    except KeyFileError as error:
        if error.code != "KEY_FILE_NOT_OPENED":
            raise
        for path in _key_files(home):
            read_secret(path, read_header(path).kind, storage_key=key)
        return True
    return False


def _reseal_store(home: Path, old: bytes, new: bytes, migrations: Path, quota_bytes: int) -> int:
    folder = home / "store"
    if not (folder / DATABASE_NAME).exists():
        return 0
    try:
        return reseal(
            folder, RowCipher(row_key(old)), RowCipher(row_key(new)), entropy=SystemEntropy(), migrations=migrations,
            quota_bytes=quota_bytes, now_us=read_clocks().wall_us,
        )  # fmt: skip
    except HomeInUse:
        raise Refused("HOME_IN_USE", str(home)) from None
    except StoreUnusable as error:
        raise Refused("BAD_STORE", f"{error.code}: {error.detail}") from None
    except sqlite3.Error as error:
        code = "STORE_FULL" if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL else "BAD_STORE"
        raise Refused(code, f"{folder}: {error}") from None


def _key_files(home: Path) -> Iterator[Path]:
    """Key files that the storage key opens, in keys/ and in keys/next."""
    for path in sorted((home / "keys").rglob("*.key")):
        if path.name not in (BARE, "tls.key") and read_header(path).sealed_by == "storage":
            yield path


def _reseal_file(path: Path, old: bytes, new: bytes, entropy: Entropy) -> None:
    """One key file under the new key; what it was is overwritten."""
    header, before = read_header(path), read_private(path, KEY_FILE_BYTES)
    try:
        secret = read_secret(path, header.kind, storage_key=old)
    except KeyFileError as error:
        if error.code != "KEY_FILE_NOT_OPENED":
            raise
        # Done by a run that was interrupted, or damaged: then this says so.
        read_secret(path, header.kind, storage_key=new)
        return
    sealed = seal_secret(
        header.kind, secret, storage_key=new, entropy=entropy, label=header.label, public=header.public
    )
    if sealed != before:
        _replace_and_erase(path, lambda: replace(path, sealed))


def _take_place(home: Path, new: bytes, kept: str, safe: Safe, passphrase: bytes | None, entropy: Entropy) -> None:
    """The new key in force, under whatever the old one was kept."""
    if kept == "passphrase":
        if not passphrase:
            raise Refused("NO_PASSPHRASE", "the passphrase was given as a credential: run the command on a terminal")
        under = passphrase
        _replace_and_erase(home / "keys" / SEALED, lambda: seal_under_passphrase(home, new, under, entropy=entropy))
    elif kept == "token":
        derive = safe.token().derive
        _replace_and_erase(home / "keys" / SEALED, lambda: seal_under_token(home, new, derive, entropy=entropy))
    else:
        _replace_and_erase(home / "keys" / BARE, lambda: keep_bare(home, new))


def _replace_and_erase(path: Path, put: Callable[[], None]) -> None:
    """Replace a file by `put`, and overwrite what it was: a second name keeps hold of its blocks meanwhile."""
    old = path.with_name(f".{path.name}{_OLD}")
    os.link(path, old)
    put()
    erase(old)
