"""Signatures and key wraps that cost next to nothing and depend on nothing but their input.

HPKE draws its own randomness, by which no run could be repeated, and real cryptography is most of the time of a run.
Shapes and lengths are those of the real ones; whoever changes a signed byte is still found out. A test runs some
seeds with the real ones.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from keys import signing
from keys.primitives import ENCAPSULATED_BYTES, NotAuthentic, PrekeyPrivate, PrekeyPublic, SigningKey

WRAPPED_KEY_BYTES = 32


def _sign(self: SigningKey, data: bytes) -> bytes:
    return hashlib.sha512(self.public() + data).digest()


def _verify(public: bytes, signature: bytes, data: bytes) -> bool:
    return signature == hashlib.sha512(public + data).digest()


def _mask(key: bytes, info: bytes) -> bytes:
    pad = hashlib.sha256(b"wrap" + info).digest()
    return bytes(a ^ b for a, b in zip(key, pad, strict=True))


def _wrap(self: PrekeyPublic, key: bytes, info: bytes) -> tuple[bytes, bytes]:
    tag = hashlib.sha256(key + info).digest()[:16]
    return bytes(ENCAPSULATED_BYTES[self.suite]), _mask(key, info) + tag


def _unwrap(self: PrekeyPrivate, encapsulated: bytes, wrapped: bytes, info: bytes) -> bytes:
    key = _mask(wrapped[:WRAPPED_KEY_BYTES], info)
    if hashlib.sha256(key + info).digest()[:16] != wrapped[WRAPPED_KEY_BYTES:]:
        raise NotAuthentic
    return key


@contextmanager
def cheap_cryptography() -> Iterator[None]:
    """Replace Ed25519 and HPKE while the block runs."""
    with (
        patch.object(SigningKey, "sign", _sign),
        patch.object(signing, "verify_ed25519", _verify),
        patch.object(PrekeyPublic, "wrap", _wrap),
        patch.object(PrekeyPrivate, "unwrap", _unwrap),
    ):
        yield
