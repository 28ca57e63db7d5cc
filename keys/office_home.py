"""What an office's home consists of, as far as keys and trust go: the one place that knows its files.

    HOME/keys/storage.key                      opens the others
    HOME/keys/identity.key second.key          what the office signs with: Ed25519 or SM2, and ML-DSA-65 beside it
    HOME/keys/prekey-1.key                     private half of the first prekey; later ones live in the store
    HOME/keys/tls.key tls.pem ca.pem           the way to brokers
    HOME/keys/request.cbor                     the enrolment request of a home that asked (keys/candidate.py)
    HOME/trust/                                keys/trust/store.py; in prekeys/ those that came along
    HOME/store/ run/ audit/                    made empty

Settings (HOME/relay.toml) are no business of this room.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from keys import tls
from keys.keyfile import read_secret, write_secret
from keys.mldsa import SecondKey
from keys.prekeys import PrekeyRecord
from keys.primitives import ED25519
from keys.private_files import make_private_directory, read_private, replace, write_new
from keys.signing_key import PrivateKey, make_private_key, open_private_key
from keys.storage_key import create_storage_key
from protocol.ids import Address

Entropy: TypeAlias = Callable[[int], bytes]

WORKING_DIRECTORIES: Final = ("store", "run", "audit")
_PEM_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class OfficeSecrets:
    """The keys that an office makes itself and that never leave its home. `tls_key` is PEM."""

    identity: PrivateKey
    second: SecondKey
    tls_key: bytes = field(repr=False)

    @staticmethod
    def make(entropy: Entropy, algorithm: int = ED25519) -> "OfficeSecrets":
        """New ones; `algorithm` is that of the identity key, Ed25519 or SM2."""
        return OfficeSecrets(make_private_key(algorithm, entropy(32)), SecondKey.from_seed(entropy(32)), tls.new_key())


def furnish(home: Path) -> None:
    """The directories that a daemon works in."""
    for name in WORKING_DIRECTORIES:
        make_private_directory(home / name)


def keep_secrets(home: Path, address: Address, secrets: OfficeSecrets, entropy: Entropy) -> bytes:
    """Seal the keys of a new home; returns its new storage key. Raises `Refused` FILE_EXISTS, `OSError`."""
    storage_key = create_storage_key(home, entropy)
    for kind, seed, public in (
        ("identity", secrets.identity.seed(), secrets.identity.public()),
        ("second", secrets.second.seed(), secrets.second.public()),
    ):
        write_secret(
            home / "keys" / f"{kind}.key",
            kind,
            seed,
            storage_key=storage_key,
            entropy=entropy,
            label=address,
            public=public,
        )
    write_new(home / "keys" / "tls.key", secrets.tls_key)
    return storage_key


def read_secrets(home: Path, storage_key: bytes) -> OfficeSecrets:
    """The keys of a home; raises `KeyFileError`."""
    keys = home / "keys"
    return OfficeSecrets(
        open_private_key(keys / "identity.key", "identity", storage_key=storage_key),
        SecondKey.from_seed(read_secret(keys / "second.key", "second", storage_key=storage_key)),
        read_private(keys / "tls.key", _PEM_BYTES),
    )


def keep_tls(home: Path, certificate: bytes, authority: bytes) -> None:
    """Put the certificate for the TLS key of the home, and that of the authority, in their places."""
    replace(home / "keys" / "ca.pem", authority)
    replace(home / "keys" / "tls.pem", certificate)


def keep_first_prekey(
    home: Path, address: Address, record: PrekeyRecord, seed: bytes, storage_key: bytes, entropy: Entropy
) -> None:
    """Seal the private half of the first prekey. Raises `Refused` FILE_EXISTS, `OSError`."""
    path = home / "keys" / f"prekey-{record.epoch}.key"
    write_secret(path, "prekey", seed, storage_key=storage_key, entropy=entropy, label=address, public=record.public)
