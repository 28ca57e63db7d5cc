"""ML-DSA-65 (FIPS 204): the second signature, against forgers who may one day have a quantum computer (D8).

It never stands alone. What it protects carries an ordinary signature too, so a fault in the younger algorithm or in
its implementation lets nobody in.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

MLDSA: Final = 128
"""Number of the algorithm where the directory names an office's second key by its SHA-256."""

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 1_952
SIGNATURE_BYTES: Final = 3_309


class SecondKey:
    """An ML-DSA-65 private key, kept as its seed."""

    __slots__ = ("_key", "_public", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._key = MLDSA65PrivateKey.from_seed_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @staticmethod
    def from_seed(seed: bytes) -> "SecondKey":
        """The key of a 32-byte seed; raises `ValueError` for another length."""
        return SecondKey(seed)

    def seed(self) -> bytes:
        """The 32 secret bytes; for sealing into a key file only."""
        return self._seed

    def public(self) -> bytes:
        """The 1,952 public bytes."""
        return self._public

    def sign(self, purpose: str, data: bytes) -> bytes:
        """A 3,309-byte signature over `data`, for this purpose alone: it is the context string of FIPS 204."""
        return self._key.sign(data, context=purpose.encode())

    def __repr__(self) -> str:
        return f"SecondKey(public={self._public.hex()[:16]}…)"


def verify_mldsa(public: bytes, signature: bytes, purpose: str, data: bytes) -> bool:
    """Whether `signature` over `data` is by `public` for this purpose; False for odd lengths."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        MLDSA65PublicKey.from_public_bytes(public).verify(signature, data, context=purpose.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
