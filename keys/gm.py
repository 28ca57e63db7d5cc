"""Suite 3: SM2 (GB/T 32918), SM3 (GB/T 32905) and SM4-GCM (GB/T 32907, RFC 8998). The only importer of `gmssl_pyx`.

SM3 and SM4 come from `cryptography`; SM2 needs the extra `gm`, which is looked for when the first signature or wrap is
due: without it everything else works. GmSSL keeps Python's lock while it computes, so worker threads take turns.
"""

import ctypes
import secrets
from functools import cache
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from keys.primitives import ENCAPSULATED_BYTES, SUITE_SM2, NotAuthentic, key_id
from keys.sm2_curve import GX, GY, NUMBER_BYTES, A, B, N, is_point, public_of
from keys.sm2_forms import ciphertext_from_der, ciphertext_to_der, signature_from_der, signature_to_der
from protocol.errors import Refused
from protocol.ids import KeyId

SIGNER_ID: Final = b"relay/1"
"""The distinguishing identifier of every signer (GB/T 32918.2, 5.5), never the default 1234567812345678 of GM/T 0009:
what a key signed elsewhere under that does not verify here, nor the other way round."""

SEED_BYTES: Final = 32
SECRET_BYTES: Final = 32
"""What SM2 encrypts to a prekey, and the key of the wrap is derived from."""
SM4_KEY_BYTES: Final = 16
SM4_TAG_BYTES: Final = 16

_SEED_PURPOSE: Final = b"relay/1/sm2"
_WRAP_NONCE: Final = bytes(12)
"""Every wrap has a key of its own, derived from a secret that is drawn for it, so that one nonce serves all."""

_CURVE: Final = b"".join(number.to_bytes(NUMBER_BYTES) for number in (A, B, GX, GY))


class GmMissing(NotAuthentic):
    """The extra `gm` is not installed, so an SM2 signature or wrap cannot be judged here and counts as none."""


def require_gm() -> None:
    """Raises `Refused` SUITE_MISSING when the extra `gm` is not installed."""
    try:
        _library()
    except GmMissing as error:
        raise Refused("SUITE_MISSING", "gmssl_pyx cannot be imported", field="gm") from error


@cache
def _library() -> Any:
    """GmSSL, imported when it is first needed; raises `GmMissing`."""
    try:
        import gmssl_pyx
    except ImportError as error:
        raise GmMissing from error
    _silence()
    return gmssl_pyx


def _silence() -> None:
    """Send what C code prints to its `stderr` nowhere: GmSSL writes two lines for each signature that does not verify.

    A hostile neighbour could fill the journal with them. Python's `sys.stderr`, our logs and file descriptor 2 are not
    touched. Where the C library has no such variable the lines stay.
    """
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    try:
        stream = ctypes.c_void_p.in_dll(libc, "stderr")
    except ValueError:
        return
    nowhere = libc.fopen(b"/dev/null", b"we")
    if nowhere:
        stream.value = nowhere


def sm3(data: bytes) -> bytes:
    """SM3, 32 bytes (GB/T 32905)."""
    return hashes.Hash.hash(hashes.SM3(), data)


def hkdf_sm3(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SM3 (RFC 5869) of a uniformly random key."""
    return HKDFExpand(hashes.SM3(), length, info).derive(key)


def sm4_gcm_seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """SM4-GCM with a 16-byte key and a 12-byte nonce; ciphertext and tag (RFC 8998)."""
    encryptor = Cipher(SM4(key), GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(aad)
    return encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag


def sm4_gcm_open(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """The plaintext; raises `NotAuthentic`."""
    sealed, tag = ciphertext[:-SM4_TAG_BYTES], ciphertext[-SM4_TAG_BYTES:]
    try:
        decryptor = Cipher(SM4(key), GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(aad)
        return decryptor.update(sealed) + decryptor.finalize()
    except (InvalidTag, ValueError) as error:
        raise NotAuthentic from error


def sm2_secret(seed: bytes) -> int:
    """The secret number of a 32-byte seed: the KDF of GB/T 32918.4, wide enough that no number is likelier.

    Raises `ValueError` for another length.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError("the seed of an SM2 key has 32 bytes")
    wide = X963KDF(hashes.SM3(), NUMBER_BYTES + 16, _SEED_PURPOSE).derive(seed)
    return int.from_bytes(wide) % (N - 2) + 1


def sm2_public(seed: bytes) -> bytes:
    """The 65 public bytes of the key with this seed; raises `ValueError` for a seed of another length."""
    return public_of(sm2_secret(seed))


def digest_to_sign(public: bytes, data: bytes, signer_id: bytes = SIGNER_ID) -> bytes:
    """The number e of GB/T 32918.2: SM3 over Z, which binds signer id, curve and public key, and over the data."""
    length = (8 * len(signer_id)).to_bytes(2)
    return sm3(sm3(length + signer_id + _CURVE + public[1:]) + data)


class Sm2Key:
    """An SM2 private key for signatures (GB/T 32918.2)."""

    __slots__ = ("_key_id", "_public", "_secret", "_seed")

    suite: Final = SUITE_SM2
    """Number of the algorithm in the directory."""

    def __init__(self, seed: bytes) -> None:
        secret = sm2_secret(seed)
        self._seed = seed
        self._secret = secret.to_bytes(NUMBER_BYTES)
        self._public = public_of(secret)
        self._key_id = key_id(SUITE_SM2, self._public)

    @staticmethod
    def from_seed(seed: bytes) -> "Sm2Key":
        """The key of a 32-byte seed; raises `ValueError` for another length."""
        return Sm2Key(seed)

    def seed(self) -> bytes:
        """The 32 secret bytes; for sealing into a key file only."""
        return self._seed

    def public(self) -> bytes:
        """The 65 public bytes."""
        return self._public

    def key_id(self) -> KeyId:
        """The id of the public key."""
        return self._key_id

    def sign(self, data: bytes) -> bytes:
        """A signature of 64 bytes, r || s, over `data`. Raises `Refused` SUITE_MISSING without the extra."""
        require_gm()
        return signature_from_der(_library().sm2_sign_sm3_digest(self._secret, digest_to_sign(self._public, data)))

    def __repr__(self) -> str:
        return f"Sm2Key(public={self._public.hex()[:16]}…)"


def verify_sm2(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` is by `public`; False for what is no point of the curve, and for odd forms.

    Raises `GmMissing`.
    """
    library = _library()
    der = signature_to_der(signature)
    if der is None or not is_point(public):
        return False
    return bool(library.sm2_verify_sm3_digest(public[1:], digest_to_sign(public, data), der))


def _wrap_key(secret: bytes, info: bytes) -> bytes:
    """The key that wraps: SM2 has no associated data, so what it must be bound to enters here."""
    return hkdf_sm3(secret, info, SM4_KEY_BYTES)


class Sm2Public:
    """A public prekey of suite 3; raises `NotAuthentic` for what is no point of the curve."""

    __slots__ = ("_point",)

    def __init__(self, public: bytes) -> None:
        if not is_point(public):
            raise NotAuthentic
        self._point = public[1:]

    def wrap(self, key: bytes, info: bytes) -> tuple[bytes, bytes]:
        """(encapsulated, wrapped): a fresh secret by SM2, and `key` under what the secret and `info` give.

        Raises `GmMissing`.
        """
        secret = secrets.token_bytes(SECRET_BYTES)
        encapsulated = ciphertext_from_der(_library().sm2_encrypt(self._point, secret))
        return encapsulated, sm4_gcm_seal(_wrap_key(secret, info), _WRAP_NONCE, key, b"")


class Sm2Private:
    """A private prekey of suite 3."""

    __slots__ = ("_secret",)

    def __init__(self, seed: bytes) -> None:
        self._secret = sm2_secret(seed).to_bytes(NUMBER_BYTES)

    def unwrap(self, encapsulated: bytes, wrapped: bytes, info: bytes) -> bytes:
        """The wrapped key; raises `NotAuthentic`, `GmMissing`."""
        return sm4_gcm_open(_wrap_key(self.open_secret(encapsulated), info), _WRAP_NONCE, wrapped, b"")

    def open_secret(self, encapsulated: bytes) -> bytes:
        """What SM2 encrypted to this key; raises `NotAuthentic`, `GmMissing`."""
        library = _library()
        der = ciphertext_to_der(encapsulated)
        if der is None or len(encapsulated) != ENCAPSULATED_BYTES[SUITE_SM2]:
            raise NotAuthentic
        try:
            return bytes(library.sm2_decrypt(self._secret, der))
        except library.GmsslInnerError as error:
            raise NotAuthentic from error
