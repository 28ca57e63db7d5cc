"""A home's keys and trust in one file, and a home made of such a file (keys/files/backup.py, CONTRACT section 9).

A home that comes back has no store: it begins a new life with a new epoch, its neighbours show it what it signed before
and it sounds RESTORED (relay/home.py), and what was sealed to prekeys that are gone is answered PREKEY_GONE.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.load import FILE_NAME, parse
from config.schema import Settings
from keys.ceremony.network import read_network
from keys.enrol.office_home import TOKEN_KIND
from keys.files.backup import BACKUP_BYTES, Backup, HomeKind, gather, open_backup
from keys.files.keyfile import KEY_FILE_BYTES, Unlock, open_secret, read_header
from keys.files.private_files import (
    KeyFileError,
    make_private_directory,
    read_private,
    require_empty,
    whole_directory,
    write_new,
)
from keys.files.storage_key import BARE, SEALED, how_kept
from keys.roster.directory import Directory
from keys.trust.store import TrustStore
from protocol.errors import Refused
from relay.opening import find_office
from relay.safe import open_safe

_OFFICE_FOLDERS: Final = ("store", "run", "audit")
_PEM: Final = b"-----BEGIN "


def back_up(home: Path, unlock: Unlock, now_us: int) -> Backup:
    """What a backup of this home holds, after every key that the storage key opens was opened by it.

    A storage key that only this machine or a token can open goes in as it is: new hardware has neither. One under a
    passphrase stays under it. A signing key in a token stays there. Raises `ConfigError`; `Refused` and `KeyFileError`
    of keys/files/backup.py and relay/safe.py; `TrustError`; `OSError`.
    """
    settings = parse((home / FILE_NAME).read_bytes()).settings
    directory, _ = _directory(home, settings, now_us)
    files = gather(home)
    storage_key = open_safe(home, unlock).storage_key
    try_keys(home, storage_key)
    if how_kept(home) in ("credential", "token"):
        files.pop(f"keys/{SEALED}", None)
        files[f"keys/{BARE}"] = storage_key
    kind: HomeKind = "root" if _is_root(home) else "office"
    return Backup(kind, directory.network_id, settings.office.address, now_us, files)


def signs_in_token(home: Path) -> bool:
    """Whether the home's signing key is in a token, and so in no backup. Raises `KeyFileError`."""
    path = home / "keys" / "identity.key"
    return path.exists() and read_header(path).kind == TOKEN_KIND


def recover(
    file: Path, home: Path, passphrase: Callable[[str], bytes], now_us: int, *, root: str | None = None
) -> Backup:
    """Make `home`, which must not exist or be empty, of a backup; `passphrase` is asked with the file's name.

    `root`: the fingerprint that the network's root must have. Nothing is left of a recovery that fails.
    Raises `Refused` FILE_EXISTS, FILE_MISSING, WRONG_NETWORK, BAD_CONFIG; `ConfigError`; `KeyFileError`; `TrustError`;
    `OSError`.
    """
    target = home.resolve()
    # Before anybody is asked for a passphrase.
    require_empty(target, "home")
    backup = read_backup(file, passphrase)
    with whole_directory(target, "home") as building:
        _write(building, backup)
        _check(building, backup, now_us, root)
    return backup


def read_backup(file: Path, passphrase: Callable[[str], bytes]) -> Backup:
    """The backup in a file. Raises like `recover`."""
    try:
        with file.open("rb") as stream:
            data = stream.read(BACKUP_BYTES + (2 << 20))
    except FileNotFoundError:
        raise Refused("FILE_MISSING", str(file)) from None
    except OSError as error:
        raise Refused("FILE_UNREADABLE", f"{file}: {error.strerror}") from None
    return open_backup(file, data, passphrase(file.name))


def _write(building: Path, backup: Backup) -> None:
    """Every file durable before the home gets its name."""
    for name, data in backup.files.items():
        write_new(building / name, data)
    if backup.home_kind == "office":
        for folder in _OFFICE_FOLDERS:
            make_private_directory(building / folder)


def _check(building: Path, backup: Backup, now_us: int, root: str | None) -> None:
    """What came out is one home: settings, directory and keys belong together."""
    settings = parse(backup.files.get(FILE_NAME, b"")).settings
    directory, fingerprint = _directory(building, settings, now_us)
    if directory.network_id != backup.network_id or (root is not None and root != fingerprint):
        raise Refused("WRONG_NETWORK", f"the backup is of network {directory.network}, root {fingerprint}")
    if not any((building / "keys").glob("storage.*")):
        raise KeyFileError("KEY_FILE_MISSING", building / "keys" / BARE, "the backup holds no storage key")


def try_keys(home: Path, storage_key: bytes) -> None:
    """Open every key of the home that is under the storage key: what is damaged is found before it is relied on.

    Raises `KeyFileError`.
    """
    for path in sorted((home / "keys").rglob("*.key")):
        data = read_private(path, KEY_FILE_BYTES)
        if path.name != BARE and not data.startswith(_PEM):
            header = read_header(path)
            if header.sealed_by == "storage":
                open_secret(path, data, header.kind, storage_key=storage_key)


def _directory(home: Path, settings: Settings, now_us: int) -> tuple[Directory, str]:
    """(the verified directory, the root's fingerprint) of either kind of home."""
    if _is_root(home):
        network = read_network(home)
        return network.directory, network.root_fingerprint
    trust = TrustStore(home).load(now_us)
    find_office(settings, trust)
    return trust.directory, trust.root_fingerprint


def _is_root(home: Path) -> bool:
    return (home / "network").is_dir()
