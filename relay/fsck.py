"""`relay fsck` with the daemon down: every row of a home's store is opened."""

import sqlite3
from pathlib import Path
from typing import Any

from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError
from keys.rows import RowCipher
from protocol.errors import Refused
from relay.opening import row_key
from relay.safe import open_safe
from relay.store.database import HomeInUse
from relay.store.fsck import check
from relay.store.tables import ALL


def check_home(home: Path, unlock: Unlock) -> dict[str, Any]:
    """The report as JSON types; `unlock` is asked when the storage key is under a passphrase.

    Raises `Refused` HOME_IN_USE, BAD_KEYS, BAD_STORE, NO_PASSPHRASE, or FILE_MISSING for a home that never ran.
    """
    try:
        storage_key = open_safe(home, unlock).storage_key
    except KeyFileError as error:
        raise Refused("BAD_KEYS", str(error)) from None
    return check_store(home, storage_key)


def check_store(home: Path, storage_key: bytes) -> dict[str, Any]:
    """The same with the storage key in hand."""
    try:
        return check(home / "store", RowCipher(row_key(storage_key)), ALL).as_json()
    except sqlite3.DatabaseError as error:
        raise Refused("BAD_STORE", f"{home / 'store'}: {error}") from None
    except HomeInUse:
        raise Refused("HOME_IN_USE", "a daemon holds the store; ask it") from None
    except FileNotFoundError:
        raise Refused("FILE_MISSING", f"{home / 'store'} holds no database yet") from None
