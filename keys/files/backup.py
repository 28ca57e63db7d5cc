"""A backup of keys and trust: one file under a passphrase, from which a home comes back on new hardware.

The file is a key file (keyfile.py) of kind `backup`, under Argon2id; its label says whose it is, unopened. Inside
is canonical CBOR: {0 version, 1 kind of home, 2 network id, 3 address, 4 time (microseconds), 5 [[name, bytes] ...]}.
Why not age: its passphrase costs what the machine that writes can bear in a second, 1 GiB of memory measured on two
cores, and a smaller machine then refuses to open it.

Left out are private halves of prekeys, since they would outlive their deletion and open what was captured (DESIGN D7);
the file `passphrase` of a laboratory; and store, run and audit, which are no keys.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from keys.files.keyfile import PRODUCTION_COST, Argon2Cost, open_secret, read_header, seal_secret
from keys.files.private_files import KeyFileError
from protocol import cbor
from protocol.errors import Refused, RemoteError
from protocol.fields import Fields
from protocol.ids import NetworkId
from protocol.limits import NETWORK_ID_BYTES

BACKUP_BYTES: Final = 64 << 20
"""Longest backup: keys and trust of the largest network are a tenth of it."""
BACKUP_FILES: Final = 20_000
FOLDERS: Final = ("keys", "trust", "network", "tls", "requests", "pending", "persons")
"""What an office's home or an administrator's directory has of keys and trust."""
FILES: Final = ("relay.toml", "journal")

_VERSION: Final = 1
_KIND: Final = "backup"
_STEP: Final = r"/[^./\x00-\x1f][^/\x00-\x1f]{0,127}"
_NAME: Final = re.compile(rf"(?:relay\.toml|journal|(?:{'|'.join(FOLDERS)})(?:{_STEP}){{1,4}})\Z")
"""No name leaves the home, and none is hidden."""

HomeKind: TypeAlias = Literal["office", "root"]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds. `files` by name, relative to the home."""

    home_kind: HomeKind
    network_id: NetworkId
    address: str
    made_us: int
    files: Mapping[str, bytes] = field(repr=False)


def gather(home: Path) -> dict[str, bytes]:
    """The files of a home that belong into a backup.

    Raises `Refused` TOO_LARGE; `KeyFileError` for a key file that is damaged; `OSError`.
    """
    found: dict[str, bytes] = {}
    left = BACKUP_BYTES
    for path in _files(home):
        data = path.read_bytes()
        left -= len(data)
        if left < 0 or len(found) == BACKUP_FILES:
            raise Refused("TOO_LARGE", f"a backup takes {BACKUP_BYTES} bytes in {BACKUP_FILES} files at most")
        found[path.relative_to(home).as_posix()] = data
    return found


def seal_backup(
    backup: Backup,
    passphrase: bytes,
    *,
    label: str,
    entropy: Callable[[int], bytes],
    cost: Argon2Cost = PRODUCTION_COST,
) -> bytes:
    """The bytes of a backup file. Raises `ValueError` for an empty passphrase."""
    files = [[name, backup.files[name]] for name in sorted(backup.files)]
    fields = {0: _VERSION, 1: backup.home_kind, 2: backup.network_id, 3: backup.address, 4: backup.made_us, 5: files}
    return seal_secret(_KIND, cbor.dumps(fields), passphrase=passphrase, entropy=entropy, label=label, cost=cost)


def open_backup(path: Path, data: bytes, passphrase: bytes) -> Backup:
    """What these bytes of `path` hold.

    Raises `KeyFileError` KEY_FILE_DAMAGED for what is no whole backup, KEY_FILE_KIND for another key file, and
    KEY_FILE_NOT_OPENED, which does not tell a wrong passphrase from an altered backup.
    """
    plain = open_secret(path, data, _KIND, passphrase=passphrase, max_bytes=BACKUP_BYTES + (1 << 20))
    try:
        fields = Fields(cbor.loads(plain, max_bytes=BACKUP_BYTES + (1 << 20)), "backup")
        fields.version(_VERSION)
        kind = fields.text(1, 8)
        network_id = NetworkId(fields.fixed(2, NETWORK_ID_BYTES))
        address = fields.text(3, 32)
        made_us = fields.uint(4)
        entries = [_entry(each) for each in fields.array(5, BACKUP_FILES)]
        fields.done()
        files = dict(entries)
        if len(files) != len(entries):
            raise RemoteError("MALFORMED", "a file that is there twice")
    except RemoteError as error:
        # The passphrase was right: whoever wrote this had it.
        detail = f"it is no backup that this program knows ({error.detail})"
        raise KeyFileError("KEY_FILE_DAMAGED", path, detail) from error
    return Backup("root" if kind == "root" else "office", network_id, address, made_us, files)


def _files(home: Path) -> Iterator[Path]:
    """Every file that belongs into a backup, in the order of names."""
    yield from (home / name for name in FILES if (home / name).is_file())
    for folder in FOLDERS:
        for path in sorted((home / folder).rglob("*")):
            name = path.relative_to(home)
            if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in name.parts):
                continue
            if folder == "keys" and _opens_mail(path):
                continue
            yield path


def _opens_mail(path: Path) -> bool:
    """Whether it is the private half of a prekey."""
    return path.suffix == ".key" and path.name.startswith("prekey-") and read_header(path).kind == "prekey"


def _entry(value: cbor.Value) -> tuple[str, bytes]:
    """One [name, bytes] of the list."""
    if not (isinstance(value, list) and len(value) == 2 and type(value[0]) is str and type(value[1]) is bytes):
        raise RemoteError("MALFORMED", "a file that is not a name and bytes")
    if not _NAME.match(value[0]):
        raise RemoteError("MALFORMED", "a name that no home has")
    return value[0], value[1]
