"""The network's authority for TLS, and those before it that are trusted still while everybody moves to the new one.

    ROOT/keys/tls-ca.key             the authority that issues, behind its passphrase; its certificate is in the header
    ROOT/keys/tls-ca-SERIAL.key      older ones: they issue nothing more, and list what they issued as revoked

A certificate is checked against all of them, so offices and brokers can be given new certificates one after the other.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from keys.files.keyfile import PRODUCTION_COST, Argon2Cost, read_header, read_secret, seal_secret, write_secret
from keys.files.private_files import fsync_directory, replace
from keys.tls import Authority, Credential, new_authority, subject_of

KIND: Final = "tls-ca"
DAYS: Final = 3_650
"""Validity of an authority: ten years, far beyond that of what it issues."""


def authority_files(root_dir: Path) -> list[Path]:
    """The key files of all authorities that are trusted, the one that issues first."""
    keys = root_dir / "keys"
    return [keys / f"{KIND}.key", *sorted(keys.glob(f"{KIND}-*.key"))]


def trusted_authorities(root_dir: Path) -> bytes:
    """The certificates (PEM) of all authorities, as a broker or an office takes them. Raises `KeyFileError`."""
    return b"".join(dict.fromkeys(read_header(path).public for path in authority_files(root_dir)))


def found_authority(
    root_dir: Path,
    network: str,
    passphrase: bytes,
    entropy: Callable[[int], bytes],
    *,
    days: int = DAYS,
    cost: Argon2Cost = PRODUCTION_COST,
) -> Authority:
    """The first authority of a network. Raises `Refused` FILE_EXISTS, `OSError`."""
    made = new_authority(network, days=days)
    write_secret(
        authority_files(root_dir)[0],
        KIND,
        made.credential.key,
        passphrase=passphrase,
        entropy=entropy,
        label=network,
        public=made.credential.certificate,
        cost=cost,
    )
    return made


def open_authority(path: Path, passphrase: bytes) -> Authority:
    """The authority of a key file. Raises `KeyFileError`."""
    return Authority(Credential(read_header(path).public, read_secret(path, KIND, passphrase=passphrase)))


def replace_authority(
    root_dir: Path,
    passphrase: bytes,
    entropy: Callable[[int], bytes],
    *,
    days: int = DAYS,
    cost: Argon2Cost = PRODUCTION_COST,
) -> Authority:
    """A new authority in the place of the one that issues, which is trusted still.

    Interrupted, it leaves the old one issuing. Raises `KeyFileError`, `OSError`.
    """
    current = authority_files(root_dir)[0]
    header = read_header(current)
    older = current.with_name(f"{KIND}-{subject_of(header.public).serial:x}.key")
    if not older.exists():
        os.link(current, older)
        fsync_directory(current.parent)
    made = new_authority(header.label, days=days)
    sealed = seal_secret(
        KIND,
        made.credential.key,
        passphrase=passphrase,
        entropy=entropy,
        label=header.label,
        public=made.credential.certificate,
        cost=cost,
    )
    replace(current, sealed)
    return made


def drop_authorities(root_dir: Path) -> list[Path]:
    """Trust the older authorities no more; their key files, which are gone. Raises `OSError`."""
    older = authority_files(root_dir)[1:]
    for path in older:
        path.unlink()
    fsync_directory(root_dir / "keys")
    return older
