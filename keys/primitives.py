"""Every algorithm of the suites, and why it is safe here; `cryptography` is imported by this file, tls and mldsa alone.

Suites (DESIGN D5). 1: X-Wing (ML-KEM-768 with X25519), SHAKE256, AES-256-GCM, Ed25519.
2: X25519, HKDF-SHA256, ChaCha20-Poly1305 for the key wrap, AES-256-GCM, Ed25519.
3: SM2 with SM3 for signature and key wrap, SM4-GCM: keys/gm.py.
Signing keys are Ed25519 in 1 and 2 and SM2 in 3; the key id binds the algorithm, so that no key serves two of them.
"""

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keys.sm2_curve import POINT_BYTES, is_point
from protocol.ids import KeyId
from protocol.limits import KEY_ID_BYTES

if TYPE_CHECKING:
    from keys.gm import Sm2Private, Sm2Public

SUITE_XWING: Final = 1
SUITE_X25519: Final = 2
SUITE_SM2: Final = 3
SUITES: Final = (SUITE_XWING, SUITE_X25519, SUITE_SM2)

ED25519: Final = 0
"""Number of a signature algorithm: Ed25519 serves suites 1 and 2 and belongs to neither. SM2 has that of its suite."""

SERVES: Final = {ED25519: (SUITE_XWING, SUITE_X25519), SUITE_SM2: (SUITE_SM2,)}
"""The suites of each signature algorithm. An office makes prekeys of the suites that its signing key serves."""

MLKEM_PUBLIC_BYTES: Final = 1184
PREKEY_SEED_BYTES: Final = 32
PREKEY_PUBLIC_BYTES: Final = {SUITE_XWING: MLKEM_PUBLIC_BYTES + 32, SUITE_X25519: 32, SUITE_SM2: POINT_BYTES}
ENCAPSULATED_BYTES: Final = {SUITE_XWING: 1120, SUITE_X25519: 32, SUITE_SM2: POINT_BYTES + 64}
"""Length of the KEM's output: it precedes the wrapped key in an HPKE result, and is an SM2 ciphertext in suite 3."""

CONTENT_KEY_BYTES: Final = {SUITE_XWING: 32, SUITE_X25519: 32, SUITE_SM2: 16}
"""Length of the key that a copy's body is sealed under: AES-256, SM4."""

_HPKE: Final = {
    SUITE_XWING: Suite(KEM.MLKEM768_X25519, KDF.SHAKE256, AEAD.AES_256_GCM),
    SUITE_X25519: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
}

_P: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y})
"""The y coordinates of the eight points of small order: orders 4, 1, 2 and 8."""


class NotAuthentic(Exception):
    """An AEAD tag, an HPKE tag or a key did not fit; nothing more is said, on purpose."""


class SigningKey:
    """An Ed25519 private key (RFC 8032)."""

    __slots__ = ("_key", "_key_id", "_public", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()
        self._key_id = signing_key_id(self._public)

    @property
    def suite(self) -> int:
        """Number of the signature algorithm."""
        return ED25519

    @staticmethod
    def from_seed(seed: bytes) -> "SigningKey":
        """The key of a 32-byte seed; raises `ValueError` for another length."""
        return SigningKey(seed)

    def seed(self) -> bytes:
        """The 32 secret bytes; for sealing into a key file only."""
        return self._seed

    def public(self) -> bytes:
        """The 32 public bytes."""
        return self._public

    def key_id(self) -> KeyId:
        """The id of the public key."""
        return self._key_id

    def sign(self, data: bytes) -> bytes:
        """A 64-byte signature over `data`."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey(public={self._public.hex()[:16]}…)"


def is_small_order(public: bytes) -> bool:
    """Whether an Ed25519 public key is one of the small-order points, or not a canonical encoding.

    OpenSSL accepts a trivial signature under the identity key on any message, so such keys are refused
    wherever a key enters (G10). A y coordinate not below p is a second encoding of another key.
    """
    if len(public) != 32:
        return True
    y = int.from_bytes(public, "little") & (2**255 - 1)
    return y >= _P or y in _SMALL_ORDER_Y


def verify_ed25519(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` is by `public`; False for small-order keys and odd lengths."""
    if len(signature) != 64 or is_small_order(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def key_id(suite: int, public: bytes) -> KeyId:
    """The id of a key: 16 bytes of SHA-256 over a purpose, the suite or signature algorithm, and the public bytes."""
    return KeyId(sha256(b"relay/1/key" + bytes((suite,)) + public)[:KEY_ID_BYTES])


def signing_key_id(public: bytes) -> KeyId:
    """The id of a signing key; suite byte 0 for Ed25519, since suites 1 and 2 share the signature algorithm."""
    return key_id(signature_suite(public) or ED25519, public)


def signature_suite(public: bytes) -> int | None:
    """The algorithm of a public signing key, by its length: 0 for the 32 bytes of Ed25519, 3 for the 65 of SM2.

    So what a signature must be follows from the key that the directory holds, and never from the message.
    """
    return {32: ED25519, POINT_BYTES: SUITE_SM2}.get(len(public))


def algorithm_of(suite: int) -> int:
    """The signature algorithm that serves a suite; raises `ValueError` for one that does not exist."""
    for algorithm, suites in SERVES.items():
        if suite in suites:
            return algorithm
    raise ValueError(f"there is no suite {suite}")


def suite_for(algorithm: int, allowed: Collection[int]) -> int | None:
    """The strongest allowed suite that a signature algorithm serves, for its office's prekeys; None: not one."""
    return next((suite for suite in SERVES.get(algorithm, ()) if suite in allowed), None)


def is_signing_key(suite: int, public: bytes) -> bool:
    """Whether these bytes are a sound public key of the algorithm, in its one form (G10)."""
    return is_point(public) if suite == SUITE_SM2 else suite == ED25519 and not is_small_order(public)


def aes_gcm_seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM with a 12-byte nonce; ciphertext and tag."""
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def aes_gcm_open(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """The plaintext; raises `NotAuthentic`."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except (InvalidTag, ValueError) as error:
        raise NotAuthentic from error


def aes_block(key: bytes, block: bytes) -> bytes:
    """AES-256 of one block of 16 bytes: what GCM makes its subkey and the mask of its tag of; never for data."""
    return Cipher(AES256(key), ECB()).encryptor().update(block)  # noqa: S305 - one block, of no secret


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869) of a uniformly random key."""
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)


def argon2id(passphrase: bytes, salt: bytes, *, memory_kib: int, iterations: int, lanes: int, length: int) -> bytes:
    """Argon2id (RFC 9106) of a passphrase."""
    kdf = Argon2id(salt=salt, length=length, iterations=iterations, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(passphrase)


def _xwing_private(seed: bytes) -> MLKEM768X25519PrivateKey:
    """The X-Wing key pair of a 32-byte seed (draft-connolly-cfrg-xwing-kem, section 5.2)."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
    )


def prekey_public(suite: int, seed: bytes) -> bytes:
    """The public bytes of the prekey with this 32-byte seed: for suite 1 ML-KEM then X25519."""
    if len(seed) != PREKEY_SEED_BYTES:
        raise ValueError("a prekey seed has 32 bytes")
    if suite == SUITE_SM2:
        from keys import gm

        return gm.sm2_public(seed)
    if suite == SUITE_X25519:
        return X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key().public_bytes_raw()
    return mlkem + X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()


class PrekeyPublic:
    """A loaded public prekey; loading ML-KEM keys costs as much as using them, so callers keep it."""

    __slots__ = ("_key", "suite")

    def __init__(self, suite: int, public: bytes) -> None:
        """Raises `NotAuthentic` for bytes that are no key of the suite."""
        if len(public) != PREKEY_PUBLIC_BYTES.get(suite):
            raise NotAuthentic
        self.suite = suite
        self._key: MLKEM768X25519PublicKey | X25519PublicKey | Sm2Public
        try:
            if suite == SUITE_SM2:
                from keys import gm  # It builds on this file.

                self._key = gm.Sm2Public(public)
            elif suite == SUITE_X25519:
                self._key = X25519PublicKey.from_public_bytes(public)
            else:
                self._key = MLKEM768X25519PublicKey(
                    MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_BYTES]),
                    X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_BYTES:]),
                )
        except (ValueError, TypeError) as error:
            raise NotAuthentic from error

    def wrap(self, key: bytes, info: bytes) -> tuple[bytes, bytes]:
        """(encapsulated key, wrapped key): HPKE base mode (RFC 9180), or SM2. Raises `NotAuthentic` for a bad key."""
        if not isinstance(self._key, MLKEM768X25519PublicKey | X25519PublicKey):
            return self._key.wrap(key, info)
        try:
            sealed = _HPKE[self.suite].encrypt(key, self._key, info=info)
        except (ValueError, TypeError, InvalidTag) as error:
            raise NotAuthentic from error
        split = ENCAPSULATED_BYTES[self.suite]
        return sealed[:split], sealed[split:]


class PrekeyPrivate:
    """A loaded private prekey."""

    __slots__ = ("_key", "suite")

    def __init__(self, suite: int, seed: bytes) -> None:
        self.suite = suite
        self._key: MLKEM768X25519PrivateKey | X25519PrivateKey | Sm2Private
        if suite == SUITE_SM2:
            from keys import gm

            self._key = gm.Sm2Private(seed)
        elif suite == SUITE_X25519:
            self._key = X25519PrivateKey.from_private_bytes(seed)
        else:
            self._key = _xwing_private(seed)

    def unwrap(self, encapsulated: bytes, wrapped: bytes, info: bytes) -> bytes:
        """The wrapped key; raises `NotAuthentic`."""
        if not isinstance(self._key, MLKEM768X25519PrivateKey | X25519PrivateKey):
            return self._key.unwrap(encapsulated, wrapped, info)
        try:
            return _HPKE[self.suite].decrypt(encapsulated + wrapped, self._key, info=info)
        except (ValueError, TypeError, InvalidTag) as error:
            raise NotAuthentic from error

    def __repr__(self) -> str:
        return f"PrekeyPrivate(suite={self.suite})"
