"""A holder's key: Ed25519, and beside it ML-DSA-65 where a role's signatures must outlive Ed25519 (D8).

The keys of root and targets have both halves in one file, sealed under one passphrase. Whoever signs signs with both,
and counts only if both verify: a later forger would have to break both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import Signature
from tuf.api.metadata import Metadata

from keys.files.keyfile import Argon2Cost, KeyFileHeader, read_secret, write_secret
from keys.files.private_files import KeyFileError
from keys.mldsa import SEED_BYTES, SecondKey
from keys.primitives import SigningKey
from keys.trust.metadata import SECOND_ROLES, Pair, purpose_of, second_id, tuf_key

Entropy = Callable[[int], bytes]

_FIRST_BYTES: Final = 32
"""Seed and public half of Ed25519 are equally long."""


@dataclass(frozen=True, slots=True)
class Holder:
    """An opened key. `label` names it to people: `root-2`."""

    label: str
    first: SigningKey
    second: SecondKey | None

    @property
    def pair(self) -> Pair:
        """The public halves."""
        return Pair(self.label, self.first.public(), self.second.public() if self.second else b"")

    def sign(self, metadata: Metadata[Any], role: str) -> None:
        """Add this holder's signatures for that role; those that are there already stay."""
        payload = metadata.signed_bytes
        key_id = tuf_key(self.first.public()).keyid
        metadata.signatures[key_id] = Signature(key_id, self.first.sign(payload).hex())
        if self.second is not None:
            key_id = second_id(self.second.public())
            metadata.signatures[key_id] = Signature(key_id, self.second.sign(purpose_of(role), payload).hex())


def new_holder(role: str, label: str, entropy: Entropy) -> Holder:
    """New keys for a role."""
    second = SecondKey.from_seed(entropy(SEED_BYTES)) if role in SECOND_ROLES else None
    return Holder(label, SigningKey.from_seed(entropy(_FIRST_BYTES)), second)


def write_holder(
    path: Path,
    role: str,
    holder: Holder,
    *,
    storage_key: bytes | None,
    passphrase: bytes | None,
    entropy: Entropy,
    cost: Argon2Cost,
) -> None:
    """Seal a holder's key into a new file. Raises like `write_secret`."""
    write_secret(
        path,
        role,
        holder.first.seed() + (holder.second.seed() if holder.second else b""),
        storage_key=storage_key,
        passphrase=passphrase,
        entropy=entropy,
        label=holder.label,
        public=holder.first.public() + (holder.second.public() if holder.second else b""),
        cost=cost,
    )


def pair_of(header: KeyFileHeader) -> Pair:
    """The public halves that a key file names; nobody vouches for them before the file is opened."""
    return Pair(header.label, header.public[:_FIRST_BYTES], header.public[_FIRST_BYTES:])


def read_holder(
    path: Path, role: str, label: str, *, storage_key: bytes | None = None, passphrase: bytes | None = None
) -> Holder:
    """Open a holder's key file. Raises `KeyFileError` like `read_secret`, KEY_FILE_DAMAGED for an odd secret."""
    secret = read_secret(path, role, storage_key=storage_key, passphrase=passphrase)
    halves = 2 if role in SECOND_ROLES else 1
    if len(secret) != halves * _FIRST_BYTES:
        raise KeyFileError("KEY_FILE_DAMAGED", path, f"a key for {role} has {halves * _FIRST_BYTES} secret bytes")
    second = SecondKey.from_seed(secret[_FIRST_BYTES:]) if halves == 2 else None
    return Holder(label, SigningKey.from_seed(secret[:_FIRST_BYTES]), second)
