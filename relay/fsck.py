"""`relay fsck` with the daemon down: every row of a home's store is opened."""

from pathlib import Path
from typing import Any

from keys.keyfile import load_storage_key
from keys.rows import RowCipher
from protocol.errors import Refused
from relay.opening import row_key
from relay.store.database import HomeInUse
from relay.store.fsck import check
from relay.store.tables import ALL


def check_home(home: Path) -> dict[str, Any]:
    """The report as JSON types; raises `Refused` HOME_IN_USE, or NOT_FOUND for a home that never ran."""
    try:
        return check(home / "store", RowCipher(row_key(load_storage_key(home))), ALL).as_json()
    except HomeInUse:
        raise Refused("HOME_IN_USE", "a daemon holds the store; ask it") from None
    except FileNotFoundError:
        raise Refused("NOT_FOUND", f"{home / 'store'} holds no database yet") from None
