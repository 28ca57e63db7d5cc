"""A private signing key in memory, of whichever algorithm: made from a seed, kept in a key file, opened again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from keys.files.keyfile import read_header, read_secret
from keys.files.private_files import KeyFileError
from keys.gm import Sm2Key
from keys.primitives import ED25519, SUITE_SM2, SigningKey, signature_suite

PrivateKey: TypeAlias = SigningKey | Sm2Key

_KINDS: Final[Mapping[int, type[PrivateKey]]] = {ED25519: SigningKey, SUITE_SM2: Sm2Key}


def make_private_key(algorithm: int, seed: bytes) -> PrivateKey:
    """The key of an algorithm (0 Ed25519, 3 SM2) with this 32-byte seed; raises `ValueError` for another length."""
    return _KINDS[algorithm](seed)


def open_private_key(
    path: Path, kind: str, *, storage_key: bytes | None = None, passphrase: bytes | None = None
) -> PrivateKey:
    """The key of a key file, of the algorithm that its public part shows.

    Raises `KeyFileError` like `read_secret`, and KEY_FILE_DAMAGED when the public part is not that of the secret.
    """
    seed = read_secret(path, kind, storage_key=storage_key, passphrase=passphrase)
    public = read_header(path).public
    algorithm = signature_suite(public)
    key = None if algorithm is None else make_private_key(algorithm, seed)
    if key is None or key.public() != public:
        raise KeyFileError("KEY_FILE_DAMAGED", path, "its public part is not that of a signing key within")
    return key
