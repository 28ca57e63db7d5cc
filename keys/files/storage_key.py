"""The storage key of a home, and what it is kept under (CONTRACT section 9, DESIGN D10).

    credential relay.storage    32 bytes that systemd opened; they come before everything else
    HOME/keys/storage.key       32 bytes as they are, in a file of mode 0600
    HOME/keys/storage.sealed    a key file: under a passphrase, or under a secret that never leaves a token

It opens every other key of the home and every row of its store. Where both files are there, a change was interrupted
after the new one was durable and before the old one was gone: they hold the same key.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

from keys.files.keyfile import (
    KEY_FILE_BYTES,
    PRODUCTION_COST,
    STORAGE_KEY_BYTES,
    Argon2Cost,
    Unlock,
    read_header,
    read_secret,
    seal_secret,
)
from keys.files.private_files import KeyFileError, credential, erase, read_private, replace, write_new
from protocol.errors import Refused

STORAGE_CREDENTIAL: Final = "relay.storage"
"""Name of the systemd credential that may hold the storage key."""
PASSPHRASE_CREDENTIAL: Final = "relay.passphrase"  # noqa: S105 - the name of it
"""Name of the systemd credential that may hold the passphrase of keys/storage.sealed, as its first line."""
LABEL: Final = "storage"
"""Under this label `Unlock` is asked for the passphrase."""

BARE: Final = "storage.key"
SEALED: Final = "storage.sealed"
_KIND: Final = "storage"
_SALT_BYTES: Final = 32

Derive: TypeAlias = Callable[[bytes], bytes]
"""A token's keyed hash: from a salt to 32 bytes that only the token can make (keys/token.py)."""
Keeping: TypeAlias = Literal["credential", "file", "passphrase", "token"]


def nobody(_label: str) -> None:
    """The `Unlock` of those who cannot be asked."""


def no_token(_salt: bytes) -> bytes:
    """The `Derive` of a home whose settings name no token. Raises `Refused` BAD_CONFIG."""
    raise Refused("BAD_CONFIG", "the storage key is under a token, and [hsm] module is not set", field="hsm.module")


def create_storage_key(home: Path, entropy: Callable[[int], bytes]) -> bytes:
    """Make HOME/keys/storage.key with a new storage key. Raises `Refused` FILE_EXISTS."""
    if (home / "keys" / SEALED).exists():
        raise Refused("FILE_EXISTS", f"{home / 'keys' / SEALED} exists and is never overwritten")
    key = entropy(STORAGE_KEY_BYTES)
    write_new(home / "keys" / BARE, key)
    return key


def how_kept(home: Path, environ: Mapping[str, str] = os.environ) -> Keeping:
    """What the storage key is kept under. Raises `KeyFileError` for a sealed file that cannot be read."""
    if credential(STORAGE_CREDENTIAL, environ) is not None:
        return "credential"
    if (home / "keys" / BARE).exists() or not (home / "keys" / SEALED).exists():
        return "file"
    return "passphrase" if read_header(home / "keys" / SEALED).sealed_by == "passphrase" else "token"


def load_storage_key(
    home: Path, *, unlock: Unlock = nobody, derive: Derive = no_token, environ: Mapping[str, str] = os.environ
) -> bytes:
    """The 32-byte storage key, from wherever it is kept.

    A passphrase comes from the credential `relay.passphrase`, else from `unlock`. Raises `KeyFileError`; `Refused`
    NO_PASSPHRASE when there is nobody to ask, and whatever `derive` raises. systemd guards a credential's mode
    itself, so only its length is checked.
    """
    kept = how_kept(home, environ)
    path = home / "keys" / SEALED
    if kept == "passphrase":
        return _whole(path, read_secret(path, _KIND, passphrase=_passphrase(path, unlock, environ)))
    if kept == "token":
        return _whole(path, read_secret(path, _KIND, storage_key=derive(read_header(path).public)))
    given = credential(STORAGE_CREDENTIAL, environ)
    if given is not None:
        return _whole(given, given.read_bytes())
    return _whole(home / "keys" / BARE, read_private(home / "keys" / BARE, KEY_FILE_BYTES))


def seal_under_passphrase(
    home: Path,
    key: bytes,
    passphrase: bytes,
    *,
    entropy: Callable[[int], bytes],
    cost: Argon2Cost = PRODUCTION_COST,
) -> None:
    """Keep the storage key under a passphrase from now on. Raises `ValueError` for an empty one; `OSError`."""
    _keep(home, SEALED, seal_secret(_KIND, key, passphrase=passphrase, entropy=entropy, label=LABEL, cost=cost))


def seal_under_token(home: Path, key: bytes, derive: Derive, *, entropy: Callable[[int], bytes]) -> None:
    """Keep the storage key under a token from now on. Raises what `derive` raises; `OSError`."""
    salt = entropy(_SALT_BYTES)
    sealed = seal_secret(_KIND, key, storage_key=derive(salt), entropy=entropy, label=LABEL, public=salt)
    _keep(home, SEALED, sealed)


def keep_bare(home: Path, key: bytes) -> None:
    """Keep the storage key as it is, in a file, from now on. Raises `OSError`."""
    _keep(home, BARE, key)


def _keep(home: Path, name: str, data: bytes) -> None:
    """The new file first; the old one goes when the new one is durable, so that a crash leaves one at least."""
    folder = home / "keys"
    replace(folder / name, data)
    old = folder / (BARE if name == SEALED else SEALED)
    gone = folder / f".{old.name}.old"
    # Under another name before it is overwritten: what is half gone must not be taken for the key.
    with suppress(FileNotFoundError):
        old.rename(gone)
    erase(gone)


def _passphrase(path: Path, unlock: Unlock, environ: Mapping[str, str]) -> bytes:
    given = credential(PASSPHRASE_CREDENTIAL, environ)
    passphrase = unlock(LABEL) if given is None else given.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    if not passphrase:
        raise Refused("NO_PASSPHRASE", f"{path}; a daemon takes it from the systemd credential {PASSPHRASE_CREDENTIAL}")
    return passphrase


def _whole(path: Path, key: bytes) -> bytes:
    if len(key) != STORAGE_KEY_BYTES:
        detail = f"a storage key has {STORAGE_KEY_BYTES} bytes, this has {len(key)}"
        raise KeyFileError("KEY_FILE_DAMAGED", path, detail)
    return key
